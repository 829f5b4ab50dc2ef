//! power-of-two: of two different backends drawn by weight, the one with less to do.
//!
//! Nearly as even as least-connections at the cost of two looks, however many backends there are, and
//! without the rush on the one that looks emptiest to every worker at the same moment (Mitzenmacher,
//! «The power of two choices in randomized load balancing», 2001).

use std::sync::Arc;

use super::random::Lots;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "power-of-two",
    summary: "two are drawn by weight; the one with fewer (requests in flight + 1) / weight is taken",
    key: KeySource::None,
    score: "(requests in flight + 1) / weight; the lesser of two that are drawn is taken",
    build,
};

fn build(candidates: &[Candidate], _memory: &Arc<Memory>, _settings: Settings) -> Box<dyn Balancer> {
    Box::new(PowerOfTwo { lots: Lots::new(candidates) })
}

#[derive(Debug)]
struct PowerOfTwo {
    lots: Lots,
}

impl Balancer for PowerOfTwo {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let first = self.lots.draw(pick, None)?;
        let Some(second) = self.lots.draw(pick, Some(first)) else { return Some(first) };
        let list = self.lots.choices.list();
        let (one, other) = (list.get(first)?, list.get(second)?);
        // (a + 1) / wa <= (b + 1) / wb, without dividing.
        let one_load = (u64::from(one.backend.in_flight()) + 1) * u64::from(other.weight);
        let other_load = (u64::from(other.backend.in_flight()) + 1) * u64::from(one.weight);
        Some(if one_load <= other_load { first } else { second })
    }

    fn score(&self, index: usize, _pick: &Pick<'_>) -> Option<f64> {
        let candidate = self.lots.choices.list().get(index)?;
        Some((f64::from(candidate.backend.in_flight()) + 1.0) / f64::from(candidate.weight.max(1)))
    }
}
