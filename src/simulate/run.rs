//! The loop of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::exponential;
use super::choose::{Chooser, View};
use super::queue::Queue;
use super::report::Report;
use super::{Arrivals, Scenario, ns};
use crate::backend::{self, Backend, Identity, Lease};
use crate::balance::Candidate;

/// The least pause of a closed client whose request nobody could take: without it a client that does not
/// think would ask for ever in one moment.
const REFUSED_PAUSE_NS: u64 = 1_000_000;

/// Plays the scenario through.
pub fn run(scenario: &Scenario, chooser: &mut dyn Chooser) -> Report {
    let mut world = World::new(scenario, chooser);
    world.begin();
    while let Some(Reverse((at_ns, _, event))) = world.events.pop() {
        world.now_ns = at_ns;
        match event {
            Event::Relist => world.relist(),
            Event::Ask { again } => world.ask(again),
            Event::End { place } => world.end(place),
        }
    }
    world.report
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A server enters or leaves the list. First of those that happen at one moment.
    Relist,
    /// The request at this place ends.
    End { place: usize },
    /// A request comes. With `again` it calls for the next one of its stream.
    Ask { again: bool },
}

/// A request in flight.
struct Request {
    lease: Lease,
    server: usize,
    began_ns: u64,
    good: bool,
}

struct World<'a> {
    scenario: &'a Scenario,
    chooser: &'a mut dyn Chooser,
    random: fastrand::Rng,
    start: Instant,
    now_ns: u64,
    /// When, in what order those of one moment were noted, and what.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    noted: u64,
    queues: Vec<Queue>,
    backends: Vec<Arc<Backend>>,
    requests: Vec<Option<Request>>,
    free: Vec<usize>,
    report: Report,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, chooser: &'a mut dyn Chooser) -> Self {
        let backends = (0..scenario.servers.len()).map(|index| Backend::new(identity(index), true)).collect();
        Self {
            scenario,
            chooser,
            random: fastrand::Rng::with_seed(scenario.seed),
            start: backend::epoch(),
            now_ns: 0,
            events: BinaryHeap::new(),
            noted: 0,
            queues: scenario.servers.iter().cloned().map(Queue::new).collect(),
            backends,
            requests: Vec::new(),
            free: Vec::new(),
            report: Report::new(scenario.servers.len()),
        }
    }

    fn begin(&mut self) {
        self.relist();
        let length = self.scenario.length;
        for server in &self.scenario.servers {
            for moment in [server.listed.start, server.listed.end] {
                if !moment.is_zero() && moment < length {
                    self.note(ns(moment), Event::Relist);
                }
            }
        }
        match self.scenario.arrivals {
            Arrivals::Closed { clients, .. } => {
                for _ in 0..clients {
                    let at_ns = self.pause_ns();
                    self.note(at_ns, Event::Ask { again: true });
                }
            }
            _ => {
                let at_ns = self.pause_ns();
                self.note(at_ns, Event::Ask { again: true });
            }
        }
    }

    fn note(&mut self, at_ns: u64, event: Event) {
        self.noted += 1;
        self.events.push(Reverse((at_ns, self.noted, event)));
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.now_ns)
    }

    fn relist(&mut self) {
        let now = Duration::from_nanos(self.now_ns);
        let servers = self.scenario.servers.iter().enumerate();
        let listed: Vec<usize> =
            servers.filter(|(_, server)| server.listed.contains(&now)).map(|(index, _)| index).collect();
        let candidates: Vec<Candidate> = listed
            .iter()
            .map(|index| {
                let server = &self.scenario.servers[*index];
                let backend = Arc::clone(&self.backends[*index]);
                Candidate { backend, weight: server.weight.max(1), limit: server.limit }
            })
            .collect();
        self.chooser.relist(&listed, &candidates);
    }

    /// The time to the next request of a stream.
    fn pause_ns(&mut self) -> u64 {
        match self.scenario.arrivals {
            Arrivals::Poisson { per_second } => (exponential(&mut self.random) * 1e9 / per_second) as u64,
            Arrivals::Bursts { every, .. } => ns(every).max(1),
            Arrivals::Closed { think, .. } => {
                (exponential(&mut self.random) * think.as_nanos() as f64) as u64
            }
        }
    }

    fn is_over(&self) -> bool {
        self.now_ns >= ns(self.scenario.length)
    }

    fn ask(&mut self, again: bool) {
        if self.is_over() {
            return;
        }
        let closed = matches!(self.scenario.arrivals, Arrivals::Closed { .. });
        if again && !closed {
            let at_ns = self.now_ns.saturating_add(self.pause_ns());
            self.note(at_ns, Event::Ask { again: true });
        }
        if again && let Arrivals::Bursts { size, .. } = self.scenario.arrivals {
            for _ in 1..size {
                self.note(self.now_ns, Event::Ask { again: false });
            }
        }
        if !self.send() {
            self.report.refused += 1;
            if closed {
                let at_ns = self.now_ns.saturating_add(self.pause_ns().max(REFUSED_PAUSE_NS));
                self.note(at_ns, Event::Ask { again: true });
            }
        }
    }

    /// Chooses and sends; `false` where nobody takes the request.
    fn send(&mut self) -> bool {
        let view =
            View { now: self.now(), now_ns: self.now_ns, queues: &self.queues, backends: &self.backends };
        let Some(server) = self.chooser.choose(&view, &mut self.random) else { return false };
        let limit = self.scenario.servers[server].limit;
        let Some(lease) = Lease::take(&self.backends[server], limit, self.now()) else { return false };
        let patience_ns = ns(self.scenario.patience);
        let fate = self.queues[server].accept(self.now_ns, patience_ns, &mut self.random);
        self.report.count(server, self.now_ns);
        let request = Some(Request { lease, server, began_ns: self.now_ns, good: fate.good });
        let place = match self.free.pop() {
            Some(place) => {
                self.requests[place] = request;
                place
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.note(fate.at_ns, Event::End { place });
        true
    }

    fn end(&mut self, place: usize) {
        let Some(request) = self.requests[place].take() else { return };
        self.free.push(place);
        let took_ns = self.now_ns - request.began_ns;
        let took = Duration::from_nanos(took_ns);
        if request.began_ns >= ns(self.scenario.warm_up) {
            self.report.took.record(took_ns);
        }
        if request.good {
            request.lease.answered(took, self.now());
        } else {
            self.report.failed += 1;
            request.lease.failed(took, self.now());
        }
        self.chooser.ended(request.server, took, request.good);
        drop(request);
        if matches!(self.scenario.arrivals, Arrivals::Closed { .. }) && !self.is_over() {
            let at_ns = self.now_ns.saturating_add(self.pause_ns());
            self.note(at_ns, Event::Ask { again: true });
        }
    }
}

fn identity(index: usize) -> Identity {
    Identity {
        pool: Arc::from("simulated"),
        name: Arc::from(format!("server{index}")),
        address: Arc::from(format!("server{index}.internal:80")),
    }
}
