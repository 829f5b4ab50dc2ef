//! What may stand in a line: the variables, one table.

use super::record::Record;
use super::value::Value;

/// One variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name in `fields` and templates.
    pub name: &'static str,
    /// What it is, for docs/logging.md.
    pub doc: &'static str,
    what: What,
}

macro_rules! variables {
    ($($what:ident $name:literal $doc:literal)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum What { $($what),+ }

        /// Every variable; beside these stand `request_header:NAME` and `response_header:NAME`.
        pub static VARIABLES: &[Variable] = &[$(Variable { name: $name, doc: $doc, what: What::$what }),+];
    };
}

variables! {
    Time "time" "when the first byte of the request came: RFC 3339 with milliseconds, UTC"
    Epoch "epoch" "the same in seconds since 1970, with milliseconds"
    Client "client" "the client's address, as `trusted_proxies` give it"
    Peer "peer" "the address at the other end of the connection"
    PeerPort "peer_port" "its port"
    Listener "listener" "name of the listener"
    Route "route" "name of the route; `default` for the listener's own pool"
    Pool "pool" "name of the pool"
    Backend "backend" "name of the backend of the last try"
    Method "method" "as sent"
    Scheme "scheme" "`https` over TLS, else `http`"
    Host "host" "the host that was asked for, with its port if one was sent"
    Target "target" "path and query as sent; masked by `mask_query`"
    Path "path" "the path as sent"
    Query "query" "what stands behind the `?`; masked by `mask_query`"
    Protocol "protocol" "`HTTP/1.1`, `HTTP/1.0` or `HTTP/2.0`"
    Request "request" "method, target and protocol, as in the request line; of a head that was refused its beginning"
    Unread "unread" "the first line of a head that was refused, at most 256 bytes; of what is no request line the first 8; else absent"
    Status "status" "what the client got; 499: it left before the end of a response; absent where nobody was answered"
    Reason "reason" "why, in one word, where Equipoise answered itself or broke off: docs/logging.md lists them"
    Termination "termination" "who ended it and in which phase: the first two letters of HAProxy's termination state"
    BytesIn "bytes_in" "bytes of the request, head and body; over HTTP/2 of the body alone, for heads are compressed together"
    BytesOut "bytes_out" "bytes of the response, heads and body, with the framing of chunks"
    BodyOut "body_out" "the same without heads"
    Retries "retries" "further tries"
    Hedge "hedge" "where a second try was made beside the first (`hedge`): which gave the answer, `first` or `second`; else absent"
    ReceiveMs "receive_ms" "first byte of the request to the end of its head"
    QueueMs "queue_ms" "in the pool's queue"
    ConnectMs "connect_ms" "to the connection of the last try, earlier tries included; about 0 on a kept one"
    ResponseMs "response_ms" "from there to the head of the response; the request's body is sent meanwhile"
    TransferMs "transfer_ms" "from there to the end of the response"
    FirstByteMs "first_byte_ms" "first byte of the request to the head of the response"
    TotalMs "total_ms" "first byte of the request to the last of the response"
    RequestId "request_id" "X-Request-Id as the backend and the client see it"
    TraceId "trace_id" "of the trace that the request is part of; absent without `[tracing]`"
    SpanId "span_id" "of our span in it; absent where a parent's decision leaves us without one"
    Tls "tls" "version of TLS with the client, such as `TLSv1.3`"
    Sni "sni" "the name that it asked for in the handshake"
    Referer "referer" "Referer of the request; its query is masked by `mask_query`"
    UserAgent "user_agent" "User-Agent of the request"
}

/// What JSON lines hold where `fields` does not say.
pub const DEFAULT: &[&str] = &[
    "time",
    "client",
    "listener",
    "route",
    "pool",
    "backend",
    "method",
    "scheme",
    "host",
    "target",
    "protocol",
    "unread",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "retries",
    "connect_ms",
    "response_ms",
    "total_ms",
    "request_id",
    "trace_id",
    "span_id",
    "user_agent",
];

/// A variable, or a field of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Variable(Code),
    RequestHeader(Box<str>),
    ResponseHeader(Box<str>),
}

/// One of the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(What);

/// What the formats with a fixed shape show.
pub(super) static REQUEST: Field = Field::Variable(Code(What::Request));
pub(super) static REFERER: Field = Field::Variable(Code(What::Referer));
pub(super) static USER_AGENT: Field = Field::Variable(Code(What::UserAgent));

impl Field {
    /// The field of a name; `None`: there is none.
    pub(super) fn of(name: &str) -> Option<Self> {
        if let Some(header) = name.strip_prefix("request_header:") {
            if header.eq_ignore_ascii_case("referer") {
                return Some(REFERER.clone()); // by that name its query would not be masked
            }
            return Some(Self::RequestHeader(header.into()));
        }
        if let Some(header) = name.strip_prefix("response_header:") {
            return Some(Self::ResponseHeader(header.into()));
        }
        VARIABLES.iter().find(|one| one.name == name).map(|one| Self::Variable(Code(one.what)))
    }

    /// Whether it is a number, which JSON writes without quotes.
    pub(super) fn is_number(&self) -> bool {
        let Self::Variable(Code(what)) = self else { return false };
        matches!(
            what,
            What::Epoch
                | What::PeerPort
                | What::Status
                | What::BytesIn
                | What::BytesOut
                | What::BodyOut
                | What::Retries
                | What::ReceiveMs
                | What::QueueMs
                | What::ConnectMs
                | What::ResponseMs
                | What::TransferMs
                | What::FirstByteMs
                | What::TotalMs
        )
    }

    /// What it is in this exchange.
    pub(super) fn value<'a>(&self, record: &'a Record<'a>) -> Value<'a> {
        match self {
            Self::Variable(code) => value(code.0, record),
            Self::RequestHeader(name) => {
                Value::text(record.request.and_then(|head| head.fields.by_name(name)))
            }
            Self::ResponseHeader(name) => {
                let value = record.response.and_then(|fields| fields.by_name(name));
                // A URL: its query may be one that is masked.
                let is_url = name.eq_ignore_ascii_case("location");
                value.map_or(Value::Absent, if is_url { Value::Target } else { Value::Text })
            }
        }
    }
}

fn value<'a>(what: What, record: &'a Record<'a>) -> Value<'a> {
    let (request, times) = (record.request, &record.times);
    match what {
        What::Time => Value::Time,
        What::Epoch => Value::Epoch,
        What::Client => Value::Ip(record.client),
        What::Peer => Value::Ip(record.peer.ip()),
        What::PeerPort => Value::Number(u64::from(record.peer.port())),
        What::Listener => Value::Text(record.listener.as_bytes()),
        What::Route => Value::text(record.route.map(str::as_bytes)),
        What::Pool => Value::text(record.pool.map(str::as_bytes)),
        What::Backend => Value::text(record.backend.map(str::as_bytes)),
        What::Method => Value::text(request.map(|head| head.method_token())),
        What::Scheme => Value::Word(if record.secure.is_some() { "https" } else { "http" }),
        What::Host => Value::text(request.map(|head| head.host()).filter(|host| !host.is_empty())),
        What::Target => request.map_or(Value::Absent, |head| Value::Target(head.target())),
        What::Path => Value::text(request.map(|head| head.path())),
        What::Query => query(record),
        What::Protocol => request.map_or(Value::Absent, |head| Value::Word(head.version.name())),
        What::Request => match request {
            Some(head) => Value::RequestLine(head),
            None => unread(record),
        },
        What::Unread => unread(record),
        What::Status if record.code == 0 => Value::Absent,
        What::Status => Value::Number(u64::from(record.code)),
        What::Reason if record.reason.is_empty() => Value::Absent,
        What::Reason => Value::Text(record.reason.as_bytes()),
        What::Termination => Value::Text(&record.termination),
        What::BytesIn => Value::Number(record.bytes_in),
        What::BytesOut => Value::Number(record.bytes_out),
        What::BodyOut => Value::Number(record.bytes_out.saturating_sub(record.head_out)),
        What::Retries => Value::Number(u64::from(record.retries)),
        What::Hedge if record.hedge.is_empty() => Value::Absent,
        What::Hedge => Value::Text(record.hedge.as_bytes()),
        What::ReceiveMs => Value::millis(times.receive),
        What::QueueMs => Value::millis(times.queue),
        What::ConnectMs => Value::millis(times.connect),
        What::ResponseMs => Value::millis(times.response),
        What::TransferMs => Value::millis(times.transfer),
        What::FirstByteMs => Value::millis(times.first_byte),
        What::TotalMs => Value::millis(Some(record.ended.saturating_duration_since(record.began))),
        What::RequestId => Value::text(Some(record.request_id).filter(|id| !id.is_empty())),
        What::TraceId => record.trace.map_or(Value::Absent, |(trace, _)| Value::Trace(trace)),
        What::SpanId => record.trace.and_then(|(_, span)| span).map_or(Value::Absent, Value::Span),
        What::Tls => record.secure.map_or(Value::Absent, |secure| Value::Word(secure.version)),
        What::Sni => Value::text(record.secure.and_then(|secure| secure.sni).map(str::as_bytes)),
        What::Referer => {
            let referer = request.and_then(|head| head.fields.by_name("referer"));
            referer.map_or(Value::Absent, Value::Target)
        }
        What::UserAgent => Value::text(request.and_then(|head| head.fields.by_name("user-agent"))),
    }
}

fn unread<'a>(record: &Record<'a>) -> Value<'a> {
    if record.unread.is_empty() { Value::Absent } else { Value::Target(record.unread) }
}

fn query<'a>(record: &'a Record<'a>) -> Value<'a> {
    let target = record.request.map(|head| head.target()).unwrap_or_default();
    match memchr::memchr(b'?', target) {
        Some(at) => Value::Query(&target[at + 1..]),
        None => Value::Absent,
    }
}
