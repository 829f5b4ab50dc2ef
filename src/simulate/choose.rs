//! Who decides where a request goes: the daemon's algorithms, or a rule to compare them with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Queue;
use crate::backend::Backend;
use crate::balance::{Algorithm, Balancer, Candidate, Memory, Pick, Settings};

/// Decides for each request.
pub trait Chooser {
    /// The servers in the list have changed: `listed` holds the index of each that is in it now.
    fn relist(&mut self, listed: &[usize], candidates: &[Candidate]);

    /// Who takes the request that comes now; `None`: nobody can.
    fn choose(&mut self, view: &View<'_>, random: &mut fastrand::Rng) -> Option<usize>;

    /// A request that was sent to `server` has ended after `took`.
    fn ended(&mut self, _server: usize, _took: Duration, _good: bool) {}
}

/// What there is to see at the moment of a choice.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) now: Instant,
    pub(super) now_ns: u64,
    pub(super) queues: &'a [Queue],
    pub(super) backends: &'a [Arc<Backend>],
    /// Who was tried for this request, or is known not to take it.
    pub(super) passed: &'a [usize],
}

impl View<'_> {
    /// Since the beginning.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }

    /// Requests in flight at this server.
    pub fn in_flight(&self, server: usize) -> u32 {
        self.backends.get(server).map_or(0, |backend| backend.in_flight())
    }

    /// When a request that went to this server now would be answered, on average. Nobody but an oracle can
    /// know it.
    pub fn expected(&self, server: usize) -> Duration {
        self.queues.get(server).map_or(Duration::MAX, |queue| {
            Duration::from_nanos(queue.wait_ns(self.now_ns)) + queue.server().service.mean()
        })
    }
}

/// An algorithm of the daemon's registry, compiled anew whenever the list changes, as the daemon does it.
#[derive(Debug)]
pub struct Ours {
    algorithm: &'static Algorithm,
    memory: Arc<Memory>,
    listed: Vec<usize>,
    balancer: Option<Box<dyn Balancer>>,
}

impl Ours {
    /// This algorithm; it picks nobody before the first [`Chooser::relist`].
    pub fn new(algorithm: &'static Algorithm) -> Self {
        Self { algorithm, memory: Arc::default(), listed: Vec::new(), balancer: None }
    }
}

impl Chooser for Ours {
    fn relist(&mut self, listed: &[usize], candidates: &[Candidate]) {
        self.listed = listed.to_vec();
        self.balancer = Some((self.algorithm.build)(candidates, &self.memory, Settings::default()));
    }

    fn choose(&mut self, view: &View<'_>, random: &mut fastrand::Rng) -> Option<usize> {
        let key = random.u64(..);
        let position = |server: &usize| self.listed.iter().position(|listed| listed == server);
        let tried: Vec<usize> = view.passed.iter().filter_map(position).collect();
        let mut pick = Pick { key, tried: &tried, random, now: view.now };
        let index = self.balancer.as_ref()?.pick(&mut pick)?;
        self.listed.get(index).copied()
    }
}
