//! What requests saw: how many succeeded and how many failed.
//!
//! A request failed where it was answered with a 5xx other than 501 and 505 (these refuse what the client asked
//! for), where no usable response came, and where the response broke off after its head. One whose client left
//! says nothing and is in neither number.

use std::fmt;
use std::time::Duration;

use super::label::{Judgement, judged};

/// Requests, or tries at a backend, that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that succeeded.
    pub good: u64,
    /// Those that failed.
    pub failed: u64,
}

/// How long requests took, against a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timed {
    /// All that were timed.
    pub(super) all: u64,
    /// Those that took longer.
    pub(super) slow: u64,
}

/// Who counts requests.
pub(super) trait Tallied: fmt::Debug + Send + Sync {
    /// Those that ended so far.
    fn tally(&self) -> Tally;

    /// How many took longer than this, as finely as durations are kept.
    fn timed(&self, within: Duration) -> Timed;
}

impl Tally {
    /// Of counts by slot, with so many of them broken off after a good head.
    pub(super) fn of(counts: impl Iterator<Item = (usize, u64)>, broken: u64) -> Self {
        let mut tally = Self::default();
        for (slot, count) in counts {
            match judged(slot) {
                Judgement::Good => tally.good += count,
                Judgement::Failed => tally.failed += count,
                Judgement::Neither => {}
            }
        }
        // Counts are read one by one while workers go on: never more than there are.
        let broken = broken.min(tally.good);
        Self { good: tally.good - broken, failed: tally.failed + broken }
    }

    /// All that were judged.
    pub fn judged(self) -> u64 {
        self.good.saturating_add(self.failed)
    }

    /// The share that succeeded; `None` before the first.
    pub fn success_ratio(self) -> Option<f64> {
        (self.judged() > 0).then(|| self.good as f64 / self.judged() as f64)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { good: self.good.saturating_add(other.good), failed: self.failed.saturating_add(other.failed) }
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            good: self.good.saturating_sub(earlier.good),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::label::{Outcome, code_slot};
    use super::super::{CLIENT_LEFT, MethodLabel, Metrics};
    use super::*;

    #[test]
    fn every_code_and_outcome_is_judged() {
        let tally = |slot| Tally::of([(slot, 1)].into_iter(), 0);
        let (good, failed, neither) =
            (Tally { good: 1, failed: 0 }, Tally { good: 0, failed: 1 }, Tally::default());
        for (code, expected) in [
            (101, good),
            (200, good),
            (304, good),
            (404, good),
            (429, good),
            (CLIENT_LEFT, neither),
            (500, failed),
            (501, good),
            (502, failed),
            (503, failed),
            (504, failed),
            (505, good),
            // Not registered, but of this class all the same; RFC 9110 15 has what is beyond it taken for a 5xx.
            (299, good),
            (499 - 1, good),
            (520, failed),
            (599, failed),
            (799, failed),
        ] {
            assert_eq!(tally(code_slot(code)), expected, "{code}");
        }
        for failure in
            [Outcome::ConnectError, Outcome::TlsError, Outcome::Reset, Outcome::Invalid, Outcome::Timeout]
        {
            assert_eq!(tally(failure.slot()), failed, "{failure:?}");
        }
        assert_eq!(tally(Outcome::Canceled.slot()), neither);
        assert_eq!(tally(Outcome::Code(CLIENT_LEFT).slot()), good, "a backend that says 499 has answered");
    }

    #[test]
    fn what_broke_off_after_its_head_has_failed() {
        let series = Metrics::new(1).route("web", "api");
        for code in [200, 200, 200, 503] {
            series.request(0, MethodLabel::Get, code, Duration::from_millis(1));
        }
        series.broke_off(0);
        assert_eq!(series.tally(), Tally { good: 2, failed: 2 });
        assert_eq!(series.tally().success_ratio(), Some(0.5));
        assert_eq!(Tally::default().success_ratio(), None);
    }
}
