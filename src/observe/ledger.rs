//! Up and down time of a backend, a pool or a route.
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
//! Uptime and downtime add up to the time in which the ledger was kept, always. It is not kept while this process
//! does not run, while the configuration does not hold whose it is, and while an operator has taken it out: such
//! time is in neither. Durations come from a clock that no one sets; the wall clock is only what outages are stamped
//! with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

mod record;
#[cfg(test)]
mod tests;

pub(super) use record::{Record, micros, millis_since_epoch, since_epoch};

/// How many of the last outages are remembered.
pub const MAX_OUTAGES: usize = 20;
/// How much is remembered of why, in bytes: a backend may have a say in it.
const MAX_CAUSE: usize = 200;

/// What counts at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Up.
    Up,
    /// Down.
    Down,
    /// Taken out on purpose: neither.
    Aside,
}

/// A moment: by the clock that only runs on, and as people stamp it.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// What durations are taken from.
    pub now: Instant,
    /// What is shown.
    pub wall: SystemTime,
}

/// The account of one backend, pool or route. Instants that run backwards are read as no time passed.
#[derive(Debug, Clone)]
pub struct Ledger {
    standing: Standing,
    cause: Arc<str>,
    /// Up to when the sums go; `None`: it is not kept at present.
    since: Option<Instant>,
    /// How long it has stood so, up to `since`.
    stood: Duration,
    uptime: Duration,
    downtime: Duration,
    failures: u64,
    /// Whether the current outage began with a failure; a beginning down must not enter MTTR.
    failed: bool,
    repairs: u64,
    repair_time: Duration,
    /// Failed requests there had been when the current outage began.
    failed_requests: u64,
    /// The last ones; one that is open comes last.
    outages: VecDeque<Outage>,
}

/// A time spent down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When it began.
    pub begin: SystemTime,
    /// When it ended, never before it began whatever the wall clock did; `None`: it goes on.
    pub end: Option<SystemTime>,
    /// How long it lasted so far, without the time in which nobody looked.
    pub lasted: Duration,
    /// Why it began.
    pub cause: Arc<str>,
    /// Whether it was up before: what began down has not failed.
    pub failure: bool,
    /// Requests that failed meanwhile.
    pub failed_requests: u64,
}

/// The figures at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Availability {
    /// Up or down. What was taken out on purpose is not up.
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
    /// An account that begins now, with so many failed requests before it.
    pub fn new(standing: Standing, cause: &str, at: Stamp, failed_requests: u64) -> Self {
        let mut ledger = Self {
            standing,
            cause: shortened(cause),
            since: Some(at.now),
            stood: Duration::ZERO,
            uptime: Duration::ZERO,
            downtime: Duration::ZERO,
            failures: 0,
            failed: false,
            repairs: 0,
            repair_time: Duration::ZERO,
            failed_requests,
            outages: VecDeque::new(),
        };
        if standing == Standing::Down {
            ledger.begin_outage(at.wall, false);
        }
        ledger
    }

    /// How it stood when last told.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it is kept at present.
    pub fn is_kept(&self) -> bool {
        self.since.is_some()
    }

    /// Tells how it is now. Telling the same again only renews the cause. `failed_requests` is asked only where
    /// something changed. Gives back whether anything did.
    pub fn set(
        &mut self,
        standing: Standing,
        cause: &str,
        at: Stamp,
        failed_requests: impl FnOnce() -> u64,
    ) -> bool {
        let kept = self.since.is_some();
        self.resume(at.now);
        let renewed = *self.cause != *shortened(cause);
        if renewed {
            self.cause = shortened(cause);
        }
        if standing == self.standing {
            return renewed || !kept;
        }
        self.settle(at.now);
        let requests = failed_requests();
        if self.standing == Standing::Down {
            self.end_outage(standing == Standing::Up, at.wall, requests);
        }
        // One that is taken up again down begins down: nobody saw it fail.
        let failure = kept && self.standing == Standing::Up && standing == Standing::Down;
        self.standing = standing;
        self.stood = Duration::ZERO;
        if standing == Standing::Down {
            self.failures = self.failures.saturating_add(u64::from(failure));
            self.failed_requests = requests;
            self.begin_outage(at.wall, failure);
        }
        true
    }

    /// No time counts from now on, until [`Self::resume`].
    pub fn pause(&mut self, now: Instant) {
        self.settle(now);
        self.since = None;
    }

    /// Time counts again, as what it was when it was paused.
    pub fn resume(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// So much time passed beyond what is written: for an account that was kept on after it had last been put
    /// down. Nothing for one that is kept now.
    pub fn catch_up(&mut self, time: Duration) {
        if self.since.is_none() {
            self.add(time);
        }
    }

    /// The figures now.
    pub fn snapshot(&self, now: Instant) -> Availability {
        let open = self.open(now);
        let (uptime, downtime) = match self.standing {
            Standing::Up => (self.uptime + open, self.downtime),
            Standing::Down => (self.uptime, self.downtime + open),
            Standing::Aside => (self.uptime, self.downtime),
        };
        let up = self.standing == Standing::Up;
        let whole = (uptime + downtime).as_secs_f64();
        let availability = if whole > 0.0 { uptime.as_secs_f64() / whole } else { f64::from(up) };
        Availability {
            up,
            cause: Arc::clone(&self.cause),
            for_time: self.stood + open,
            uptime,
            downtime,
            failures: self.failures,
            availability,
            mtbf: mean(uptime, self.failures),
            mttr: mean(self.repair_time, self.repairs),
        }
    }

    /// The last outages, the latest last; so many requests have failed until now.
    pub fn outages(&self, now: Instant, failed_requests: u64) -> Vec<Outage> {
        let mut outages: Vec<Outage> = self.outages.iter().cloned().collect();
        if let Some(open) = outages.last_mut().filter(|outage| outage.end.is_none()) {
            open.lasted = self.stood + self.open(now);
            open.failed_requests = failed_requests.saturating_sub(self.failed_requests);
        }
        outages
    }

    fn open(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Brings the sums up to now.
    fn settle(&mut self, now: Instant) {
        self.add(self.open(now));
        // Never backwards: the time before is already accounted for.
        self.since = self.since.map(|since| since.max(now));
    }

    fn add(&mut self, time: Duration) {
        self.stood += time;
        match self.standing {
            Standing::Up => self.uptime += time,
            Standing::Down => self.downtime += time,
            Standing::Aside => {}
        }
    }

    fn begin_outage(&mut self, begin: SystemTime, failure: bool) {
        self.failed = failure;
        if self.outages.len() == MAX_OUTAGES {
            self.outages.pop_front();
        }
        self.outages.push_back(Outage {
            begin,
            end: None,
            lasted: Duration::ZERO,
            cause: Arc::clone(&self.cause),
            failure,
            failed_requests: 0,
        });
    }

    fn end_outage(&mut self, repaired: bool, end: SystemTime, failed_requests: u64) {
        if self.failed && repaired {
            self.repairs = self.repairs.saturating_add(1);
            self.repair_time = self.repair_time.saturating_add(self.stood);
        }
        self.failed = false;
        let Some(open) = self.outages.back_mut() else { return };
        // A wall clock that was set back must not end it before it began.
        open.end = Some(if end < open.begin { open.begin + self.stood } else { end });
        open.lasted = self.stood;
        open.failed_requests = failed_requests.saturating_sub(self.failed_requests);
    }
}

/// `sum / count`; `None` of nothing.
fn mean(sum: Duration, count: u64) -> Option<Duration> {
    let nanos = sum.as_nanos().checked_div(u128::from(count))?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

fn shortened(cause: &str) -> Arc<str> {
    Arc::from(&cause[..cause.floor_char_boundary(MAX_CAUSE)])
}
