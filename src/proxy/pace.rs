//! How fast a client takes part while we wait for it.

use std::time::{Duration, Instant};

/// What the rate is averaged over.
const WINDOW: Duration = Duration::from_secs(10);

/// Measures the bytes that a client moves per second of our waiting. A client that keeps every timeout
/// from firing by one byte now and then would hold its connection, and a backend's, for ever.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// We begin to wait for the client.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The client moved `bytes`. Says whether it is too slow, by `min_rate` bytes a second (0: never).
    pub(super) fn moved(&mut self, bytes: u64, min_rate: u64, now: Instant) -> bool {
        let Some(since) = self.since.take() else { return false };
        self.waited += now.saturating_duration_since(since);
        self.moved += bytes;
        if self.waited < WINDOW {
            return false;
        }
        let slow = (self.moved as f64) < min_rate as f64 * self.waited.as_secs_f64();
        *self = Self::default();
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_spent_waiting_counts_and_only_over_the_whole_window() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert!(!pace.moved(1, 256, at(100)), "we did not wait");
        pace.wait(at(100));
        assert!(!pace.moved(1, 256, at(109)), "the window is not full");
        pace.wait(at(200));
        assert!(pace.moved(1, 256, at(201)), "2 bytes in 10 s");
        pace.wait(at(300));
        assert!(!pace.moved(2560, 256, at(310)), "just enough");
        pace.wait(at(400));
        assert!(!pace.moved(1, 0, at(500)), "switched off");
    }
}
