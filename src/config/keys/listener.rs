//! `[[listener]]`

use super::{Key, Kind, NONE, Preset, Syntax, key, later};

/// A head above this is an attack or a mistake, and the buffer for it is held per connection.
const HEAD_MAX: u64 = 16 << 20;
/// A request line alone needs this much to be useful.
const HEAD_MIN: u64 = 256;
/// Field tables are sized by it.
const HEADERS_MAX: u64 = 4096;
/// Above what one process can hold open on Linux (`fs.nr_open` rarely exceeds it).
const CONNECTIONS_MAX: u64 = 1 << 30;

pub(super) static LISTENER: &[Key] = &[
    Key {
        name: "name",
        kind: Kind::Text(Syntax::Name),
        default: Preset::Words("the first bind address"),
        doc: "Unique; stands in logs and metrics.",
    },
    Key {
        name: "bind",
        kind: Kind::List { of: &Kind::Text(Syntax::Bind), empty: false },
        default: Preset::Required,
        doc: "Addresses to listen on. IPv6 sockets are always v6-only. Port 0 lets the kernel choose.",
    },
    Key {
        name: "pool",
        kind: Kind::Text(Syntax::Reference),
        default: Preset::Words("none: such requests get 404"),
        doc: "Where requests go that no route takes.",
    },
    later("protocols", "list of strings", "[\"h1\"]", "Which protocols are spoken."),
    Key {
        name: "trusted_proxies",
        kind: Kind::List { of: &Kind::Text(Syntax::Net), empty: true },
        default: NONE,
        doc: "Networks or addresses whose X-Forwarded-* and Forwarded fields are believed.",
    },
    later("proxy_protocol", "off, optional or require", "off", "The PROXY header of trusted peers."),
    later("https_redirect", "boolean", "false", "Answers 308 to the https:// form."),
    key(
        "underscores",
        Kind::Choice { now: &["safe", "allow", "drop", "reject"], later: &[] },
        "\"safe\"",
        "What happens to the fields of a request whose names hold underscores. safe: dropped where the name, _ \
         read as -, is one that we set, strip or frame by; allow: passed on; drop: dropped; reject: 400.",
    ),
    key(
        "allow_connect",
        Kind::Boolean,
        "false",
        "true: CONNECT is passed on, and becomes a tunnel where the backend answers 2xx; false: it gets 501.",
    ),
    key(
        "abort_on_close",
        Kind::Boolean,
        "false",
        "false: a FIN after a complete request is a half-close and the exchange goes on; true: it aborts the \
         backend's work. A RST, an error or a failed write always aborts; a FIN inside a request too.",
    ),
    Key {
        name: "error_pages",
        kind: Kind::Pages,
        default: NONE,
        doc: "What stands in place of the short text of an answer of our own, by its status; read at load and \
              at each reload. HTML, JSON or text, by the end of the file's name or else by how it begins. \
              Answers of backends are never replaced.",
    },
    Key { name: "tls", kind: Kind::Later("table", TLS), default: NONE, doc: "Termination of TLS." },
    Key {
        name: "limits",
        kind: Kind::Table(LIMITS),
        default: Preset::Words("all defaults"),
        doc: "What one listener takes at most.",
    },
    Key {
        name: "timeouts",
        kind: Kind::Table(TIMEOUTS),
        default: Preset::Words("all defaults"),
        doc: "How long one listener waits for clients.",
    },
];

static TLS: &[Key] = &[
    Key {
        name: "certificates",
        kind: Kind::Later("list of tables", CERTIFICATE),
        default: NONE,
        doc: "Chosen by SNI, exact name before wildcard.",
    },
    later("min_version", "\"1.2\" or \"1.3\"", "1.2", "The oldest version that is spoken."),
    later("client_ca", "string", "none", "Mutual TLS when set."),
    later("client_crl", "string", "none", "Revoked client certificates."),
    later("client_auth", "require or optional", "require", "Whether a client certificate must come."),
    later("ticket_keys", "string", "made at start", "A file makes sessions valid on every node."),
];

static CERTIFICATE: &[Key] = &[
    later("cert", "string", "none", "The chain."),
    later("key", "string", "none", "The key."),
    later("ocsp", "string", "none", "A stapled response."),
];

static LIMITS: &[Key] = &[
    Key {
        name: "max_connections",
        kind: Kind::Integer { min: 1, max: CONNECTIONS_MAX },
        default: Preset::Words(
            "(soft file limit, after raising it to the hard one, - 256) / 2, shared by the listeners",
        ),
        doc: "At the limit accepting pauses and idle connections are closed first.",
    },
    key(
        "max_connections_per_ip",
        Kind::Integer { min: 0, max: CONNECTIONS_MAX },
        "0",
        "Connections of one client address; 0: no limit. Not for trusted_proxies.",
    ),
    key(
        "max_head_size",
        Kind::Size { min: HEAD_MIN, max: HEAD_MAX, zero: false },
        "\"64KiB\"",
        "Request line and fields, 256B to 16MiB; above it 431 (414 for the target alone).",
    ),
    key(
        "max_headers",
        Kind::Integer { min: 1, max: HEADERS_MAX },
        "128",
        "Fields of one request; above it 431.",
    ),
    key(
        "max_body_size",
        Kind::Size { min: 1, max: u64::MAX, zero: true },
        "\"0B\"",
        "Bytes of one request body; above it 413; 0B: no limit.",
    ),
    key(
        "min_rate",
        Kind::Size { min: 1, max: u64::MAX, zero: true },
        "\"256B\"",
        "Bytes per second, averaged over 10 s, for body and answer while we wait for the client; 0B: off.",
    ),
];

static TIMEOUTS: &[Key] = &[
    key(
        "head",
        Kind::Duration { zero: false },
        "\"10s\"",
        "From the first byte of a request to the end of its head; 408 once a byte came, else a silent close.",
    ),
    key(
        "body",
        Kind::Duration { zero: false },
        "\"30s\"",
        "Without progress while we wait for the client's body; 408.",
    ),
    key("keep_alive", Kind::Duration { zero: false }, "\"75s\"", "An idle client connection."),
    key(
        "write",
        Kind::Duration { zero: false },
        "\"30s\"",
        "Without progress while the client does not read.",
    ),
    later("tls", "duration", "10s", "The handshake."),
];
