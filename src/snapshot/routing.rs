//! Routes as the accounts see them: over all listeners.

use std::sync::Arc;
use std::time::Instant;

use super::pool::Pool;
use crate::backend::ADAPTIVE;
use crate::config;
use crate::observe::{Metrics, Objective, RouteAccount, RouteSeries};

/// A route, or a listener's own pool.
#[derive(Debug)]
pub struct Routing {
    /// Its account.
    pub account: Arc<RouteAccount>,
    /// Of which listeners it takes requests.
    pub listeners: Vec<Arc<str>>,
    /// Where it leads.
    pub pool: Arc<Pool>,
    /// What is promised of it.
    pub objective: Option<Objective>,
    /// Its counters, one at each listener.
    pub series: Vec<Arc<RouteSeries>>,
}

/// Every route of the file, then every listener's own pool.
pub(super) fn compile(config: &config::Config, pools: &[Arc<Pool>], metrics: &Arc<Metrics>) -> Vec<Routing> {
    let named = config.routes.iter().map(|route| {
        let takes = |index: usize| route.listeners.as_ref().is_none_or(|taken| taken.contains(&index));
        let listeners = config.listeners.iter().enumerate();
        let listeners = listeners.filter(|(index, _)| takes(*index)).map(|(_, listener)| &*listener.name);
        Routing {
            account: Arc::new(metrics.route_account(None, &route.name)),
            listeners: listeners.clone().map(Arc::from).collect(),
            pool: Arc::clone(&pools[route.pool]),
            objective: route.slo.as_ref().map(compile_objective),
            series: listeners.map(|listener| metrics.route(listener, &route.name)).collect(),
        }
    });
    let default = config.listeners.iter().filter_map(|listener| {
        Some(Routing {
            account: Arc::new(metrics.route_account(Some(&listener.name), DEFAULT)),
            listeners: vec![listener.name.as_str().into()],
            pool: Arc::clone(&pools[listener.pool?]),
            objective: None,
            series: vec![metrics.route(&listener.name, DEFAULT)],
        })
    });
    named.chain(default).collect()
}

/// What the route to a listener's own pool is called.
pub(super) const DEFAULT: &str = "default";

pub(super) fn compile_objective(slo: &config::Slo) -> Objective {
    Objective { availability: slo.availability, latency: slo.latency, window: slo.window }
}

/// Says to the accounts what is in force from now on. To be followed by a look at each pool.
pub(super) fn enter(snapshot: &super::Snapshot, now: Instant) {
    for pool in &snapshot.pools {
        pool.budget.set_ratio(pool.budget_ratio);
        for member in &pool.members {
            member.backend.set_adapts(member.limit == ADAPTIVE);
        }
        let lead = |routing: &&Routing| Arc::ptr_eq(&routing.pool, pool);
        let routings: Vec<_> = snapshot.routings.iter().filter(lead).collect();
        let accounts: Vec<_> = routings.iter().map(|routing| &*routing.account).collect();
        let series: Vec<_> = routings.iter().flat_map(|routing| routing.series.iter().cloned()).collect();
        pool.series.follow(&accounts, &series, pool.objective, now);
    }
    for routing in &snapshot.routings {
        routing.account.follow(&routing.series, routing.objective, now);
    }
    let backends: Vec<_> = snapshot.backends().cloned().collect();
    let pools: Vec<&str> = snapshot.pools.iter().map(|pool| &*pool.name).collect();
    let routes = snapshot.routings.iter().map(|routing| Arc::clone(&routing.account)).collect();
    snapshot.metrics.hold(&backends, &pools, routes, now);
}
