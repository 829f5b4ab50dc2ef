//! What happens, on standard error; level and form follow a reload.
//!
//! Events go to a thread of their own, for standard error may be a pipe that nobody reads, and a worker must not wait for
//! it. Of those that come again and again only so many are written ([`limit`]). The last ones are kept to be looked at,
//! whatever is written ([`recent`]).

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};
use crate::observe::{Happenings, LogSeries};

mod limit;
mod outlet;
mod recent;

use limit::{Limit, Written};
use outlet::Outlet;
use recent::Recent;

type Form = Box<dyn Layer<Registry> + Send + Sync>;

/// How often it is said what was left out.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The process's own: events know no other.
static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// The handles by which a reload changes what is logged.
#[derive(Clone)]
pub struct Logging {
    form: Option<(reload::Handle<Form, Registry>, reload::Handle<Targets, Registry>)>,
    limit: Arc<Limit>,
    series: Arc<LogSeries>,
    happenings: Arc<Happenings>,
}

impl Logging {
    /// Begins to log. A second call in one process changes nothing and gives a handle without effect.
    pub fn begin(log: &Log) -> Self {
        let series = Arc::<LogSeries>::default();
        let outlet = OUTLET.get_or_init(|| Outlet::open(Arc::clone(&series)));
        let limit = Arc::new(Limit::new(Arc::clone(&series)));
        let (form, form_handle) = reload::Layer::new(form_of(log, outlet));
        let (level, level_handle) = reload::Layer::new(level_of(log.level));
        let happenings = Arc::<Happenings>::default();
        // Each layer has a filter of its own, and none has not: one without would make every event be built, those of
        // each request too.
        let written = form.with_filter(Written { level, limit: Arc::clone(&limit) });
        let kept = Recent(Arc::clone(&happenings)).with_filter(recent::kept());
        let begun = tracing_subscriber::registry().with(written).with(kept).try_init();
        Self { form: begun.is_ok().then_some((form_handle, level_handle)), limit, series, happenings }
    }

    /// Follows a new configuration.
    pub fn set(&self, log: &Log) {
        if let Some(((form, level), outlet)) = self.form.as_ref().zip(OUTLET.get()) {
            // Both fail only when the subscriber is gone, that is never before the process.
            let _ = form.reload(form_of(log, outlet));
            let _ = level.reload(level_of(log.level));
        }
    }

    /// Lines that were not written.
    pub fn series(&self) -> Arc<LogSeries> {
        Arc::clone(&self.series)
    }

    /// The last events, to be looked at.
    pub fn happenings(&self) -> Arc<Happenings> {
        Arc::clone(&self.happenings)
    }

    /// Says now and then what was left out. Never ends.
    pub async fn tell_what_was_left_out(&self) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            self.limit.tell();
        }
    }
}

/// Waits until all events are written, but not for long.
pub fn flush_events() {
    if let Some(outlet) = OUTLET.get() {
        outlet.finish(LAST_LINES);
    }
}

fn form_of(log: &Log, outlet: &Outlet) -> Form {
    let terminal = std::io::stderr().is_terminal();
    match log.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => Box::new(fmt::layer().with_writer(outlet.clone()).with_ansi(terminal)),
        LogFormat::Json => Box::new(
            fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(outlet.clone()),
        ),
    }
}

fn level_of(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // The library of HTTP/2 warns of what any client can make it warn of, once a frame; below that it tells whole
    // messages.
    Targets::new().with_default(level).with_target("h2", LevelFilter::ERROR)
}
