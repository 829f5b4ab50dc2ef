//! Pick one eligible backend.
//!
//! A pool's usable backends change rarely and picks are many, so each algorithm compiles a list of
//! [`Candidate`]s into a [`Balancer`] off the workers, and workers only read it. What must be one
//! truth for the process (whose turn it is) lives in [`Memory`] and is handed to the next compilation.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bound::Total;

use crate::backend::{Backend, Norm};

mod bound;
mod choices;
mod draws;
mod hash;
mod least_connections;
mod least_response_time;
mod norm;
mod power_of_two;
mod random;
mod round_robin;
mod shares;
#[cfg(test)]
mod tests;
mod tied;
mod turns;

pub use hash::{address_key, key};

/// A backend as the balancer sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its share; at least 1 (weight 0 is never a candidate).
    pub weight: u16,
    /// Most requests in flight; 0: no limit.
    pub limit: u32,
}

/// Something that every worker writes, on cache lines of its own (two, for processors fetch them in pairs): what others
/// only read would go from core to core along with it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What outlives a compilation: one per pool, carried over a reload.
#[derive(Debug, Default)]
pub struct Memory {
    /// Turns taken so far, by every worker.
    pub turn: Apart<AtomicU64>,
    /// How fast the pool answers.
    pub norm: Arc<Norm>,
    /// What is in flight at all candidates, where a bound on each of them is asked for.
    total: Total,
}

impl Memory {
    /// As it is now, to go on with elsewhere: what is taken from the one is not from the other.
    pub fn copied(&self) -> Self {
        Self {
            turn: Apart(AtomicU64::new(self.turn.load(Ordering::Relaxed))),
            norm: Arc::new(self.norm.copied()),
            total: self.total.copied(),
        }
    }
}

/// What a pool's file asks of its algorithm beyond the name.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Settings {
    /// For the algorithms that hash: nobody is given more than this multiple (1.0 or more) of its share of what is
    /// in flight; `None`: no bound.
    pub balance_factor: Option<f64>,
}

/// The facts of one pick.
#[derive(Debug)]
pub struct Pick<'a> {
    /// Hash of the request's key (0 where the algorithm wants none).
    pub key: u64,
    /// Indexes of candidates that were tried for this request, or whose last place another worker took
    /// first: passed over. A candidate that is seen to be full is passed over without being named here.
    pub tried: &'a [usize],
    /// The worker's randomness.
    pub random: &'a mut fastrand::Rng,
    /// When the request came.
    pub now: Instant,
}

/// One compiled algorithm over one list of candidates.
pub trait Balancer: Debug + Send + Sync {
    /// The index of the candidate to use; `None` when every one is in `tried` or full.
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize>;

    /// What the algorithm makes of a candidate, where it compares them: a smaller one is better. In what it is measured
    /// says [`Algorithm::score`].
    fn score(&self, index: usize, pick: &Pick<'_>) -> Option<f64> {
        let _ = (index, pick);
        None
    }
}

/// What the algorithm needs of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Nothing.
    None,
    /// The client's address.
    ClientIp,
    /// What the pool's `hash_key` names.
    HashKey,
}

/// Compiles an algorithm for candidates.
pub type Build = fn(&[Candidate], &Arc<Memory>, Settings) -> Box<dyn Balancer>;

/// One line of the registry.
#[derive(Debug)]
pub struct Algorithm {
    /// The value of `balance`.
    pub name: &'static str,
    /// One sentence for the reference page.
    pub summary: &'static str,
    /// What it needs of the request.
    pub key: KeySource,
    /// What [`Balancer::score`] measures, and which is taken; empty where nothing is compared.
    pub score: &'static str,
    /// Compiles it for these candidates.
    pub build: Build,
}

/// Every algorithm, in the order of the reference page. A new one is one file and one line here: the
/// conformance tests, the benches and the configuration's list of known names follow by themselves.
pub static REGISTRY: &[Algorithm] = &[
    round_robin::ALGORITHM,
    round_robin::SYNONYM,
    random::ALGORITHM,
    power_of_two::ALGORITHM,
    least_connections::ALGORITHM,
    least_response_time::ALGORITHM,
    hash::BY_ADDRESS,
    hash::BY_KEY,
];

/// The algorithm of this name.
pub fn find(name: &str) -> Option<&'static Algorithm> {
    REGISTRY.iter().find(|algorithm| algorithm.name == name)
}
