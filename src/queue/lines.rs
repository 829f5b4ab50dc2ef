//! The lines of a queue, one for each class, behind its lock.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

use super::{Ask, Class, Full, Wants};

/// So many calls in a row pass over a class that somebody waits in; the next is its own.
pub(super) const MAX_PASSED_OVER: u32 = 8;

/// Where a waiter stands: class, then number. Lower numbers came earlier; those tried before count down.
pub(super) type Number = (Class, i64);

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) waker: Waker,
    wants: Wants,
    since: Instant,
    expires: Instant,
}

/// What somebody is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A place at this backend.
    Place(u64),
    /// There may be room anywhere, and for more than this one.
    Room,
    /// There may be room that those cannot use who had no luck.
    Rest,
}

/// One who was called.
#[derive(Debug)]
struct Called {
    waiter: Waiter,
    cause: Cause,
    /// [`Lines::spares`] when it was.
    spares: u64,
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: BTreeMap<Number, Waiter>,
    called: BTreeMap<Number, Called>,
    /// By class: how many calls in a row have passed over it.
    passed_over: [u32; CLASSES.len()],
    /// A place may be free for which there was nobody to call: the next newcomer tries.
    spare: bool,
    /// How often that happened: who was called before tries once more before it gives up.
    spares: u64,
    newest: i64,
    /// Of those that were tried before.
    oldest: i64,
}

const CLASSES: [Class; 3] = [Class::High, Class::Normal, Class::Low];

/// Every number of a class.
fn all_of(class: Class) -> std::ops::RangeInclusive<Number> {
    (class, i64::MIN)..=(class, i64::MAX)
}

impl Waiter {
    fn fits(&self, backend: u64) -> bool {
        match &self.wants {
            Wants::Any => true,
            Wants::Only(only) => *only == backend,
            Wants::AllBut(tried) => !tried.contains(&backend),
        }
    }

    fn is_picky(&self) -> bool {
        self.wants != Wants::Any
    }

    /// Whether it would take every place that a newcomer could who wants these. Only then has the newcomer no room
    /// while this one has none; one who can go elsewhere too need not wait for it.
    fn covers(&self, wants: &Wants) -> bool {
        match (&self.wants, wants) {
            (Wants::Any, _) => true,
            (_, Wants::Any) | (Wants::Only(_), Wants::AllBut(_)) => false,
            (_, Wants::Only(only)) => self.fits(*only),
            (Wants::AllBut(tried), Wants::AllBut(more)) => tried.iter().all(|one| more.contains(one)),
        }
    }
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.called.len()
    }

    /// Since when the one waits who has waited longest. At most as many are looked at as may wait.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        let called = self.called.values().map(|called| &called.waiter);
        self.waiting.values().chain(called).map(|waiter| waiter.since).min()
    }

    pub(super) fn waiting(&mut self, number: Number) -> Option<&mut Waiter> {
        self.waiting.get_mut(&number)
    }

    pub(super) fn is_called(&self, number: Number) -> bool {
        self.called.contains_key(&number)
    }

    /// Stands at the end of its line, or before it; called at once where nobody is before it whom it must not
    /// pass. Gives the wakers of those who lose their places for it.
    pub(super) fn join(&mut self, ask: Ask, now: Instant, dropped: &mut Vec<Waker>) -> Result<Number, Full> {
        if self.len() >= ask.max {
            self.drop_expired(now, dropped);
        }
        if self.len() >= ask.max {
            dropped.push(self.drop_lower(ask.class).ok_or(Full)?);
        }
        let order = if ask.again {
            self.oldest -= 1;
            self.oldest
        } else {
            self.newest += 1;
            self.newest
        };
        let number = (ask.class, order);
        let covers = |other: &Waiter| other.covers(&ask.wants);
        let is_first = !self.waiting.values().any(covers);
        let is_alone = !self.called.values().any(|called| covers(&called.waiter));
        // Its task asks for its word before it does anything else, and leaves its waker then.
        let waiter =
            Waiter { waker: Waker::noop().clone(), wants: ask.wants, since: now, expires: ask.expires };
        if is_first && (is_alone || self.spare) {
            // One who cannot use it leaves it to the next.
            self.spare &= waiter.is_picky();
            self.called.insert(number, Called { waiter, cause: Cause::Room, spares: self.spares });
        } else {
            self.waiting.insert(number, waiter);
        }
        Ok(number)
    }

    /// Whoever waited too long goes first, the oldest first.
    fn drop_expired(&mut self, now: Instant, dropped: &mut Vec<Waker>) {
        for class in CLASSES {
            // A reload may have shortened the time of those behind: they leave by their own clocks.
            while let Some((number, waiter)) = self.waiting.range(all_of(class)).next()
                && waiter.expires <= now
            {
                let number = *number;
                dropped.extend(self.waiting.remove(&number).map(|waiter| waiter.waker));
            }
        }
    }

    /// The youngest of the lowest class goes, if that is below `class`.
    fn drop_lower(&mut self, class: Class) -> Option<Waker> {
        let (number, _) = self.waiting.last_key_value().filter(|(number, _)| number.0 > class)?;
        let number = *number;
        self.waiting.remove(&number).map(|waiter| waiter.waker)
    }

    /// Calls the first who can use a place at this backend, or remembers that there is one.
    pub(super) fn call_for(&mut self, backend: u64) -> Option<Waker> {
        let first = self.first(|waiter| waiter.fits(backend));
        let called = first.and_then(|number| self.call(number, Cause::Place(backend)));
        if called.is_none() {
            self.note_spare();
        }
        called
    }

    /// Calls the first who can go anywhere, and all who cannot. Who was called before tries again.
    pub(super) fn call_all(&mut self) -> Vec<Waker> {
        self.note_spare();
        self.call_rest()
    }

    /// The same, for room that was there before.
    fn call_rest(&mut self) -> Vec<Waker> {
        let mut wakers = self.call_picky();
        let first = self.first(|_| true);
        let first = first.and_then(|number| self.call(number, Cause::Room));
        self.spare |= first.is_none() && !self.called.is_empty();
        wakers.extend(first);
        wakers
    }

    /// Calls all who cannot go anywhere.
    fn call_picky(&mut self) -> Vec<Waker> {
        let picky = self.waiting.iter().filter(|(_, waiter)| waiter.is_picky());
        let picky: Vec<Number> = picky.map(|(number, _)| *number).collect();
        picky.into_iter().filter_map(|number| self.call(number, Cause::Rest)).collect()
    }

    /// Whoever comes to those who were called looks for itself; who comes to nobody does so anyway.
    fn note_spare(&mut self) {
        self.spare = !self.called.is_empty();
        self.spares += 1;
    }

    /// It tried in vain. Tries again where a place has become free meanwhile; else it waits on, and those are called
    /// who may have more luck.
    pub(super) fn put_back(&mut self, number: Number, wants: Wants) -> Vec<Waker> {
        let Some(mut called) = self.called.remove(&number) else { return Vec::new() };
        called.waiter.wants = wants;
        if called.spares != self.spares {
            self.called.insert(number, Called { cause: Cause::Room, spares: self.spares, ..called });
            return Vec::new();
        }
        let Called { waiter, cause, .. } = called;
        let others = match (waiter.is_picky(), cause) {
            (_, Cause::Rest) => Vec::new(),
            (true, _) => self.call_rest(),
            (false, _) => {
                self.spare = false;
                // Some backends take nobody new, but those who are bound to them.
                self.call_picky()
            }
        };
        self.spare &= !self.called.is_empty();
        self.waiting.insert(number, waiter);
        others
    }

    /// It leaves, for a place at the backend `served` or without one. Gives whom to wake for what it leaves behind.
    pub(super) fn leave(&mut self, number: Number, served: Option<u64>) -> Vec<Waker> {
        self.waiting.remove(&number);
        let Some(Called { cause, .. }) = self.called.remove(&number) else { return Vec::new() };
        let next = match (served, cause) {
            (None, _) => self.call_all(),
            (Some(served), Cause::Place(freed)) if served != freed => {
                self.call_for(freed).into_iter().collect()
            }
            (Some(_), Cause::Room) => {
                let first = self.first(|_| true);
                let next = first.and_then(|number| self.call(number, Cause::Room));
                if next.is_none() {
                    self.note_spare();
                }
                next.into_iter().collect()
            }
            (Some(_), _) => Vec::new(),
        };
        self.spare &= !self.called.is_empty();
        next
    }

    /// The first of those who are wanted: of the highest class, unless a lower one was passed over too often.
    fn first(&self, wanted: impl Fn(&Waiter) -> bool) -> Option<Number> {
        let first_of = |class: Class| {
            let mut line = self.waiting.range(all_of(class));
            line.find(|(_, waiter)| wanted(waiter)).map(|(number, _)| *number)
        };
        let firsts = || CLASSES.into_iter().filter_map(first_of);
        firsts()
            .find(|(class, _)| self.passed_over[*class as usize] >= MAX_PASSED_OVER)
            .or_else(|| firsts().next())
    }

    fn call(&mut self, number: Number, cause: Cause) -> Option<Waker> {
        let waiter = self.waiting.remove(&number)?;
        let waker = waiter.waker.clone();
        self.called.insert(number, Called { waiter, cause, spares: self.spares });
        if cause != Cause::Rest {
            self.count_call(number);
        }
        Some(waker)
    }

    fn count_call(&mut self, number: Number) {
        for class in CLASSES {
            let waits = class > number.0 && self.waiting.range(all_of(class)).next().is_some();
            let passed_over = &mut self.passed_over[class as usize];
            *passed_over = if waits {
                passed_over.saturating_add(1)
            } else if class >= number.0 {
                0
            } else {
                *passed_over
            };
        }
    }
}
