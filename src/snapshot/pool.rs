//! Pools as they run: who belongs to them, and who of these is usable now.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::orders::Entry;
use super::review::{Notes, Roster};
use super::tls::Origination;
use crate::announce;
use crate::backend::{ADAPTIVE, Backend};
use crate::balance::{Algorithm, Memory, Settings};
use crate::health::Check;
use crate::observe::{BackendSeries, Objective, PoolSeries};
use crate::queue::Queue;
use crate::recent::Tag;
use crate::resilience::{HedgeDelay, Policy, RetryBudget};
use crate::roster::Squad;
use crate::sticky::Sticky;
use crate::tls::Secure;
use crate::upstream::Protocol;

/// One pool.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: Arc<str>,
    /// How one of its backends is picked.
    pub algorithm: &'static Algorithm,
    /// What the file asks of it beyond its name.
    pub settings: Settings,
    /// What the algorithm hashes.
    pub key: Key,
    /// What Host the backends see.
    pub pass_host: HostPolicy,
    /// What is spoken to its backends.
    pub protocol: Protocol,
    /// The field by which its backends report their load; `None`: they do not.
    pub load_header: Option<Box<str>>,
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
    /// How many tries the pool can afford; the same one after a reload.
    pub budget: Arc<RetryBudget>,
    /// As a share of its requests.
    pub(super) budget_ratio: f64,
    /// When a second try is made beside the first; `None`: never.
    pub hedge: Option<Arc<HedgeDelay>>,
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
    /// How a client is kept at its backend; `None`: not at all.
    pub sticky: Option<Sticky>,
    /// What is promised of it.
    pub objective: Option<Objective>,
    /// Who waits for a place; the same one after a reload.
    pub queue: Arc<Queue>,
    /// How many may wait there.
    pub queue_max: usize,
    /// How long each of them may.
    pub queue_timeout: Duration,
    /// Its counters.
    pub series: Arc<PoolSeries>,
    /// Who is usable, and what live traffic says of it.
    pub squad: Squad,
    pub(super) origination: Option<Origination>,
    pub(super) memory: Arc<Memory>,
    pub(super) roster: ArcSwap<Roster>,
    pub(super) notes: Mutex<Notes>,
}

/// One backend of a pool, with what the file says of it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Stands for its name.
    pub tag: Tag,
    /// Its share by the file; 0: no new traffic. An operator may have ordered another.
    pub weight: u16,
    /// Used only when nobody of a lower one is usable.
    pub priority: u8,
    /// Most requests in flight; 0: no limit; [`ADAPTIVE`]: it is found while it runs.
    pub limit: u32,
    /// What TLS is spoken to it.
    pub security: Security,
    /// Its counters.
    pub series: Arc<BackendSeries>,
    pub(super) entry: Entry,
}

impl Member {
    /// Most open connections; 0: no limit. What is found while it runs is a limit on requests alone: it goes up and
    /// down too fast for connections to follow.
    pub fn most_connections(&self) -> u32 {
        if self.limit == ADAPTIVE { 0 } else { self.limit }
    }
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

impl Pool {
    /// The usable backends now.
    pub fn roster(&self) -> arc_swap::Guard<Arc<Roster>> {
        self.roster.load()
    }

    /// What the file says of a backend, and its place among the members, if it is one of this pool.
    pub fn member(&self, backend: &Backend) -> Option<(usize, &Member)> {
        self.members.iter().enumerate().find(|(_, member)| member.backend.id() == backend.id())
    }
}
