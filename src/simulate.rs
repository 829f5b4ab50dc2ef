//! A pool on a virtual clock: requests come, the daemon's own balancers pick, servers queue and fail.
//!
//! What is simulated is the world around the balancer: clients, servers and time. What is tested is not
//! copied: picks go through [`crate::balance`], requests in flight through [`Lease`], and response times
//! are recorded on the [`crate::backend::Backend`] as the proxy records them. All randomness comes from
//! the scenario's seed and no real clock is read, so that a run is the same run every time.
//!
//! There are no sockets here and no health checks. A scenario shows what the balancer does when it is alone,
//! or with the [`Help`] of ejection, slow start and retries: those are the daemon's own too.
//!
//! [`Lease`]: crate::backend::Lease

mod chance;
mod choose;
mod help;
mod queue;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod wait;

use std::ops::Range;
use std::time::Duration;

pub use chance::Spread;
pub use choose::{Chooser, Ours, View};
pub use help::Help;
pub use report::{Report, Took};
pub use run::run;
pub use wait::Waiting;

/// One experiment.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Of everything random in it.
    pub seed: u64,
    /// How long requests keep coming; those in flight then still end.
    pub length: Duration,
    /// Requests that come earlier are not part of the report's times.
    pub warm_up: Duration,
    /// How requests come.
    pub arrivals: Arrivals,
    /// Who serves them.
    pub servers: Vec<Server>,
    /// How long an answer is waited for before the request has failed.
    pub patience: Duration,
    /// What the balancer is helped by; `None`: it is alone.
    pub help: Option<Help>,
    /// Where requests wait while all servers have their limit; `None`: they are refused.
    pub queue: Option<Waiting>,
}

/// How requests come.
#[derive(Debug, Clone, Copy)]
pub enum Arrivals {
    /// Independently of each other, so many per second.
    Poisson {
        /// On average.
        per_second: f64,
    },
    /// `size` at once, again and again.
    Bursts {
        /// Requests of one burst.
        size: u32,
        /// From one to the next; at least a nanosecond.
        every: Duration,
    },
    /// From clients that each wait for their answer, think and ask again.
    Closed {
        /// How many.
        clients: u32,
        /// On average; exponentially distributed.
        think: Duration,
    },
}

/// One server of the pool: a queue before `slots` places of work.
#[derive(Debug, Clone)]
pub struct Server {
    /// How long one request is worked on.
    pub service: Spread,
    /// How many are worked on at once; the others wait in order. At least 1.
    pub slots: usize,
    /// Its weight in the pool.
    pub weight: u16,
    /// Most requests in flight; 0: no limit; [`crate::backend::ADAPTIVE`]: it is found while it runs.
    pub limit: u32,
    /// When it stands in the pool's list.
    pub listed: Range<Duration>,
    /// What goes wrong with it, and when; the first that holds counts.
    pub faults: Vec<Fault>,
}

impl Server {
    /// One place of work, weight 1, always listed, never wrong.
    pub fn new(service: Spread) -> Self {
        Self {
            service,
            slots: 1,
            weight: 1,
            limit: 0,
            listed: Duration::ZERO..Duration::MAX,
            faults: Vec::new(),
        }
    }

    /// The same with one fault more.
    pub fn with(mut self, from: Duration, until: Duration, kind: FaultKind) -> Self {
        self.faults.push(Fault { during: from..until, kind });
        self
    }
}

/// Something that is wrong for a while.
#[derive(Debug, Clone)]
pub struct Fault {
    /// From when until when.
    pub during: Range<Duration>,
    /// What.
    pub kind: FaultKind,
}

/// What can be wrong with a server.
#[derive(Debug, Clone, Copy)]
pub enum FaultKind {
    /// Each request takes so many times as long.
    Slow(f64),
    /// So many times as long at first, and evenly less until it is well at the end.
    Recovering(f64),
    /// Each request fails after this time, without waiting in the queue: a 500, say.
    FailsFast(Duration),
    /// The connection is refused after 200 µs.
    Dead,
    /// Nothing is ever answered.
    BlackHole,
    /// No work is begun until it is over, but everything is accepted: a long garbage collection, SIGSTOP.
    Paused,
}

/// In ns; what is too long for them is for ever.
fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
