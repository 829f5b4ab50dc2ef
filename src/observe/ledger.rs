//! Up and down time of a backend or a pool.
//!
//! | figure | formula |
//! | --- | --- |
//! | uptime | time spent up |
//! | downtime | time spent down, the open outage included |
//! | failures | changes from up to down; beginning down is not one |
//! | availability | uptime / (uptime + downtime) |
//! | MTBF | uptime / failures; none before the first failure |
//! | MTTR | downtime of the repaired failures / repaired failures; none before the first repair |
//!
//! Uptime and downtime add up to the time since the ledger began, always, but for what is in neither: the time in
//! which this process did not run, and in which an operator had it taken out.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The account of one backend or pool. Instants that run backwards are read as no time passed.
#[derive(Debug, Clone)]
pub struct Ledger {
    up: bool,
    cause: Arc<str>,
    since: Instant,
    uptime: Duration,
    downtime: Duration,
    failures: u64,
    /// Whether the current outage began with a failure; a beginning down must not enter MTTR.
    failed: bool,
    /// Taken out by an operator.
    aside: bool,
    repairs: u64,
    repair_time: Duration,
}

/// The figures at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Availability {
    /// Up or down.
    pub up: bool,
    /// Why, as last told.
    pub cause: Arc<str>,
    /// How long it has been up or down without a change.
    pub for_time: Duration,
    /// Time spent up.
    pub uptime: Duration,
    /// Time spent down.
    pub downtime: Duration,
    /// Changes from up to down.
    pub failures: u64,
    /// Uptime's share of the whole time, 0 to 1. When no time has passed: 1 if up, else 0.
    pub availability: f64,
    /// Mean time between failures.
    pub mtbf: Option<Duration>,
    /// Mean time to repair.
    pub mttr: Option<Duration>,
}

impl Ledger {
    /// An account that begins now.
    pub fn new(up: bool, cause: &str, now: Instant) -> Self {
        Self {
            up,
            cause: Arc::from(cause),
            since: now,
            uptime: Duration::ZERO,
            downtime: Duration::ZERO,
            failures: 0,
            failed: false,
            aside: false,
            repairs: 0,
            repair_time: Duration::ZERO,
        }
    }

    /// Tells whether an operator has taken it out. What was going on before is over then, and what begins
    /// meanwhile is no failure.
    pub fn set_aside(&mut self, aside: bool, now: Instant) {
        if aside == self.aside {
            return;
        }
        let spent = now.saturating_duration_since(self.since);
        match (self.aside, self.up) {
            (true, _) => {}
            (false, true) => self.uptime += spent,
            (false, false) => self.downtime += spent,
        }
        self.aside = aside;
        self.failed = false;
        self.since = self.since.max(now);
    }

    /// Tells how it is now. Telling the same again only renews the cause.
    pub fn set(&mut self, up: bool, cause: &str, now: Instant) {
        if &*self.cause != cause {
            self.cause = Arc::from(cause);
        }
        if up == self.up {
            return;
        }
        if self.aside {
            self.up = up;
            return;
        }
        let spent = now.saturating_duration_since(self.since);
        if up {
            self.downtime += spent;
            if self.failed {
                self.repairs += 1;
                self.repair_time += spent;
            }
            self.failed = false;
        } else {
            self.uptime += spent;
            self.failures += 1;
            self.failed = true;
        }
        self.up = up;
        // Never backwards: the time before the last change is already accounted for.
        self.since = self.since.max(now);
    }

    /// The figures now.
    pub fn snapshot(&self, now: Instant) -> Availability {
        let open = now.saturating_duration_since(self.since);
        let (uptime, downtime) = match (self.aside, self.up) {
            (true, _) => (self.uptime, self.downtime),
            (false, true) => (self.uptime + open, self.downtime),
            (false, false) => (self.uptime, self.downtime + open),
        };
        let whole = (uptime + downtime).as_secs_f64();
        let availability = if whole > 0.0 { uptime.as_secs_f64() / whole } else { f64::from(self.up) };
        Availability {
            up: self.up,
            cause: Arc::clone(&self.cause),
            for_time: open,
            uptime,
            downtime,
            failures: self.failures,
            availability,
            mtbf: mean(uptime, self.failures),
            mttr: mean(self.repair_time, self.repairs),
        }
    }
}

fn mean(sum: Duration, count: u64) -> Option<Duration> {
    (count > 0).then(|| Duration::from_secs_f64(sum.as_secs_f64() / count as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn figures_appear_with_what_they_are_made_of() {
        let begin = Instant::now();
        let mut ledger = Ledger::new(true, "check passed", begin);
        let fresh = ledger.snapshot(begin);
        assert_eq!((fresh.availability, fresh.mtbf, fresh.mttr), (1.0, None, None));

        ledger.set(false, "status 503", begin + seconds(90));
        let open = ledger.snapshot(begin + seconds(100));
        assert_eq!((open.uptime, open.downtime, open.failures), (seconds(90), seconds(10), 1));
        assert_eq!((open.mtbf, open.mttr), (Some(seconds(90)), None), "an open outage is not in MTTR");
        assert_eq!((&*open.cause, open.for_time), ("status 503", seconds(10)));

        ledger.set(true, "check passed", begin + seconds(120));
        let repaired = ledger.snapshot(begin + seconds(150));
        assert_eq!((repaired.uptime, repaired.downtime), (seconds(120), seconds(30)));
        assert_eq!((repaired.mtbf, repaired.mttr), (Some(seconds(120)), Some(seconds(30))));
        assert!((repaired.availability - 0.8).abs() < 1e-9);
    }

    #[test]
    fn beginning_down_is_downtime_but_neither_failure_nor_repair() {
        let begin = Instant::now();
        let mut ledger = Ledger::new(false, "not resolved", begin);
        ledger.set(true, "check passed", begin + seconds(5));
        let read = ledger.snapshot(begin + seconds(10));
        assert_eq!((read.downtime, read.failures, read.mtbf, read.mttr), (seconds(5), 0, None, None));
    }

    #[test]
    fn what_an_operator_took_out_is_neither_up_nor_down() {
        let begin = Instant::now();
        let mut ledger = Ledger::new(true, "check passed", begin);
        ledger.set_aside(true, begin + seconds(90));
        ledger.set(false, "connect refused", begin + seconds(100));
        let aside = ledger.snapshot(begin + seconds(200));
        assert_eq!((aside.uptime, aside.downtime, aside.failures), (seconds(90), seconds(0), 0));
        ledger.set_aside(false, begin + seconds(200));
        ledger.set(true, "check passed", begin + seconds(210));
        let back = ledger.snapshot(begin + seconds(300));
        assert_eq!((back.uptime, back.downtime), (seconds(180), seconds(10)));
        assert_eq!((back.failures, back.mttr), (0, None), "what began meanwhile is no failure");
    }

    #[test]
    fn a_new_cause_does_not_begin_a_new_outage() {
        let begin = Instant::now();
        let mut ledger = Ledger::new(true, "check passed", begin);
        ledger.set(false, "connect refused", begin + seconds(1));
        ledger.set(false, "timeout after 1s", begin + seconds(3));
        let read = ledger.snapshot(begin + seconds(4));
        assert_eq!((read.failures, read.for_time, &*read.cause), (1, seconds(3), "timeout after 1s"));
    }

    proptest! {
        #[test]
        fn uptime_and_downtime_are_the_whole_time(
            up in any::<bool>(),
            steps in prop::collection::vec((0..10_000u64, any::<bool>()), 0..60),
            rest in 0..10_000u64,
        ) {
            let begin = Instant::now();
            let mut now = begin;
            let mut ledger = Ledger::new(up, "", begin);
            for (wait, up) in steps {
                now += Duration::from_millis(wait);
                ledger.set(up, "", now);
            }
            now += Duration::from_millis(rest);
            let read = ledger.snapshot(now);
            prop_assert_eq!(read.uptime + read.downtime, now - begin);
            prop_assert!((0.0..=1.0).contains(&read.availability));
            prop_assert_eq!(read.mtbf.is_some(), read.failures > 0);
        }

        #[test]
        fn a_clock_that_runs_backwards_adds_nothing(steps in prop::collection::vec((0..10_000u64, any::<bool>()), 0..60)) {
            let begin = Instant::now();
            let mut latest = begin;
            let mut ledger = Ledger::new(true, "", begin);
            for (at, up) in steps {
                let now = begin + Duration::from_millis(at);
                latest = latest.max(now);
                ledger.set(up, "", now);
            }
            let read = ledger.snapshot(latest);
            prop_assert!(read.uptime + read.downtime <= latest - begin);
        }
    }
}
