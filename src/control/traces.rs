//! The export of spans over starts, reloads and the end.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::config::Config;
use crate::observe::Metrics;
use crate::snapshot;
use crate::trace::Exporter;

/// How long the end of the process waits for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Opens what a configuration asks for; what `before` sends to the same place goes on.
pub(super) fn open(
    config: &Config,
    before: Option<&Arc<Exporter>>,
    metrics: &Metrics,
) -> Result<Option<Arc<Exporter>>, StartError> {
    let tracing = config.tracing.as_ref();
    // One that is none was refused with the file.
    let Some(Ok(endpoint)) = tracing.and_then(snapshot::collector) else { return Ok(None) };
    if let Some(before) = before.filter(|before| *before.endpoint() == endpoint) {
        return Ok(Some(Arc::clone(before)));
    }
    Exporter::start(endpoint, Arc::clone(metrics.spans())).map(Some).map_err(StartError::Traces)
}

/// Waits until the spans of what has ended have gone, but not for long.
pub(super) fn finish(exporter: &Exporter) {
    if !exporter.finish(LAST_SPANS) {
        tracing::warn!(target: "equipoise::control", "traces: the collector takes no more; the last spans are lost");
    }
}
