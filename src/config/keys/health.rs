//! `[pool.NAME.health]`

use super::{Key, Kind, NONE, Preset, STREAK_MAX, Syntax, key};

pub(super) static HEALTH: &[Key] = &[
    key(
        "type",
        Kind::Choice { now: &["http", "tcp", "grpc"], later: &[] },
        "\"http\"",
        "http: a request and its status; tcp: a connection that opens; grpc: grpc.health.v1.Health/Check, which a server \
         of gRPC answers with SERVING, in pools whose `protocol` is \"h2\" or \"auto\". Keys that have no meaning for a \
         type are refused.",
    ),
    key("path", Kind::Text(Syntax::Target), "\"/\"", "What is asked for."),
    Key {
        name: "host",
        kind: Kind::Text(Syntax::Authority),
        default: Preset::Words("the backend's address"),
        doc: "The Host field of the probe.",
    },
    key("method", Kind::Text(Syntax::Method), "\"GET\"", "The method of the probe."),
    key(
        "service",
        Kind::Text(Syntax::Service),
        "\"\"",
        "The service that a check of type grpc asks about; \"\": the server as a whole.",
    ),
    key(
        "expect_status",
        Kind::List { of: &Kind::Statuses, empty: false },
        "[\"200-399\"]",
        "Statuses that mean success; integers, strings, or ranges such as \"200-399\".",
    ),
    Key {
        name: "expect_body",
        kind: Kind::Text(Syntax::Needle),
        default: NONE,
        doc: "A substring within the first 16 KiB.",
    },
    Key {
        name: "port",
        kind: Kind::Integer { min: 1, max: 65535 },
        default: Preset::Words("the backend's own"),
        doc: "Where probes connect.",
    },
    key(
        "interval",
        Kind::Duration { zero: false },
        "\"2s\"",
        "Between probes of a settled backend, with 10 % jitter.",
    ),
    Key {
        name: "fast_interval",
        kind: Kind::Duration { zero: false },
        default: Preset::Words("interval / 4"),
        doc: "While a backend is going up or down, and at once after live traffic failed to connect or met a \
         broken answer.",
    },
    Key {
        name: "down_interval",
        kind: Kind::Duration { zero: false },
        default: Preset::Words("interval"),
        doc: "While a backend is down.",
    },
    key("timeout", Kind::Duration { zero: false }, "\"1s\"", "The whole probe."),
    key("rise", Kind::Integer { min: 1, max: STREAK_MAX }, "2", "Consecutive successes until up."),
    key("fall", Kind::Integer { min: 1, max: STREAK_MAX }, "3", "Consecutive failures until down."),
    key(
        "initial",
        Kind::Choice { now: &["up", "down"], later: &[] },
        "\"up\"",
        "The state before the first result; in either case the first result alone decides.",
    ),
    Key {
        name: "agent",
        kind: Kind::Table(AGENT),
        default: NONE,
        doc: "A program beside each backend that says by one line over TCP how much weight it is to have, and whether: \
              HAProxy's agent-check (\"75%\", \"drain\", \"down#reason\", …). See health.md, «Agents».",
    },
];

static AGENT: &[Key] = &[
    Key {
        name: "port",
        kind: Kind::Integer { min: 1, max: 65535 },
        default: Preset::Words("none: it must stand in the table"),
        doc: "Where the agent listens, on the backend's own address.",
    },
    key(
        "interval",
        Kind::Duration { zero: false },
        "\"5s\"",
        "Between questions, with 10 % jitter; each may take `timeout`.",
    ),
];
