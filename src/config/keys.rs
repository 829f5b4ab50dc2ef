//! The one table of keys: what may stand in the file, what it means, and whether it works already.
//!
//! The walker, the reference page and the did-you-mean all read it, so a key exists in all of them or
//! in none. Rows are nested as the tables of the file are.

mod health;
mod listener;
mod passive;
mod pool;
mod route;
mod server;
mod slo;
mod sticky;

use super::units::size_text;

/// A page is copied into each answer that it stands in: an attacker who asks for them must not fill memory.
pub(super) const PAGE_MAX: u64 = 64 << 10;

/// Results in a row; more would never be reached in practice.
const STREAK_MAX: u64 = 1000;

/// One key of the file.
#[derive(Debug)]
pub(super) struct Key {
    /// Its last segment: `bind` of `listener.bind`.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What holds where it is absent.
    pub default: Preset,
    /// A sentence for the reference page.
    pub doc: &'static str,
}

/// What holds where a key is absent.
#[derive(Debug)]
pub(super) enum Preset {
    /// Nothing: it must be written.
    Required,
    /// A value, as it would stand in the file.
    Literal(&'static str),
    /// Something computed, or nothing at all; in words.
    Words(&'static str),
}

/// What a value must be.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`
    Boolean,
    /// A whole number within inclusive bounds.
    Integer { min: u64, max: u64 },
    /// A number from 0.0 to `max`.
    Fraction { max: f64 },
    /// A number from 1.0 to `max`.
    Factor { max: f64 },
    /// A number of percent, above 0 and below 100.
    Percent,
    /// Integers with ms, s, m, h, d; `zero`: "0s" switches the thing off.
    Duration { zero: bool },
    /// An integer with B, KiB, MiB, GiB; inclusive bounds in bytes; `zero`: "0B" switches the thing off.
    Size { min: u64, max: u64, zero: bool },
    /// One of these words; `later` holds those that a later version brings.
    Choice { now: &'static [&'static str], later: &'static [&'static str] },
    /// A name of the balancer registry, which the caller passes in.
    Balance,
    /// A string with a syntax of its own.
    Text(Syntax),
    /// An HTTP status or a range of them.
    Statuses,
    /// An element of `retry.on`: a word or a status.
    Cause,
    /// The first of these that takes the value's TOML type.
    Either(&'static [Kind]),
    /// A list; `empty`: it may hold nothing.
    List { of: &'static Kind, empty: bool },
    /// `name = { "503" = "FILE" }`: a status of an error of our own, and a file of at most [`PAGE_MAX`] bytes.
    Pages,
    /// `name = { x-tenant = "crm" }`: names and values of fields.
    Fields,
    /// `[name]`
    Table(&'static [Key]),
    /// `[[name]]`
    Tables(&'static [Key]),
    /// `[name.ANY]`
    Named(&'static [Key]),
    /// Refused with «not supported yet»: the type in words, and the keys below it.
    Later(&'static str, &'static [Key]),
}

/// The syntax of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// A name of a listener or route.
    Name,
    /// A name that stands in `POOL/BACKEND`: without a slash.
    Segment,
    /// A reference to a pool or listener; resolved later.
    Reference,
    /// IP address and port to listen on.
    Bind,
    /// `host:port` of a backend.
    Address,
    /// An IP network, or one address.
    Net,
    /// A host name or `*.` and a host name.
    HostPattern,
    /// Host with an optional port, sent as a Host field.
    Authority,
    /// A path to match, in any spelling; read into its normal form.
    Path,
    /// A request target for probes.
    Target,
    /// An HTTP method.
    Method,
    /// What `hash` hashes.
    HashKey,
    /// A file name.
    File,
    /// A substring to look for.
    Needle,
    /// The name of a service of gRPC, or nothing.
    Service,
    /// A line of a log with names in braces; the names are looked at later.
    Template,
    /// The name of something that a log can show; looked at later.
    LogField,
    /// The name of a parameter of a query.
    Parameter,
    /// The name of a cookie.
    Cookie,
    /// The name of a field that may be taken out of a response.
    Field,
    /// The value of a field that we send.
    FieldValue,
    /// A URL; looked at later.
    Url,
}

/// All keys of the file.
pub(super) static ROOT: &[Key] = &[
    Key {
        name: "server",
        kind: Kind::Table(server::SERVER),
        default: Preset::Words("all defaults"),
        doc: "The process as a whole.",
    },
    Key {
        name: "admin",
        kind: Kind::Table(server::ADMIN),
        default: Preset::Words("all defaults"),
        doc: "Metrics, health of the balancer itself, and the API.",
    },
    Key {
        name: "log",
        kind: Kind::Table(server::LOG),
        default: Preset::Words("all defaults"),
        doc: "What happens, on standard error.",
    },
    Key {
        name: "tracing",
        kind: Kind::Table(server::TRACING),
        default: Preset::Words("off"),
        doc: "W3C Trace Context and the export of spans; [tracing.md](tracing.md). Without this table `traceparent` and \
              `tracestate` pass as they are, and no trace begins here.",
    },
    Key {
        name: "listener",
        kind: Kind::Tables(listener::LISTENER),
        default: Preset::Required,
        doc: "Where clients connect; at least one.",
    },
    Key {
        name: "route",
        kind: Kind::Tables(route::ROUTE),
        default: Preset::Words("none"),
        doc: "Which pool takes a request. The first one that matches takes it, in the order of the file; \
              every condition that is given must hold.",
    },
    Key {
        name: "pool",
        kind: Kind::Named(pool::POOL),
        default: Preset::Words("none"),
        doc: "Backends that can stand in for each other.",
    },
];

const NONE: Preset = Preset::Words("none");

/// A key that a later version brings.
const fn later(name: &'static str, shape: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind: Kind::Later(shape, &[]), default: Preset::Words(default), doc }
}

/// A key with a default that is written as a TOML value.
const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: Preset::Literal(default), doc }
}

impl Kind {
    /// What was expected, for diagnostics and the reference page.
    pub(super) fn expected(&self) -> String {
        match self {
            Kind::Boolean => "true or false".into(),
            Kind::Integer { min, max } => format!("an integer from {min} to {max}"),
            Kind::Fraction { max } => format!("a number from 0.0 to {max:.1}"),
            Kind::Factor { max } => format!("a number from 1.0 to {max:.1}"),
            Kind::Percent => "a number above 0 and below 100".into(),
            Kind::Duration { zero: true } => "a duration such as \"30s\", or \"0s\" for off".into(),
            Kind::Duration { zero: false } => "a duration such as \"30s\" or \"1m30s\"".into(),
            Kind::Size { zero: true, .. } => "a size such as \"64KiB\", or \"0B\" for off".into(),
            Kind::Size { zero: false, .. } => "a size such as \"64KiB\" or \"1MiB\"".into(),
            Kind::Choice { now: [], .. } => "nothing else yet".into(),
            Kind::Choice { now, .. } => one_of(now),
            Kind::Balance => "the name of a balancing algorithm".into(),
            Kind::Text(syntax) => syntax.expected().into(),
            Kind::Statuses => "a status such as 200, or a range such as \"200-399\"".into(),
            Kind::Cause => {
                "\"connect\", \"reset\", \"invalid\", \"timeout\" or a status from 400 to 599".into()
            }
            Kind::Either(kinds) => kinds
                .iter()
                .filter(|kind| !matches!(kind, Kind::Choice { now: [], .. }))
                .map(Kind::expected)
                .collect::<Vec<_>>()
                .join(", or "),
            Kind::List { of, .. } => format!("a list, each element {}", of.expected()),
            Kind::Pages => {
                format!("a table of statuses and names of files of at most {}", size_text(PAGE_MAX))
            }
            Kind::Fields => "a table of names and values of fields".into(),
            Kind::Table(_) => "a table".into(),
            Kind::Tables(_) => "a list of tables, each under its [[…]]".into(),
            Kind::Named(_) => "a table of tables, each with its own name".into(),
            Kind::Later(shape, _) => (*shape).into(),
        }
    }

    /// The keys below this one.
    pub(super) fn children(&self) -> &'static [Key] {
        match self {
            Kind::Table(keys) | Kind::Tables(keys) | Kind::Named(keys) | Kind::Later(_, keys) => keys,
            Kind::List { of, .. } => of.children(),
            Kind::Either(kinds) => {
                kinds.iter().map(Kind::children).find(|keys| !keys.is_empty()).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Whether this version reads it.
    pub(super) fn supported(&self) -> bool {
        !matches!(self, Kind::Later(..))
    }
}

impl Syntax {
    fn expected(self) -> &'static str {
        match self {
            Syntax::Name => "a name",
            Syntax::Segment => "a name without `/`",
            Syntax::Reference => "the name of what is meant",
            Syntax::Bind => "an IP address and a port such as \"0.0.0.0:80\" or \"[::]:80\"",
            Syntax::Address => "a host and a port such as \"10.0.0.11:8080\" or \"app.internal:8080\"",
            Syntax::Net => "a network such as \"10.0.0.0/8\", or one address",
            Syntax::HostPattern => "a host name such as \"crm.example.com\" or \"*.example.com\"",
            Syntax::Authority => "a host name, with a port if need be",
            Syntax::Path => "a path that begins with `/`",
            Syntax::Target => "a path that begins with `/`, with a query if need be",
            Syntax::Method => "an HTTP method such as \"GET\"",
            Syntax::HashKey => {
                "\"client-ip\", \"path\", \"uri\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\""
            }
            Syntax::File => "the name of a file",
            Syntax::Service => "the name of a service of gRPC such as \"crm.v1.Contacts\"",
            Syntax::Needle => "a text of 1 byte to 16 KiB",
            Syntax::Template => {
                "one line with names in braces, such as \"{client} {method} {path} {status}\""
            }
            Syntax::LogField => {
                "a name such as \"status\", \"request_header:NAME\" or \"response_header:NAME\""
            }
            Syntax::Parameter => "the name of a parameter, decoded",
            Syntax::Cookie => "the name of a cookie",
            Syntax::Field => "the name of a field such as \"x-backend-load\"",
            Syntax::FieldValue => "1 to 4096 bytes of visible ASCII, spaces within",
            Syntax::Url => "a URL such as \"http://127.0.0.1:4318\"",
        }
    }
}

/// `"a"`, `"b"` or `"c"`
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".into(),
    }
}
