//! How many retries a pool can afford.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The sliding window of requests and retries.
const WINDOW: Duration = Duration::from_secs(10);

/// Retries that are always allowed per window: a quiet pool has no requests to take a share of.
const RETRIES_MIN: u64 = 30;

/// How long an accepted connection proves that a backend is there.
const ACCEPTED_RECENTLY: Duration = Duration::from_secs(1);

/// The step in which the window slides.
const STEP_MS: u64 = 100;

/// Steps of a whole window.
const STEPS: u64 = WINDOW.as_millis() as u64 / STEP_MS;

/// Slots of a counter's ring; a power of two above [`STEPS`], so that no two steps of a window share one.
const SLOTS: usize = 128;

/// Places for backends that accepted. Backends whose numbers collide overwrite each other, at worst so
/// that a retry is charged which need not have been.
const ACCEPTED: usize = 64;

/// Other workers may count in the same moment; after so many lost races one count is given up.
const RACES_MAX: usize = 16;

/// One pool's budget, shared by all workers without a lock.
///
/// Retries are at most the larger of `ratio` times the requests of the last 10 s and 30 per 10 s. The window
/// slides in steps of 100 ms and is counted against the retry: the requests of its full steps and the
/// running one, the retries of one step more.
#[derive(Debug)]
pub struct RetryBudget {
    /// Bits of an `f64`, so that a reload can change it and keep the window.
    ratio: AtomicU64,
    origin: OnceLock<Instant>,
    requests: Counter,
    retries: Counter,
    /// Number of the backend above, ms since `origin` below; 0: none.
    accepted: [AtomicU64; ACCEPTED],
}

impl RetryBudget {
    /// An empty budget; `ratio` is retries per request (`retry.budget`).
    pub fn new(ratio: f64) -> Self {
        Self {
            ratio: AtomicU64::new(ratio.to_bits()),
            origin: OnceLock::new(),
            requests: Counter::new(),
            retries: Counter::new(),
            accepted: [const { AtomicU64::new(0) }; ACCEPTED],
        }
    }

    /// Changes the ratio; what the window holds stays.
    pub fn set_ratio(&self, ratio: f64) {
        self.ratio.store(ratio.to_bits(), Ordering::Relaxed);
    }

    /// Counts a request of a client (not its retries).
    pub fn on_request(&self, now: Instant) {
        self.requests.add(self.step(now));
    }

    /// Notes that this backend accepted a connection.
    pub fn on_connected(&self, backend_id: u64, now: Instant) {
        let held = u64::from(backend_id as u32) << 32 | u64::from(self.millis(now) as u32);
        if let Some(slot) = self.accepted.get(backend_id as usize % ACCEPTED) {
            slot.store(held, Ordering::Relaxed);
        }
    }

    /// Notes that this backend did not accept a connection: what it accepted before proves nothing any more.
    pub fn on_refused(&self, backend_id: u64) {
        if let Some(slot) = self.accepted.get(backend_id as usize % ACCEPTED) {
            let held = slot.load(Ordering::Relaxed);
            if (held >> 32) as u32 == backend_id as u32 {
                // A connection accepted in this moment stays noted.
                let _ = slot.compare_exchange(held, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Takes the right to one retry; `false` where the budget is exhausted.
    ///
    /// It is charged first and given back when it was too much, so that workers racing for the last one
    /// cannot both have it.
    pub fn take(&self, now: Instant) -> bool {
        let step = self.step(now);
        if !self.retries.add(step) {
            return false;
        }
        let share =
            f64::from_bits(self.ratio.load(Ordering::Relaxed)) * self.requests.sum(step, STEPS) as f64;
        let allowed = RETRIES_MIN.max(share as u64);
        let fits = self.retries.sum(step, STEPS + 1) <= allowed;
        if !fits {
            self.retries.take_back(step);
        }
        fits
    }

    /// Whether the first retry after a failed connect to this backend goes uncharged: another backend of
    /// the pool accepted a connection within the last second. A single dead backend then costs no budget,
    /// while a pool that is down as a whole still has its retries bounded.
    pub fn connect_retry_is_free(&self, failed_backend_id: u64, now: Instant) -> bool {
        let now_ms = self.millis(now) as u32;
        self.accepted.iter().map(|slot| slot.load(Ordering::Relaxed)).any(|held| {
            let (id, at_ms) = ((held >> 32) as u32, held as u32);
            let age_ms = now_ms.wrapping_sub(at_ms);
            // A clock reading a little older than the note's looks like a huge age.
            let recent = age_ms <= ACCEPTED_RECENTLY.as_millis() as u32 || age_ms > u32::MAX / 2;
            held != 0 && id != failed_backend_id as u32 && recent
        })
    }

    /// Milliseconds since the first instant this budget saw, which counts as 1 and all before it too.
    fn millis(&self, now: Instant) -> u64 {
        let origin = self.origin.get_or_init(|| now);
        now.saturating_duration_since(*origin).as_millis() as u64 + 1
    }

    /// Steps are numbered from one window on, so that 0 marks a slot never used.
    fn step(&self, now: Instant) -> u64 {
        self.millis(now) / STEP_MS + SLOTS as u64
    }
}

/// Counts per step, in a ring: the step (32 bits, good for 13 years) above, the count below.
#[derive(Debug)]
struct Counter {
    ring: [AtomicU64; SLOTS],
}

impl Counter {
    fn new() -> Self {
        Self { ring: [const { AtomicU64::new(0) }; SLOTS] }
    }

    fn slot(&self, step: u64) -> &AtomicU64 {
        // The index is below SLOTS by the modulo.
        &self.ring[step as usize % SLOTS]
    }

    /// Adds one. `false` only when too many others were counting.
    fn add(&self, step: u64) -> bool {
        let slot = self.slot(step);
        let mut held = slot.load(Ordering::Relaxed);
        for _ in 0..RACES_MAX {
            // A step behind a slot's own is a late clock reading: it counts in the newer step.
            let next = if held >> 32 >= step { held + 1 } else { step << 32 | 1 };
            match slot.compare_exchange_weak(held, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => held = other,
            }
        }
        false
    }

    /// Takes one added in `step` back, unless the ring has moved on by then.
    fn take_back(&self, step: u64) {
        let _ = self.slot(step).try_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            (held >> 32 >= step && held as u32 > 0).then(|| held - 1)
        });
    }

    /// The counts of the last `steps` steps, `step` included. Later ones count too: another worker's clock
    /// reading may be ahead.
    fn sum(&self, step: u64, steps: u64) -> u64 {
        let from = (step + 1).saturating_sub(steps);
        self.ring
            .iter()
            .map(|slot| slot.load(Ordering::Acquire))
            .filter(|held| held >> 32 >= from)
            .map(|held| u64::from(held as u32))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn taken(budget: &RetryBudget, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| budget.take(now)).count()
    }

    #[test]
    fn thirty_in_ten_seconds_without_requests() {
        let (budget, start) = (RetryBudget::new(0.2), Instant::now());
        assert_eq!(taken(&budget, start, 100), 30);
        assert_eq!(taken(&budget, start + 9_900 * MS, 100), 0);
        assert_eq!(taken(&budget, start + 10_200 * MS, 100), 30);
    }

    #[test]
    fn a_share_of_the_requests_of_the_window() {
        let (budget, start) = (RetryBudget::new(0.2), Instant::now());
        for request in 0..1_000 {
            budget.on_request(start + request * MS);
        }
        assert_eq!(taken(&budget, start + 1_000 * MS, 1_000), 200);
        assert_eq!(taken(&budget, start + 9_000 * MS, 1_000), 0);
        // Requests and retries have left the window.
        assert_eq!(taken(&budget, start + 11_300 * MS, 1_000), 30);
        budget.set_ratio(0.0);
        assert_eq!(taken(&budget, start + 30_000 * MS, 1_000), 30);
    }

    #[test]
    fn workers_racing_never_take_more() {
        let (budget, now) = (RetryBudget::new(0.2), Instant::now());
        let sum: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| taken(&budget, now, 50))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert!((1..=30).contains(&sum), "{sum}");
    }

    #[test]
    fn a_connect_retry_is_free_while_another_backend_accepts() {
        let (budget, start) = (RetryBudget::new(0.2), Instant::now());
        assert!(!budget.connect_retry_is_free(1, start));
        budget.on_connected(1, start);
        assert!(!budget.connect_retry_is_free(1, start), "itself is not another");
        assert!(budget.connect_retry_is_free(2, start));
        budget.on_connected(2, start + 500 * MS);
        assert!(budget.connect_retry_is_free(1, start + 1_500 * MS));
        assert!(!budget.connect_retry_is_free(1, start + 1_501 * MS));
        assert!(!budget.connect_retry_is_free(2, start + 1_501 * MS));
        budget.on_connected(2, start + 2_000 * MS);
        budget.on_refused(3);
        assert!(budget.connect_retry_is_free(1, start + 2_000 * MS));
        budget.on_refused(2);
        assert!(!budget.connect_retry_is_free(1, start + 2_000 * MS), "it has refused since");
    }

    proptest! {
        /// Against an exact log: never more than the contract allows, and not much less.
        #[test]
        fn it_agrees_with_an_exact_window(
            events in prop::collection::vec((0u64..400, 0u32..40, 0u32..12), 1..120),
        ) {
            let (budget, start) = (RetryBudget::new(0.2), Instant::now());
            let (mut requests, mut retries) = (VecDeque::new(), VecDeque::new());
            let mut at_ms = 0u64;
            for (gap_ms, arriving, failing) in events {
                at_ms += gap_ms;
                let now = start + Duration::from_millis(at_ms);
                for _ in 0..arriving {
                    budget.on_request(now);
                    requests.push_back(at_ms);
                }
                for _ in 0..failing {
                    requests.retain(|time| time + 10_000 > at_ms);
                    retries.retain(|time| time + 10_000 > at_ms);
                    let allowed = RETRIES_MIN.max((requests.len() as f64 * 0.2) as u64);
                    if budget.take(now) {
                        retries.push_back(at_ms);
                        prop_assert!(retries.len() as u64 <= allowed);
                    }
                }
            }
        }
    }
}
