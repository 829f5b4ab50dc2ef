//! Up and down time, what requests saw, and error budgets.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::observe::{Account, Availability, Budgets, Burn, Outage, Tally};

/// Up and down time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvailabilityView {
    /// Up or down.
    pub up: bool,
    /// Why.
    pub cause: String,
    /// How long it has been up or down without a change.
    pub for_seconds: f64,
    /// Time up.
    pub uptime_seconds: f64,
    /// Time down.
    pub downtime_seconds: f64,
    /// Changes from up to down.
    pub failures: u64,
    /// Uptime as a share of the whole, 0 to 1.
    pub availability_ratio: f64,
    /// Mean time between failures; absent before the first.
    pub mtbf_seconds: Option<f64>,
    /// Mean time to repair; absent before the first repair.
    pub mttr_seconds: Option<f64>,
    /// The last ones, the latest last.
    pub outages: Vec<OutageView>,
}

/// A time spent down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutageView {
    /// When it began, in seconds since the epoch.
    pub begin: f64,
    /// When it ended; absent while it goes on.
    pub end: Option<f64>,
    /// How long it lasted so far, without the time in which the balancer did not run.
    pub seconds: f64,
    /// Why it began.
    pub cause: String,
    /// False: it began down, which is no failure.
    pub failure: bool,
    /// Requests that failed meanwhile.
    pub failed_requests: u64,
}

/// What requests saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficView {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed.
    pub failed: u64,
    /// The share that succeeded; absent before the first.
    pub success_ratio: Option<f64>,
}

/// How the objectives stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloView {
    /// Over which time the budgets are counted.
    pub window_seconds: f64,
    /// Requests that succeed; absent where nothing is promised.
    pub availability: Option<BurnView>,
    /// Requests that are fast; absent where nothing is promised.
    pub latency: Option<BurnView>,
    /// What counts as fast; absent where nothing is promised.
    pub latency_seconds: Option<f64>,
}

/// How one objective stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BurnView {
    /// The share that was promised.
    pub objective_ratio: f64,
    /// What is left of the error budget; negative where it is overdrawn.
    pub budget_remaining_ratio: f64,
    /// The share that missed it within 5 minutes, over the share that may.
    pub burn_rate_5m: f64,
    /// Within an hour.
    pub burn_rate_1h: f64,
    /// Within six hours.
    pub burn_rate_6h: f64,
}

impl AvailabilityView {
    /// The view of figures and outages.
    pub fn new(read: Availability, outages: Vec<Outage>) -> Self {
        Self {
            up: read.up,
            cause: read.cause.to_string(),
            for_seconds: read.for_time.as_secs_f64(),
            uptime_seconds: read.uptime.as_secs_f64(),
            downtime_seconds: read.downtime.as_secs_f64(),
            failures: read.failures,
            availability_ratio: read.availability,
            mtbf_seconds: read.mtbf.as_ref().map(Duration::as_secs_f64),
            mttr_seconds: read.mttr.as_ref().map(Duration::as_secs_f64),
            outages: outages.into_iter().map(OutageView::from).collect(),
        }
    }

    /// The view of an account; `None` before anything is known.
    pub fn of(account: &Account, now: Instant) -> Option<Self> {
        account.availability(now).map(|read| Self::new(read, account.outages(now)))
    }
}

impl From<Outage> for OutageView {
    fn from(outage: Outage) -> Self {
        Self {
            begin: epoch_seconds(outage.begin),
            end: outage.end.map(epoch_seconds),
            seconds: outage.lasted.as_secs_f64(),
            cause: outage.cause.to_string(),
            failure: outage.failure,
            failed_requests: outage.failed_requests,
        }
    }
}

impl From<Tally> for TrafficView {
    fn from(tally: Tally) -> Self {
        Self { succeeded: tally.good, failed: tally.failed, success_ratio: tally.success_ratio() }
    }
}

impl From<Budgets> for SloView {
    fn from(read: Budgets) -> Self {
        let view = |objective: Option<f64>, burn: Option<Burn>| {
            objective.zip(burn).map(|(objective, burn)| BurnView {
                objective_ratio: objective,
                budget_remaining_ratio: burn.remaining,
                burn_rate_5m: burn.rates[0],
                burn_rate_1h: burn.rates[1],
                burn_rate_6h: burn.rates[2],
            })
        };
        Self {
            window_seconds: read.objective.window.as_secs_f64(),
            availability: view(read.objective.availability, read.availability),
            latency: view(read.objective.latency.map(|(_, share)| share), read.latency),
            latency_seconds: read.objective.latency.map(|(within, _)| within.as_secs_f64()),
        }
    }
}

/// To the millisecond, which is what is kept over a restart.
pub(super) fn epoch_seconds(wall: SystemTime) -> f64 {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3
}
