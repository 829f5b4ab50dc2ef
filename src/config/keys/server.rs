//! `[server]`, `[admin]`, `[log]`, `[tracing]`

use super::{Key, Kind, NONE, Preset, Syntax, key, later};

/// More threads than this serve nobody: a value above it is a slip of the hand.
const WORKERS_MAX: u64 = 1024;
/// Less would have every page go in small pieces.
const BUFFERS_MIN: u64 = 1 << 20;
/// More than any machine has: a slip of the hand.
const BUFFERS_MAX: u64 = 1 << 40;
/// What a worker hands over at once must fit.
const LOG_MIN: u64 = 128 << 10;
/// As much as any disk has for it.
const LOG_MAX: u64 = 1 << 40;
/// 60 MiB of them; who wants more wants an access log.
const RECENT_MAX: u64 = 100_000;
/// Each is renamed when the next one is put away.
const KEEP_MAX: u64 = 1000;

pub(super) static SERVER: &[Key] = &[
    Key {
        name: "workers",
        kind: Kind::Integer { min: 1, max: WORKERS_MAX },
        default: Preset::Words("one per CPU the process may run on"),
        doc: "Worker threads. A reload cannot change it.",
    },
    key(
        "drain_timeout",
        Kind::Duration { zero: false },
        "\"30s\"",
        "How long open requests may go on after a stop, or after a reload removed their listener or backend.",
    ),
    key(
        "shutdown_delay",
        Kind::Duration { zero: true },
        "\"0s\"",
        "After TERM: not ready but still accepting for so long (Kubernetes, keepalived).",
    ),
    later("upgrade_timeout", "duration", "60s", "How long the old process lives after a binary upgrade."),
    key(
        "buffer_memory",
        Kind::Size { min: BUFFERS_MIN, max: BUFFERS_MAX, zero: false },
        "\"64MiB\"",
        "All buffers of the process that are larger than 4 KiB, counted whole: of heads, of bodies on their way, \
         and of bodies kept for another try. At half of it a body gets no buffers of 128 KiB any more, at three \
         quarters none of 32 KiB: it goes on in pieces of 4 KiB, and is not kept for another try if it is longer; \
         the rest is for heads longer than 4 KiB, which wait at the bound. Bodies in kernel pipes (at most 64 of \
         512 KiB per worker) and up to 10 MiB of empty buffers per worker are not counted. 1MiB to 1024GiB.",
    ),
    key(
        "via",
        Kind::Boolean,
        "true",
        "`Via` on requests and responses (RFC 9110 7.6.3). nginx backends stop compressing when they see it \
         (`gzip_proxied`).",
    ),
    Key {
        name: "state_file",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "Keeps the availability ledger and the error budgets over a restart; what happened within the last second \
              may be lost. Its directory must exist and be writable, for the file is replaced now and then. One process at \
              a time holds it. A relative name counts from the working directory. A reload cannot change it.",
    },
    key(
        "watch_files",
        Kind::Duration { zero: true },
        "\"0s\"",
        "How often the files that this one names (certificates, keys, revocation lists, tickets, pages, tokens) are \
         looked at; `0s`: only at a reload. When one of them has changed and then stood still for one look, all are \
         read again as by HUP, with the configuration's own text as it was loaded last. If one of them is wrong then, \
         nothing changes, and the log says why.",
    ),
];

pub(super) static ADMIN: &[Key] = &[
    key(
        "bind",
        Kind::Text(Syntax::Bind),
        "\"127.0.0.1:9900\"",
        "Where metrics, health and API are served; taken first and without SO_REUSEPORT, so that a second \
         instance stops with a clear error. A reload cannot change it.",
    ),
    Key {
        name: "token_file",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "File with the bearer token, read at load; white space around it is dropped. A relative name \
              counts from the working directory. Calls that change something need on a loopback bind a \
              Host that is loopback or the bind address, no foreign Origin, and the header X-Equipoise; with \
              a token, or off loopback, always the bearer token.",
    },
    key(
        "recent_requests",
        Kind::Integer { min: 0, max: RECENT_MAX },
        "1000",
        "Of so many requests that ended last it is kept what was decided, for `equipoise explain --request-id`; 0: of none. \
         About 0.6 KiB each, and at most 0.6 KiB more of one that was tried again.",
    ),
];

pub(super) static LOG: &[Key] = &[
    key(
        "level",
        Kind::Choice { now: &["error", "warn", "info", "debug", "trace"], later: &[] },
        "\"info\"",
        "The least severe level that is written.",
    ),
    Key {
        name: "format",
        kind: Kind::Choice { now: &["text", "json"], later: &[] },
        default: Preset::Words("text on a terminal, json otherwise"),
        doc: "How a line is written.",
    },
    Key {
        name: "access",
        kind: Kind::Table(ACCESS),
        default: Preset::Words("off"),
        doc: "One line per request, at its end; [logging.md](logging.md) has the formats and all names.",
    },
];

static ACCESS: &[Key] = &[
    key(
        "format",
        Kind::Choice { now: &["json", "common", "combined", "haproxy", "off"], later: &[] },
        "\"off\"",
        "How a line is written: as JSON, as Apache's common or combined log format, or as HAProxy's `option httplog`.",
    ),
    Key {
        name: "template",
        kind: Kind::Text(Syntax::Template),
        default: NONE,
        doc: "A format of one's own, in place of `format`: text with names in braces, such as \"{client} {status}\"; \
              `{{` and `}}` are braces. What is absent is written as `-`; a client's bytes are escaped as `\\xHH`.",
    },
    Key {
        name: "fields",
        kind: Kind::List { of: &Kind::Text(Syntax::LogField), empty: false },
        default: Preset::Words("those of [logging.md](logging.md)"),
        doc: "What JSON lines hold, in this order: names, `request_header:NAME`, `response_header:NAME`. Credentials and \
              cookies are written only where their fields are named here.",
    },
    key(
        "path",
        Kind::Text(Syntax::File),
        "\"-\"",
        "A file, or `-` for standard output. A file is made with mode 0640, and SIGUSR1 opens it anew; a pipe needs no \
         reader. A relative name counts from the working directory.",
    ),
    key(
        "sample",
        Kind::Fraction { max: 1.0 },
        "1.0",
        "Share of the requests that are written. Those that ended with a status of 400 or above, or were broken off, \
         always are.",
    ),
    key(
        "mask_query",
        Kind::Either(&[Kind::Boolean, Kind::List { of: &Kind::Text(Syntax::Parameter), empty: false }]),
        "false",
        "`***` stands for the query of every request, of Referer and Location, or for the values of the parameters that are \
         named.",
    ),
    key(
        "max_size",
        Kind::Size { min: LOG_MIN, max: LOG_MAX, zero: true },
        "\"0B\"",
        "The file is put away as PATH.1 before it grows above this. 0B: never. 128KiB to 1024GiB.",
    ),
    key(
        "keep",
        Kind::Integer { min: 1, max: KEEP_MAX },
        "5",
        "How many files that were put away are kept; the oldest has the highest number.",
    ),
];

pub(super) static TRACING: &[Key] = &[
    Key {
        name: "otlp",
        kind: Kind::Text(Syntax::Url),
        default: NONE,
        doc: "Base URL of a collector; spans go to `/v1/traces` below it as OTLP over HTTP with protobuf. The port is 4318 \
              where none is given, with `https://` 443. Its certificate must hold its host and be good. Without `otlp` no \
              span is made.",
    },
    Key {
        name: "ca",
        kind: Kind::Text(Syntax::File),
        default: Preset::Words("the system's roots"),
        doc: "PEM file of those who sign the certificate of an `https://` collector. A relative name counts from the \
              working directory.",
    },
    Key {
        name: "cert",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file: the certificate that is shown to an `https://` collector which asks for one, then those that sign it.",
    },
    Key {
        name: "key",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "PEM file: its key, unencrypted.",
    },
    Key {
        name: "headers",
        kind: Kind::Fields,
        default: NONE,
        doc: "Fields that go with each post, such as `{ x-scope-orgid = \"crm\" }`; at most 32, those of `headers_file` \
              among them.",
    },
    Key {
        name: "headers_file",
        kind: Kind::Text(Syntax::File),
        default: NONE,
        doc: "File with more of them, for keys and tokens, which are shown nowhere: a line `name: value` each; empty lines and \
              those after `#` say nothing. A relative name counts from the working directory.",
    },
    key(
        "sample",
        Kind::Fraction { max: 1.0 },
        "0.01",
        "Share of the traces begun here that are recorded; a parent's decision is kept.",
    ),
];
