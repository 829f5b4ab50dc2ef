//! What of the events is kept to be looked at: what happens to backends, pools, certificates and the configuration.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;

use crate::observe::Happenings;

/// Who tells of such things; the others tell of single connections and calls.
const TELLERS: [&str; 6] = [
    "equipoise::app",
    "equipoise::control",
    "equipoise::discovery",
    "equipoise::health",
    "equipoise::roster",
    "equipoise::snapshot",
];

/// Keeps them.
pub(super) struct Recent(pub(super) Arc<Happenings>);

/// Which events reach it, whatever the level of the log.
pub(super) fn kept() -> Targets {
    Targets::new().with_targets(TELLERS.map(|teller| (teller, LevelFilter::INFO)))
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let place = event.metadata();
        let level = match *place.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => "info",
        };
        let mut said = Said::default();
        event.record(&mut said);
        self.0.note(SystemTime::now(), level, place.target(), said.message, said.fields);
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}"); // a String takes all
            }
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn what_happens_to_backends_is_kept_with_its_words_whatever_the_level_of_the_log() {
        let happenings = Arc::<Happenings>::default();
        let recent = Recent(Arc::clone(&happenings)).with_filter(kept());
        let silent = tracing_subscriber::fmt::layer().with_filter(LevelFilter::OFF);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(silent).with(recent), || {
            let reason = "status 503";
            tracing::warn!(target: "equipoise::health", pool = "crm", reason, after = ?Some(3), "backend is {}", "down");
            tracing::debug!(target: "equipoise::health", "a probe");
            tracing::warn!(target: "equipoise::admin", "admin call refused");
            tracing::info!(target: "h2", "noise");
        });
        let kept = happenings.after(0);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!((kept[0].level, &*kept[0].message), ("warn", "backend is down"));
        let fields = [("pool", "crm"), ("reason", "status 503"), ("after", "Some(3)")];
        assert_eq!(kept[0].fields, fields.map(|(name, value)| (name, value.to_owned())));
    }
}
