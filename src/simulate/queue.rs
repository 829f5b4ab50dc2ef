//! A server at work: who waits, until when, and what is wrong with it just now.

use std::time::Duration;

use super::{FaultKind, Server, ns};
use crate::resilience::Failure;

/// How long a dead host takes to refuse.
const REFUSAL_NS: u64 = 200_000;

/// What becomes of a request, known when it comes because queues are first come, first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// When it ends, in ns.
    pub(super) at_ns: u64,
    /// Why it is no good answer, if it is none.
    pub(super) failure: Option<Failure>,
}

/// A server while it runs.
#[derive(Debug)]
pub(super) struct Queue {
    server: Server,
    /// When each place of work is free again, in ns.
    free_at_ns: Box<[u64]>,
}

impl Queue {
    pub(super) fn new(server: Server) -> Self {
        let slots = vec![0; server.slots.max(1)];
        Self { server, free_at_ns: slots.into() }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// How long a request that came now would wait for its turn.
    pub(super) fn wait_ns(&self, now_ns: u64) -> u64 {
        self.free_at_ns.iter().copied().min().unwrap_or(0).saturating_sub(now_ns)
    }

    /// Takes a request in. One that is given up after `patience_ns` is worked on all the same: a server
    /// seldom notices that its client has left.
    pub(super) fn accept(&mut self, now_ns: u64, patience_ns: u64, random: &mut fastrand::Rng) -> Fate {
        let failed =
            |after_ns: u64, failure| Fate { at_ns: now_ns.saturating_add(after_ns), failure: Some(failure) };
        let given_up = failed(patience_ns, Failure::Timeout);
        match self.fault_at(now_ns).map(|(kind, _)| kind) {
            Some(FaultKind::Dead) => return failed(REFUSAL_NS, Failure::Connect),
            Some(FaultKind::FailsFast(after)) => {
                return failed(ns(after), Failure::Status(500));
            }
            Some(FaultKind::BlackHole) => return given_up,
            _ => {}
        }
        let Some(slot) = (0..self.free_at_ns.len()).min_by_key(|slot| self.free_at_ns[*slot]) else {
            return given_up;
        };
        let mut start_ns = self.free_at_ns[slot].max(now_ns);
        let mut factor = 1.0;
        match self.fault_at(start_ns) {
            Some((FaultKind::Paused, left)) => start_ns = start_ns.saturating_add(ns(left)),
            Some((FaultKind::Slow(times), _)) => factor = times,
            Some((FaultKind::Recovering(times), left)) => {
                factor = 1.0 + (times - 1.0) * self.share_left(start_ns, left);
            }
            _ => {}
        }
        let work_ns = self.server.service.draw(random) as f64 * factor;
        let end_ns = start_ns.saturating_add(work_ns as u64);
        self.free_at_ns[slot] = end_ns;
        if end_ns > given_up.at_ns { given_up } else { Fate { at_ns: end_ns, failure: None } }
    }

    /// The fault that holds at this time, and how long it still does.
    fn fault_at(&self, now_ns: u64) -> Option<(FaultKind, Duration)> {
        let now = Duration::from_nanos(now_ns);
        let fault = self.server.faults.iter().find(|fault| fault.during.contains(&now))?;
        Some((fault.kind, fault.during.end - now))
    }

    fn share_left(&self, now_ns: u64, left: Duration) -> f64 {
        let now = Duration::from_nanos(now_ns);
        let whole = self.server.faults.iter().find(|fault| fault.during.contains(&now));
        whole.map_or(0.0, |fault| left.as_secs_f64() / (fault.during.end - fault.during.start).as_secs_f64())
    }
}
