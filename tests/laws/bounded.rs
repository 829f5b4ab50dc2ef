//! Hashing with a bound on the load: what it costs a key, and what it keeps its backend from.

use std::sync::Arc;
use std::time::Duration;

use equipoise::backend::epoch;
use equipoise::balance::{self, Balancer, Candidate, Memory, Pick, Settings};
use equipoise::simulate::{Arrivals, Chooser, FaultKind, Report, Scenario, Server, Spread, View, run};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Until then every server is thirty times as slow.
const BUSY: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(120);

/// The key that six of ten requests have.
const HOT: u64 = 0x1234_5678_9abc_def0;

/// `hash` with a factor, asked for one key more than for all the others together; notes what becomes of the bound
/// and of that key.
pub(crate) struct Hashing {
    factor: Option<f64>,
    memory: Arc<Memory>,
    listed: Vec<Candidate>,
    balancer: Option<Box<dyn Balancer>>,
    owner: Option<usize>,
    /// Requests that one server had more of than its bound allows.
    pub(crate) above: u64,
    /// Of the hot key, while busy and after: those at its owner, and all.
    pub(crate) hot: [(u64, u64); 2],
}

impl Hashing {
    pub(crate) fn new(factor: Option<f64>) -> Self {
        Self {
            factor,
            memory: Arc::default(),
            listed: Vec::new(),
            balancer: None,
            owner: None,
            above: 0,
            hot: [(0, 0); 2],
        }
    }

    /// The share of the hot key's requests that its owner got, while busy and after.
    pub(crate) fn at_owner(&self) -> [f64; 2] {
        self.hot.map(|(own, all)| own as f64 / all.max(1) as f64)
    }

    fn watch(&mut self, index: usize, is_hot: bool, view: &View<'_>) {
        let total: u32 = (0..self.listed.len()).map(|server| view.in_flight(server)).sum();
        let weights: f64 = self.listed.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let share = f64::from(self.listed[index].weight) / weights;
        let most = self.factor.map(|factor| (factor * f64::from(total + 1) * share - 1e-9).ceil());
        self.above += u64::from(most.is_some_and(|most| f64::from(view.in_flight(index) + 1) > most));
        if is_hot {
            let (own, all) = &mut self.hot[usize::from(view.now() >= BUSY + 5 * SECOND)];
            *all += 1;
            *own += u64::from(self.owner == Some(index));
        }
    }
}

impl Chooser for Hashing {
    fn relist(&mut self, _listed: &[usize], candidates: &[Candidate]) {
        self.listed = candidates.to_vec();
        let settings = Settings { balance_factor: self.factor };
        self.balancer = Some((balance::find("hash").unwrap().build)(candidates, &self.memory, settings));
    }

    fn choose(&mut self, view: &View<'_>, random: &mut fastrand::Rng) -> Option<usize> {
        let is_hot = random.u8(..10) < 6;
        let key = if is_hot { HOT } else { random.u64(..) };
        let now = epoch() + view.now();
        let index = self.balancer.as_ref()?.pick(&mut Pick { key, tried: &[], random, now })?;
        if is_hot && self.owner.is_none() {
            self.owner = Some(index); // nothing was in flight yet
        }
        self.watch(index, is_hot, view);
        Some(index)
    }
}

/// Four servers of 1 ms, the weights of which are 1, 2, 1 and 1, under 110 requests per second: far too much for the
/// owner of the hot key while they are slow, next to nothing afterwards.
pub(crate) fn play(chooser: &mut Hashing) -> Report {
    let mut servers =
        vec![Server::new(Spread::Exponential(MS)).with(Duration::ZERO, BUSY, FaultKind::Slow(25.0)); 4];
    servers[1].weight = 2;
    let scenario = Scenario {
        seed: 9,
        length: END,
        warm_up: Duration::ZERO,
        arrivals: Arrivals::Poisson { per_second: 110.0 },
        servers,
        patience: 10 * SECOND,
        help: None,
        queue: None,
    };
    run(&scenario, chooser)
}
