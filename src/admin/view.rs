//! What the API says, as plain values: the daemon writes them, `equipoise status` reads them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Duty, Moment};
use crate::observe::{BackendSeries, Distribution, Ejection, PoolSeries, RouteAccount};

mod house;
mod ledger;

pub use house::{CertificateView, ConfigView, EventView, LastReloadView, ListenerView, PoolSettingsView};
pub use ledger::{AvailabilityView, BurnView, OutageView, SloView, TrafficView};

/// One pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// The balancing algorithm.
    pub balance: String,
    /// Whether it can serve, and for how long; absent before that is known.
    pub availability: Option<AvailabilityView>,
    /// What requests saw: those of the routes that lead here.
    pub traffic: TrafficView,
    /// How its objectives stand; absent without any.
    pub slo: Option<SloView>,
    /// Request sent to head of the response, over its backends since they appeared; absent before the first.
    #[serde(default)]
    pub latency: Option<LatencyView>,
    /// The priority whose backends get new traffic; absent while nobody can.
    #[serde(default)]
    pub priority: Option<u8>,
    /// Who waits because every backend is full.
    #[serde(default)]
    pub queue: QueueView,
    /// Its backends, in the order of the configuration.
    pub backends: Vec<BackendView>,
}

/// Who waits for a place at a pool's backends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueView {
    /// How many.
    pub length: usize,
    /// How long the one has who has waited longest; 0 where nobody waits.
    pub oldest_seconds: f64,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendView {
    /// Its name within the pool.
    pub name: String,
    /// The address as configured.
    pub address: String,
    /// The socket address in use; absent while the name does not resolve.
    pub resolved: Option<String>,
    /// Its share, as the file says or as an operator ordered; 0: no new traffic.
    pub weight: u16,
    /// Its share by the file.
    #[serde(default)]
    pub configured_weight: u16,
    /// What an operator ordered: `ready`, `drain` or `maintenance`.
    #[serde(default)]
    pub order: String,
    /// Since it drains or is in maintenance, all that ran there has ended once.
    #[serde(default)]
    pub drained: bool,
    /// Used only when no other is usable: its priority is not 0.
    pub backup: bool,
    /// Used only when nobody of a lower one is usable.
    #[serde(default)]
    pub priority: u8,
    /// What its agent said last; absent where it has none, or has heard nothing of it.
    #[serde(default)]
    pub agent: Option<String>,
    /// The load that it reports, 0.0 to 1.0, averaged; absent before the first report.
    #[serde(default)]
    pub load: Option<f64>,
    /// `up`, `down`, … as in equipoise_backend_state.
    pub state: String,
    /// Why it is in this state.
    pub reason: String,
    /// Requests and tunnels in flight.
    pub in_flight: u32,
    /// How many may be in flight, as found by `max_connections = "adaptive"`; absent where that does not hold.
    #[serde(default)]
    pub found_limit: Option<u32>,
    /// Tunnels (WebSockets and the like) among them.
    #[serde(default)]
    pub tunnels: u32,
    /// Open connections, idle ones included.
    pub connections: u32,
    /// Idle connections.
    pub idle_connections: u32,
    /// Tries that ended since it appeared.
    pub requests: u64,
    /// How often live traffic was taken from it because it failed it.
    pub ejections: u64,
    /// Its up and down time, as probes, names and live traffic say.
    pub availability: AvailabilityView,
    /// What tries at it came to.
    pub traffic: TrafficView,
    /// Request sent to head of the response, since it appeared; absent before the first.
    pub latency: Option<LatencyView>,
    /// What that was made of: from it the dashboard makes what holds of late.
    #[serde(skip)]
    pub response_times: Distribution,
}

/// One route, over all listeners that it takes requests of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteView {
    /// Its name; `default` for what no route of a listener takes.
    pub name: String,
    /// Of which listeners it takes requests.
    pub listeners: Vec<String>,
    /// The pool that it leads to.
    pub pool: String,
    /// Whether it can be served, and for how long; absent before that is known.
    pub availability: Option<AvailabilityView>,
    /// What requests saw.
    pub traffic: TrafficView,
    /// How its objectives stand; absent without any.
    pub slo: Option<SloView>,
    /// First byte of the request to the last of the response, since the route appeared; absent before the first.
    #[serde(default)]
    pub latency: Option<LatencyView>,
    /// What that was made of.
    #[serde(skip)]
    pub durations: Distribution,
}

/// Quantiles, within 5 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct LatencyView {
    pub count: u64,
    pub mean_seconds: f64,
    pub p50_seconds: f64,
    pub p90_seconds: f64,
    pub p99_seconds: f64,
    pub p999_seconds: f64,
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// The configuration is in force.
    Applied {
        /// What is worth knowing, for instance a key that cannot change without a restart.
        warnings: Findings,
    },
    /// Nothing changed.
    Rejected {
        /// Why, every reason.
        diagnostics: Findings,
    },
}

/// Diagnostics in the two forms in which `check` prints them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// As `--format json` gives them.
    pub items: Vec<serde_json::Value>,
    /// As `--format text` gives them, without colours.
    pub text: String,
}

impl PoolView {
    /// The view of a pool at `now`.
    pub fn of(
        series: &PoolSeries,
        balance: &str,
        priority: Option<u8>,
        queue: QueueView,
        backends: Vec<BackendView>,
        now: Instant,
    ) -> Self {
        let mut times = Distribution::default();
        backends.iter().for_each(|backend| times.join(&backend.response_times));
        Self {
            queue,
            name: series.name().to_owned(),
            balance: balance.to_owned(),
            availability: AvailabilityView::of(series.account(), now),
            traffic: series.account().tally().into(),
            slo: series.account().budgets(now).map(SloView::from),
            latency: LatencyView::of(&times),
            priority,
            backends,
        }
    }
}

impl BackendView {
    /// The view of a backend with this weight and priority by the file, at `now`.
    pub fn of(series: &BackendSeries, weight: u16, priority: u8, now: Instant) -> Self {
        let backend = series.backend();
        let (state, reason) = backend.condition().shown();
        let order = backend.orders().order();
        let reason = match backend.order().duty {
            Duty::Ready => reason.to_string(),
            _ => format!("{reason}; {}", left(backend)),
        };
        let response_times = series.response_times();
        Self {
            name: backend.identity().name.to_string(),
            address: backend.identity().address.to_string(),
            resolved: backend.address().map(|address| address.to_string()),
            weight: order.weight.unwrap_or(weight),
            configured_weight: weight,
            order: order.duty.name().to_owned(),
            drained: backend.orders().is_drained(),
            backup: priority > 0,
            priority,
            agent: backend.agent().said().map(|said| said.to_string()),
            load: backend.load().average(Moment::of(now)).map(f64::from),
            state: state.name().to_owned(),
            reason,
            in_flight: backend.in_flight(),
            found_limit: backend.found_limit(),
            tunnels: backend.tunnels(),
            connections: backend.connections(),
            idle_connections: backend.idle_connections(),
            requests: series.requests(),
            ejections: Ejection::ALL.iter().map(|why| series.ejections(*why)).sum(),
            availability: AvailabilityView::new(series.availability(now), series.outages(now)),
            traffic: series.tally().into(),
            latency: LatencyView::of(&response_times),
            response_times,
        }
    }
}

impl BackendView {
    /// What is in flight, and of how many if that was found while it runs.
    pub fn load(&self) -> String {
        match self.found_limit {
            Some(limit) => format!("{}/{limit}", self.in_flight),
            None => self.in_flight.to_string(),
        }
    }
}

impl RouteView {
    /// The view of a route at `now`, whose requests took so long.
    pub fn of(
        route: &RouteAccount,
        listeners: &[Arc<str>],
        pool: &str,
        durations: Distribution,
        now: Instant,
    ) -> Self {
        let account = route.account();
        Self {
            name: route.route().to_owned(),
            listeners: listeners.iter().map(ToString::to_string).collect(),
            pool: pool.to_owned(),
            availability: AvailabilityView::of(account, now),
            traffic: account.tally().into(),
            slo: account.budgets(now).map(SloView::from),
            latency: LatencyView::of(&durations),
            durations,
        }
    }
}

/// What still runs at a backend that is to get nothing new.
fn left(backend: &Backend) -> String {
    match (backend.in_flight(), backend.tunnels()) {
        (0, _) if backend.orders().is_drained() => "drained".to_owned(),
        (0, _) => "nothing in flight".to_owned(),
        (all, 0) => format!("{all} in flight"),
        (all, tunnels) => format!("{all} in flight, {tunnels} of them tunnels"),
    }
}

impl LatencyView {
    /// The view of a distribution; `None` of an empty one.
    pub fn of(read: &Distribution) -> Option<Self> {
        let quantile = |p| read.quantile(p).as_ref().map(Duration::as_secs_f64);
        Some(Self {
            count: read.count(),
            p50_seconds: quantile(0.5)?,
            p90_seconds: quantile(0.9)?,
            p99_seconds: quantile(0.99)?,
            p999_seconds: quantile(0.999)?,
            mean_seconds: read.sum_seconds() / read.count() as f64,
        })
    }
}
