//! One record → its spans, named and described as OpenTelemetry's semantic conventions for HTTP want it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::context::Context;
use super::message::{
    AnyValue, ERROR, Export, KeyValue, Kind, OneValue, Resource, ResourceSpans, Scope, ScopeSpans, Span,
    Status,
};
use super::record::{Trace, Try};

/// Instants as wall-clock time; made anew for each batch, so that a clock that was set shows.
pub(super) struct Wall {
    instant: Instant,
    time: Duration,
}

impl Wall {
    pub(super) fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Nanoseconds since the epoch.
    fn nanos(&self, at: Instant) -> u64 {
        let ago = self.instant.saturating_duration_since(at);
        let ahead = at.saturating_duration_since(self.instant);
        u64::try_from((self.time.saturating_sub(ago) + ahead).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// All spans of a batch. `fresh` makes ids for those that nobody was told of.
pub(super) fn export(batch: &[Trace], wall: &Wall, mut fresh: impl FnMut() -> u64) -> Export {
    let mut spans = Vec::with_capacity(batch.len() * 4);
    for trace in batch {
        request(trace, wall, &mut spans);
        for &(from, to) in &trace.waits {
            spans.push(inner(trace, trace.context.span_id, fresh().max(1), "queue", (from, to), wall));
        }
        for (nth, one) in trace.tries.iter().enumerate() {
            attempt(trace, nth, one, wall, &mut spans);
            if let Some(connected) = one.connected {
                spans.push(inner(
                    trace,
                    one.span_id,
                    fresh().max(1),
                    "connect",
                    (one.began, connected),
                    wall,
                ));
            }
        }
    }
    let scope = Scope { name: "equipoise".into(), version: env!("CARGO_PKG_VERSION").into() };
    let resource = Resource {
        attributes: vec![
            text("service.name", "equipoise"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            number("process.pid", i64::from(std::process::id())),
        ],
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    Export { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
}

/// The whole request, as the client sees it.
fn request(trace: &Trace, wall: &Wall, spans: &mut Vec<Span>) {
    let (host, port) = split_port(&trace.host);
    let mut attributes = vec![
        text("http.request.method", trace.method),
        text("url.path", &trace.path),
        text("url.scheme", trace.scheme),
        text("client.address", &trace.client.to_string()),
        text("network.peer.address", &trace.peer.ip().to_string()),
        number("network.peer.port", i64::from(trace.peer.port())),
        text("network.protocol.name", "http"),
        text("network.protocol.version", trace.version),
        text("equipoise.listener", &trace.listener),
    ];
    let named = [
        ("server.address", host),
        ("user_agent.original", &trace.user_agent),
        ("equipoise.route", trace.route.as_deref().unwrap_or_default()),
        ("equipoise.pool", trace.pool.as_deref().unwrap_or_default()),
        ("equipoise.request_id", &trace.request_id),
        ("equipoise.reason", trace.reason),
    ];
    attributes
        .extend(named.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)));
    attributes.extend(port.map(|port| number("server.port", i64::from(port))));
    if trace.code > 0 {
        attributes.push(number("http.response.status_code", i64::from(trace.code)));
    }
    let error = match (trace.code, trace.reason) {
        (500.., "") => Some(trace.code.to_string()),
        (500.., reason) => Some(reason.to_owned()),
        // The response broke off, or there was none. What the client did wrong is no error of a server's.
        (0, reason) => Some(if reason.is_empty() { "ended".to_owned() } else { reason.to_owned() }),
        (..400, "cut" | "timeout" | "deadline") => Some(trace.reason.to_owned()),
        _ => None,
    };
    let mut span = span(trace, trace.parent, trace.context.span_id, Kind::Server, wall);
    span.name = match trace.method {
        "_OTHER" => "HTTP".into(),
        method => method.into(),
    };
    (span.attributes, span.trace_state) = (attributes, trace.state.clone());
    fail(&mut span, error);
    spans.push(span);
}

/// One try at a backend, as we see it.
fn attempt(trace: &Trace, nth: usize, one: &Try, wall: &Wall, spans: &mut Vec<Span>) {
    let identity = one.backend.identity();
    let (host, port) = split_port(&identity.address);
    let mut span = span(trace, Some(trace.context.span_id), one.span_id, Kind::Client, wall);
    span.name = if trace.method == "_OTHER" { "HTTP".into() } else { trace.method.into() };
    span.start_time_unix_nano = wall.nanos(one.began);
    span.end_time_unix_nano = wall.nanos(one.ended.unwrap_or(trace.ended));
    span.attributes = vec![
        text("http.request.method", trace.method),
        text("url.path", &trace.path),
        text("server.address", host),
        text("equipoise.pool", &identity.pool),
        text("equipoise.backend", &identity.name),
    ];
    span.attributes.extend(port.map(|port| number("server.port", i64::from(port))));
    if nth > 0 {
        span.attributes.push(number("http.request.resend_count", nth as i64));
    }
    if !one.hedge.is_empty() {
        span.attributes.push(text("equipoise.hedge", one.hedge));
    }
    if one.status > 0 {
        span.attributes.push(number("http.response.status_code", i64::from(one.status)));
    }
    let error = match (one.status, one.error) {
        (400.., "") => Some(one.status.to_string()),
        (_, "") => None,
        (_, error) => Some(error.to_owned()),
    };
    fail(&mut span, error);
    spans.push(span);
}

fn inner(trace: &Trace, parent: u64, id: u64, name: &str, at: (Instant, Instant), wall: &Wall) -> Span {
    let mut span = span(trace, Some(parent), id, Kind::Internal, wall);
    span.name = name.into();
    (span.start_time_unix_nano, span.end_time_unix_nano) = (wall.nanos(at.0), wall.nanos(at.1));
    span
}

fn span(trace: &Trace, parent: Option<u64>, id: u64, kind: Kind, wall: &Wall) -> Span {
    let Context { trace_id, flags, .. } = trace.context;
    Span {
        trace_id: trace_id.to_be_bytes().into(),
        span_id: id.to_be_bytes().into(),
        parent_span_id: parent.map(|parent| parent.to_be_bytes().into()).unwrap_or_default(),
        kind: kind.into(),
        start_time_unix_nano: wall.nanos(trace.began),
        end_time_unix_nano: wall.nanos(trace.ended),
        flags: u32::from(flags),
        ..Span::default()
    }
}

fn fail(span: &mut Span, error: Option<String>) {
    if let Some(error) = error {
        span.attributes.push(text("error.type", &error));
        span.status = Some(Status { message: String::new(), code: ERROR });
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = OneValue::Text(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn number(key: &str, value: i64) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(OneValue::Number(value)) }) }
}

/// `host:port`, the host of IPv6 in brackets.
fn split_port(address: &str) -> (&str, Option<u16>) {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
        _ => (address, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}
