//! How many requests one backend takes at once before they only wait there, found by how long its answers take.
//!
//! The time of an answer under load is compared with its *base*, the time while next to nothing else is under way. As
//! long as the one is within [`TOLERANCE`] of the other the limit grows by its root each window, else it shrinks by
//! as much as the time is too long. What has become of the base shows only while little is under way: where that
//! does not happen by itself the limit goes down to [`LIMIT_MIN`] for some dozen answers, now and then, and at once when
//! the limit has been halved, because then it may be the base that has changed and not the load.
//!
//! This is Envoy's way rather than Gradient2's of Netflix, whose base is a slow average of the same times: under lasting
//! overload that average follows, and the limit with it, without an end.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use super::clock::{Moment, ticks};

/// The limit of a backend whose limit is found while it runs.
pub const ADAPTIVE: u32 = u32::MAX;

/// The least that a backend may have in flight; while the base is measured it is the most.
pub const LIMIT_MIN: u32 = 4;

/// The most that a backend may have in flight.
pub const LIMIT_MAX: u32 = 10_000;

/// What it may have before anything is known.
const LIMIT_FIRST: u32 = 20;

/// Answers may take so many times their base before the limit shrinks.
const TOLERANCE: f32 = 1.5;

/// The limit shrinks to this share of itself at most, in one window.
const SHRINK_MAX: f32 = 0.5;

/// The shortest window, and the fewest answers of one.
const WINDOW: Duration = Duration::from_millis(100);
const ANSWERS_MIN: u32 = 25;

/// Answers that a measurement of the base takes.
const MEASURED: u32 = 50;

/// A measurement that has lasted so long ends with what it has.
const MEASURE_MAX: Duration = Duration::from_secs(10);

/// How long a base is believed, and half as much again by chance, so that backends are not all measured at once.
const BASE_AGE: Duration = Duration::from_secs(30);

/// A measurement is followed by at least so many times its own length without one; after a halved limit, by so many.
const REST: u32 = 40;
const REST_HALVED: u32 = 10;
const REST_HALVED_MIN: Duration = Duration::from_secs(1);

/// An answer counts for at most so many times the base: one long poll is not the time of all.
const CAP: f32 = 10.0;

/// The share that a window under little load has in the base.
const BASE_SHARE: f32 = 0.2;

/// The limit of one backend, shared by all workers.
#[derive(Debug)]
pub struct Adaptive {
    limit: AtomicU32,
    /// Bits of the base in µs; 0.0: not known.
    base: AtomicU32,
    /// When the measurement began; 0: there is none.
    measuring: AtomicU64,
    /// The tick at which the window may end.
    due: AtomicU64,
    sum_us: AtomicU64,
    answers: AtomicU32,
    /// The most that was in flight within the window.
    peak: AtomicU32,
    notes: Mutex<Notes>,
    /// Differs among backends.
    salt: u32,
}

#[derive(Debug)]
struct Notes {
    /// The limit from before the measurement.
    kept: u32,
    /// The highest limit since the last measurement.
    highest: u32,
    /// When that ended, and how long it took.
    measured: Moment,
    took: Duration,
}

impl Adaptive {
    pub(super) fn new(salt: u32) -> Self {
        Self {
            limit: AtomicU32::new(LIMIT_FIRST),
            base: AtomicU32::new(0),
            measuring: AtomicU64::new(0),
            due: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
            answers: AtomicU32::new(0),
            peak: AtomicU32::new(0),
            notes: Mutex::new(Notes {
                kept: LIMIT_FIRST,
                highest: LIMIT_FIRST,
                measured: Moment::from_ticks(0),
                took: Duration::ZERO,
            }),
            salt: salt % 16,
        }
    }

    /// How many requests may be in flight now.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// An answer took so long to a request that began then; so many were in flight when it came. Says whether there
    /// is more room than before.
    pub(super) fn answered(&self, took: Duration, began: Moment, in_flight: u32, now: Moment) -> bool {
        let measuring = self.measuring.load(Ordering::Relaxed);
        if measuring != 0 && began.ticks() < measuring {
            return false; // it is of the load from before
        }
        let base = self.base_us();
        let most = if base > 0.0 { base * CAP } else { f32::MAX };
        let us = (took.as_secs_f32() * 1e6).min(most);
        self.peak.fetch_max(in_flight, Ordering::Relaxed);
        self.sum_us.fetch_add(us as u64, Ordering::Relaxed);
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        let enough = answers >= if measuring != 0 { MEASURED } else { ANSWERS_MIN };
        (enough && now.ticks() >= self.due.load(Ordering::Relaxed)) && self.close(now)
    }

    /// No answer, or one that says that the backend failed. One that came fast says nothing about the load.
    pub(super) fn failed(&self, elapsed: Duration, began: Moment, in_flight: u32, now: Moment) -> bool {
        elapsed.as_secs_f32() * 1e6 >= self.base_us().max(1.0)
            && self.answered(elapsed, began, in_flight, now)
    }

    /// Ends a measurement that has lasted too long. Says whether there is more room than before.
    pub(super) fn hurry(&self, now: Moment) -> bool {
        let began = self.measuring.load(Ordering::Relaxed);
        began != 0 && now.since(Moment::from_ticks(began)) >= MEASURE_MAX && self.close(now)
    }

    fn base_us(&self) -> f32 {
        f32::from_bits(self.base.load(Ordering::Relaxed))
    }

    /// Ends the window. Whoever finds somebody else at it leaves it to them.
    #[cold]
    fn close(&self, now: Moment) -> bool {
        let mut notes = match self.notes.try_lock() {
            Err(TryLockError::WouldBlock) => return false,
            Err(TryLockError::Poisoned(notes)) => PoisonError::into_inner(notes),
            Ok(notes) => notes,
        };
        let (sum, answers) =
            (self.sum_us.swap(0, Ordering::Relaxed), self.answers.swap(0, Ordering::Relaxed));
        let peak = self.peak.swap(0, Ordering::Relaxed);
        self.due.store(now.ticks() + u64::from(ticks(WINDOW)), Ordering::Relaxed);
        let mean = (answers > 0).then(|| sum as f32 / answers as f32);
        let before = self.limit();
        let measuring = self.measuring.load(Ordering::Relaxed);
        if measuring != 0 {
            self.measured(&mut notes, mean, Moment::from_ticks(measuring), now);
        } else if let Some(mean) = mean {
            self.adjust(&mut notes, mean, peak, now);
        }
        self.limit() > before
    }

    fn measured(&self, notes: &mut Notes, mean: Option<f32>, began: Moment, now: Moment) {
        if let Some(mean) = mean {
            self.set_base(mean);
        }
        (notes.measured, notes.took, notes.highest) = (now, now.since(began), notes.kept);
        self.measuring.store(0, Ordering::Relaxed);
        self.limit.store(notes.kept, Ordering::Relaxed);
    }

    fn adjust(&self, notes: &mut Notes, mean: f32, peak: u32, now: Moment) {
        let (base, limit) = (self.base_us(), self.limit());
        if peak <= LIMIT_MIN {
            let next = if base > 0.0 { base + (mean - base) * BASE_SHARE } else { mean };
            self.set_base(next);
            (notes.measured, notes.took) = (now, Duration::ZERO);
            return;
        }
        if base <= 0.0 {
            return self.measure(notes, limit, now);
        }
        let share = (TOLERANCE * base / mean.max(1.0)).clamp(SHRINK_MAX, 1.0);
        let next = limit as f32 * share + (limit as f32).sqrt();
        let next = (next as u32).clamp(LIMIT_MIN, LIMIT_MAX);
        // What is not used shows nothing: a limit that nobody comes near would grow for ever.
        if next <= limit || peak >= limit / 2 {
            self.limit.store(next, Ordering::Relaxed);
            notes.highest = notes.highest.max(next);
        }
        if self.is_stale(notes, now) {
            self.measure(notes, self.limit(), now);
        }
    }

    fn is_stale(&self, notes: &Notes, now: Moment) -> bool {
        let age = now.since(notes.measured);
        let by_age = BASE_AGE + BASE_AGE * self.salt / 32;
        let is_halved = self.limit() <= notes.highest / 2;
        age >= by_age.max(notes.took * REST)
            || is_halved && age >= REST_HALVED_MIN.max(notes.took * REST_HALVED)
    }

    fn measure(&self, notes: &mut Notes, kept: u32, now: Moment) {
        notes.kept = kept;
        self.limit.store(LIMIT_MIN, Ordering::Relaxed);
        self.measuring.store(now.ticks().max(1), Ordering::Relaxed);
    }

    fn set_base(&self, us: f32) {
        self.base.store(us.max(1.0).to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoch;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Moment {
        Moment::of(epoch() + MS * ms)
    }

    /// Answers that take `times` as long as one alone takes, 10 ms, with as much in flight as is allowed.
    fn answers(limit: &Adaptive, from_ms: u32, until_ms: u32, times: impl Fn(u32) -> f32) {
        for ms in from_ms..until_ms {
            let in_flight = limit.limit();
            let took = (MS * 10).mul_f32(times(in_flight));
            limit.answered(took, at(ms.saturating_sub(took.as_millis() as u32)), in_flight, at(ms));
        }
    }

    #[test]
    fn it_stays_near_the_knee_and_measures_now_and_then() {
        let limit = Adaptive::new(0);
        let knee = |in_flight: u32| (in_flight as f32 / 16.0).max(1.0);
        answers(&limit, 1, 5_000, knee);
        assert!((16..=40).contains(&limit.limit()), "{}", limit.limit());
        assert!((limit.base_us() - 10_000.0).abs() < 100.0, "{}", limit.base_us());
        let mut lowest = u32::MAX;
        for second in 5..40 {
            for tenth in 0..10 {
                answers(&limit, second * 1_000 + tenth * 100, second * 1_000 + tenth * 100 + 100, knee);
                lowest = lowest.min(limit.limit());
            }
        }
        assert!((16..=40).contains(&limit.limit()), "{}", limit.limit());
        assert!(limit.notes.lock().unwrap().measured > at(30_000), "measured anew");
        assert!(lowest >= LIMIT_MIN);
    }

    #[test]
    fn times_that_grow_for_another_reason_lower_it_for_a_moment_only() {
        let limit = Adaptive::new(0);
        let knee = |in_flight: u32| (in_flight as f32 / 16.0).max(1.0);
        answers(&limit, 1, 5_000, knee);
        answers(&limit, 5_000, 10_000, |in_flight| 3.0 * knee(in_flight));
        assert!((16..=40).contains(&limit.limit()), "{}", limit.limit());
        assert!((limit.base_us() - 30_000.0).abs() < 300.0, "{}", limit.base_us());
        answers(&limit, 10_000, 60_000, knee);
        assert!((16..=40).contains(&limit.limit()), "{}", limit.limit());
    }

    #[test]
    fn a_limit_that_nobody_comes_near_does_not_grow() {
        let limit = Adaptive::new(0);
        for ms in 1..20_000 {
            limit.answered(MS * 10, at(ms), 8, at(ms));
        }
        assert!(limit.limit() <= LIMIT_FIRST, "{}", limit.limit());
    }

    #[test]
    fn what_fails_fast_does_not_raise_it_and_what_times_out_lowers_it() {
        let limit = Adaptive::new(0);
        answers(&limit, 1, 5_000, |in_flight| (in_flight as f32 / 16.0).max(1.0));
        let before = (limit.limit(), limit.base_us());
        (5_000..6_000).for_each(|ms| {
            limit.failed(MS, at(ms), before.0, at(ms));
        });
        assert_eq!((limit.limit(), limit.base_us()), before);
        (6_000..6_200).for_each(|ms| {
            limit.failed(MS * 500, at(ms - 500), before.0, at(ms));
        });
        assert!(limit.limit() < before.0, "{} of {}", limit.limit(), before.0);
    }

    #[test]
    fn a_measurement_without_answers_ends() {
        let limit = Adaptive::new(0);
        (1..60).for_each(|ms| {
            limit.answered(MS * 10, at(ms * 10), 20, at(ms * 10));
        });
        assert_eq!(limit.limit(), LIMIT_MIN, "the base is measured");
        assert!(!limit.hurry(at(5_000)));
        assert!(limit.hurry(at(11_000)));
        assert_eq!(limit.limit(), LIMIT_FIRST);
    }
}
