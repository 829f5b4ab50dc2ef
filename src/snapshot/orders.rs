//! What operators ordered, over reloads and until all that ran has ended.

use std::time::{Duration, Instant};

use super::pool::Pool;
use crate::backend::{Backend, Duty, Order};
use crate::config;

/// Between two looks at what still runs where nothing new goes. One that has just been told is looked at only
/// after it: a worker may have picked it at that very moment.
const LOOK: Duration = Duration::from_millis(100);

/// What the file says of one backend itself: an operator's order holds until a reload changes it. The pool's own
/// `max_connections` is no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    weight: u16,
    priority: u8,
    limit: Option<config::MaxConnections>,
}

impl Entry {
    pub(super) fn of(pool: &config::Pool, backend: &config::Backend) -> Self {
        let limit = (backend.max_connections != pool.max_connections).then_some(backend.max_connections);
        Self { weight: backend.weight, priority: backend.priority, limit }
    }
}

/// The file says something else of a backend now: what an operator ordered is over.
pub(super) fn end_order(backend: &Backend, now: Instant) {
    if backend.orders().order() != Order::default() {
        let identity = backend.identity();
        tracing::info!(target: "equipoise::snapshot", pool = &*identity.pool, backend = &*identity.name,
            "a reload changes the backend: what was ordered of it is over");
        backend.obey(Order::default(), now);
    }
}

impl Pool {
    /// Tells when all that ran at a backend where nothing new goes has ended. Gives when to look again.
    pub(super) fn watch_leaving(
        &self,
        leaving: &mut [Option<(Duty, Instant)>],
        now: Instant,
    ) -> Option<Duration> {
        let mut waits = false;
        for (member, leaving) in self.members.iter().zip(leaving) {
            let (backend, duty) = (&member.backend, member.backend.orders().order().duty);
            if duty == Duty::Ready || backend.orders().is_drained() {
                *leaving = None;
                continue;
            }
            let since = match *leaving {
                Some((before, since)) if before == duty => since,
                _ => leaving.insert((duty, now)).1,
            };
            if backend.in_flight() > 0 || now.saturating_duration_since(since) < LOOK {
                waits = true;
                continue;
            }
            backend.orders().drained();
            let (pool, backend) = (&*self.name, &*backend.identity().name);
            tracing::info!(target: "equipoise::roster", pool, backend, state = duty.name(), "backend is drained");
        }
        waits.then_some(LOOK)
    }
}
