//! Where every backend of the pool is full: waiting for one's turn.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::client::Watched;
use super::exchange::Exchange;
use super::fault::Fault;
use super::pick::{Attempt, Tried};
use crate::backend::Backend;
use crate::http::Body;
use crate::observe::PoolSeries;
use crate::queue::{Ask, Spot, Wants, Word};
use crate::snapshot::{Pool, Route};
use crate::upstream::Connection;

/// What a request wants of its pool.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What earlier tries left behind.
    pub(super) tried: Tried,
    /// The connection that is this client's alone.
    pub(super) own: Option<Box<Connection>>,
    /// Its method is listed in the pool's `retry.methods`.
    pub(super) listed: bool,
    /// The backend that `own` leads to: nobody else will do.
    only: Option<u64>,
}

impl Wanted {
    pub(super) fn new(own: Option<Box<Connection>>, listed: bool) -> Self {
        let only = own.as_ref().map(|own| own.backend().id());
        Self { tried: Tried::default(), own, listed, only }
    }
}

impl Tried {
    /// Whether it was tried, and there is another that may be.
    fn leaves_others(&self, pool: &Pool) -> bool {
        let is_left = |backend: &Backend| !self.backends.contains(&backend.id());
        !self.backends.is_empty() && pool.roster().candidates.iter().any(|one| is_left(&one.backend))
    }
}

/// Whom a request waits for that nobody had room for. One that was tried waits for another backend while one is left.
fn wants(pool: &Pool, wanted: &Wanted) -> Wants {
    match wanted.only {
        Some(only) => Wants::Only(only),
        None if wanted.tried.leaves_others(pool) => Wants::AllBut(wanted.tried.backends.as_slice().into()),
        None => Wants::Any,
    }
}

/// A request in the queue, as its pool and the metrics see it.
pub(super) struct Turn {
    spot: Spot,
    series: Arc<PoolSeries>,
    worker: usize,
    since: Instant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.series.left_queue(self.worker, self.since.elapsed());
    }
}

impl Exchange<'_> {
    /// A try at a backend that has room. [`Fault::PoolFull`] where none has, or where others wait and it is not
    /// the turn of this request.
    pub(super) fn place<'p>(
        &mut self,
        route: &Route,
        pool: &'p Pool,
        wanted: &mut Wanted,
        turn: &mut Option<Box<Turn>>,
    ) -> Result<Attempt<'p>, Fault> {
        if turn.is_none() && pool.queue.is_awaited() {
            return Err(Fault::PoolFull);
        }
        let attempt = self.take(route, pool, wanted)?;
        if let Some(mut turn) = turn.take() {
            turn.spot.serve(attempt.lease.backend().id());
            self.note.leave_queue(self.now);
            self.trail.leave_queue(self.now);
            self.client.timer.disarm();
        }
        Ok(attempt)
    }

    /// Waits until it is the turn of this request to try. `newer` becomes the pool that a reload has put in the place
    /// of the route's meanwhile.
    pub(super) async fn wait(
        &mut self,
        route: &Route,
        newer: &mut Option<Arc<Pool>>,
        wanted: &mut Wanted,
        turn: &mut Option<Box<Turn>>,
    ) -> Result<(), Fault> {
        let pool = newer.as_ref().unwrap_or(&route.pool);
        if let Some(own) = wanted.own.take() {
            self.client.bonds.keep(route, own, &self.worker.blocks);
        }
        let spot = match turn {
            Some(turn) => {
                turn.spot.in_vain(wants(pool, wanted));
                &mut turn.spot
            }
            None => &mut turn.insert(self.join(route, pool, wanted)?).spot,
        };
        poll_fn(|cx| self.poll_turn(spot, wanted, cx)).await?;
        self.now = Instant::now();
        self.follow_pool(newer, route)?;
        if wanted.only.is_some() {
            wanted.own = self.client.bonds.take(route, &self.worker.blocks);
        }
        Ok(())
    }

    /// Stands in the queue.
    fn join(&mut self, route: &Route, pool: &Pool, wanted: &Wanted) -> Result<Box<Turn>, Fault> {
        let now = Instant::now();
        let due = now + pool.queue_timeout;
        let expires = self.deadline.map_or(due, |deadline| deadline.min(due));
        let ask = Ask {
            class: route.class,
            again: self.retries > 0,
            wants: wants(pool, wanted),
            expires,
            max: pool.queue_max,
        };
        pool.members.iter().for_each(|member| member.backend.hurry(now));
        let spot = pool.queue.join(ask, now).map_err(|_| Fault::PoolFull)?;
        pool.series.queued(self.worker.index);
        self.note.queue(now);
        self.trail.queue(now);
        self.client.seat.backend.set(0);
        self.arm(expires);
        Ok(Box::new(Turn { spot, series: Arc::clone(&pool.series), worker: self.worker.index, since: now }))
    }

    /// A try at a backend that has room, whoever waits.
    fn take<'p>(&mut self, route: &Route, pool: &'p Pool, wanted: &mut Wanted) -> Result<Attempt<'p>, Fault> {
        let Wanted { tried, own, listed, only } = wanted;
        if let Some(member) = own.as_ref().and_then(|own| pool.member(own.backend())) {
            return self.stay(route, member, own);
        }
        (*own, *only) = (None, None);
        if tried.backends.is_empty() {
            return self.pick(pool, tried, *listed);
        }
        tried.waits = pool.queue_max > 0 && tried.leaves_others(pool);
        // Where none is left the tried ones are used again. If they are full too, nothing has changed.
        let before = tried.backends.clone();
        let picked = self.pick(pool, tried, *listed);
        if matches!(picked, Err(Fault::PoolFull)) {
            tried.backends = before;
        }
        picked
    }

    /// The pool as it is now configured: one that is not reviewed any more knows nobody who came since.
    fn follow_pool(&mut self, newer: &mut Option<Arc<Pool>>, route: &Route) -> Result<(), Fault> {
        let held = newer.as_ref().unwrap_or(&route.pool);
        let pool = self.worker.with_snapshot(|current| current.pool(&held.name).cloned());
        let pool = pool.ok_or(Fault::NoBackend)?;
        if !Arc::ptr_eq(&pool, held) {
            self.stay_true(held, &pool);
            *newer = Some(pool);
        }
        Ok(())
    }

    /// Ready when it is its turn, or with the reason why it waits no longer.
    fn poll_turn(
        &mut self,
        spot: &mut Spot,
        wanted: &Wanted,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        // An answer before this one may still be on its way.
        if !self.client.out.is_empty()
            && let Poll::Ready(Err(_)) = self.client.poll_flush(cx)
        {
            return Poll::Ready(Err(Fault::ClientLeft));
        }
        self.watch_waiting(wanted, cx)?;
        match spot.poll(Instant::now, cx) {
            Poll::Ready(Word::Try) => return Poll::Ready(Ok(())),
            Poll::Ready(Word::Dropped) => return Poll::Ready(Err(Fault::PoolFull)),
            Poll::Pending if !self.client.timer.has_fired() => {}
            Poll::Ready(Word::Expired) | Poll::Pending => {
                return Poll::Ready(Err(self.timed_out(Fault::QueueTimeout)));
            }
        }
        self.client.park(&self.worker.blocks);
        Poll::Pending
    }

    /// Ends the waiting of a client that has left.
    fn watch_waiting(&mut self, wanted: &Wanted, cx: &mut Context<'_>) -> Result<(), Fault> {
        match self.client.watch(&self.worker.blocks, cx) {
            Err(_) => Err(Fault::ClientLeft),
            Ok(Watched::Present) => Ok(()),
            Ok(Watched::HalfClosed) if self.listener.abort_on_close || self.is_cut(wanted) => {
                Err(Fault::ClientLeft)
            }
            Ok(Watched::HalfClosed | Watched::Blind) => self.look_for_reset(cx),
        }
    }

    /// Whether the request can never be whole: its client sends no more, and some of its body has not come.
    fn is_cut(&self, wanted: &Wanted) -> bool {
        let Body::Length(length) = self.request.body else { return false };
        // Of a body that was sent before some has left the buffer.
        wanted.tried.backends.is_empty() && (self.client.buffer.len() as u64) < length
    }
}
