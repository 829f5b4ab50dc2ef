//! Stands for the export of spans in a build without it (cargo feature `otlp`). There is never one of these: no endpoint is
//! read in such a build, and `[tracing] otlp` is refused with the file.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::record::Trace;
use crate::observe::SpanSeries;

/// Would take records of requests.
#[derive(Debug)]
pub struct Exporter(Infallible);

impl Exporter {
    /// Starts nothing.
    ///
    /// # Errors
    /// Always: there is none in this build.
    pub fn start(_: Endpoint, _: Arc<SpanSeries>) -> io::Result<Arc<Self>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where spans would go.
    pub fn endpoint(&self) -> &Endpoint {
        match self.0 {}
    }

    /// Would take a record.
    pub fn take(&self, _: Trace) {
        match self.0 {}
    }

    /// Would wait until all that was taken has been posted.
    pub fn finish(&self, _: Duration) -> bool {
        match self.0 {}
    }
}
