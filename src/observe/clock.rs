//! The time that accounts are kept by.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::ledger::{Stamp, micros};

/// A clock that was stopped for longer was set: what is remembered must not be aged by an hour's slip into a century.
const MAX_GAP: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Ties together three ways to tell a moment: the process's own clock, the wall clock, and the time of the accounts,
/// in microseconds. That one goes on over restarts and never back, whatever is done to the wall clock.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Anchor>);

#[derive(Debug, Clone, Copy)]
struct Anchor {
    now: Instant,
    wall: SystemTime,
    time: u64,
}

impl Clock {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        Self(Mutex::new(Anchor { now, wall, time: 0 }))
    }

    /// Looks at the wall clock again: it may have been set.
    pub(super) fn renew(&self, now: Instant, wall: SystemTime) {
        let mut anchor = self.anchor();
        *anchor = Anchor { now, wall, time: anchor.time(now) };
    }

    /// Goes on from where an earlier process was when it stopped: at this time of the accounts and of the wall
    /// clock. The time between counts as it is now on the wall clock, as none where that was set back.
    pub(super) fn go_on(&self, stopped: u64, stopped_wall: SystemTime, now: Instant, wall: SystemTime) {
        let gap = wall.duration_since(stopped_wall).unwrap_or_default().min(MAX_GAP);
        *self.anchor() = Anchor { now, wall, time: stopped.saturating_add(micros(gap)) };
    }

    /// The time of the accounts.
    pub(super) fn time(&self, now: Instant) -> u64 {
        self.anchor().time(now)
    }

    /// A moment with what the wall clock says.
    pub(super) fn stamp(&self, now: Instant) -> Stamp {
        let Anchor { now: then, wall, .. } = *self.anchor();
        let shifted = match now.checked_duration_since(then) {
            Some(after) => wall.checked_add(after),
            None => wall.checked_sub(then.saturating_duration_since(now)),
        };
        Stamp { now, wall: shifted.unwrap_or(wall) }
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Anchor {
    fn time(&self, now: Instant) -> u64 {
        let (after, before) =
            (now.saturating_duration_since(self.now), self.now.saturating_duration_since(now));
        self.time.saturating_add(micros(after)).saturating_sub(micros(before))
    }
}
