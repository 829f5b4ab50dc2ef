//! What the daemon does beside balancing: who fails is ejected, who is back begins small, and a request that
//! failed is sent elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Lease, Moment};
use crate::balance::Candidate;
use crate::resilience::{Facts, Failure, Policy, RetryBudget, Verdict, decide};
use crate::roster::{Keeper, Member, Rules, Seen, Selection, Squad, Trial};

/// What stands by the balancer.
#[derive(Debug, Clone)]
pub struct Help {
    /// Ejection, panic and slow start. There are no checks.
    pub rules: Rules,
    /// When another try is made.
    pub retry: Policy,
    /// Retries per request.
    pub budget: f64,
}

/// A request on its way from try to try.
#[derive(Debug, Clone, Default)]
pub(super) struct Ticket {
    pub(super) asked_ns: u64,
    pub(super) tried: Vec<usize>,
    connect_failed: bool,
    sent: bool,
}

impl Ticket {
    pub(super) fn new(asked_ns: u64) -> Self {
        Self { asked_ns, ..Self::default() }
    }
}

/// What a try may be: at whom, as which member, and whether it tries an ejected one.
pub(super) struct Chosen {
    pub(super) server: usize,
    pub(super) lease: Lease,
    pub(super) trial: Option<Trial>,
}

/// The helpers of one run.
pub(super) struct Crew {
    retry: Policy,
    rules: Rules,
    keeper: Arc<Keeper>,
    budget: RetryBudget,
    squad: Squad,
    /// The server of each member.
    servers: Vec<usize>,
    selection: Selection,
    /// Connections that are kept to each server: as many as were ever in use at once.
    connections: Vec<u32>,
    /// When the next review is noted for.
    pub(super) review_ns: Option<u64>,
}

impl Crew {
    pub(super) fn new(help: &Help, servers: usize) -> Self {
        let keeper: Arc<Keeper> = Arc::default();
        let squad = Squad::new(Vec::new(), help.rules.clone(), Arc::clone(&keeper));
        let selection = squad.select(Vec::new());
        Self {
            retry: help.retry.clone(),
            rules: help.rules.clone(),
            keeper,
            budget: RetryBudget::new(help.budget),
            squad,
            servers: Vec::new(),
            selection,
            connections: vec![0; servers],
            review_ns: None,
        }
    }

    /// From now on these servers are in the list, as a reload does it.
    pub(super) fn relist(&mut self, servers: &[usize], members: Vec<Member>, now: Instant) {
        for (server, member) in servers.iter().zip(&members) {
            if !self.servers.is_empty() && !self.servers.contains(server) {
                member.backend.condition().join(now);
            }
        }
        self.servers = servers.to_vec();
        self.squad = Squad::new(members, self.rules.clone(), Arc::clone(&self.keeper));
        self.selection = self.squad.select(self.squad.look(Moment::of(now)));
    }

    /// Looks at everyone again. Gives whether the list has changed.
    pub(super) fn review(&mut self, now: Instant) -> bool {
        let now = Moment::of(now);
        self.squad.judge_latency(now);
        let seen: Vec<Seen> = self.squad.look(now);
        let changed = seen != self.selection.seen;
        if changed {
            self.selection = self.squad.select(seen);
        }
        changed
    }

    /// After how long to look again.
    pub(super) fn look_again(&self, now: Instant) -> Option<Duration> {
        self.squad.look_again(&self.selection.seen, Moment::of(now))
    }

    /// The servers that may be chosen, and how they look to a balancer.
    pub(super) fn list(&self) -> (Vec<usize>, &[Candidate]) {
        (self.selection.places.iter().map(|place| self.servers[*place]).collect(), &self.selection.candidates)
    }

    /// The right to try an ejected server, if one is due. All requests here can be sent again elsewhere.
    pub(super) fn trial(&self, ticket: &Ticket, now: Instant) -> Option<Chosen> {
        if !ticket.tried.is_empty() {
            return None;
        }
        let due = |place: &usize| Some((*place, self.squad.trial(*place, Moment::of(now))?));
        let (place, trial) = self.selection.trials.iter().find_map(due)?;
        let lease = Lease::take(&self.squad.members()[place].backend, 0, now)?;
        Some(Chosen { server: self.servers[place], lease, trial: Some(trial) })
    }

    /// The lease of the server that was chosen; `None` where it has been ejected a moment ago or is full.
    pub(super) fn lease(&self, server: usize, now: Instant) -> Option<Lease> {
        let index = self.selection.places.iter().position(|place| self.servers[*place] == server)?;
        let (place, candidate) = (self.selection.places[index], &self.selection.candidates[index]);
        let was_out = self.selection.seen[place].out.is_some();
        if !was_out && self.squad.is_out(place) {
            return None;
        }
        Lease::take(&candidate.backend, candidate.limit, now)
    }

    pub(super) fn asked(&self, now: Instant) {
        self.budget.on_request(now);
    }

    /// A try is sent on a connection of its own: one that is kept, or a new one.
    pub(super) fn connects(&mut self, server: usize, backend: &Arc<Backend>, refused: bool, now: Instant) {
        let Some(kept) = self.connections.get_mut(server) else { return };
        if refused {
            *kept = 0;
            self.budget.on_refused(backend.id());
        } else if backend.in_flight() > *kept {
            *kept = backend.in_flight();
            self.budget.on_connected(backend.id(), now);
        }
    }

    /// Tells how a try went. Gives whether somebody was ejected or is back.
    pub(super) fn judge(
        &self,
        server: usize,
        lease: &Lease,
        trial: Option<Trial>,
        good: bool,
        now: Instant,
    ) -> bool {
        let now = Moment::of(now);
        let is_trial = trial.is_some();
        match (trial, good) {
            (Some(trial), true) => trial.passed(now),
            (Some(trial), false) => trial.failed(now),
            (None, _) => {}
        }
        let Some(place) = self.servers.iter().position(|listed| *listed == server) else { return false };
        self.squad.count(place, now);
        match good {
            _ if is_trial => true,
            true => {
                self.squad.went_well(place, || lease.began());
                false
            }
            false => self.squad.went_badly(place, lease.began(), now).is_some(),
        }
    }

    /// Whether a request is sent again after a failed try.
    pub(super) fn may_retry(
        &self,
        ticket: &mut Ticket,
        (server, lease): (usize, &Lease),
        (failure, is_trial): (Failure, bool),
        now: Instant,
    ) -> bool {
        let facts = Facts {
            failure,
            is_trial,
            retries_made: ticket.tried.len() as u32,
            method_listed: true,
            anything_sent: ticket.sent || failure != Failure::Connect,
            replayable: true,
            first_connect_failure: !ticket.connect_failed,
            another_accepts: self.budget.connect_retry_is_free(lease.backend().id(), now),
        };
        ticket.connect_failed |= failure == Failure::Connect;
        ticket.sent = facts.anything_sent;
        let Verdict::Retry { charged } = decide(&self.retry, &facts) else { return false };
        let may = !charged || self.budget.take(now);
        if may {
            ticket.tried.push(server);
        }
        may
    }
}
