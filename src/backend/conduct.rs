//! What live traffic says of a backend: failures in a row, failures of late, and whether it may be sent to.
//!
//! Facts alone, shared by all workers without a lock. Who is ejected, and for how long, others decide.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::{Moment, ticks};

/// Steps of a window; the running one is among them.
const STEPS: u32 = 10;

/// Slots of the ring; a power of two above [`STEPS`], so that no two steps of a window share one.
const SLOTS: usize = 16;

/// Other workers may count in the same moment; after so many lost races one count is given up, which a ratio
/// of many does not notice.
const RACES_MAX: usize = 16;

/// A slot: the number of its step above, requests in the middle, failures below. A step comes round after
/// a million others, and a count that is full stays so.
const STEP_BITS: u32 = 20;
const COUNT_BITS: u32 = 22;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const STEP_MASK: u32 = (1 << STEP_BITS) - 1;

/// The bits of a standing that tell the footing, and the one that is set in those that keep traffic away.
const FOOTING: u64 = 3;
const OUT: u64 = 2;

/// How live traffic went at one backend.
#[derive(Debug)]
pub struct Conduct {
    /// Failures since the last success.
    row: AtomicU32,
    ring: [AtomicU64; SLOTS],
    standing: AtomicU64,
}

/// How many requests a window holds, and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
}

/// Whether live traffic may go to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// It may.
    In = 0,
    /// It may again since a check passed, and has still to answer a request well.
    Back = 1,
    /// It may not: it is ejected.
    Out = 2,
    /// One request is finding out whether it may again.
    Tried = 3,
}

/// A footing, since when, and what led there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether live traffic may go there.
    pub footing: Footing,
    /// How often it was ejected so far without having been well for long in between.
    pub level: u8,
    /// Why it was ejected last: a number that only its giver understands.
    pub cause: u8,
    /// Since when; the epoch where it has never been ejected.
    pub since: Moment,
}

/// How long a window is, in a form that is quick to count by.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    step_ticks: u64,
}

impl Window {
    /// A window of ten steps that together last so long.
    pub fn new(length: Duration) -> Self {
        Self { step_ticks: u64::from(ticks(length) / STEPS).max(1) }
    }

    fn step(self, now: Moment) -> u32 {
        (now.ticks() / self.step_ticks) as u32 & STEP_MASK
    }
}

impl Conduct {
    pub(super) fn new() -> Self {
        Self {
            row: AtomicU32::new(0),
            ring: [const { AtomicU64::new(0) }; SLOTS],
            standing: AtomicU64::new(0),
        }
    }

    /// Counts a request that has been answered, or has failed to be.
    pub fn count(&self, window: Window, now: Moment) {
        self.add(window.step(now), 1 << COUNT_BITS);
    }

    /// One that was counted ended well.
    pub fn went_well(&self) {
        // Nearly always it is 0: a load costs the other workers nothing.
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// One that was counted failed. Gives how many have in a row.
    pub fn went_badly(&self, window: Window, now: Moment) -> u32 {
        self.add(window.step(now), 1);
        self.row.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// What the window holds that ends now.
    pub fn tally(&self, window: Window, now: Moment) -> Tally {
        let step = window.step(now);
        let mut tally = Tally::default();
        for slot in &self.ring {
            let held = slot.load(Ordering::Relaxed);
            // Another worker's clock reading may be ahead; what is further away is of another window.
            if held != 0 && distance(step, held) < STEPS as i32 && distance(step, held) > -(SLOTS as i32) {
                tally.requests += held >> COUNT_BITS & COUNT_MAX;
                tally.failures += held & COUNT_MAX;
            }
        }
        tally
    }

    /// Forgets what was counted.
    pub fn forget(&self) {
        self.row.store(0, Ordering::Relaxed);
        self.ring.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    /// Forgets everything: live traffic may go there.
    pub(super) fn begin_anew(&self) {
        self.forget();
        self.standing.store(0, Ordering::Release);
    }

    /// Whether live traffic may go there.
    pub fn standing(&self) -> Standing {
        Standing::unpack(self.standing.load(Ordering::Acquire))
    }

    /// Whether it is ejected: [`Standing::is_out`], at the cost of a load.
    pub fn is_out(&self) -> bool {
        self.standing.load(Ordering::Acquire) & OUT != 0
    }

    /// Whether a success changes anything: failures stand before it, or it is back and has to prove itself.
    /// Costs two loads, which is what nearly every answer costs.
    pub fn notes_success(&self) -> bool {
        self.row.load(Ordering::Relaxed) != 0
            || self.standing.load(Ordering::Acquire) & FOOTING == Footing::Back as u64
    }

    /// Replaces one standing by another; `false` where somebody else was first.
    pub fn change(&self, from: Standing, to: Standing) -> bool {
        let swapped =
            self.standing.compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire);
        swapped.is_ok()
    }

    fn add(&self, step: u32, more: u64) {
        // The index is below SLOTS by the modulo.
        let slot = &self.ring[step as usize % SLOTS];
        let mut held = slot.load(Ordering::Relaxed);
        for _ in 0..RACES_MAX {
            let ahead = -distance(step, held);
            // A step a little behind a slot's own is a late clock reading: it counts in the newer step.
            let next = if (0..=SLOTS as i32).contains(&ahead) && held != 0 {
                let full = held >> COUNT_BITS & COUNT_MAX == COUNT_MAX || held & COUNT_MAX == COUNT_MAX;
                if full { held } else { held + more }
            } else {
                u64::from(step) << (2 * COUNT_BITS) | more
            };
            match slot.compare_exchange_weak(held, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => held = other,
            }
        }
    }
}

/// How many steps a slot's own lies before `step`; less than 0 where it lies behind it.
fn distance(step: u32, held: u64) -> i32 {
    let own = (held >> (2 * COUNT_BITS)) as u32;
    // Both wrap after 20 bits: the shifts bring the sign of the difference to its place.
    (step.wrapping_sub(own) << (32 - STEP_BITS)) as i32 >> (32 - STEP_BITS)
}

impl Standing {
    fn pack(self) -> u64 {
        let (cause, level) = (u64::from(self.cause), u64::from(self.level));
        self.since.ticks() << 18 | cause << 10 | level << 2 | self.footing as u64
    }

    fn unpack(word: u64) -> Self {
        Self {
            footing: [Footing::In, Footing::Back, Footing::Out, Footing::Tried][(word & FOOTING) as usize],
            level: (word >> 2) as u8,
            cause: (word >> 10) as u8,
            since: Moment::from_ticks(word >> 18),
        }
    }

    /// Whether live traffic is kept away.
    pub fn is_out(self) -> bool {
        matches!(self.footing, Footing::Out | Footing::Tried)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::epoch;
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::of(epoch() + Duration::from_millis(ms))
    }

    fn fails(conduct: &Conduct, window: Window, ms: u64) -> u32 {
        conduct.count(window, at(ms));
        conduct.went_badly(window, at(ms))
    }

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    #[test]
    fn failures_in_a_row_end_with_a_success() {
        let (conduct, window) = (Conduct::new(), Window::new(TEN_SECONDS));
        assert!(!conduct.notes_success());
        assert_eq!([1, 2, 3].map(|_| fails(&conduct, window, 5)), [1, 2, 3]);
        conduct.count(window, at(6));
        assert!(conduct.notes_success());
        conduct.went_well();
        assert!(!conduct.notes_success());
        assert_eq!(fails(&conduct, window, 7), 1);
        assert_eq!(conduct.tally(window, at(8)), Tally { requests: 5, failures: 4 });
        conduct.forget();
        assert_eq!((conduct.tally(window, at(8)), fails(&conduct, window, 9)), (Tally::default(), 1));
    }

    #[test]
    fn a_slot_of_another_time_is_not_of_this_window() {
        let (conduct, window) = (Conduct::new(), Window::new(TEN_SECONDS));
        // Also where the window's length has changed meanwhile, so that steps seem to lie far ahead.
        for (ms, window) in [(3_600_000, Window::new(Duration::from_millis(50))), (3_600_100, window)] {
            fails(&conduct, window, ms);
            assert_eq!(conduct.tally(window, at(ms)), Tally { requests: 1, failures: 1 });
        }
        assert_eq!(conduct.tally(window, at(3_700_000)), Tally::default());
    }

    #[test]
    fn a_full_count_stays_full() {
        let (conduct, window) = (Conduct::new(), Window::new(TEN_SECONDS));
        conduct.ring[0].store((COUNT_MAX - 1) << COUNT_BITS | 7, Ordering::Relaxed);
        assert_eq!([(); 3].map(|()| fails(&conduct, window, 0)), [1, 2, 3]);
        assert_eq!(conduct.tally(window, at(0)), Tally { requests: COUNT_MAX, failures: 7 });
    }

    proptest! {
        /// Against an exact log: what lies within nine steps counts, what is older than ten does not.
        #[test]
        fn a_tally_is_of_the_last_ten_steps(events in prop::collection::vec((0u64..1_500, any::<bool>()), 1..200)) {
            let (conduct, window) = (Conduct::new(), Window::new(TEN_SECONDS));
            let (mut log, mut now_ms) = (Vec::new(), 50_000);
            for (gap_ms, failed) in events {
                now_ms += gap_ms;
                conduct.count(window, at(now_ms));
                if failed {
                    conduct.went_badly(window, at(now_ms));
                }
                log.push((now_ms, failed));
                let tally = conduct.tally(window, at(now_ms));
                let within = |ms: u64| log.iter().filter(move |(at, _)| now_ms - at < ms);
                let count = |ms: u64| (within(ms).count() as u64, within(ms).filter(|(_, failed)| *failed).count() as u64);
                let (least, most) = (count(9_000), count(10_000));
                prop_assert!((least.0..=most.0).contains(&tally.requests));
                prop_assert!((least.1..=most.1).contains(&tally.failures));
            }
        }

        #[test]
        fn a_standing_is_read_as_it_was_written(
            kind in 0usize..4, level in any::<u8>(), cause in any::<u8>(), ms in 0u64..1 << 40,
        ) {
            let footing = [Footing::In, Footing::Back, Footing::Out, Footing::Tried][kind];
            let standing = Standing { footing, level, cause, since: at(ms) };
            prop_assert_eq!(Standing::unpack(standing.pack()), standing);
            let conduct = Conduct::new();
            conduct.standing.store(standing.pack(), Ordering::Relaxed);
            prop_assert_eq!(conduct.is_out(), standing.is_out());
            prop_assert_eq!(conduct.notes_success(), footing == Footing::Back);
        }
    }
}
