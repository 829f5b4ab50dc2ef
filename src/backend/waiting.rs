//! Requests that wait for the head of their response, and for how long they have.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::{Moment, TICK_US};

/// Bits of the count: 16 million requests, more than a process has sockets.
const COUNT_BITS: u32 = 24;

/// How many wait, in the lower bits, and the sum of the ticks they began at, modulo 2^40, above: one
/// addition changes both, so that the mean age that is read off them is never torn. The sum of the ages
/// would have to pass two years to be misread.
#[derive(Debug)]
pub(super) struct Waiting(AtomicU64);

impl Waiting {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn begin(&self, at: Moment) {
        self.0.fetch_add(entry(at), Ordering::Relaxed);
    }

    /// Ends what began `at`.
    pub(super) fn end(&self, at: Moment) {
        self.0.fetch_sub(entry(at), Ordering::Relaxed);
    }

    /// The mean age of those that wait, in µs; 0.0 where none does.
    pub(super) fn mean_age_us(&self, now: Moment) -> f32 {
        let word = self.0.load(Ordering::Relaxed);
        let count = word & ((1 << COUNT_BITS) - 1);
        if count == 0 {
            return 0.0;
        }
        let begun = word >> COUNT_BITS;
        let ages = count.wrapping_mul(now.ticks()).wrapping_sub(begun) << COUNT_BITS;
        // The upper bit is a sign: where others began a moment after `now` was read, the sum is below zero.
        let ages = (ages as i64 >> COUNT_BITS).max(0);
        ages as f32 / count as i64 as f32 * TICK_US
    }
}

fn entry(at: Moment) -> u64 {
    (at.ticks() << COUNT_BITS) + 1
}
