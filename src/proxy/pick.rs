//! Who takes a request, and what is told of how it did.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::Instant;

use super::exchange::Exchange;
use super::fault::Fault;
use super::key;
use super::stick;
use crate::backend::{Lease, Moment};
use crate::balance::{Balancer, Pick};
use crate::http::{Body, RequestHead};
use crate::recent::Why;
use crate::resilience::{Cause, Failure};
use crate::roster::Trial;
use crate::snapshot::{Member, Pool, Roster, Route, ejection};
use crate::upstream::Connection;

/// What earlier tries of a request leave behind.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Ids of the backends that were tried.
    pub(super) backends: Vec<u64>,
    /// One of them could not be connected to.
    pub(super) connect_failed: bool,
    /// Some byte of the request went to one of them.
    pub(super) sent: bool,
    /// Others are left and worth waiting for: none of those tried is used again.
    pub(super) waits: bool,
}

/// A try at one backend.
pub(super) struct Attempt<'p> {
    pub(super) lease: Lease,
    /// The backend, as the pool's file describes it.
    pub(super) member: &'p Member,
    pub(super) connect_timed_out: bool,
    /// TLS with it has failed.
    pub(super) tls_failed: Cell<bool>,
    /// Why this backend.
    pub(super) why: Why,
    /// Health was ignored.
    pub(super) panics: bool,
    /// It finds out whether an ejected backend is well again.
    pub(super) is_trial: bool,
    /// The backend's place among the pool's members.
    pub(super) place: usize,
    trial: Cell<Option<Box<Trial>>>,
    /// How the backend did has been told.
    judged: Cell<bool>,
}

impl<'p> Attempt<'p> {
    fn new(lease: Lease, member: &'p Member, place: usize) -> Self {
        Self {
            lease,
            member,
            why: Why::Algorithm,
            panics: false,
            connect_timed_out: false,
            tls_failed: Cell::new(false),
            is_trial: false,
            place,
            trial: Cell::new(None),
            judged: Cell::new(false),
        }
    }

    /// The backend has answered, well or not, or will not: one more of its window.
    pub(super) fn count(&self, pool: &Pool, now: Moment) {
        pool.squad.count(self.place, now);
    }

    /// The backend did well, to the end of the response. Of several verdicts the first counts.
    #[inline]
    pub(super) fn went_well(&self, pool: &Pool) {
        // Nearly always nothing of it needs to be noted.
        if !self.judged.replace(true) && (self.is_trial || self.lease.backend().conduct().notes_success()) {
            self.note_success(pool);
        }
    }

    #[cold]
    fn note_success(&self, pool: &Pool) {
        match self.trial.take() {
            Some(trial) => trial.passed(Moment::of(Instant::now())),
            None => pool.squad.went_well(self.place, || self.lease.began()),
        }
    }

    /// The backend failed.
    pub(super) fn went_badly(&self, pool: &Pool, now: Moment) {
        if self.judged.replace(true) {
            return;
        }
        let cause = match self.trial.take() {
            Some(trial) => {
                trial.failed(now);
                Some(Cause::Trial)
            }
            None => pool.squad.went_badly(self.place, self.lease.began(), now),
        };
        if let Some(cause) = cause {
            self.member.series.ejected(ejection(cause));
        }
    }

    /// Asks for a check, except of one that is ejected: its check is due when its time is over, and one that
    /// passes ends the ejection.
    pub(super) fn want_probe(&self, pool: &Pool) {
        if !pool.squad.is_out(self.place) {
            self.lease.backend().want_probe();
        }
    }

    /// The fault that a failed try is, where no other follows.
    pub(super) fn fault(&self, failure: Failure) -> Fault {
        if failure == Failure::Connect && self.connect_timed_out {
            Fault::ConnectTimeout
        } else {
            Fault::Backend(failure)
        }
    }
}

/// Whether a status says that the backend failed. 501 and 505 say that it will not do what was asked.
pub(super) fn is_failure(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 505)
}

/// What of a request says who takes it.
pub(super) struct Wish<'r> {
    /// As the backend would get it.
    pub(super) request: &'r RequestHead,
    pub(super) client: IpAddr,
    /// The place of the backend that the client was with.
    pub(super) stuck: Option<usize>,
    /// The method is listed in the pool's `retry.methods`.
    pub(super) listed: bool,
    /// It goes with a login, and cannot be sent elsewhere.
    pub(super) bound: bool,
    pub(super) now: Instant,
}

/// What a choice comes to: the daemon takes a place at the backend, whoever explains only looks whether there is one.
pub(super) trait Hand {
    /// What is held then.
    type Held;

    /// A place at the backend within `limit`, if there is one.
    fn take(&mut self, place: usize, limit: u32, now: Instant) -> Option<Self::Held>;

    /// A place, and the right to try an ejected backend, if its time is over and nobody else does.
    fn attempt(&mut self, place: usize, now: Instant) -> Option<Self::Held>;
}

/// The daemon's hand.
pub(super) struct Leases<'p>(pub(super) &'p Pool);

impl<'p> Hand for Leases<'p> {
    type Held = Attempt<'p>;

    #[inline]
    fn take(&mut self, place: usize, limit: u32, now: Instant) -> Option<Attempt<'p>> {
        let member = self.0.members.get(place)?;
        Lease::take(&member.backend, limit, now).map(|lease| Attempt::new(lease, member, place))
    }

    fn attempt(&mut self, place: usize, now: Instant) -> Option<Attempt<'p>> {
        let trial = self.0.squad.trial(place, Moment::of(now))?;
        let attempt = self.take(place, self.0.members.get(place)?.limit, now)?;
        Some(Attempt { is_trial: true, trial: Cell::new(Some(Box::new(trial))), ..attempt })
    }
}

/// Chooses a backend: another than those tried, while one is left.
#[inline]
pub(super) fn choose<H: Hand>(
    hand: &mut H,
    (pool, roster): (&Pool, &Roster),
    balancer: &dyn Balancer,
    wish: &Wish<'_>,
    tried: &mut Tried,
    random: &mut fastrand::Rng,
) -> Result<(H::Held, Why), Fault> {
    if tried.backends.is_empty()
        && let Some(place) = wish.stuck
        && let Some(limit) = stick::limit_to_stay(pool, roster, place)
        && let Some(held) = hand.take(place, limit, wish.now)
    {
        return Ok((held, Why::Cookie));
    }
    if !roster.trials.is_empty() && tried.backends.is_empty() {
        let alone = roster.candidates.is_empty();
        if (alone || wish.may_try(pool))
            && let Some(held) = roster.trials.iter().find_map(|place| hand.attempt(*place, wish.now))
        {
            return Ok((held, Why::Trial));
        }
    }
    let candidates = &roster.candidates;
    if candidates.is_empty() {
        return Err(Fault::NoBackend);
    }
    let position = |id: &u64| candidates.iter().position(|c| c.backend.id() == *id);
    let mut passed: Vec<usize> = tried.backends.iter().filter_map(position).collect();
    let key = key::of(&pool.key, wish.request, wish.client);
    loop {
        let mut pick = Pick { key, tried: &passed, random, now: wish.now };
        match balancer.pick(&mut pick) {
            Some(index) => {
                let (candidate, place) = (&candidates[index], roster.places[index]);
                // Ejected a moment ago: the list without it is still being made.
                let is_gone = roster.heeds_ejections && candidate.backend.conduct().is_out();
                if !is_gone && let Some(held) = hand.take(place, candidate.limit, wish.now) {
                    return Ok((held, Why::Algorithm));
                }
                passed.push(index); // another worker took the last place
            }
            None if !tried.backends.is_empty() && !tried.waits => {
                tried.backends.clear();
                passed.clear();
            }
            None => return Err(Fault::PoolFull),
        }
    }
}

impl Wish<'_> {
    /// Whether the request can find out how an ejected backend is, because it may be sent again elsewhere.
    fn may_try(&self, pool: &Pool) -> bool {
        let fits = match self.request.body {
            Body::None => true,
            Body::Length(length) => length <= pool.retry_buffer as u64,
            _ => false,
        };
        let again = self.listed && pool.retry.attempts > 0 && self.request.method.is_idempotent();
        again && fits && !self.bound
    }
}

impl Exchange<'_> {
    /// Picks a backend and takes a lease on it: another than those tried, while one is left.
    pub(super) fn pick<'p>(
        &mut self,
        pool: &'p Pool,
        tried: &mut Tried,
        listed: bool,
    ) -> Result<Attempt<'p>, Fault> {
        let roster = pool.roster();
        let wish = Wish {
            request: self.request,
            client: self.client_address.unwrap_or(self.client.origin.peer.ip()),
            stuck: self.stuck.place(),
            listed,
            bound: self.bound,
            now: self.now,
        };
        let mut random = self.worker.random.borrow_mut();
        let (mut attempt, why) =
            choose(&mut Leases(pool), (pool, &roster), &*roster.balancer, &wish, tried, &mut random)?;
        (attempt.why, attempt.panics) = (why, roster.panics);
        Ok(attempt)
    }

    /// A try on the connection that is this client's alone: at its backend, whomever the algorithm would pick
    /// and whatever probes say, for the login is there and nowhere else.
    pub(super) fn stay<'p>(
        &mut self,
        route: &Route,
        (place, member): (usize, &'p Member),
        own: &mut Option<Box<Connection>>,
    ) -> Result<Attempt<'p>, Fault> {
        if let Some(lease) = Lease::take(&member.backend, member.limit, self.now) {
            let mut attempt = Attempt::new(lease, member, place);
            attempt.why = Why::Login;
            return Ok(attempt);
        }
        if let Some(connection) = own.take() {
            self.client.bonds.keep(route, connection, &self.worker.blocks);
        }
        Err(Fault::PoolFull)
    }
}
