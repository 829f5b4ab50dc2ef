//! Of events that come again and again only so many are written: an outage of a thousand backends must not fill a disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::{Registry, reload};

use crate::observe::LogSeries;

/// Events of one kind that are written at once.
const BURST: f64 = 200.0;

/// How many more a second.
const PER_SECOND: f64 = 5.0;

/// What was written and left out, by kind: there are as many as places in the program that log.
#[derive(Debug)]
pub(super) struct Limit {
    kinds: Mutex<HashMap<Identifier, Kind>>,
    series: Arc<LogSeries>,
}

#[derive(Debug)]
struct Kind {
    place: &'static Metadata<'static>,
    left: f64,
    at: Instant,
    /// Left out, and not yet told.
    omitted: u64,
}

impl Limit {
    pub(super) fn new(series: Arc<LogSeries>) -> Self {
        Self { kinds: Mutex::default(), series }
    }

    /// Whether an event may be written. Those of the levels debug and trace are asked for, and for a short time.
    fn admits(&self, place: &'static Metadata<'static>, now: Instant) -> bool {
        if *place.level() > Level::INFO {
            return true;
        }
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Kind { place, left: BURST, at: now, omitted: 0 };
        let kind = kinds.entry(place.callsite()).or_insert_with(fresh);
        let passed = now.saturating_duration_since(kind.at).as_secs_f64();
        (kind.left, kind.at) = ((kind.left + passed * PER_SECOND).min(BURST), now);
        if kind.left < 1.0 {
            kind.omitted += 1;
            self.series.dropped(1);
            return false;
        }
        kind.left -= 1.0;
        true
    }

    /// What was left out since the last call, with the places that would have said it.
    fn omitted(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |kind: &mut Kind| (kind.place, std::mem::take(&mut kind.omitted));
        kinds.values_mut().map(told).filter(|(_, lines)| *lines > 0).collect()
    }

    /// Says what was left out.
    pub(super) fn tell(&self) {
        for (place, lines) in self.omitted() {
            let (of, line) = (place.target(), place.line().unwrap_or(0));
            tracing::warn!(target: "equipoise::control", lines, of, line, "too many events of one kind: some were left out");
        }
    }
}

/// Which events are written: those of the level, within the limit.
pub(super) struct Written {
    pub(super) level: reload::Layer<Targets, Registry>,
    pub(super) limit: Arc<Limit>,
}

impl Filter<Registry> for Written {
    fn enabled(&self, place: &Metadata<'_>, context: &Context<'_, Registry>) -> bool {
        Filter::enabled(&self.level, place, context)
    }

    fn callsite_enabled(&self, place: &'static Metadata<'static>) -> Interest {
        Filter::callsite_enabled(&self.level, place)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::max_level_hint(&self.level)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, Registry>) -> bool {
        self.limit.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing::Subscriber;
    use tracing_subscriber::Layer;

    use super::*;

    fn place(of: impl Fn()) -> &'static Metadata<'static> {
        struct Catch(Arc<Mutex<Option<&'static Metadata<'static>>>>);
        impl<S: Subscriber> Layer<S> for Catch {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                *self.0.lock().unwrap() = Some(event.metadata());
            }
        }
        use tracing_subscriber::layer::SubscriberExt;
        let caught = Arc::default();
        let subscriber = tracing_subscriber::registry().with(Catch(Arc::clone(&caught)));
        tracing::subscriber::with_default(subscriber, of);
        let place = caught.lock().unwrap().take();
        place.unwrap()
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_others_pass() {
        let series = Arc::<LogSeries>::default();
        let limit = Limit::new(Arc::clone(&series));
        let (down, up) = (place(|| tracing::warn!("down")), place(|| tracing::warn!("up")));
        let begun = Instant::now();
        let written = (0..1000).filter(|_| limit.admits(down, begun)).count();
        assert_eq!((written, series.drops()), (200, 800));
        assert!(limit.admits(up, begun));
        let later = begun + Duration::from_secs(10);
        assert_eq!((0..1000).filter(|_| limit.admits(down, later)).count(), 50);
        let omitted = limit.omitted();
        assert_eq!(omitted.len(), 1);
        assert_eq!((omitted[0].0.callsite(), omitted[0].1), (down.callsite(), 1750));
        assert!(limit.omitted().is_empty(), "told once");
        let asked = place(|| tracing::debug!("each"));
        assert!((0..1000).all(|_| limit.admits(asked, begun)));
    }
}
