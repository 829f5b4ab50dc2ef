//! A backend that has asked for a pause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Moment;

/// Until when no new traffic is to go to a backend, as it has said itself.
#[derive(Debug, Default)]
pub struct Pause {
    /// Ticks; 0: it has never asked.
    until: AtomicU64,
}

impl Pause {
    /// It asks for so long. Of several the one that ends last counts. Gives whether none was running.
    pub fn ask(&self, time: Duration, now: Moment) -> bool {
        let before = self.until.fetch_max(now.after(time).ticks(), Ordering::AcqRel);
        before <= now.ticks()
    }

    /// How much of it is left; `None`: none is running.
    pub fn left(&self, now: Moment) -> Option<Duration> {
        let left = Moment::from_ticks(self.until.load(Ordering::Acquire)).since(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::epoch;

    #[test]
    fn the_last_end_counts_and_a_pause_begins_once() {
        let at = |ms| Moment::of(epoch() + Duration::from_millis(ms));
        let ms = Duration::from_millis;
        let pause = Pause::default();
        assert_eq!(pause.left(at(0)), None);
        assert!(pause.ask(ms(100), at(50)));
        assert!(!pause.ask(ms(10), at(60)), "it runs");
        assert_eq!(pause.left(at(70)), Some(ms(80)));
        assert!(!pause.ask(ms(100), at(149)));
        assert_eq!((pause.left(at(200)), pause.left(at(249))), (Some(ms(49)), None));
        assert!(pause.ask(ms(1), at(249)));
        pause.end();
        assert_eq!(pause.left(at(249)), None);
    }
}
