//! `slo` of a pool or a route

use super::{Key, Kind, NONE, key};

pub(super) static SLO: &[Key] = &[
    Key {
        name: "availability",
        kind: Kind::Percent,
        default: NONE,
        doc: "Percent of the requests that succeed. This or `latency` must be given.",
    },
    Key {
        name: "latency",
        kind: Kind::Duration { zero: false },
        default: NONE,
        doc: "What counts as fast, first byte of the request to last of the response; at most 60s. To be given with \
              `latency_ratio`. Exact at the bounds of the histogram, else up to 5 % strict.",
    },
    Key {
        name: "latency_ratio",
        kind: Kind::Percent,
        default: NONE,
        doc: "Percent of the requests that are fast.",
    },
    key(
        "window",
        Kind::Duration { zero: false },
        "\"30d\"",
        "Over which time the error budget is counted; 1h to 365d.",
    ),
];
