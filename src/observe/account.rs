//! What is kept of one backend, pool or route over reloads and restarts: its ledger, what requests saw of it, and
//! its error budget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::journal::{AccountLine, BudgetLine};
use super::ledger::{Availability, Ledger, Outage, Standing};
use super::objective::{Budget, Budgets, Objective, Reading};
use super::ring::Cell;
use super::tally::{Tallied, Tally, Timed};

/// Whose account it is: what must be the same for it to go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A backend. One at another address is another server, whatever its name.
    Backend {
        /// Its pool.
        pool: String,
        /// Its name.
        backend: String,
        /// Its address, as configured.
        address: String,
    },
    /// A pool, by its name.
    Pool(String),
    /// A route, by its name.
    Route(String),
    /// What no route of a listener takes, by the listener's name.
    Default(String),
}

/// One account.
#[derive(Debug)]
pub struct Account {
    id: u32,
    whose: Whose,
    clock: Arc<Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None`: nothing has been told yet.
    ledger: Option<Ledger>,
    /// What counted before the sources did.
    carried: Tally,
    sources: Vec<Source>,
    budget: Option<Budget>,
    /// It was down when it was last kept: to be taken for up before anybody looked is no repair.
    held: bool,
    /// What was told meanwhile.
    awaiting: Option<Arc<str>>,
    /// Since when the configuration does not hold it, by the time of the accounts.
    left: Option<u64>,
    unwritten: Unwritten,
}

/// Who counts, and what it stood at when it began to count for this account.
#[derive(Debug)]
struct Source {
    series: Weak<dyn Tallied>,
    base: Tally,
}

/// What the journal does not know yet.
#[derive(Debug, Default)]
struct Unwritten {
    account: bool,
    budget: bool,
    counts: Option<Tally>,
    spent: Cell,
}

/// What of an account has changed since it was last written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) account: Option<AccountLine>,
    pub(super) budget: Option<BudgetLine>,
    pub(super) counts: Option<Tally>,
    pub(super) spent: Option<Cell>,
}

impl Account {
    pub(super) fn new(id: u32, whose: Whose, clock: Arc<Clock>) -> Self {
        Self { id, whose, clock, inner: Mutex::default() }
    }

    /// The account that was written so.
    pub(super) fn restored(
        line: AccountLine,
        ledger: Ledger,
        budget: Option<Budget>,
        clock: Arc<Clock>,
    ) -> Self {
        let inner = Inner {
            held: ledger.standing() == Standing::Down,
            ledger: Some(ledger),
            carried: Tally { good: line.good, failed: line.failed },
            budget,
            left: line.left,
            ..Inner::default()
        };
        Self { id: line.id, whose: line.whose, clock, inner: Mutex::new(inner) }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Whose it is.
    pub fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Tells how it stands. The first that is told opens the ledger, so that what begins down has not failed.
    pub(super) fn tell(&self, standing: Standing, cause: &str, now: Instant) {
        let at = self.clock.stamp(now);
        let inner = &mut *self.inner();
        if inner.held && standing == Standing::Up {
            inner.awaiting = Some(Arc::from(cause));
            return inner.resume(now);
        }
        (inner.held, inner.awaiting) = (false, None);
        let Inner { ledger, carried, sources, unwritten, .. } = inner;
        let failed = || total(*carried, sources).failed;
        match ledger {
            Some(ledger) => unwritten.account |= ledger.set(standing, cause, at, failed),
            None => {
                *ledger = Some(Ledger::new(standing, cause, at, failed()));
                unwritten.account = true;
            }
        }
    }

    /// Somebody has looked, or nobody will: what is told from now on is no mere assumption.
    pub(super) fn release(&self, now: Instant) {
        let awaiting = {
            let inner = &mut *self.inner();
            inner.held = false;
            inner.awaiting.take()
        };
        if let Some(cause) = awaiting {
            self.tell(Standing::Up, &cause, now);
        }
    }

    /// Up and down time; `None` before anything was told.
    pub fn availability(&self, now: Instant) -> Option<Availability> {
        self.inner().ledger.as_ref().map(|ledger| ledger.snapshot(now))
    }

    /// The last outages, the latest last.
    pub fn outages(&self, now: Instant) -> Vec<Outage> {
        let inner = self.inner();
        let failed = inner.tally().failed;
        inner.ledger.as_ref().map(|ledger| ledger.outages(now, failed)).unwrap_or_default()
    }

    /// What requests saw.
    pub fn tally(&self) -> Tally {
        self.inner().tally()
    }

    /// How the objective stands; `None` without one.
    pub fn budgets(&self, now: Instant) -> Option<Budgets> {
        let time = self.clock.time(now);
        self.inner().budget.as_ref().map(|budget| budget.read(time))
    }

    /// Who counts its requests from now on. What others counted up to now stays.
    pub(super) fn set_sources(&self, sources: Vec<Weak<dyn Tallied>>, now: Instant) {
        let time = self.clock.time(now);
        let inner = &mut *self.inner();
        let place = |series: &Weak<dyn Tallied>| series.as_ptr().cast::<()>();
        let known = inner.sources.iter().map(|source| place(&source.series));
        if known.eq(sources.iter().map(place)) {
            // They count on while they are read: what came between two readings would be lost.
            return inner.sample(time);
        }
        inner.sample(time);
        inner.fold();
        let base = |series: &Weak<dyn Tallied>| series.upgrade().map(|s| s.tally()).unwrap_or_default();
        inner.sources = sources.into_iter().map(|series| Source { base: base(&series), series }).collect();
        if let Some(budget) = &mut inner.budget {
            budget.begin_anew();
        }
        inner.sample(time);
    }

    /// What is promised from now on.
    pub(super) fn set_objective(&self, objective: Option<Objective>, now: Instant) {
        let time = self.clock.time(now);
        let inner = &mut *self.inner();
        let changed = inner.budget.as_ref().map(|budget| budget.objective()) != objective.as_ref();
        if changed {
            inner.sample(time);
            inner.budget = objective.map(|objective| match &inner.budget {
                Some(old) => old.revised(objective),
                None => Budget::new(objective),
            });
            inner.unwritten.budget = true;
        }
        inner.sample(time);
    }

    /// Counts into the error budget what requests saw since the last time.
    pub(super) fn sample(&self, now: Instant) {
        let time = self.clock.time(now);
        self.inner().sample(time);
    }

    /// The configuration holds it.
    pub(super) fn join(&self) {
        let inner = &mut *self.inner();
        inner.unwritten.account |= inner.left.take().is_some();
    }

    /// The configuration does not hold it any more: no time counts. What its sources counted stays.
    pub(super) fn leave(&self, now: Instant) {
        let time = self.clock.time(now);
        let inner = &mut *self.inner();
        if inner.left.is_some() {
            return;
        }
        inner.sample(time);
        inner.fold();
        inner.sources.clear();
        inner.left = Some(time);
        inner.unwritten.account = true;
        if let Some(ledger) = &mut inner.ledger {
            ledger.pause(now);
            inner.held = ledger.standing() == Standing::Down;
        }
    }

    /// Since when the configuration does not hold it.
    pub(super) fn left(&self) -> Option<u64> {
        self.inner().left
    }

    /// Whether anything was ever told of it.
    pub(super) fn is_open(&self) -> bool {
        self.inner().ledger.is_some()
    }

    /// What the journal does not know yet; all of it where that begins anew.
    pub(super) fn changes(&self, now: Instant, all: bool) -> Changes {
        let time = self.clock.time(now);
        let inner = &mut *self.inner();
        let tally = inner.tally();
        let Some(ledger) = &inner.ledger else { return Changes::default() };
        let unwritten = std::mem::take(&mut inner.unwritten);
        let account = (all || unwritten.account).then(|| AccountLine {
            id: self.id,
            whose: self.whose.clone(),
            at: time,
            kept: ledger.is_kept(),
            left: inner.left,
            good: tally.good,
            failed: tally.failed,
            ledger: ledger.record(now),
        });
        let counted = account.is_none() && unwritten.counts != Some(tally);
        let budget = inner.budget.as_ref().filter(|_| all || unwritten.budget);
        let budget = budget.map(|budget| BudgetLine::of(self.id, budget));
        let spent = (budget.is_none() && unwritten.spent != Cell::default()).then_some(unwritten.spent);
        inner.unwritten.counts = Some(tally);
        Changes { account, counts: counted.then_some(tally), budget, spent }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tally(&self) -> Tally {
        total(self.carried, &self.sources)
    }

    /// Puts what the sources counted to what is carried.
    fn fold(&mut self) {
        self.carried = self.tally();
        for source in &mut self.sources {
            source.base = source.series.upgrade().map_or(source.base, |series| series.tally());
        }
    }

    fn resume(&mut self, now: Instant) {
        if let Some(ledger) = self.ledger.as_mut().filter(|ledger| !ledger.is_kept()) {
            ledger.resume(now);
            self.unwritten.account = true;
        }
    }

    fn sample(&mut self, time: u64) {
        if self.budget.is_none() {
            return;
        }
        let tally = self.tally();
        let Some(budget) = &mut self.budget else { return };
        let timed = match budget.objective().latency {
            Some((within, _)) => timed(&self.sources, within),
            None => Timed::default(),
        };
        if let Some(spent) = budget.take(time, Reading { tally, timed }) {
            self.unwritten.spent.add(spent);
        }
    }
}

fn total(carried: Tally, sources: &[Source]) -> Tally {
    let counted = sources.iter().filter_map(|source| Some((source.series.upgrade()?.tally(), source.base)));
    counted.fold(carried, |sum, (tally, base)| sum.plus(tally.since(base)))
}

fn timed(sources: &[Source], within: Duration) -> Timed {
    let mut sum = Timed::default();
    for read in sources.iter().filter_map(|source| Some(source.series.upgrade()?.timed(within))) {
        sum.all += read.all;
        sum.slow += read.slow;
    }
    sum
}
