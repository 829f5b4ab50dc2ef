//! Up or down, and why.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The one state that is shown of a backend. Where several hold, the earlier one in this order wins:
/// maintenance, drain, down, ejected, slow start, up.
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
    /// Coming up on a ramp.
    SlowStart,
    /// Takes its full share.
    Up,
}

impl State {
    /// Every state, in the order of precedence.
    pub const ALL: [Self; 6] =
        [Self::Maintenance, Self::Drain, Self::Down, Self::Ejected, Self::SlowStart, Self::Up];

    /// The name used in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::SlowStart => "slow_start",
            Self::Up => "up",
        }
    }
}

/// What probes and name resolution say of one backend. Written by the control thread alone.
#[derive(Debug)]
pub struct Condition {
    up: AtomicBool,
    reason: Mutex<Arc<str>>,
}

impl Condition {
    pub(super) fn new(up: bool) -> Self {
        Self { up: AtomicBool::new(up), reason: Mutex::new(Arc::from("not checked yet")) }
    }

    /// Whether it may be sent requests.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Why it is as it is: `status 503`, `connect refused`, `timeout after 1s`, `check passed`.
    pub fn reason(&self) -> Arc<str> {
        Arc::clone(&self.reason.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The state to show.
    pub fn state(&self) -> State {
        if self.is_up() { State::Up } else { State::Down }
    }

    /// Sets up or down with its reason. Gives back whether up or down changed.
    pub fn set(&self, up: bool, reason: &str) -> bool {
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if &**held != reason {
            *held = Arc::from(reason);
        }
        self.up.swap(up, Ordering::AcqRel) != up
    }
}
