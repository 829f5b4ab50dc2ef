//! What the series say to the accounts, and the accounts of them.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::super::account::{Account, Whose};
use super::super::histogram::Distribution;
use super::super::ledger::{Availability, Outage, Standing};
use super::super::objective::Objective;
use super::super::tally::{Tallied, Tally, Timed};
use super::{BackendSeries, PoolSeries, RouteSeries, held};
use crate::backend::{Backend, Condition, State};

/// The account of a route, over all listeners that it takes requests of.
#[derive(Debug)]
pub struct RouteAccount {
    route: Arc<str>,
    /// `None`: a route that has a name of its own.
    listener: Option<Arc<str>>,
    account: Arc<Account>,
}

impl RouteAccount {
    pub(in crate::observe) fn new(
        listener: Option<&str>,
        route: &str,
        open: impl FnOnce(Whose) -> Arc<Account>,
    ) -> Self {
        let whose = match listener {
            Some(listener) => Whose::Default(listener.to_owned()),
            None => Whose::Route(route.to_owned()),
        };
        Self { route: Arc::from(route), listener: listener.map(Arc::from), account: open(whose) }
    }

    /// The route's name.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The listener whose own pool it leads to; `None` of a route that stands in the file.
    pub fn listener(&self) -> Option<&str> {
        self.listener.as_deref()
    }

    /// Its ledger, what requests saw, and its budget.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Who counts its requests, and what is promised, from now on.
    pub fn follow(&self, series: &[Arc<RouteSeries>], objective: Option<Objective>, now: Instant) {
        self.account.set_sources(sources(series), now);
        self.account.set_objective(objective, now);
    }
}

impl PoolSeries {
    /// Tells whether the pool can serve, and why. The first call opens the account, so that a pool which
    /// begins down has not failed; until then it has no availability. The routes that lead here hear it too.
    pub fn set_serving(&self, serving: bool, cause: &str, now: Instant) {
        let standing = if serving { Standing::Up } else { Standing::Down };
        self.account.tell(standing, cause, now);
        held(&self.followers).iter().for_each(|route| route.tell(standing, cause, now));
    }

    /// A backend of it has passed a check, or none is checked: that it can serve is no mere assumption.
    pub fn release(&self, now: Instant) {
        self.account.release(now);
        held(&self.followers).iter().for_each(|route| route.release(now));
    }

    /// The routes that lead here, who counts their requests, and what is promised, from now on. To be followed by
    /// [`Self::set_serving`], which the routes must hear.
    pub fn follow(
        &self,
        routes: &[&RouteAccount],
        series: &[Arc<RouteSeries>],
        objective: Option<Objective>,
        now: Instant,
    ) {
        *held(&self.followers) = routes.iter().map(|route| Arc::clone(&route.account)).collect();
        self.account.set_sources(sources(series), now);
        self.account.set_objective(objective, now);
    }

    /// The pool's up and down time; `None` before the first [`Self::set_serving`].
    pub fn availability(&self, now: Instant) -> Option<Availability> {
        self.account.availability(now)
    }

    /// Its ledger, what requests saw, and its budget.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl BackendSeries {
    /// Brings the account up to date with the backend's condition. To be called right after
    /// [`crate::backend::Condition::set`], and by the control thread alone: between the look and the note another one's
    /// note would be taken back, and counted as a failure or its end.
    pub fn note_condition(&self, now: Instant) {
        // Its account may be that of a newer backend by now, after a removal and a return.
        if !self.backend.is_retired() {
            tell(&self.account, self.backend.condition(), now);
        }
    }

    /// It has passed a check, or is not checked: that it is up is no mere assumption.
    pub fn release(&self, now: Instant) {
        self.account.release(now);
    }

    /// Up and down time, the condition of this moment included. For the control thread.
    pub fn availability(&self, now: Instant) -> Availability {
        self.note_condition(now);
        self.noted_availability(now)
    }

    /// Up and down time, by what has been noted.
    pub(in crate::observe) fn noted_availability(&self, now: Instant) -> Availability {
        // The account was opened with the series.
        self.account.availability(now).unwrap_or_else(|| Availability::unknown(&self.backend))
    }

    /// The last outages, the latest last.
    pub fn outages(&self, now: Instant) -> Vec<Outage> {
        self.account.outages(now)
    }

    /// What tries at it came to.
    pub fn tally(&self) -> Tally {
        self.account.tally()
    }

    /// Counts for its account from now on.
    pub(in crate::observe) fn join(self: &Arc<Self>, now: Instant) {
        let weak: Weak<dyn Tallied> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Tallied>));
        self.account.set_sources(vec![weak], now);
        tell(&self.account, self.backend.condition(), now);
    }
}

impl Availability {
    fn unknown(backend: &Backend) -> Self {
        let (state, cause) = backend.condition().shown();
        let up = standing(state) == Standing::Up;
        Self {
            up,
            cause,
            for_time: Duration::ZERO,
            uptime: Duration::ZERO,
            downtime: Duration::ZERO,
            failures: 0,
            availability: f64::from(up),
            mtbf: None,
            mttr: None,
        }
    }
}

/// Says how a backend stands, and why: probes, names, or live traffic that ejected it.
fn tell(account: &Account, condition: &Condition, now: Instant) {
    let (state, reason) = condition.shown();
    account.tell(standing(state), &reason, now);
}

/// What probes, names and live traffic say is up or down; what an operator did is neither.
fn standing(state: State) -> Standing {
    match state {
        State::Up | State::SlowStart | State::Paused => Standing::Up,
        State::Down | State::Ejected => Standing::Down,
        State::Maintenance | State::Drain => Standing::Aside,
    }
}

/// Each once: a route that is called `default` shares its series with its listener's own pool.
fn sources(series: &[Arc<RouteSeries>]) -> Vec<Weak<dyn Tallied>> {
    let mut seen = HashSet::new();
    let once = series.iter().filter(|one| seen.insert(Arc::as_ptr(one)));
    once.map(|one| Arc::downgrade(&(Arc::clone(one) as Arc<dyn Tallied>))).collect()
}

impl Tallied for RouteSeries {
    fn tally(&self) -> Tally {
        // Read once a second of every route: only the methods that ever came are looked at.
        let blocks = self.shards.iter().flat_map(|shard| &shard.methods).filter_map(OnceLock::get);
        let counts = blocks.flat_map(|block| block.0.iter().enumerate());
        let broken = self.shards.iter().map(|shard| shard.broken.value()).sum();
        Tally::of(counts.map(|(slot, count)| (slot, count.value())), broken)
    }

    fn timed(&self, within: Duration) -> Timed {
        timed(&self.durations(), within)
    }
}

impl Tallied for BackendSeries {
    fn tally(&self) -> Tally {
        let blocks = self.shards.iter().filter_map(|shard| shard.outcomes.get());
        let counts = blocks.flat_map(|block| block.0.iter().enumerate());
        Tally::of(counts.map(|(slot, count)| (slot, count.value())), 0)
    }

    fn timed(&self, within: Duration) -> Timed {
        timed(&self.response_times(), within)
    }
}

fn timed(read: &Distribution, within: Duration) -> Timed {
    let all = read.count();
    Timed { all, slow: all - read.within(within).min(all) }
}
