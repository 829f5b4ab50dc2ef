//! What holds at a moment and of late, made once a second while somebody looks.
//!
//! Rates are of the time since the last look. Quantiles and shares are of the last 10 to 20 seconds: shorter ones would say
//! nothing of a backend that gets a request a second. They are differences of what the API counts since the beginning.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::view::{PoolView, RouteView};
use crate::observe::Distribution;

mod told;

use told::Record;

pub(super) use told::{LiveBackend, LivePool, LiveRoute, Pace};

/// What holds of late goes back at least so far, and at most twice as far.
const OF_LATE: Duration = Duration::from_secs(10);

/// Remembers what was counted when it last looked.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// When it last looked, and when the newer marks were set.
    looked: Option<Instant>,
    marked: Option<Instant>,
    pools: HashMap<String, Past>,
    backends: HashMap<(String, String), Past>,
    /// By name and listeners: each listener has a `default`. A route of that name there counts as one with it, so that it
    /// is told once.
    routes: HashMap<(String, Vec<String>), Past>,
}

/// What was counted of one pool or backend.
#[derive(Debug)]
struct Past {
    /// Requests, and those that failed, at the last look.
    last: (u64, u64),
    /// At the last mark, and at the one before it.
    young: Counted,
    old: Counted,
    /// It is still there.
    seen: bool,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    requests: u64,
    failed: u64,
    times: Distribution,
}

/// What is seen at a moment.
#[derive(Debug, PartialEq)]
pub(super) struct Look {
    /// What all pools come to together.
    pub(super) pace: Pace,
    pub(super) pools: Vec<LivePool>,
    pub(super) routes: Vec<LiveRoute>,
}

impl Live {
    /// Forgets all: nobody looks any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Looks at `now` at what is.
    pub(super) fn look(&mut self, pools: Vec<PoolView>, routes: Vec<RouteView>, now: Instant) -> Look {
        let passed = self.looked.replace(now).map(|last| now.saturating_duration_since(last).as_secs_f64());
        let mark = self.marked.is_none_or(|marked| now.saturating_duration_since(marked) >= OF_LATE);
        if mark {
            self.marked = Some(now);
        }
        let step = Step { passed, mark };
        let mut all = Counted::default();
        let mut shown = Vec::with_capacity(pools.len());
        for pool in pools {
            let (pool, lately) = self.pool(pool, step);
            all.add(&lately);
            shown.push(pool);
        }
        let routes = routes.into_iter().filter_map(|route| self.route(route, step)).collect();
        self.routes.retain(|_, past| std::mem::take(&mut past.seen));
        self.pools.retain(|_, past| std::mem::take(&mut past.seen));
        self.backends.retain(|_, past| std::mem::take(&mut past.seen));
        let sum = |rate: fn(&Pace) -> Option<f64>| {
            shown.iter().filter_map(|pool| rate(&pool.pace)).reduce(|sum, rate| rounded(sum + rate, 100.0))
        };
        let whole =
            Pace { rate: sum(|pace| pace.rate), failed_rate: sum(|pace| pace.failed_rate), ..all.pace() };
        Look { pace: whole, pools: shown, routes }
    }

    /// `None`: what it counts has been told at this look.
    fn route(&mut self, route: RouteView, step: Step) -> Option<LiveRoute> {
        let traffic = route.traffic;
        let counted = Counted {
            requests: traffic.succeeded + traffic.failed,
            failed: traffic.failed,
            times: route.durations,
        };
        let entry = self.routes.entry((route.name.clone(), route.listeners.clone()));
        let past = entry.or_insert_with(|| Past::begin(&counted));
        if past.seen {
            return None;
        }
        let (pace, _) = past.step(counted, step);
        Some(LiveRoute {
            record: Record::of(route.availability, &traffic, route.slo),
            name: route.name,
            listeners: route.listeners,
            pool: route.pool,
            pace,
        })
    }

    /// The pool, and what was counted of late: requests as its clients saw them, times of tries.
    fn pool(&mut self, pool: PoolView, step: Step) -> (LivePool, Counted) {
        let mut of_late = Distribution::default();
        let mut tries = Vec::with_capacity(pool.backends.len());
        let mut backends = Vec::with_capacity(pool.backends.len());
        for mut backend in pool.backends {
            let counted = Counted {
                requests: backend.requests,
                failed: backend.traffic.failed,
                times: std::mem::take(&mut backend.response_times),
            };
            let entry = self.backends.entry((pool.name.clone(), backend.name.clone()));
            let (pace, lately) = entry.or_insert_with(|| Past::begin(&counted)).step(counted, step);
            tries.push(lately.requests);
            of_late.join(&lately.times);
            backends.push(LiveBackend::of(backend, pace));
        }
        let all: u64 = tries.iter().sum();
        for (backend, tries) in backends.iter_mut().zip(tries) {
            backend.share = (all > 0).then(|| rounded(tries as f64 / all as f64, 1e4));
        }
        let traffic = pool.traffic;
        let counted = Counted {
            requests: traffic.succeeded + traffic.failed,
            failed: traffic.failed,
            times: Distribution::default(),
        };
        let entry = self.pools.entry(pool.name.clone());
        let (mut pace, mut lately) = entry.or_insert_with(|| Past::begin(&counted)).step(counted, step);
        (pace.p50_seconds, pace.p99_seconds) = (quantile(&of_late, 0.5), quantile(&of_late, 0.99));
        lately.times = of_late;
        let shown = LivePool {
            record: Record::of(pool.availability, &traffic, pool.slo),
            in_flight: backends.iter().fold(0, |sum, backend| sum.saturating_add(backend.in_flight)),
            waiting: pool.queue.length,
            name: pool.name,
            balance: pool.balance,
            pace,
            backends,
        };
        (shown, lately)
    }
}

#[derive(Debug, Clone, Copy)]
struct Step {
    /// Seconds since the last look.
    passed: Option<f64>,
    /// A mark is due.
    mark: bool,
}

impl Past {
    fn begin(now: &Counted) -> Self {
        Self { last: (now.requests, now.failed), young: now.clone(), old: now.clone(), seen: false }
    }

    /// What it comes to, and what was counted of late.
    fn step(&mut self, now: Counted, step: Step) -> (Pace, Counted) {
        // Who counts less than before has begun anew.
        if now.requests < self.last.0 {
            *self = Self::begin(&now);
        }
        let rate = |now: u64, last: u64| {
            let passed = step.passed.filter(|passed| *passed > 0.0)?;
            Some(rounded(now.saturating_sub(last) as f64 / passed, 100.0))
        };
        let lately = now.since(&self.old);
        let pace = Pace {
            rate: rate(now.requests, self.last.0),
            failed_rate: rate(now.failed, self.last.1),
            ..lately.pace()
        };
        (self.last, self.seen) = ((now.requests, now.failed), true);
        if step.mark {
            self.old = std::mem::replace(&mut self.young, now);
        }
        (pace, lately)
    }
}

impl Counted {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failed: self.failed.saturating_sub(earlier.failed),
            times: self.times.since(&earlier.times),
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.times.join(&other.times);
    }

    /// What it comes to, without rates.
    fn pace(&self) -> Pace {
        let failed = self.failed.min(self.requests) as f64;
        Pace {
            failed_ratio: (self.requests > 0).then(|| rounded(failed / self.requests as f64, 1e4)),
            p50_seconds: quantile(&self.times, 0.5),
            p99_seconds: quantile(&self.times, 0.99),
            ..Pace::default()
        }
    }
}

/// To the microsecond.
fn quantile(times: &Distribution, p: f64) -> Option<f64> {
    times.quantile(p).map(|found| rounded(found.as_secs_f64(), 1e6))
}

/// To so many parts of one: each digit is sent once a second.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests;
