//! Who waits for a place at the backends of a pool, and whose turn it is.
//!
//! One queue per pool, for all workers. A waiter is not handed a place: it is *called*, and then picks for
//! itself among the backends that have room, because by that time another one may suit better, or the one
//! whose place became free may be down. So that nobody takes what it was called for, whoever comes while others
//! wait stands behind them.
//!
//! No call gets lost. Whoever was called and leaves without a place (its client left, its time is over) passes the
//! call on; whoever tries in vain stands where it stood. A place that becomes free while all who wait are
//! called already is noted as *spare*: the next who comes, or tries in vain, tries (again) for it. The state of a queue is
//! behind a lock that only those take who wait, or free a place while somebody waits.
//!
//! Nothing here reads a clock, and nothing knows backends but by their numbers.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

mod lines;
#[cfg(test)]
mod tests;

use lines::{Lines, Number};

/// Who is served first, and dropped last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Class {
    /// Before all others.
    High,
    /// What most requests are.
    #[default]
    Normal,
    /// What may wait, and goes first where too many wait.
    Low,
}

/// Which backends can take a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wants {
    /// Each of them.
    #[default]
    Any,
    /// This one alone.
    Only(u64),
    /// Those that it was not sent to before.
    AllBut(Box<[u64]>),
}

/// What a request asks of the queue.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its class.
    pub class: Class,
    /// It was tried before and stands before those of its class that were not.
    pub again: bool,
    /// Whom it waits for.
    pub wants: Wants,
    /// When it has waited for too long.
    pub expires: Instant,
    /// How many may wait.
    pub max: usize,
}

/// What a waiter hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is its turn: it may pick.
    Try,
    /// It has waited for too long.
    Expired,
    /// The queue is full, and one of a higher class has taken its place.
    Dropped,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The waiters of one pool.
#[derive(Debug, Default)]
pub struct Queue {
    /// All of them, those called included.
    waiting: AtomicUsize,
    lines: Mutex<Lines>,
}

impl Queue {
    /// Whether anybody waits. While somebody does, nobody else may pick.
    pub fn is_awaited(&self) -> bool {
        // With the count of requests in flight, which whoever frees a place lowers before, this decides
        // who sees whom: hence the strictest order, which costs a load nothing where it matters.
        self.waiting.load(Ordering::SeqCst) != 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the one waits who has waited longest; `None` where nobody does.
    pub fn oldest_since(&self) -> Option<Instant> {
        if self.is_empty() { None } else { self.lock().oldest_since() }
    }

    /// Stands in the queue. Where it is full the expired leave it first, then the youngest of the lowest class
    /// below the newcomer's.
    ///
    /// # Errors
    /// It is full of others that are as high.
    pub fn join(self: &Arc<Self>, ask: Ask, now: Instant) -> Result<Spot, Full> {
        let mut dropped: Vec<Waker> = Vec::new();
        let expires = ask.expires;
        let mut lines = self.lock();
        let joined = lines.join(ask, now, &mut dropped);
        self.count(&lines);
        drop(lines);
        dropped.into_iter().for_each(Waker::wake);
        // What became free until now is seen by whoever picks from now on; what becomes free later sees
        // that somebody waits.
        fence(Ordering::SeqCst);
        let number = joined?;
        Ok(Spot { queue: Arc::clone(self), number, expires, stands: true })
    }

    /// A place has become free at this backend: calls the first who can use it. To be told after it has.
    pub fn freed(&self, backend: u64) {
        if self.is_awaited() {
            let mut lines = self.lock();
            let called = lines.call_for(backend);
            drop(lines);
            called.into_iter().for_each(Waker::wake);
        }
    }

    /// There may be room where there was none, or nothing to wait for any more: calls one after the other for as
    /// long as there is room, and each whom not every backend can serve.
    pub fn look_again(&self) {
        let mut lines = self.lock();
        let called = lines.call_all();
        drop(lines);
        called.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, lines: &Lines) {
        self.waiting.store(lines.len(), Ordering::SeqCst);
    }
}

/// A request's place in the queue. Dropped, it leaves the queue, and passes on what it was called for.
#[derive(Debug)]
pub struct Spot {
    queue: Arc<Queue>,
    number: Number,
    expires: Instant,
    stands: bool,
}

impl Spot {
    /// Waits for a word. The time is asked for only where there is one.
    pub fn poll(&mut self, now: impl FnOnce() -> Instant, cx: &mut Context<'_>) -> Poll<Word> {
        let mut lines = self.queue.lock();
        if let Some(waiter) = lines.waiting(self.number) {
            if !waiter.waker.will_wake(cx.waker()) {
                waiter.waker = cx.waker().clone();
            }
            return Poll::Pending;
        }
        let is_called = lines.is_called(self.number);
        drop(lines);
        Poll::Ready(match now() >= self.expires {
            true => Word::Expired,
            false if is_called => Word::Try,
            false => Word::Dropped,
        })
    }

    /// When it has waited for too long.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// It has picked this backend.
    pub fn serve(&mut self, backend: u64) {
        self.leave(Some(backend));
    }

    /// Nobody had room: it waits on where it stood, for these. There may be a word at once.
    pub fn in_vain(&mut self, wants: Wants) {
        let mut lines = self.queue.lock();
        let next = lines.put_back(self.number, wants);
        drop(lines);
        next.into_iter().for_each(Waker::wake);
    }

    fn leave(&mut self, served: Option<u64>) {
        if !std::mem::take(&mut self.stands) {
            return;
        }
        let mut lines = self.queue.lock();
        let next = lines.leave(self.number, served);
        self.queue.count(&lines);
        drop(lines);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        self.leave(None);
    }
}
