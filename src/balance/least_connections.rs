//! least-connections: the fewest requests in flight for its weight, ties in turn.
//!
//! For requests of very different length. The count is the process's, not the worker's. Among equals the
//! turn goes round as in round-robin, weights included, so that a quiet pool is not served by its first
//! backend alone; where nobody has anything to do all are equal.
//!
//! A failed request goes on counting for as long as a good one takes: a backend that fails at once would
//! otherwise always look idle. Up to 32 candidates are all looked at, of more the best of a few drawn ones
//! is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::draws::{SCANNED_MAX, best_drawn};
use super::random::Lots;
use super::tied::Tied;
use super::turns::Turns;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings, norm};
use crate::backend::Moment;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "least-connections",
    summary: "fewest (requests in flight + 1) / weight; ties, and an idle pool, in turn",
    key: KeySource::None,
    score: "(requests in flight, and failed ones that still count, + 1) / weight; the least is taken, in turn among equals \
            and in an idle pool",
    build,
};

fn build(candidates: &[Candidate], memory: &Arc<Memory>, _settings: Settings) -> Box<dyn Balancer> {
    for candidate in candidates {
        candidate.backend.latency().measure_by(&memory.norm);
    }
    Box::new(LeastConnections {
        lots: Lots::new(candidates),
        turns: Turns::new(candidates),
        memory: Arc::clone(memory),
    })
}

#[derive(Debug)]
struct LeastConnections {
    lots: Lots,
    turns: Turns,
    memory: Arc<Memory>,
}

impl Balancer for LeastConnections {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let now = Moment::of(pick.now);
        let choices = &self.lots.choices;
        norm::renew(&self.memory.norm, choices.list(), pick.random, now);
        if choices.len() > SCANNED_MAX {
            return best_drawn(&self.lots, pick, |candidate| Load::of(candidate, now).with_one_more());
        }
        let mut least: Option<Load> = None;
        let (mut tied, mut open, mut idle) = (Tied::default(), Tied::default(), true);
        for (index, candidate) in choices.open(pick.tried) {
            let load = Load::of(candidate, now);
            (open, idle) = (open.and(index), idle && load.in_flight == 0);
            (least, tied) = match least {
                Some(least) if least.is_less_than(load) => (Some(least), tied),
                Some(least) if !load.is_less_than(least) => (Some(least), tied.and(index)),
                _ => (Some(load), Tied::only(index)),
            };
        }
        let tied = if idle { open } else { tied };
        if !tied.are_several() {
            // Nobody's turn: every write takes the counter from the core that wrote it last.
            return tied.first();
        }
        let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
        // In an order that is walked one of tiny weight may not come for long.
        let Some((ahead, index)) = self.turns.seek(turn, |index| tied.holds(index)) else {
            return tied.first();
        };
        // The turns of the busier ones are over: left standing, they would all fall to their successor.
        if ahead > 0 {
            self.memory.turn.fetch_add(ahead, Ordering::Relaxed);
        }
        Some(index)
    }

    fn score(&self, index: usize, pick: &Pick<'_>) -> Option<f64> {
        let candidate = self.lots.choices.list().get(index)?;
        Some(f64::from(Load::of(candidate, Moment::of(pick.now)).with_one_more()))
    }
}

/// Requests in flight, and failed ones that still count, per weight, as a fraction.
#[derive(Debug, Clone, Copy)]
struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    fn of(candidate: &Candidate, now: Moment) -> Self {
        let backend = &candidate.backend;
        Self {
            in_flight: u64::from(backend.in_flight()) + u64::from(backend.latency().lost(now)),
            weight: u64::from(candidate.weight).max(1),
        }
    }

    /// What it would be after one request more.
    fn with_one_more(self) -> f32 {
        (self.in_flight + 1) as f32 / self.weight as f32
    }

    /// With one request more: else a backend of tiny weight, such as one that is just coming up, would always
    /// have one in flight, because at nothing it looks as free as any.
    fn is_less_than(self, other: Self) -> bool {
        (self.in_flight + 1) * other.weight < (other.in_flight + 1) * self.weight
    }
}
