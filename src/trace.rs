//! Traces of requests: what W3C's Trace Context says of them, and the spans that are exported.
//!
//! [`Context`] reads and writes `traceparent`; pure. [`Trace`] holds what is known of a request that is recorded, once it has
//! ended. [`Exporter`] takes it without a wait and sends it on from a thread of its own, as OTLP over HTTP or HTTPS with protobuf.
//!
//! What is absent on purpose: SDK and API of OpenTelemetry. A request here is one record with a handful of instants; spans are
//! made of it where it costs nobody anything, in the exporter's thread. Nor are there queries, cookies or credentials in a
//! span: nobody can give here what a record has no room for.

#[cfg(not(feature = "otlp"))]
mod absent;
mod context;
mod endpoint;
#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod message;
#[cfg(feature = "otlp")]
mod post;
mod record;
#[cfg(feature = "otlp")]
mod span;

#[cfg(not(feature = "otlp"))]
pub use absent::Exporter;
pub use context::{Context, is_tracestate};
pub use endpoint::{BadEndpoint, Endpoint, Given};
#[cfg(feature = "otlp")]
pub use export::Exporter;
pub use record::{MAX_TEXT, Trace, Try};

use std::sync::Arc;

/// `[tracing]` as it is configured.
#[derive(Debug, Clone)]
pub struct Tracer {
    /// The share of the traces begun here that are recorded.
    pub sample: f64,
    /// Where spans go; `None`: nowhere, so that nothing is recorded.
    pub exporter: Option<Arc<Exporter>>,
}
