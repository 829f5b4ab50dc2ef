//! random: each request draws its backend, by weight.
//!
//! Nothing is shared between workers or balancers, so that it stays right where many instances of
//! Equipoise stand before the same backends.

use std::sync::Arc;

use super::choices::Choices;
use super::shares::Shares;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "random",
    summary: "drawn for each request, by weight",
    key: KeySource::None,
    score: "",
    build,
};

/// Draws before the exact way is taken: enough that it is rare, few enough that it is cheap when nearly
/// everyone is tried or full.
const DRAWS_MAX: usize = 4;

fn build(candidates: &[Candidate], _memory: &Arc<Memory>, _settings: Settings) -> Box<dyn Balancer> {
    Box::new(Random { lots: Lots::new(candidates) })
}

#[derive(Debug)]
struct Random {
    lots: Lots,
}

impl Balancer for Random {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        self.lots.draw(pick, None)
    }
}

/// A weighted draw among the open candidates.
#[derive(Debug)]
pub(super) struct Lots {
    pub(super) choices: Choices,
    shares: Shares,
}

impl Lots {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        Self { choices: Choices::new(candidates), shares: Shares::new(candidates) }
    }

    /// One draw: the candidate, if it is open.
    pub(super) fn draw_once(&self, pick: &mut Pick<'_>) -> Option<(usize, &Candidate)> {
        let index = self.shares.owner(pick.random.u64(..))?;
        let candidate = self.choices.list().get(index)?;
        self.choices.is_open(index, pick.tried).then_some((index, candidate))
    }

    /// Draws an open candidate other than `but`. Drawing again until one is open, and then drawing among
    /// the open ones alone, both give every open candidate its weight's share of them.
    pub(super) fn draw(&self, pick: &mut Pick<'_>, but: Option<usize>) -> Option<usize> {
        for _ in 0..DRAWS_MAX {
            let index = self.shares.owner(pick.random.u64(..))?;
            if Some(index) != but && self.choices.is_open(index, pick.tried) {
                return Some(index);
            }
        }
        self.draw_exactly(pick, but)
    }

    fn draw_exactly(&self, pick: &mut Pick<'_>, but: Option<usize>) -> Option<usize> {
        let open = || self.choices.open(pick.tried).filter(|(index, _)| Some(*index) != but);
        let total: u64 = open().map(|(_, candidate)| u64::from(candidate.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut place = pick.random.u64(..total);
        let mut last = None;
        for (index, candidate) in open() {
            last = Some(index);
            match place.checked_sub(u64::from(candidate.weight)) {
                None => return last,
                Some(rest) => place = rest,
            }
        }
        // Another worker filled one meanwhile and the line became shorter: the last open one.
        last
    }
}
