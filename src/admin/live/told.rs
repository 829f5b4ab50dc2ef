//! What is told of each pool, backend and route at a moment.

use serde::Serialize;

use super::rounded;
use crate::admin::view::{AvailabilityView, BackendView, BurnView, SloView, TrafficView};

/// One pool.
#[derive(Debug, PartialEq, Serialize)]
pub(in crate::admin) struct LivePool {
    pub(super) name: String,
    pub(super) balance: String,
    #[serde(flatten)]
    pub(super) record: Record,
    pub(super) in_flight: u32,
    pub(super) waiting: usize,
    /// Of what clients got.
    #[serde(flatten)]
    pub(super) pace: Pace,
    pub(super) backends: Vec<LiveBackend>,
}

/// One backend.
#[derive(Debug, PartialEq, Serialize)]
pub(in crate::admin) struct LiveBackend {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) order: String,
    pub(super) drained: bool,
    pub(super) backup: bool,
    pub(super) weight: u16,
    pub(super) configured_weight: u16,
    pub(super) in_flight: u32,
    pub(super) connections: u32,
    pub(super) ejections: u64,
    pub(super) for_seconds: f64,
    pub(super) availability_ratio: f64,
    pub(super) failures: u64,
    /// Of the tries that ended in its pool of late; absent where none did.
    pub(super) share: Option<f64>,
    /// Of tries at it.
    #[serde(flatten)]
    pub(super) pace: Pace,
}

/// How many, how well, how fast.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(in crate::admin) struct Pace {
    /// A second; absent at the first look.
    pub(super) rate: Option<f64>,
    pub(super) failed_rate: Option<f64>,
    /// Of those of late; absent where there were none.
    pub(super) failed_ratio: Option<f64>,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
}

/// One route.
#[derive(Debug, PartialEq, Serialize)]
pub(in crate::admin) struct LiveRoute {
    pub(super) name: String,
    pub(super) listeners: Vec<String>,
    pub(super) pool: String,
    #[serde(flatten)]
    pub(super) record: Record,
    /// Of what clients got; the times are those of whole requests.
    #[serde(flatten)]
    pub(super) pace: Pace,
}

/// How well a pool or a route has served.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Record {
    /// Whether it can serve; absent before that is known, as are the figures of availability.
    up: Option<bool>,
    cause: Option<String>,
    for_seconds: Option<f64>,
    availability_ratio: Option<f64>,
    failures: u64,
    mtbf_seconds: Option<f64>,
    mttr_seconds: Option<f64>,
    /// What requests saw since the beginning.
    success_ratio: Option<f64>,
    /// What is left of the budget of which less is left.
    budget_remaining_ratio: Option<f64>,
    slo: Option<SloView>,
}

impl Record {
    pub(super) fn of(
        availability: Option<AvailabilityView>,
        traffic: &TrafficView,
        slo: Option<SloView>,
    ) -> Self {
        let of = |pick: fn(&AvailabilityView) -> Option<f64>| availability.as_ref().and_then(pick);
        let budgets = slo.iter().flat_map(|slo| [&slo.availability, &slo.latency]).flatten();
        let left = |burn: &BurnView| burn.budget_remaining_ratio;
        Self {
            up: availability.as_ref().map(|read| read.up),
            for_seconds: of(|read| Some(rounded(read.for_seconds, 10.0))),
            availability_ratio: of(|read| Some(read.availability_ratio)),
            failures: availability.as_ref().map_or(0, |read| read.failures),
            mtbf_seconds: of(|read| Some(rounded(read.mtbf_seconds?, 10.0))),
            mttr_seconds: of(|read| Some(rounded(read.mttr_seconds?, 1e3))),
            success_ratio: traffic.success_ratio,
            budget_remaining_ratio: budgets.map(left).min_by(f64::total_cmp),
            cause: availability.map(|read| read.cause),
            slo,
        }
    }
}

impl LiveBackend {
    pub(super) fn of(view: BackendView, pace: Pace) -> Self {
        Self {
            name: view.name,
            address: view.address,
            state: view.state,
            reason: view.reason,
            order: view.order,
            drained: view.drained,
            backup: view.backup,
            weight: view.weight,
            configured_weight: view.configured_weight,
            in_flight: view.in_flight,
            connections: view.connections,
            ejections: view.ejections,
            for_seconds: rounded(view.availability.for_seconds, 10.0),
            availability_ratio: view.availability.availability_ratio,
            failures: view.availability.failures,
            share: None,
            pace,
        }
    }
}
