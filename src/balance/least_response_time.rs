//! least-response-time: the shortest expected wait.
//!
//! Score = estimated time to the response head × (requests in flight + 1) / weight; the least is taken,
//! the next in list order from the turn on among equals. The estimate is a peak-sensitive average that
//! decays while nothing is sent, so that a slow backend is tried again, and that counts failures as slow,
//! so that one which fails fast does not attract everything (see [`crate::backend::Latency`]).
//!
//! A backend without a sample counts as the pool's median: as nothing it would get every request until
//! its first answer, as slow it would get none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::choices::Choices;
use super::turns::Turns;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick};
use crate::backend;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "least-response-time",
    summary: "least average time to the response head × (requests in flight + 1) / weight",
    key: KeySource::None,
    build,
};

/// How long a computed median serves: it only places newcomers.
const MEDIAN_AGE: Duration = Duration::from_millis(100);

/// The estimate of everyone while no backend of the pool has answered yet, in µs. Its size does not
/// matter, only that it is the same for all.
const UNKNOWN_US: f32 = 1000.0;

fn build(candidates: &[Candidate], memory: &Arc<Memory>) -> Box<dyn Balancer> {
    Box::new(LeastResponseTime {
        choices: Choices::new(candidates),
        turns: Turns::new(candidates),
        memory: Arc::clone(memory),
        median: Median::new(),
    })
}

#[derive(Debug)]
struct LeastResponseTime {
    choices: Choices,
    turns: Turns,
    memory: Arc<Memory>,
    median: Median,
}

impl Balancer for LeastResponseTime {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
        let start = self.turns.at(turn)?;
        let list = self.choices.list();
        let (before, after) = list.split_at_checked(start)?;
        let indexed = after.iter().zip(start..).chain(before.iter().zip(0..));
        let mut newcomer_us = None;
        let mut best: Option<(f32, usize)> = None;
        for (candidate, index) in indexed {
            if !self.choices.is_open(index, pick.tried) {
                continue;
            }
            let estimate_us = candidate.backend.latency().estimate_us(pick.now).unwrap_or_else(|| {
                *newcomer_us.get_or_insert_with(|| self.median.at(pick.now, list).unwrap_or(UNKNOWN_US))
            });
            let waiting = candidate.backend.in_flight() as f32 + 1.0;
            let score = estimate_us * waiting / f32::from(candidate.weight.max(1));
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, index));
            }
        }
        best.map(|(_, index)| index)
    }
}

/// The median estimate, computed at most once per [`MEDIAN_AGE`] by whoever comes first.
#[derive(Debug)]
struct Median {
    since: Instant,
    /// Bits of the median in µs, 0 for none, above; ms since `since` when it is due again, below.
    packed: AtomicU64,
}

impl Median {
    fn new() -> Self {
        Self { since: backend::epoch(), packed: AtomicU64::new(0) }
    }

    fn at(&self, now: Instant, candidates: &[Candidate]) -> Option<f32> {
        let now_ms = now.saturating_duration_since(self.since).as_millis() as u32;
        let packed = self.packed.load(Ordering::Relaxed);
        if now_ms < packed as u32 {
            return Some(f32::from_bits((packed >> 32) as u32)).filter(|us| *us > 0.0);
        }
        let median_us = median_us(now, candidates);
        let due_ms = now_ms.saturating_add(MEDIAN_AGE.as_millis() as u32);
        let bits = median_us.unwrap_or(0.0).to_bits();
        self.packed.store(u64::from(bits) << 32 | u64::from(due_ms), Ordering::Relaxed);
        median_us
    }
}

fn median_us(now: Instant, candidates: &[Candidate]) -> Option<f32> {
    let mut known: Vec<f32> =
        candidates.iter().filter_map(|candidate| candidate.backend.latency().estimate_us(now)).collect();
    let middle = known.len() / 2;
    (!known.is_empty()).then(|| *known.select_nth_unstable_by(middle, f32::total_cmp).1)
}
