//! Up or down, and why.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::clock::Moment;

/// The one state that is shown of a backend. Where several hold, the earlier one in this order wins:
/// maintenance, drain, down, ejected, paused, slow start, up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Taken out by an operator; nothing is sent.
    Maintenance,
    /// Taken out by an operator; what runs may finish.
    Drain,
    /// Probes fail, or its name does not resolve.
    Down,
    /// Live traffic failed.
    Ejected,
    /// It has asked for no new traffic for a while.
    Paused,
    /// Coming up on a ramp.
    SlowStart,
    /// Takes its full share.
    Up,
}

impl State {
    /// Every state, in the order of precedence.
    pub const ALL: [Self; 7] =
        [Self::Maintenance, Self::Drain, Self::Down, Self::Ejected, Self::Paused, Self::SlowStart, Self::Up];

    /// The name used in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Paused => "paused",
            Self::SlowStart => "slow_start",
            Self::Up => "up",
        }
    }
}

/// Up or down, as probes and name resolution say, and what else is shown. Written by the control thread
/// alone.
#[derive(Debug)]
pub struct Condition {
    up: AtomicBool,
    /// Its agent calls it down.
    vetoed: AtomicBool,
    /// Something has been found out: what held until then was an assumption.
    heard: AtomicBool,
    /// Ticks of the moment it came up or joined; 0: it has been there from the start.
    joined: AtomicU64,
    reason: Mutex<Arc<str>>,
    veto: Mutex<Arc<str>>,
    aside: Mutex<Option<(State, Arc<str>)>>,
}

impl Condition {
    pub(super) fn new(up: bool) -> Self {
        Self {
            up: AtomicBool::new(up),
            vetoed: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            joined: AtomicU64::new(0),
            reason: Mutex::new(Arc::from("not checked yet")),
            veto: Mutex::new(Arc::from("")),
            aside: Mutex::new(None),
        }
    }

    /// Whether it may be sent requests.
    pub fn is_up(&self) -> bool {
        self.passes() && !self.vetoed.load(Ordering::Acquire)
    }

    /// Whether it is up as far as probes and names say.
    pub fn passes(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Why it is up or down: `status 503`, `connect refused`, `timeout after 1s`, `check passed`.
    pub fn reason(&self) -> Arc<str> {
        let vetoed = self.passes() && self.vetoed.load(Ordering::Acquire);
        Arc::clone(&held(if vetoed { &self.veto } else { &self.reason }))
    }

    /// Its agent calls it down for a reason, whatever probes say, or does so no more. Gives back whether up or down
    /// changed.
    pub(super) fn veto(&self, why: Option<&str>, now: Instant) -> bool {
        let before = self.is_up();
        if let Some(why) = why {
            *held(&self.veto) = Arc::from(why);
        }
        if self.vetoed.swap(why.is_some(), Ordering::AcqRel) && why.is_none() {
            self.join(now);
        }
        self.is_up() != before
    }

    /// The state to show, and why it holds.
    pub fn shown(&self) -> (State, Arc<str>) {
        match held(&self.aside).as_ref() {
            Some((state @ (State::Maintenance | State::Drain), why)) => (*state, Arc::clone(why)),
            _ if !self.is_up() => (State::Down, self.reason()),
            Some((state, why)) => (*state, Arc::clone(why)),
            None => (State::Up, self.reason()),
        }
    }

    /// The state to show.
    pub fn state(&self) -> State {
        self.shown().0
    }

    /// What is shown in place of up, and of what an operator ordered in place of down too, and why; `None`:
    /// nothing but up.
    pub fn set_aside(&self, aside: Option<(State, Arc<str>)>) {
        *held(&self.aside) = aside;
    }

    /// Sets up or down, as probes and names say, with its reason. Gives back whether up or down changed.
    pub fn set(&self, up: bool, reason: &str, now: Instant) -> bool {
        let before = self.is_up();
        let mut held = held(&self.reason);
        if &**held != reason {
            *held = Arc::from(reason);
        }
        // The first that is heard of it at the start of the process is no recovery.
        let recovers = self.heard.swap(true, Ordering::AcqRel) && up && !self.passes();
        if recovers {
            self.join(now);
        }
        self.up.store(up, Ordering::Release);
        self.is_up() != before
    }

    /// It joins a pool that runs already.
    pub fn join(&self, now: Instant) {
        self.heard.store(true, Ordering::Release);
        self.joined.store(Moment::of(now).ticks().max(1), Ordering::Release);
    }

    /// When it came up or joined; `None` where it has been there from the start.
    pub fn joined(&self) -> Option<Moment> {
        Some(self.joined.load(Ordering::Acquire)).filter(|ticks| *ticks != 0).map(Moment::from_ticks)
    }
}

pub(super) fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
