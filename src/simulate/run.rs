//! The loop of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::exponential;
use super::choose::{Chooser, View};
use super::help::{Chosen, Crew, Ticket};
use super::queue::Queue;
use super::report::Report;
use super::wait::Line;
use super::{Arrivals, Scenario, ns};
use crate::backend::{self, Backend, Identity, Lease, Moment};
use crate::balance::Candidate;
use crate::resilience::Failure;
use crate::roster::{Member, Trial};

mod calls;

/// From an ejection to the list that shows it: about what the daemon's control thread takes.
const REVIEW_NS: u64 = 1_000_000;

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
            Event::Review => world.review(),
            Event::Ask { again } => world.ask(again),
            Event::End { place } => world.end(place),
            Event::Late => {}
        }
        world.answer_calls();
    }
    world.report
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A server enters or leaves the list. First of those that happen at one moment.
    Relist,
    /// Who may be chosen is looked at again.
    Review,
    /// The request at this place ends.
    End { place: usize },
    /// Somebody who waits has waited for too long.
    Late,
    /// A request comes. With `again` it calls for the next one of its stream.
    Ask { again: bool },
}

/// A request in flight.
struct Request {
    ticket: Ticket,
    lease: Lease,
    trial: Option<Trial>,
    server: usize,
    began_ns: u64,
    failure: Option<Failure>,
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
    crew: Option<Crew>,
    line: Option<Line>,
    requests: Vec<Option<Request>>,
    free: Vec<usize>,
    report: Report,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, chooser: &'a mut dyn Chooser) -> Self {
        let backends: Vec<Arc<Backend>> =
            (0..scenario.servers.len()).map(|index| Backend::new(identity(index), true)).collect();
        Self {
            scenario,
            chooser,
            random: fastrand::Rng::with_seed(scenario.seed),
            start: backend::epoch(),
            now_ns: 0,
            events: BinaryHeap::new(),
            noted: 0,
            queues: scenario.servers.iter().cloned().map(Queue::new).collect(),
            line: scenario.queue.map(|rules| Line::new(rules, &backends)),
            backends,
            crew: scenario.help.as_ref().map(|help| Crew::new(help, scenario.servers.len())),
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
        let member = |index: &usize| {
            let server = &self.scenario.servers[*index];
            let backend = Arc::clone(&self.backends[*index]);
            Member { backend, weight: server.weight.max(1), priority: 0, limit: server.limit }
        };
        let members = listed.iter().map(member);
        let now = self.now();
        match &mut self.crew {
            Some(crew) => {
                crew.relist(&listed, members.collect(), now);
                let (servers, candidates) = crew.list();
                self.chooser.relist(&servers, candidates);
                self.note_review(REVIEW_NS);
            }
            None => {
                let candidates: Vec<Candidate> = members
                    .map(|m| Candidate { backend: m.backend, weight: m.weight, limit: m.limit })
                    .collect();
                self.chooser.relist(&listed, &candidates);
            }
        }
        self.look_again();
    }

    fn review(&mut self) {
        let now = self.now();
        let Some(crew) = self.crew.as_mut().filter(|crew| crew.review_ns == Some(self.now_ns)) else {
            return;
        };
        crew.review_ns = None;
        if crew.review(now) {
            let (servers, candidates) = crew.list();
            self.chooser.relist(&servers, candidates);
        }
        let again = crew.look_again(now);
        self.look_again();
        if let Some(again) = again {
            self.note_review(ns(again));
        }
    }

    /// Notes a review after this time, if none comes earlier.
    fn note_review(&mut self, after_ns: u64) {
        let (at_ns, is_over) = (self.now_ns.saturating_add(after_ns), self.is_over());
        let Some(crew) = &mut self.crew else { return };
        if !is_over && crew.review_ns.is_none_or(|noted| at_ns < noted) {
            crew.review_ns = Some(at_ns);
            self.note(at_ns, Event::Review);
        }
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
        self.report.ask(self.now_ns);
        if let Some(crew) = &self.crew {
            crew.asked(self.now());
        }
        if !self.admitted(Ticket::new(self.now_ns)) {
            self.refuse();
        }
    }

    /// Chooses and sends; `false` where nobody takes the request.
    fn send(&mut self, ticket: Ticket) -> bool {
        self.send_to(ticket).is_some()
    }

    /// The same; gives the backend that took it.
    fn send_to(&mut self, ticket: Ticket) -> Option<u64> {
        let Chosen { server, lease, trial } = self.choose(&ticket)?;
        let backend = lease.backend().id();
        let patience_ns = ns(self.scenario.patience);
        let fate = self.queues[server].accept(self.now_ns, patience_ns, &mut self.random);
        let now = self.now();
        if let Some(crew) = &mut self.crew {
            crew.connects(server, lease.backend(), fate.failure == Some(Failure::Connect), now);
        }
        self.report.count(server, self.now_ns);
        let began_ns = self.now_ns;
        let request = Some(Request { ticket, lease, trial, server, began_ns, failure: fate.failure });
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
        Some(backend)
    }

    /// Who takes a try: the loop of the proxy's pick.
    fn choose(&mut self, ticket: &Ticket) -> Option<Chosen> {
        let now = self.now();
        if let Some(chosen) = self.crew.as_ref().and_then(|crew| crew.trial(ticket, now)) {
            return Some(chosen);
        }
        let mut passed = ticket.tried.clone();
        // Each round passes one server over, or begins anew with all of them, once.
        for _ in 0..=2 * self.queues.len() {
            let view = View {
                now,
                now_ns: self.now_ns,
                queues: &self.queues,
                backends: &self.backends,
                passed: &passed,
            };
            let Some(server) = self.chooser.choose(&view, &mut self.random) else {
                if passed.is_empty() || passed.len() > ticket.tried.len() {
                    return None;
                }
                passed.clear();
                continue;
            };
            let lease = match &self.crew {
                Some(crew) => crew.lease(server, now),
                None => Lease::take(&self.backends[server], self.scenario.servers[server].limit, now),
            };
            match lease {
                Some(lease) => return Some(Chosen { server, lease, trial: None }),
                None if self.crew.is_some() => passed.push(server),
                None => return None,
            }
        }
        None
    }

    fn end(&mut self, place: usize) {
        let Some(request) = self.requests[place].take() else { return };
        self.free.push(place);
        let Request { mut ticket, lease, trial, server, began_ns, failure } = request;
        let (now, took) = (self.now(), Duration::from_nanos(self.now_ns - began_ns));
        if failure.is_none() {
            lease.answered(took, Moment::of(now));
        } else {
            lease.failed(took, Moment::of(now));
        }
        self.chooser.ended(server, took, failure.is_none());
        let again = self.helped(&mut ticket, server, &lease, trial, failure);
        drop(lease);
        if again && self.admitted(ticket.clone()) {
            return;
        }
        if ticket.asked_ns >= ns(self.scenario.warm_up) {
            self.report.took.record(self.now_ns - ticket.asked_ns);
        }
        self.report.failed += u64::from(failure.is_some());
        if matches!(self.scenario.arrivals, Arrivals::Closed { .. }) && !self.is_over() {
            let at_ns = self.now_ns.saturating_add(self.pause_ns());
            self.note(at_ns, Event::Ask { again: true });
        }
    }

    /// What the helpers make of a try that has ended. Gives whether another one is made.
    fn helped(
        &mut self,
        ticket: &mut Ticket,
        server: usize,
        lease: &Lease,
        trial: Option<Trial>,
        failure: Option<Failure>,
    ) -> bool {
        let now = self.now();
        let Some(crew) = &self.crew else { return false };
        let is_trial = trial.is_some();
        let changed = crew.judge(server, lease, trial, failure.is_none(), now);
        let again =
            failure.is_some_and(|failure| crew.may_retry(ticket, (server, lease), (failure, is_trial), now));
        if changed {
            if failure.is_none() {
                self.report.returns.push((server, Duration::from_nanos(self.now_ns)));
            } else {
                self.report.ejections += 1;
            }
            self.note_review(REVIEW_NS);
        }
        again
    }
}

fn identity(index: usize) -> Identity {
    Identity {
        pool: Arc::from("simulated"),
        name: Arc::from(format!("server{index}")),
        address: Arc::from(format!("server{index}.internal:80")),
    }
}
