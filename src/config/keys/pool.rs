//! `[pool.NAME]`

use super::health::HEALTH;
use super::passive::PASSIVE;
use super::sticky::STICKY;
use super::{Key, Kind, NONE, Preset, Syntax, key, later};

/// As many as a 32-bit counter of requests in flight can never reach by accident.
const IN_FLIGHT_MAX: u64 = 1 << 30;
/// More tries than this only prolong an outage.
const ATTEMPTS_MAX: u64 = 100;
/// More is no bound any more.
const FACTOR_MAX: f64 = 100.0;
/// As many clients as no process has.
const WAITING_MAX: u64 = 1 << 20;
/// Held per request in flight.
const RETRY_BUFFER_MAX: u64 = 1 << 30;

const MAX_CONNECTIONS: Kind = Kind::Either(&[Kind::Integer { min: 0, max: IN_FLIGHT_MAX }, ADAPTIVE]);
const ADAPTIVE: Kind = Kind::Choice { now: &["adaptive"], later: &[] };

pub(super) static POOL: &[Key] = &[
    key("balance", Kind::Balance, "\"round-robin\"", "How a backend is chosen; see «Balancing» below."),
    key("hash_key", Kind::Text(Syntax::HashKey), "\"client-ip\"", "What `balance = \"hash\"` hashes."),
    Key {
        name: "hash_balance_factor",
        kind: Kind::Factor { max: FACTOR_MAX },
        default: NONE,
        doc: "For `ip-hash` and `hash`: no backend takes more than this multiple of its share of the requests in flight; \
              a key whose backend is above it goes to the next in its own order until that has room again.",
    },
    key(
        "slow_start",
        Kind::Duration { zero: true },
        "\"0s\"",
        "How long the share of a backend that comes up, is back from an ejection or joins by a reload grows from \
         1 % to the whole, and its max_connections with it; 0s: it has it at once. Not at the start of the process.",
    ),
    key(
        "panic_threshold",
        Kind::Fraction { max: 1.0 },
        "0.0",
        "Below this share of healthy backends, health is ignored: all are used. 0.0: never.",
    ),
    key(
        "max_connections",
        MAX_CONNECTIONS,
        "0",
        "Requests and tunnels in flight at one backend, over all workers; 0: no limit. With HTTP/1.1 also the bound on \
         its open connections: above it an idle one elsewhere is closed before a new one is dialled. Probes are not \
         counted. When all backends are full, requests wait in the queue. \"adaptive\": as many as each takes before they \
         only wait there, found by its response times.",
    ),
    Key {
        name: "queue",
        kind: Kind::Table(QUEUE),
        default: Preset::Words("all defaults"),
        doc: "Where requests wait while all backends have max_connections; see «Limits and the queue» in balancing.md.",
    },
    key(
        "protocol",
        Kind::Choice { now: &["h1", "h2", "auto"], later: &[] },
        "\"h1\"",
        "What is spoken to the backends. h2: HTTP/2, in clear without asking, with `tls` by ALPN; auto: what the backend \
         chooses by ALPN, without `tls` HTTP/1.1. Health checks speak the same.",
    ),
    key(
        "pass_host",
        Kind::Either(&[Kind::Boolean, Kind::Text(Syntax::Authority)]),
        "true",
        "true: the client's Host; false: the backend's address; or a string.",
    ),
    key(
        "proxy_protocol",
        Kind::Choice { now: &["off", "v1", "v2"], later: &[] },
        "\"off\"",
        "A PROXY header tells the backends, before TLS, who the client is. A connection to a backend then carries \
         only requests of the client address and port that it announced, and closes with the client's. Health \
         checks say LOCAL (v1: UNKNOWN). Not with `protocol = \"h2\"`, whose connections are shared; with \"auto\" \
         HTTP/1.1 is spoken.",
    ),
    key(
        "hedge",
        Kind::Boolean,
        "false",
        "GET, HEAD and OPTIONS without a body go to a second backend as well when the first takes longer than 95 % \
         of the answers do, within retry.attempts and retry.budget; see «Hedging» in balancing.md.",
    ),
    Key {
        name: "load_header",
        kind: Kind::Text(Syntax::Field),
        default: NONE,
        doc: "A field in which backends report their load with each response, 0.0 (idle) to 1.0 (full): the weight of a \
              backend is multiplied by 1 - load, a tenth being left at least. No client sees it.",
    },
    Key {
        name: "backends",
        kind: Kind::List {
            of: &Kind::Either(&[Kind::Text(Syntax::Address), Kind::Table(BACKEND)]),
            empty: false,
        },
        default: Preset::Required,
        doc: "\"10.0.0.11:8080\" is short for { address = \"10.0.0.11:8080\" }. A host name is resolved at load \
              and again, off the workers; one that does not resolve is down with that reason, and no failed \
              start.",
    },
    Key {
        name: "tls",
        kind: Kind::Table(TLS),
        default: Preset::Words("plain TCP"),
        doc: "TLS to the backends, and to their health checks. The handshake counts into timeouts.connect. An empty \
              table is enough where the backends' certificates are signed by a root of the system.",
    },
    Key {
        name: "health",
        kind: Kind::Table(HEALTH),
        default: Preset::Words("off until this table stands"),
        doc: "Active checks.",
    },
    Key {
        name: "passive",
        kind: Kind::Table(PASSIVE),
        default: Preset::Words("all defaults: it is on"),
        doc: "What live traffic says.",
    },
    Key {
        name: "timeouts",
        kind: Kind::Table(TIMEOUTS),
        default: Preset::Words("all defaults"),
        doc: "How long we wait for backends.",
    },
    Key {
        name: "retry",
        kind: Kind::Table(RETRY),
        default: Preset::Words("all defaults"),
        doc: "When a request is sent again.",
    },
    Key {
        name: "sticky",
        kind: Kind::Table(STICKY),
        default: Preset::Words("off until this table stands"),
        doc: "Keeps a client at its backend, by a cookie that the client cannot read, change or make up. What it \
              does while backends come and go stands in balancing.md.",
    },
    Key {
        name: "slo",
        kind: Kind::Table(super::slo::SLO),
        default: NONE,
        doc: "Objectives for the requests of the routes that lead here: error budget and burn rates.",
    },
];

static BACKEND: &[Key] = &[
    Key {
        name: "name",
        kind: Kind::Text(Syntax::Segment),
        default: Preset::Words("the address"),
        doc: "Unique within the pool; stands in logs and metrics.",
    },
    Key {
        name: "address",
        kind: Kind::Text(Syntax::Address),
        default: Preset::Required,
        doc: "Host and port, 1 to 65535; IPv6 in brackets.",
    },
    key("weight", Kind::Integer { min: 0, max: 65535 }, "1", "Its share of the traffic; 0: no new traffic."),
    key(
        "backup",
        Kind::Boolean,
        "false",
        "true: used only when no other is usable; the same as `priority = 1`.",
    ),
    Key {
        name: "max_connections",
        kind: MAX_CONNECTIONS,
        default: Preset::Words("the pool's"),
        doc: "Replaces the pool's; 0: no limit.",
    },
    key(
        "priority",
        Kind::Integer { min: 0, max: 255 },
        "0",
        "Used only when no backend of a lower one is usable. How traffic comes back stands in health.md, «Spares».",
    ),
    later("resolve", "first or all", "first", "Whether each address of the name is a backend."),
    later("srv", "string", "none", "Backends from an SRV record."),
];

static TIMEOUTS: &[Key] = &[
    key("connect", Kind::Duration { zero: false }, "\"2s\"", "Until the connection stands."),
    key(
        "response",
        Kind::Duration { zero: false },
        "\"30s\"",
        "From the end of the request to the head of the response; 504.",
    ),
    key(
        "idle",
        Kind::Duration { zero: false },
        "\"60s\"",
        "Without progress while we wait for the backend's body.",
    ),
    key(
        "tunnel",
        Kind::Duration { zero: false },
        "\"1h\"",
        "In place of idle for upgraded connections, text/event-stream and gRPC streams.",
    ),
    key(
        "keep_alive",
        Kind::Duration { zero: false },
        "\"30s\"",
        "An idle pooled connection; a backend's «Keep-Alive: timeout=N» shortens it to N - 1 s. Requests that \
         are not idempotent take only a connection of HTTP/1.1 idle for less than 1 s, or a fresh one.",
    ),
];

static RETRY: &[Key] = &[
    key(
        "attempts",
        Kind::Integer { min: 1, max: ATTEMPTS_MAX },
        "2",
        "Further tries, each on another backend while one is left. `on = []` switches retries off.",
    ),
    key(
        "on",
        Kind::List { of: &Kind::Cause, empty: true },
        "[\"connect\", \"reset\", \"invalid\"]",
        "connect: refused, unreachable, or not connected within timeouts.connect, nothing of the request was \
         sent; reset: the connection ended with no byte of a response; invalid: an unparsable head; timeout: \
         no head within timeouts.response; or statuses from 400 to 599.",
    ),
    key(
        "methods",
        Kind::List { of: &Kind::Text(Syntax::Method), empty: true },
        "[\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"DELETE\", \"TRACE\"]",
        "connect is retried for every method. A request of another method of which any byte was sent is never \
         repeated.",
    ),
    key(
        "budget",
        Kind::Fraction { max: 10.0 },
        "0.2",
        "Sliding window: retries <= max(budget x requests of the last 10 s, 30 per 10 s). The first retry \
         after a failed connect is not charged while another backend of the pool accepted a connection \
         within the last second.",
    ),
    key(
        "buffer",
        Kind::Size { min: 1, max: RETRY_BUFFER_MAX, zero: false },
        "\"64KiB\"",
        "A longer request body is not retried once it has begun to flow.",
    ),
];

static QUEUE: &[Key] = &[
    key(
        "max",
        Kind::Integer { min: 0, max: WAITING_MAX },
        "1024",
        "How many may wait, over all workers; one more gets 503, or takes the place of one of a lower \
         `route.priority`. 0: 503 at once.",
    ),
    key("timeout", Kind::Duration { zero: false }, "\"5s\"", "How long each may wait; then 503."),
];
static TLS: &[Key] = &[
    Key {
        name: "ca",
        kind: Kind::Text(Syntax::File),
        default: Preset::Words("the system's roots"),
        doc: "PEM file of those who sign the backends' certificates, or of these themselves where they sign themselves.",
    },
    Key {
        name: "server_name",
        kind: Kind::Text(Syntax::Name),
        default: Preset::Words("the host of the address"),
        doc: "The name that is asked for, and that the certificate must hold.",
    },
    Key {
        name: "cert",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file: our own certificate and those that sign it, for backends that ask for one.",
    },
    Key {
        name: "key",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file: its key, unencrypted.",
    },
    key(
        "verify",
        Kind::Boolean,
        "true",
        "Whether the backends' certificates are checked. false lets whoever stands between read and change all; \
         it is warned of at each load.",
    ),
];
