//! Pools as they run: who belongs to them, and who of these is usable now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::tls::Origination;
use crate::announce;
use crate::backend::Backend;
use crate::balance::{Algorithm, Balancer, Candidate, Memory};
use crate::health::Check;
use crate::observe::{BackendSeries, PoolSeries};
use crate::resilience::{Policy, RetryBudget};
use crate::tls::Secure;

/// One pool.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: Arc<str>,
    /// How one of its backends is picked.
    pub algorithm: &'static Algorithm,
    /// What the algorithm hashes.
    pub key: Key,
    /// What Host the backends see.
    pub pass_host: HostPolicy,
    /// How its backends are told who the client is, before the first byte; `None`: not at all.
    pub announce: Option<announce::Version>,
    /// Every backend, in the order of the file.
    pub members: Vec<Member>,
    /// How each is probed; `None`: not at all.
    pub check: Option<Arc<Check>>,
    /// When another try is made.
    pub retry: Policy,
    /// How much of a request body is kept for another try, in bytes.
    pub retry_buffer: usize,
    /// How many tries the pool can afford.
    pub budget: Arc<RetryBudget>,
    /// Connect, TLS included.
    pub connect_timeout: Duration,
    /// From the end of the request to the head of the response.
    pub response_timeout: Duration,
    /// Without progress while we wait for the backend's body.
    pub idle_timeout: Duration,
    /// In place of it for tunnels and event streams.
    pub tunnel_timeout: Duration,
    /// An idle pooled connection.
    pub keep_alive: Duration,
    /// Its counters.
    pub series: Arc<PoolSeries>,
    pub(super) origination: Option<Origination>,
    pub(super) memory: Arc<Memory>,
    pub(super) roster: ArcSwap<Roster>,
    pub(super) rebuilding: Mutex<()>,
}

/// One backend of a pool, with what the file says of it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its share; 0: no new traffic.
    pub weight: u16,
    /// Used only when no other is usable.
    pub backup: bool,
    /// Most requests in flight; 0: no limit.
    pub limit: u32,
    /// What TLS is spoken to it.
    pub security: Security,
    /// Its counters.
    pub series: Arc<BackendSeries>,
}

/// What TLS is spoken to a backend.
#[derive(Debug, Clone)]
pub enum Security {
    /// None.
    Plain,
    /// This.
    Tls(Arc<Secure>),
    /// It could not be put together after all: the backend cannot be reached, and nothing goes in clear.
    Broken,
}

impl Security {
    /// Whether a connection on which so much was agreed is as safe as is asked for now.
    pub fn is_of(&self, agreed: Option<&Arc<Secure>>) -> bool {
        match self {
            Self::Plain => agreed.is_none(),
            Self::Tls(secure) => agreed == Some(secure),
            Self::Broken => false,
        }
    }
}

/// What a request gives to an algorithm that hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Nothing.
    None,
    /// The client's address.
    ClientIp,
    /// The path without the query.
    Path,
    /// Path and query.
    Uri,
    /// A field.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// A query parameter.
    Query(Box<str>),
}

/// What Host the backends see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// The client's.
    Client,
    /// The backend's configured address.
    Backend,
    /// A fixed one.
    Fixed(Box<str>),
}

/// The usable backends at one moment, compiled for picking.
#[derive(Debug)]
pub struct Roster {
    /// Who may be picked.
    pub candidates: Vec<Candidate>,
    /// Their counters, by the same index.
    pub series: Vec<Arc<BackendSeries>>,
    /// What TLS is spoken to them, by the same index.
    pub security: Vec<Security>,
    /// Who picks.
    pub balancer: Box<dyn Balancer>,
}

impl Pool {
    /// The usable backends now.
    pub fn roster(&self) -> arc_swap::Guard<Arc<Roster>> {
        self.roster.load()
    }

    /// What the file says of a backend, if it is one of this pool.
    pub fn member(&self, backend: &Backend) -> Option<&Member> {
        self.members.iter().find(|member| member.backend.id() == backend.id())
    }

    /// Looks at every member again and compiles the usable ones. To be called after any of them went up
    /// or down.
    pub fn refresh(&self, now: Instant) {
        // Two threads that both saw a change must not put the older view over the newer one.
        let _one_at_a_time = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        let roster = Roster::compile(&self.members, self.algorithm, &self.memory);
        let cause = if roster.candidates.is_empty() { "no backend is usable" } else { "a backend is usable" };
        self.series.set_serving(!roster.candidates.is_empty(), cause, now);
        self.roster.store(Arc::new(roster));
    }
}

impl Roster {
    pub(super) fn compile(members: &[Member], algorithm: &Algorithm, memory: &Arc<Memory>) -> Self {
        let usable = |backup: bool| {
            members
                .iter()
                .filter(move |m| m.backup == backup && m.weight > 0 && m.backend.condition().is_up())
        };
        let mut chosen: Vec<&Member> = usable(false).collect();
        if chosen.is_empty() {
            chosen = usable(true).collect();
        }
        let candidates: Vec<Candidate> = chosen
            .iter()
            .map(|m| Candidate { backend: Arc::clone(&m.backend), weight: m.weight, limit: m.limit })
            .collect();
        let series = chosen.iter().map(|m| Arc::clone(&m.series)).collect();
        let security = chosen.iter().map(|m| m.security.clone()).collect();
        let balancer = (algorithm.build)(&candidates, memory);
        Self { candidates, series, security, balancer }
    }
}
