//! One backend: who it is, what it is doing right now, and the lease that a request holds on it.
//!
//! A [`Backend`] is shared by every worker and lives across reloads as long as its [`Identity`] stays in
//! the configuration. What the whole process must agree on (requests in flight, open connections,
//! response time, health) is kept here in atomics, never per worker: a balancer that sees only its own
//! worker's share balances badly.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::queue::Queue;

mod adaptive;
mod agent;
mod clock;
mod condition;
mod conduct;
mod fading;
mod latency;
mod lease;
mod orders;
mod pause;
#[cfg(test)]
mod tests;
mod waiting;

pub use adaptive::{ADAPTIVE, Adaptive, LIMIT_MAX, LIMIT_MIN};
pub use agent::{Advice, Agent, Load};
pub use clock::{CoarseClock, Moment, epoch};
pub use condition::{Condition, State};
pub use conduct::{Conduct, Footing, Standing, Tally, Window};
pub use latency::{Latency, Norm};
pub use lease::Lease;
pub use orders::{Duty, Order, Orders};
pub use pause::Pause;

/// What makes a backend the same one after a reload: pool, name and address together. Keyed by less,
/// state would be carried over to another server that happens to share a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The pool it belongs to.
    pub pool: Arc<str>,
    /// Its name within the pool (the address where none was given).
    pub name: Arc<str>,
    /// `host:port` as configured, before any resolution.
    pub address: Arc<str>,
}

/// One server of one pool.
#[derive(Debug)]
pub struct Backend {
    id: u64,
    identity: Identity,
    starts_up: bool,
    in_flight: AtomicU32,
    tunnels: AtomicU32,
    connections: AtomicU32,
    idle_connections: AtomicU32,
    strays: AtomicU64,
    /// The highest minor version of HTTP/1 that it has answered in, and 1; 0: it has not answered.
    spoken: AtomicU8,
    resolved: ArcSwapOption<SocketAddr>,
    /// How often the address has changed.
    moves: AtomicU32,
    retired: AtomicBool,
    latency: Latency,
    /// The limit that is found while it runs; only where a pool has ever asked for one.
    adaptive: OnceLock<Box<Adaptive>>,
    adapts: AtomicBool,
    condition: Condition,
    conduct: Conduct,
    orders: Orders,
    pause: Pause,
    agent: Agent,
    load: Load,
    probe_wanted: Notify,
    /// Where requests wait for a place here.
    queue: OnceLock<Arc<Queue>>,
    /// How many wait for a connection to close.
    wanting: AtomicU32,
    closed: Notify,
}

impl Backend {
    /// A backend that nothing is known of yet: no address, no sample, up or down by `initial_up`.
    pub fn new(identity: Identity, initial_up: bool) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            identity,
            starts_up: initial_up,
            in_flight: AtomicU32::new(0),
            tunnels: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            idle_connections: AtomicU32::new(0),
            strays: AtomicU64::new(0),
            spoken: AtomicU8::new(0),
            resolved: ArcSwapOption::empty(),
            moves: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            latency: Latency::new(),
            adaptive: OnceLock::new(),
            adapts: AtomicBool::new(false),
            condition: Condition::new(initial_up),
            conduct: Conduct::new(),
            orders: Orders::default(),
            pause: Pause::default(),
            agent: Agent::new(),
            load: Load::new(),
            probe_wanted: Notify::new(),
            queue: OnceLock::new(),
            wanting: AtomicU32::new(0),
            closed: Notify::new(),
        })
    }

    /// A number no other backend of this process ever has: keys the workers' connection pools.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Pool, name and configured address.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it counts as up while nothing is known of it: at the start, and again when its name
    /// resolves after it did not.
    pub fn starts_up(&self) -> bool {
        self.starts_up
    }

    /// The socket address to dial; `None` while its host name has not been resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        self.resolved.load().as_deref().copied()
    }

    /// Sets the address to dial. Gives back whether it changed.
    pub fn set_address(&self, address: Option<SocketAddr>) -> bool {
        let old = self.resolved.swap(address.map(Arc::new));
        let moved = old.as_deref().copied() != address;
        if moved {
            // What was said of the machine that was there before is not said of this one.
            self.conduct.begin_anew();
            self.pause.end();
            self.moves.fetch_add(1, Ordering::AcqRel);
        }
        moved
    }

    /// How often the address has changed: a connection opened before the last change leads elsewhere.
    pub fn moves(&self) -> u32 {
        self.moves.load(Ordering::Acquire)
    }

    /// Requests and tunnels in flight, over all workers. Probes are not counted.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tunnels among those in flight.
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Counts a tunnel for as long as what is given lives.
    pub fn open_tunnel(self: &Arc<Self>) -> Tunnel {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
        if self.adaptive.get().is_some() {
            self.has_more_room();
        }
        Tunnel(Arc::clone(self))
    }

    /// Open connections of live traffic (active and idle), over all workers.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Idle pooled connections, over all workers.
    pub fn idle_connections(&self) -> u32 {
        self.idle_connections.load(Ordering::Relaxed)
    }

    /// Counts a connection that is to be opened, unless `limit` are open already (0: no limit).
    pub fn open_connection(&self, limit: u32) -> bool {
        let one_more = |before| (limit == 0 || before < limit).then_some(before + 1);
        self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    /// A connection that was counted has closed.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
        if self.wanting.load(Ordering::SeqCst) != 0 {
            self.closed.notify_one();
        }
    }

    /// Waits until a connection has closed, at most so long: those that close between a look at
    /// [`Self::connections`] and this may be missed.
    pub async fn until_connection_closed(&self, at_most: Duration) {
        let _counted = Wanting::begin(self);
        // Nothing is missed but time.
        let _ = tokio::time::timeout(at_most, self.closed.notified()).await;
    }

    /// The gauge behind [`Self::idle_connections`]; moved only by `upstream`.
    pub fn idle_gauge(&self) -> &AtomicU32 {
        &self.idle_connections
    }

    /// Connections that were closed because bytes came from it which belong to no response.
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// Counts one of [`Self::strays`].
    pub fn count_stray(&self) {
        self.strays.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that it has answered in HTTP/1.`minor`.
    pub fn answered_in(&self, minor: u8) {
        let spoken = minor.saturating_add(1);
        // Nearly always it is what it was: a load costs the other workers nothing.
        if self.spoken.load(Ordering::Relaxed) < spoken {
            self.spoken.fetch_max(spoken, Ordering::Relaxed);
        }
    }

    /// Whether it has answered, and never in more than HTTP/1.0. One that speaks 1.1 may well answer some
    /// requests in 1.0.
    pub fn speaks_only_10(&self) -> bool {
        self.spoken.load(Ordering::Relaxed) == 1
    }

    /// Whether its limit is found while it runs, from now on.
    pub fn set_adapts(&self, adapts: bool) {
        self.adapts.store(adapts, Ordering::Relaxed);
    }

    /// The limit that was found; `None` where another one holds, or none.
    pub fn found_limit(&self) -> Option<u32> {
        self.adapts.load(Ordering::Relaxed).then(|| self.adaptive().limit())
    }

    fn adaptive(&self) -> &Adaptive {
        // By the address, so that every node, and every run of the simulator, does the same.
        let salt = |sum: u32, byte: u8| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
        self.adaptive.get_or_init(|| Box::new(Adaptive::new(self.identity.address.bytes().fold(0, salt))))
    }

    /// How many requests may be in flight by a limit that may be [`ADAPTIVE`]; 0: no limit.
    pub fn limit(&self, limit: u32) -> u32 {
        match limit {
            // Tunnels are no work that waits: they are counted, and room is made for them.
            ADAPTIVE => self.adaptive().limit().saturating_add(self.tunnels()),
            fixed => fixed,
        }
    }

    /// Whether another request may be in flight by a limit that may be [`ADAPTIVE`].
    pub fn has_room(&self, limit: u32) -> bool {
        limit == 0 || self.in_flight() < self.limit(limit)
    }

    /// Ends what keeps its limit low for too long. To be called where nobody had room.
    pub fn hurry(&self, now: Instant) {
        if self.adaptive.get().is_some_and(|adaptive| adaptive.hurry(Moment::of(now))) {
            self.has_more_room();
        }
    }

    fn has_more_room(&self) {
        if let Some(queue) = self.queue.get().filter(|queue| queue.is_awaited()) {
            queue.look_again();
        }
    }

    /// How fast it has been answering.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// What probes (and name resolution) say of it.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// What live traffic says of it.
    pub fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// The pause that it has asked for itself.
    pub fn pause(&self) -> &Pause {
        &self.pause
    }

    /// What an operator has ordered of it.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// What its agent has said of it.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The load that it reports.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Marks it as gone from the configuration: idle connections to it are closed, none is kept.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Whether it has gone from the configuration.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// From now on tells its pool's queue whenever a place is free. The first one stays: a backend is of one pool
    /// for as long as it lives.
    pub fn serves(&self, queue: &Arc<Queue>) {
        self.queue.get_or_init(|| Arc::clone(queue));
    }

    /// Asks the prober to look now: live traffic failed to connect.
    pub fn want_probe(&self) {
        self.probe_wanted.notify_one();
    }

    /// Waits until live traffic asks for a probe.
    pub async fn probe_wanted(&self) {
        self.probe_wanted.notified().await;
    }
}

/// A tunnel that is open.
#[derive(Debug)]
pub struct Tunnel(Arc<Backend>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one who waits for a connection to close.
struct Wanting<'a>(&'a Backend);

impl<'a> Wanting<'a> {
    fn begin(backend: &'a Backend) -> Self {
        backend.wanting.fetch_add(1, Ordering::SeqCst);
        Self(backend)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.wanting.fetch_sub(1, Ordering::SeqCst);
    }
}
