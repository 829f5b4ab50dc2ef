//! A bound on what each candidate may have of the pool's load.
//!
//! With n requests in flight, the one that is to be placed included, a candidate takes it only if it then has at most
//! factor × n × its share of the weights, rounded up. The bounds of all add up to more than n for every factor
//! of 1 or more, so that somebody always has room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::draws::SCANNED_MAX;
use super::{Candidate, Memory};
use crate::backend::Moment;

/// The requests in flight at all candidates, as they were at the last look. To look at a thousand costs more than
/// all the rest of a pick, so that of many candidates only one pick in a millisecond does.
#[derive(Debug, Default)]
pub(super) struct Total(AtomicU64);

/// For so long a sum serves: a millisecond.
const FRESH_TICKS: u32 = 8;
impl Total {
    pub(super) fn copied(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// The bound of one compilation.
#[derive(Debug)]
pub(super) struct Bound {
    /// The factor, divided by the sum of the weights.
    factor_per_weight: f64,
    memory: Arc<Memory>,
}

impl Bound {
    pub(super) fn new(factor: f64, candidates: &[Candidate], memory: &Arc<Memory>) -> Self {
        let weights: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight.max(1))).sum();
        Self { factor_per_weight: factor / weights.max(1) as f64, memory: Arc::clone(memory) }
    }

    /// Whether the candidate stays within its bound if it takes one more, where `total` are in flight.
    pub(super) fn has_room(&self, candidate: &Candidate, total: u64) -> bool {
        let share = self.factor_per_weight * f64::from(candidate.weight.max(1));
        // One more is at most the bound rounded up where as many as now are fewer than it is: nothing has to be rounded.
        // What is whole but for the rounding of floats is not rounded up to one more.
        f64::from(candidate.backend.in_flight()) < share * (total + 1) as f64 - 1e-9
    }

    /// What is in flight at these candidates; of many, as it was when somebody looked within the last millisecond.
    pub(super) fn recent_total(&self, candidates: &[Candidate], now: Moment) -> u64 {
        if candidates.len() > SCANNED_MAX {
            let held = self.memory.total.0.load(Ordering::Relaxed);
            if now.tick_bits().wrapping_sub(held as u32) < FRESH_TICKS {
                return held >> 32;
            }
        }
        self.exact_total(candidates, now)
    }

    /// What is in flight at these candidates.
    pub(super) fn exact_total(&self, candidates: &[Candidate], now: Moment) -> u64 {
        let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.backend.in_flight())).sum();
        if candidates.len() > SCANNED_MAX {
            // More than 32 bits hold are no requests of this world.
            let held = total.min(u64::from(u32::MAX)) << 32 | u64::from(now.tick_bits());
            self.memory.total.0.store(held, Ordering::Relaxed);
        }
        total
    }
}
