//! Diagnostics on standard error; level and form follow a reload.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};

type Form = Box<dyn Layer<Registry> + Send + Sync>;
type Leveled = tracing_subscriber::layer::Layered<reload::Layer<Form, Registry>, Registry>;

/// The handles by which a reload changes what is logged.
#[derive(Clone)]
pub struct Logging {
    form: Option<(reload::Handle<Form, Registry>, reload::Handle<Targets, Leveled>)>,
}

impl Logging {
    /// Begins to log. A second call in one process changes nothing and gives a handle without effect.
    pub fn begin(log: &Log) -> Self {
        let (form, form_handle) = reload::Layer::new(form_of(log));
        let (level, level_handle) = reload::Layer::new(level_of(log.level));
        let begun = tracing_subscriber::registry().with(form).with(level).try_init();
        Self { form: begun.is_ok().then_some((form_handle, level_handle)) }
    }

    /// Follows a new configuration.
    pub fn set(&self, log: &Log) {
        if let Some((form, level)) = &self.form {
            // Both fail only when the subscriber is gone, that is never before the process.
            let _ = form.reload(form_of(log));
            let _ = level.reload(level_of(log.level));
        }
    }
}

fn form_of(log: &Log) -> Form {
    let terminal = std::io::stderr().is_terminal();
    match log.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => Box::new(fmt::layer().with_writer(std::io::stderr).with_ansi(terminal)),
        LogFormat::Json => Box::new(
            fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(std::io::stderr),
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
