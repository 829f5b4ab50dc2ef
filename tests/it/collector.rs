//! A collector of spans, and what it read.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use crate::daemon::until;
use crate::origin::{Origin, Visit};
use crate::protobuf::{Message, number, text};

/// A span as the collector read it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) failed: bool,
}

/// A collector that keeps what it gets, and answers with whatever status it is told to.
pub(crate) struct Collector {
    pub(crate) origin: Origin,
    pub(crate) spans: Arc<Mutex<Vec<Span>>>,
    pub(crate) status: Arc<AtomicU16>,
    scheme: &'static str,
}

/// What is done with each connection.
type Script = Box<dyn Fn(&mut Visit) -> io::Result<()> + Send + Sync>;

impl Collector {
    pub(crate) fn start() -> Self {
        Self::start_as("http", |script| Origin::new(script))
    }

    /// One to which TLS must be spoken.
    pub(crate) fn secured(config: rustls::ServerConfig) -> Self {
        Self::start_as("https", |script| Origin::secured(Arc::new(config), script))
    }

    fn start_as(scheme: &'static str, begin: impl FnOnce(Script) -> Origin) -> Self {
        let (spans, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(200)));
        let (kept, told) = (Arc::clone(&spans), Arc::clone(&status));
        let origin = begin(Box::new(move |visit: &mut Visit| {
            while let Some(post) = visit.request()? {
                let status = told.load(Ordering::SeqCst);
                if status == 200 {
                    assert_eq!(post.head.target(), "/v1/traces");
                    assert_eq!(post.head.field("content-type"), Some("application/x-protobuf"));
                    kept.lock().unwrap().extend(decode(&post.body));
                }
                visit.answer(status, "")?;
            }
            Ok(())
        }));
        Self { origin, spans, status, scheme }
    }

    pub(crate) fn table(&self, sample: f64) -> String {
        let (scheme, address) = (self.scheme, self.origin.address);
        format!("\n[tracing]\notlp = \"{scheme}://{address}\"\nsample = {sample:?}\n")
    }

    /// All spans, once those of so many requests have come. The spans of one request come together.
    pub(crate) fn requests(&self, count: usize) -> Vec<Span> {
        until("the spans have come", || {
            let spans = self.spans.lock().unwrap().clone();
            let requests = spans.iter().filter(|span| span.kind == 2).count();
            assert!(requests <= count, "{spans:#?}");
            (requests == count).then_some(spans)
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The numbers are those of opentelemetry-proto's trace.proto, common.proto and resource.proto.
fn decode(bytes: &[u8]) -> Vec<Span> {
    let export = Message::read(bytes);
    let mut spans = Vec::new();
    for resource_spans in export.messages(1) {
        let resource = resource_spans.messages(1).next().unwrap();
        assert_eq!(attributes(&resource, 1)["service.name"], "equipoise");
        for scope_spans in resource_spans.messages(2) {
            assert_eq!(text(scope_spans.messages(1).next().unwrap().bytes(1)), "equipoise");
            spans.extend(scope_spans.messages(2).map(|span| Span {
                trace: hex(span.bytes(1)),
                id: hex(span.bytes(2)),
                state: text(span.bytes(3)),
                parent: hex(span.bytes(4)),
                name: text(span.bytes(5)),
                kind: span.number(6),
                begin: span.number(7),
                end: span.number(8),
                attributes: attributes(&span, 9),
                failed: span.messages(15).next().is_some_and(|status| status.number(3) == 2),
            }));
        }
    }
    spans
}

fn attributes(message: &Message<'_>, field: u64) -> BTreeMap<String, String> {
    let read = |pair: Message<'_>| {
        let value = pair.messages(2).next().unwrap();
        let value = if value.has(1) { text(value.bytes(1)) } else { number(value.number(3)) };
        (text(pair.bytes(1)), value)
    };
    message.messages(field).map(read).collect()
}
