//! Objectives, and how fast what they allow is used up.
//!
//! | figure | formula |
//! | --- | --- |
//! | error budget | 1 - objective: the share of requests that may miss it |
//! | burn rate | share that missed it within a window / error budget |
//! | budget remaining | 1 - burn rate over the objective's own window |
//!
//! Requests are counted into rings of buckets, so that what is kept is bounded whatever the traffic. A window of a
//! ring is its last whole buckets and the one that fills.

use std::time::Duration;

use super::ring::{Cell, Ring};
use super::tally::{Tally, Timed};

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// The share of requests that succeed, between 0 and 1.
    pub availability: Option<f64>,
    /// What counts as fast, and the share of requests that are.
    pub latency: Option<(Duration, f64)>,
    /// Over which time the budget is counted.
    pub window: Duration,
}

/// The windows of burn rates: name, length and bucket.
const WINDOWS: [(&str, Duration, u64); 3] = [
    ("5m", Duration::from_secs(300), 30),
    ("1h", Duration::from_secs(3600), 60),
    ("6h", Duration::from_secs(6 * 3600), 72),
];

/// Into how many buckets the objective's own window is divided: hours of 30 days.
const BUDGET_BUCKETS: u64 = 720;

/// How an objective stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// By window, as named by [`Burn::WINDOWS`].
    pub rates: [f64; 3],
    /// What is left of the error budget: 1 where nothing missed it, negative where more did than it allows.
    pub remaining: f64,
}

impl Burn {
    /// The names of the windows, the shortest first.
    pub const WINDOWS: [&str; 3] = [WINDOWS[0].0, WINDOWS[1].0, WINDOWS[2].0];
}

/// How both objectives stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budgets {
    /// What was promised.
    pub objective: Objective,
    /// Of availability.
    pub availability: Option<Burn>,
    /// Of latency.
    pub latency: Option<Burn>,
}

/// All that was counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    pub(super) tally: Tally,
    pub(super) timed: Timed,
}

/// An objective and what was counted against it.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    objective: Objective,
    /// `None`: what comes next is only where counting begins.
    last: Option<Reading>,
    /// Of [`WINDOWS`], then of the objective itself.
    rings: [Ring; 4],
}

impl Budget {
    pub(super) fn new(objective: Objective) -> Self {
        let ring = |window: Duration, buckets: u64| Ring::new(window, buckets);
        let [short, hour, long] = WINDOWS.map(|(_, window, buckets)| ring(window, buckets));
        Self { objective, last: None, rings: [short, hour, long, ring(objective.window, BUDGET_BUCKETS)] }
    }

    pub(super) fn objective(&self) -> &Objective {
        &self.objective
    }

    /// A budget for another objective that goes on with what this one counted, as far as it means the same.
    pub(super) fn revised(&self, objective: Objective) -> Self {
        let mut next = Self::new(objective);
        let same_limit = self.objective.latency.map(|l| l.0) == objective.latency.map(|l| l.0);
        for (ring, old) in next.rings.iter_mut().zip(&self.rings) {
            for (at, mut cell) in old.cells() {
                if !same_limit {
                    (cell.timed, cell.slow) = (0, 0);
                }
                ring.add(at, cell);
            }
        }
        next
    }

    /// The next reading is only where counting begins: who counts has changed.
    pub(super) fn begin_anew(&mut self) {
        self.last = None;
    }

    /// Counts what came since the last reading. Gives it back where it was anything.
    pub(super) fn take(&mut self, at: u64, reading: Reading) -> Option<Cell> {
        let last = self.last.replace(reading)?;
        let tally = reading.tally.since(last.tally);
        let cell = Cell {
            judged: tally.judged(),
            failed: tally.failed,
            timed: reading.timed.all.saturating_sub(last.timed.all),
            slow: reading.timed.slow.saturating_sub(last.timed.slow),
        };
        let any = cell != Cell::default();
        any.then(|| {
            self.add(at, cell);
            cell
        })
    }

    /// Counts into every ring.
    pub(super) fn add(&mut self, at: u64, cell: Cell) {
        self.rings.iter_mut().for_each(|ring| ring.add(at, cell));
    }

    pub(super) fn rings(&self) -> &[Ring; 4] {
        &self.rings
    }

    /// Counts into one ring, as it was written.
    pub(super) fn refill(&mut self, ring: usize, at: u64, cell: Cell) {
        if let Some(ring) = self.rings.get_mut(ring) {
            ring.add(at, cell);
        }
    }

    /// How it stands.
    pub(super) fn read(&self, at: u64) -> Budgets {
        let sums = self.rings.each_ref().map(|ring| ring.sum(at));
        let burn = |objective: f64, share: fn(&Cell) -> (u64, u64)| {
            let rates = sums.each_ref().map(|sum| {
                let (missed, all) = share(sum);
                if all == 0 { 0.0 } else { missed as f64 / all as f64 / (1.0 - objective) }
            });
            Burn { rates: [rates[0], rates[1], rates[2]], remaining: 1.0 - rates[3] }
        };
        Budgets {
            objective: self.objective,
            availability: self.objective.availability.map(|o| burn(o, |sum| (sum.failed, sum.judged))),
            latency: self.objective.latency.map(|(_, o)| burn(o, |sum| (sum.slow, sum.timed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn objective() -> Objective {
        Objective {
            availability: Some(0.999),
            latency: Some((Duration::from_millis(300), 0.99)),
            window: Duration::from_secs(30 * 86_400),
        }
    }

    fn reading(good: u64, failed: u64, slow: u64) -> Reading {
        Reading { tally: Tally { good, failed }, timed: Timed { all: good + failed, slow } }
    }

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn rates_are_the_share_that_missed_over_what_may() {
        let mut budget = Budget::new(objective());
        assert_eq!(budget.take(0, reading(500, 500, 0)), None, "the first is where counting begins");
        let read = budget.read(0);
        assert_eq!(read.availability, Some(Burn { rates: [0.0; 3], remaining: 1.0 }));

        budget.take(10 * SECOND, reading(10_400, 600, 200));
        let read = budget.read(20 * SECOND);
        let (availability, latency) = (read.availability.unwrap(), read.latency.unwrap());
        // 100 of 10,000 failed: 1 %, ten times the 0.1 % that may. 200 of 10,000 were slow: 2 %, twice the 1 %.
        assert_near(availability.rates[0], 10.0);
        assert_near(availability.remaining, -9.0);
        assert_near(latency.rates[2], 2.0);
        let page = include_str!("../../docs/availability.md");
        for line in [
            format!("rate is 0.01 / 0.001 = {:.0}", availability.rates[1]),
            format!("1 - 10 = {:.0} of the", availability.remaining),
        ] {
            assert!(page.contains(&line), "docs/availability.md lacks «{line}»");
        }

        // Five minutes later the shortest window has forgotten it; the others have not.
        let read = budget.read(320 * SECOND).availability.unwrap();
        assert_eq!(read.rates[0], 0.0);
        assert_near(read.rates[1], 10.0);
        let read = budget.read(4_000 * SECOND).availability.unwrap();
        assert_eq!(read.rates[1], 0.0);
        assert_near(read.rates[2], 10.0);
        assert_eq!(budget.read(31 * 86_400 * SECOND).availability.unwrap().remaining, 1.0);
    }

    #[test]
    fn another_objective_goes_on_with_what_means_the_same() {
        let mut budget = Budget::new(objective());
        budget.take(0, reading(0, 0, 0));
        budget.take(SECOND, reading(90, 10, 50));
        let week = Duration::from_secs(7 * 86_400);
        let other = Objective {
            availability: Some(0.9),
            latency: Some((Duration::from_millis(500), 0.9)),
            window: week,
        };
        let read = budget.revised(other).read(2 * SECOND);
        assert_near(read.availability.unwrap().rates[0], 1.0);
        assert_eq!(read.latency.unwrap().rates[0], 0.0, "slow was something else");
        let looser = Objective { latency: Some((Duration::from_millis(300), 0.5)), ..objective() };
        assert_near(budget.revised(looser).read(2 * SECOND).latency.unwrap().rates[0], 1.0);
    }

    #[test]
    fn one_without_the_other_is_absent() {
        let budget = Budget::new(Objective { latency: None, ..objective() });
        assert!(budget.read(0).latency.is_none() && budget.read(0).availability.is_some());
    }
}
