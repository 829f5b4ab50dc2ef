//! `[pool.NAME.passive]`

use super::{Key, Kind, STREAK_MAX, key};

/// What a window of ten steps can count without a doubt.
const REQUESTS_MAX: u64 = 1_000_000;

pub(super) static PASSIVE: &[Key] = &[
    key(
        "enabled",
        Kind::Boolean,
        "true",
        "Whether a backend that fails live traffic is ejected: it gets none for a while.",
    ),
    key(
        "consecutive_failures",
        Kind::Integer { min: 1, max: STREAK_MAX },
        "5",
        "So many failures in a row eject: connect errors, time-outs, resets, invalid or cut responses, every 5xx but \
         501 and 505.",
    ),
    key(
        "failure_ratio",
        Kind::Fraction { max: 1.0 },
        "0.5",
        "This share of failures ejects, of at least `min_requests` in `window`; above 0.0.",
    ),
    key(
        "min_requests",
        Kind::Integer { min: 1, max: REQUESTS_MAX },
        "20",
        "Below it `failure_ratio` says nothing.",
    ),
    key(
        "window",
        Kind::Duration { zero: false },
        "\"10s\"",
        "Over which the ratio counts, in ten steps; at most 1d.",
    ),
    key(
        "latency_factor",
        Kind::Fraction { max: 8.0 },
        "0.0",
        "Ejects where the average time to the response head is above this multiple of the pool's median, with at \
         least `min_requests` in `window`; 0.0: off; otherwise above 1.0.",
    ),
    key(
        "eject_for",
        Kind::Duration { zero: false },
        "\"10s\"",
        "How long; doubled at each repetition, at most 5 minutes. One repetition is forgotten each time the backend \
         was in for as long as it was out last.",
    ),
    key(
        "max_ejected",
        Kind::Fraction { max: 1.0 },
        "0.5",
        "The share of the pool that may be out at once, rounded down, but at least 1 where it has 2 or more; those \
         down by probes count. Above 0.0.",
    ),
    key(
        "end_by_check",
        Kind::Boolean,
        "true",
        "A successful active check ends an ejection. Without `[pool.NAME.health]`, or with false, one idempotent \
         request that may be retried elsewhere tries when the time is over.",
    ),
];
