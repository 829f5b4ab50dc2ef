//! `[[listener]]`

use super::{Key, Kind, NONE, Preset, Syntax, key};

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
    Key {
        name: "protocols",
        kind: Kind::List { of: &Kind::Choice { now: &["h1", "h2"], later: &[] }, empty: false },
        default: Preset::Words("[\"h1\"]; with tls [\"h1\", \"h2\"]"),
        doc: "What clients may speak: h1 is HTTP/1.1 and 1.0, h2 is HTTP/2. With tls they choose by ALPN, and one that \
              offers only others is refused; in clear HTTP/2 is known by how it begins (prior knowledge).",
    },
    Key {
        name: "trusted_proxies",
        kind: Kind::List { of: &Kind::Text(Syntax::Net), empty: true },
        default: NONE,
        doc: "Networks or addresses whose X-Forwarded-* and Forwarded fields and PROXY header are believed.",
    },
    key(
        "proxy_protocol",
        Kind::Choice { now: &["off", "optional", "require"], later: &[] },
        "\"off\"",
        "Whether a connection begins with a PROXY header, version 1 or 2, before TLS; needs trusted_proxies. The \
         address that it tells takes the peer's place everywhere. It is read of trusted peers only: of others \
         `require` closes the connection, `optional` goes on as HTTP. LOCAL and UNKNOWN mean the real peer.",
    ),
    key(
        "https_redirect",
        Kind::Boolean,
        "false",
        "Answers 308 to the https:// form of the same URL, at port 443; not where a trusted proxy says that the \
         request came to it by https. What names no URL (no Host, OPTIONS *) gets 400.",
    ),
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
    Key {
        name: "tls",
        kind: Kind::Table(TLS),
        default: Preset::Words("cleartext"),
        doc: "Termination of TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers only, AES-128 preferred; \
              0-RTT is never accepted. Files are read at load and at each reload; relative names count from the \
              working directory.",
    },
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
        kind: Kind::List { of: &Kind::Table(CERTIFICATE), empty: false },
        default: Preset::Words("none: it must stand in the table"),
        doc: "Chosen by SNI, exact name before wildcard; the first serves clients that name none, or another. Of \
              several for one name the first is taken that the client can verify, so that ECDSA may stand before \
              RSA.",
    },
    key(
        "min_version",
        Kind::Choice { now: &["1.2", "1.3"], later: &[] },
        "\"1.2\"",
        "The oldest version that is spoken.",
    ),
    Key {
        name: "client_ca",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file of those who sign the certificates of clients: mutual TLS when set.",
    },
    Key {
        name: "client_crl",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file of lists of revoked client certificates. A certificate whose signer has no list there is \
              taken for good; lists that have expired go on to count.",
    },
    key(
        "client_auth",
        Kind::Choice { now: &["require", "optional"], later: &[] },
        "\"require\"",
        "With client_ca: whether a client certificate must come. One that comes must be good in either case.",
    ),
    key(
        "client_cert_headers",
        Kind::Boolean,
        "false",
        "With client_ca: backends are told of the client's certificate in X-Client-Verify (SUCCESS, or NONE where none \
         came), X-Client-Cert-Subject, -Issuer (RFC 4514), -Serial and -Fingerprint (SHA-256; both in lower-case \
         hexadecimal). What clients send under these names, also with _ for -, is removed.",
    ),
    Key {
        name: "ticket_keys",
        kind: Kind::Text(Syntax::File),
        default: Preset::Words("made at start, a new one every 6 hours"),
        doc: "File with a secret of at least 32 characters on each line (openssl rand -base64 48), the same on every \
              node: sessions then go on at every node and after a restart. The first line seals, all open: to rotate, \
              add the new one as second line everywhere, move it to the top, remove the old one.",
    },
];

static CERTIFICATE: &[Key] = &[
    Key {
        name: "cert",
        kind: Kind::Text(Syntax::File),
        default: Preset::Required,
        doc: "PEM file: the server's certificate, then those that sign it, without the root.",
    },
    Key {
        name: "key",
        kind: Kind::Text(Syntax::File),
        default: Preset::Required,
        doc: "PEM file: its key, unencrypted (PKCS#8, PKCS#1 or SEC1).",
    },
    Key {
        name: "ocsp",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "DER file: an OCSP response to staple. Whoever renews it sends SIGHUP.",
    },
];

static LIMITS: &[Key] = &[
    Key {
        name: "max_connections",
        kind: Kind::Integer { min: 1, max: CONNECTIONS_MAX },
        default: Preset::Words(
            "(soft file limit, after raising it to the hard one, - 256) / 2, shared by the listeners",
        ),
        doc: "At the limit accepting pauses and idle connections are closed first. As many streams of HTTP/2 are served \
              beside the first of each connection.",
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
    key(
        "tls",
        Kind::Duration { zero: false },
        "\"10s\"",
        "The handshake of TLS, from the accept to its end.",
    ),
];
