//! Two tries of one request beside each other, and how far each is.

use std::mem;
use std::time::Instant;

use crate::proxy::attempt::Dialled;
use crate::proxy::converse::Talk;
use crate::proxy::pick::{Attempt, Tried};
use crate::proxy::upload::Upload;
use crate::resilience::HedgeDelay;
use crate::snapshot::Pool;
use crate::timer::Timer;
use crate::upstream::Connection;

/// How far a try is.
pub(super) enum Stage<'a> {
    Dialling(Dialled<'a>),
    Talking(Box<Connection>, Talk),
    Over,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nth {
    First,
    Second,
}

impl Nth {
    pub(super) fn other(self) -> Self {
        if self == Self::First { Self::Second } else { Self::First }
    }
}

/// The try beside the first.
pub(super) struct Second<'a, 'p> {
    pub(super) attempt: Attempt<'p>,
    pub(super) upload: Upload,
    pub(super) stage: Stage<'a>,
    pub(super) began: Instant,
}

/// Two tries of one request, the second of which may never begin.
pub(in crate::proxy) struct Race<'a, 'p, 'r> {
    pub(super) pool: &'p Pool,
    pub(super) delay: &'p HedgeDelay,
    pub(super) tried: &'r mut Tried,
    /// Of the first; in the end of the one that counts.
    pub(super) attempt: &'r mut Attempt<'p>,
    pub(super) upload: &'r mut Upload,
    pub(super) first: Stage<'a>,
    pub(super) began: Instant,
    pub(super) second: Option<Box<Second<'a, 'p>>>,
    /// Rings when it is time for the second; `None`: no second will be made.
    pub(super) bell: Option<Timer>,
}

impl<'a, 'p, 'r> Race<'a, 'p, 'r> {
    pub(in crate::proxy) fn new(
        pool: &'p Pool,
        delay: &'p HedgeDelay,
        (attempt, upload): (&'r mut Attempt<'p>, &'r mut Upload),
        tried: &'r mut Tried,
        began: Instant,
    ) -> Self {
        Self { pool, delay, tried, attempt, upload, first: Stage::Over, began, second: None, bell: None }
    }

    fn stage(&mut self, nth: Nth) -> Option<&mut Stage<'a>> {
        match nth {
            Nth::First => Some(&mut self.first),
            Nth::Second => self.second.as_mut().map(|second| &mut second.stage),
        }
    }

    /// Ends it; gives how far it was.
    pub(super) fn end(&mut self, nth: Nth) -> Stage<'a> {
        self.stage(nth).map_or(Stage::Over, |stage| mem::replace(stage, Stage::Over))
    }

    pub(super) fn runs(&mut self, nth: Nth) -> bool {
        self.stage(nth).is_some_and(|stage| !matches!(stage, Stage::Over))
    }

    pub(super) fn attempt(&self, nth: Nth) -> &Attempt<'p> {
        match &self.second {
            Some(second) if nth == Nth::Second => &second.attempt,
            _ => self.attempt,
        }
    }

    pub(super) fn began(&self, nth: Nth) -> Instant {
        match &self.second {
            Some(second) if nth == Nth::Second => second.began,
            _ => self.began,
        }
    }

    pub(super) fn rings(&self) -> bool {
        self.bell.as_ref().is_some_and(Timer::has_fired)
    }

    /// From now on it is the one that counts. Whatever follows goes neither to it nor to the other.
    pub(super) fn settle(&mut self, nth: Nth) {
        let Some(second) = &mut self.second else { return };
        if nth == Nth::Second {
            mem::swap(self.attempt, &mut second.attempt);
            mem::swap(self.upload, &mut second.upload);
        }
        self.tried.backends.push(second.attempt.lease.backend().id());
    }
}
