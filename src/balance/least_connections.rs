//! least-connections: the fewest requests in flight for its weight, ties in turn.
//!
//! For requests of very different length. The count is the process's, not the worker's. Among equals the
//! turn goes round as in round-robin, weights included, so that a quiet pool is not served by its first
//! backend alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::choices::Choices;
use super::turns::Turns;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "least-connections",
    summary: "fewest requests in flight / weight; ties in turn",
    key: KeySource::None,
    build,
};

fn build(candidates: &[Candidate], memory: &Arc<Memory>) -> Box<dyn Balancer> {
    Box::new(LeastConnections {
        choices: Choices::new(candidates),
        turns: Turns::new(candidates),
        memory: Arc::clone(memory),
    })
}

#[derive(Debug)]
struct LeastConnections {
    choices: Choices,
    turns: Turns,
    memory: Arc<Memory>,
}

impl Balancer for LeastConnections {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let (lightest, least) = self
            .choices
            .open(pick.tried)
            .map(|(index, candidate)| (index, Load::of(candidate)))
            .reduce(|best, next| if next.1.is_less_than(best.1) { next } else { best })?;
        let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
        let tied = |index: usize| {
            let load = self.choices.list().get(index).map(Load::of);
            load.is_some_and(|load| !least.is_less_than(load)) && self.choices.is_open(index, pick.tried)
        };
        // Others moved the counts between the two looks where nobody is tied any more.
        let Some((ahead, index)) = self.turns.seek(turn, tied) else { return Some(lightest) };
        // The turns of the busier ones are over: left standing, they would all fall to their successor.
        if ahead > 0 {
            self.memory.turn.fetch_add(ahead, Ordering::Relaxed);
        }
        Some(index)
    }
}

/// Requests in flight per weight, as a fraction.
#[derive(Debug, Clone, Copy)]
struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    fn of(candidate: &Candidate) -> Self {
        Self {
            in_flight: u64::from(candidate.backend.in_flight()),
            weight: u64::from(candidate.weight).max(1),
        }
    }

    fn is_less_than(self, other: Self) -> bool {
        self.in_flight * other.weight < other.in_flight * self.weight
    }
}
