//! Waiting for a server that has room, in the daemon's own queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::help::Ticket;
use crate::backend::Backend;
use crate::queue::{Ask, Class, Queue, Spot, Wants, Word};

/// How many requests may wait where all servers have their limit, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// One more is refused.
    pub max: usize,
    /// Each of them; then it is refused.
    pub timeout: Duration,
}

/// Those who wait.
pub(super) struct Line {
    rules: Waiting,
    queue: Arc<Queue>,
    guests: Vec<Guest>,
}

/// One who waits.
pub(super) struct Guest {
    pub(super) ticket: Ticket,
    pub(super) since_ns: u64,
    pub(super) spot: Spot,
    bell: Arc<Bell>,
}

/// What the world is asked to do.
pub(super) enum Call {
    /// This one may try.
    Try(Guest),
    /// This one has waited for too long.
    Late(Guest),
}

struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Line {
    pub(super) fn new(rules: Waiting, backends: &[Arc<Backend>]) -> Self {
        let queue = Arc::<Queue>::default();
        backends.iter().for_each(|backend| backend.serves(&queue));
        Self { rules, queue, guests: Vec::new() }
    }

    /// Whether a newcomer must stand behind others.
    pub(super) fn is_awaited(&self) -> bool {
        self.queue.is_awaited()
    }

    /// Somebody may be chosen who might not.
    pub(super) fn look_again(&self) {
        self.queue.look_again();
    }

    /// Takes one in. Gives when it has waited for too long; `None`: the queue is full.
    pub(super) fn join(&mut self, ticket: Ticket, now_ns: u64, now: Instant) -> Option<Duration> {
        let ask = Ask {
            class: Class::Normal,
            again: !ticket.tried.is_empty(),
            wants: Wants::Any,
            expires: now + self.rules.timeout,
            max: self.rules.max,
        };
        let spot = self.queue.join(ask, now).ok()?;
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        self.guests.push(Guest { ticket, since_ns: now_ns, spot, bell });
        Some(self.rules.timeout)
    }

    /// The same one again, after it tried in vain.
    pub(super) fn put_back(&mut self, mut guest: Guest) {
        guest.spot.in_vain(Wants::Any);
        guest.bell.0.store(true, Ordering::Relaxed);
        self.guests.push(guest);
    }

    /// The next who was called, or whose time is over.
    pub(super) fn next(&mut self, now: Instant) -> Option<Call> {
        let mut at = 0;
        while let Some(guest) = self.guests.get_mut(at) {
            let is_late = guest.spot.expires() <= now;
            if guest.bell.0.swap(false, Ordering::Relaxed) || is_late {
                let waker = Waker::from(Arc::clone(&guest.bell));
                match guest.spot.poll(|| now, &mut Context::from_waker(&waker)) {
                    Poll::Ready(Word::Try) => return Some(Call::Try(self.guests.remove(at))),
                    Poll::Pending if !is_late => {}
                    Poll::Ready(Word::Expired | Word::Dropped) | Poll::Pending => {
                        return Some(Call::Late(self.guests.remove(at)));
                    }
                }
            }
            at += 1;
        }
        None
    }
}
