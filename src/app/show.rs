//! Listeners, routes and the configuration, as the admin endpoint shows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::admin::{ConfigView, LastReloadView, ListenerView, PoolSettingsView, RouteView};
use crate::control::{Control, LastReload};
use crate::observe::Distribution;
use crate::snapshot::{Listener, Pool, Routing, Snapshot};

pub(super) fn route(routing: &Routing, now: Instant) -> RouteView {
    let mut times = Distribution::default();
    routing.series.iter().for_each(|series| times.join(&series.durations()));
    RouteView::of(&routing.account, &routing.listeners, &routing.pool.name, times, now)
}

pub(super) fn listeners(snapshot: &Snapshot, addresses: &[(Arc<str>, SocketAddr)]) -> Vec<ListenerView> {
    snapshot.listeners.iter().map(|one| listener(one, addresses)).collect()
}

fn listener(listener: &Listener, addresses: &[(Arc<str>, SocketAddr)]) -> ListenerView {
    let (connections, connections_total) = listener.series.connections();
    let spoken = [("h1", listener.protocols.h1), ("h2", listener.protocols.h2)];
    let own = addresses.iter().filter(|(name, _)| *name == listener.name);
    ListenerView {
        name: listener.name.to_string(),
        addresses: own.map(|(_, address)| address.to_string()).collect(),
        protocols: spoken.iter().filter(|(_, spoken)| *spoken).map(|(name, _)| *name).collect(),
        tls: listener.tls.is_some(),
        https_redirect: listener.https_redirect,
        pool: listener.default.as_ref().map(|route| route.pool.name.to_string()),
        connections,
        connections_total,
        certificates: listener
            .series
            .certificates()
            .unwrap_or_default()
            .into_iter()
            .map(Into::into)
            .collect(),
    }
}

pub(super) fn config(control: &Control) -> ConfigView {
    let (snapshot, history) = (control.snapshot(), control.history());
    let routes = snapshot.routings.iter().filter(|routing| routing.account.listener().is_none());
    ConfigView {
        source: control.source().name(),
        sha256: snapshot.sha256.clone(),
        loaded: epoch_seconds(history.loaded),
        reloads_ok: history.applied,
        reloads_rejected: history.rejected,
        last_reload: history.last.map(last_reload),
        workers: control.workers(),
        drain_timeout_seconds: snapshot.drain_timeout.as_secs_f64(),
        shutdown_delay_seconds: snapshot.shutdown_delay.as_secs_f64(),
        buffer_memory_bytes: snapshot.buffer_memory,
        token: snapshot.admin_token.is_some(),
        listeners: snapshot.listeners.iter().map(|listener| listener.name.to_string()).collect(),
        routes: routes.map(|routing| routing.account.route().to_owned()).collect(),
        pools: snapshot.pools.iter().map(|pool| settings(pool)).collect(),
    }
}

fn settings(pool: &Pool) -> PoolSettingsView {
    PoolSettingsView {
        name: pool.name.to_string(),
        balance: pool.algorithm.name.to_owned(),
        backends: pool.members.len(),
        health: pool.check.is_some(),
        sticky: pool.sticky.is_some(),
        queue_max: pool.queue_max,
        queue_timeout_seconds: pool.queue_timeout.as_secs_f64(),
        connect_timeout_seconds: pool.connect_timeout.as_secs_f64(),
        response_timeout_seconds: pool.response_timeout.as_secs_f64(),
        idle_timeout_seconds: pool.idle_timeout.as_secs_f64(),
        tunnel_timeout_seconds: pool.tunnel_timeout.as_secs_f64(),
        keep_alive_seconds: pool.keep_alive.as_secs_f64(),
    }
}

fn last_reload(last: LastReload) -> LastReloadView {
    let result = if last.applied { "ok" } else { "rejected" };
    LastReloadView { time: epoch_seconds(last.at), result, text: last.text }
}

fn epoch_seconds(wall: SystemTime) -> f64 {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3
}
