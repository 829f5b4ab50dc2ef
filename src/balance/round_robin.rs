//! round-robin: everyone in turn, as often as its weight says, smoothly.
//!
//! The order is nginx's: weights 5, 1, 1 give a a b a c a a, equal weights strictly a b c. The turn is one
//! counter for the whole process: per worker, n workers would start n rounds and a backend could get n
//! requests in a row. A candidate that may not be picked loses its turn to the next in the order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::choices::Choices;
use super::turns::Turns;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "round-robin",
    summary: "everyone in turn, as often as its weight says, smoothly; one turn for all workers",
    key: KeySource::None,
    score: "turns until it is its turn; the least is taken",
    build,
};

pub(super) const SYNONYM: Algorithm = Algorithm {
    name: "weighted-round-robin",
    summary: "a synonym of round-robin, which honours weights anyway",
    key: KeySource::None,
    score: "turns until it is its turn; the least is taken",
    build,
};

fn build(candidates: &[Candidate], memory: &Arc<Memory>, _settings: Settings) -> Box<dyn Balancer> {
    Box::new(RoundRobin {
        choices: Choices::new(candidates),
        turns: Turns::new(candidates),
        memory: Arc::clone(memory),
    })
}

#[derive(Debug)]
struct RoundRobin {
    choices: Choices,
    turns: Turns,
    memory: Arc<Memory>,
}

impl Balancer for RoundRobin {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
        let due = self.turns.at(turn)?;
        if self.choices.is_open(due, pick.tried) {
            return Some(due);
        }
        match self.turns.seek(turn.wrapping_add(1), |index| self.choices.is_open(index, pick.tried)) {
            Some((_, index)) => Some(index),
            None => self.choices.next_open(due, pick.tried),
        }
    }

    fn score(&self, index: usize, _pick: &Pick<'_>) -> Option<f64> {
        let turn = self.memory.turn.load(Ordering::Relaxed);
        self.turns.seek(turn, |one| one == index).map(|(ahead, _)| ahead as f64)
    }
}
