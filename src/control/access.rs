//! The access log's place over starts, reloads and the end.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::access::Sink;
use crate::config::Config;
use crate::observe::Metrics;
use crate::snapshot;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Opens what a configuration asks for; what `before` writes to the same place in the same way goes on.
pub(super) fn open(
    config: &Config,
    before: Option<&Arc<Sink>>,
    workers: usize,
    metrics: &Metrics,
) -> Result<Option<Arc<Sink>>, StartError> {
    let Some(settings) = snapshot::log_settings(config) else { return Ok(None) };
    if let Some(before) = before.filter(|before| *before.settings() == settings) {
        return Ok(Some(Arc::clone(before)));
    }
    let path = settings.path.clone().unwrap_or_default();
    Sink::open(settings, workers, Arc::clone(metrics.access_log()))
        .map(Some)
        .map_err(|error| StartError::AccessLog { path, error })
}

/// Waits until the lines that were handed over are written, but not for long.
pub(super) fn finish(sink: &Sink) {
    if !sink.finish(LAST_LINES) {
        tracing::error!(target: "equipoise::control", "access log: its place takes no more; the last lines are lost");
    }
}
