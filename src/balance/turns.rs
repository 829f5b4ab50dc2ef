//! Whose turn it is: a schedule compiled once, so that a turn is one addition on a shared counter.

use super::{Candidate, shares::Shares};

/// The longest schedule that is written out (the sum of the weights, reduced by their common divisor).
const SCHEDULE_MAX: u64 = 4096;

/// How many turns ahead of a walked line are looked at before the caller falls back to list order.
const WALK_AHEAD: usize = 64;

/// 2^64 divided by the golden ratio: of all steps around a circle the one that spreads best.
const GOLDEN_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The order in which candidates take turns, each as often as its weight says.
#[derive(Debug)]
pub(super) enum Turns {
    /// nginx's smooth order, written out: repeats exactly.
    Written(Box<[u32]>),
    /// For weights whose schedule would be too long: turn `t` belongs to the owner of the point
    /// `t × golden ratio` (modulo 1) on the line of shares. Over any run of turns every candidate gets its
    /// share to within a few turns, and spread as evenly as the smooth order spreads it; over 2^64 turns
    /// exactly its share. No state but the counter, so workers need no lock for it either.
    Walked(Shares),
}

impl Turns {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let weights: Vec<u64> = candidates.iter().map(|candidate| u64::from(candidate.weight)).collect();
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let weights: Vec<u64> = weights.iter().map(|weight| weight / divisor).collect();
        if weights.iter().all(|weight| *weight == 1) {
            // Equal weights stay strictly in turn however many they are.
            return Self::Written((0..candidates.len() as u32).collect());
        }
        if weights.iter().sum::<u64>() > SCHEDULE_MAX {
            return Self::Walked(Shares::new(candidates));
        }
        Self::Written(smooth(&weights))
    }

    /// Whose turn it is. `None` only where there is no candidate.
    pub(super) fn at(&self, turn: u64) -> Option<usize> {
        match self {
            Self::Written(order) => {
                let place = turn.checked_rem(order.len() as u64)?;
                order.get(place as usize).map(|index| *index as usize)
            }
            Self::Walked(shares) => shares.owner(turn.wrapping_mul(GOLDEN_STEP)),
        }
    }

    /// The first of the turns from `turn` on whose candidate is `wanted`, as its distance and index.
    /// A written order is looked through once; a walked one may miss a candidate of tiny weight, and then
    /// it is `None` too.
    pub(super) fn seek(&self, turn: u64, wanted: impl Fn(usize) -> bool) -> Option<(u64, usize)> {
        let span = match self {
            Self::Written(order) => order.len(),
            Self::Walked(_) => WALK_AHEAD,
        };
        (0..span as u64)
            .filter_map(|ahead| Some((ahead, self.at(turn.wrapping_add(ahead))?)))
            .find(|(_, index)| wanted(*index))
    }
}

/// One full round of nginx's smooth weighted order: everyone gains its weight, the richest is taken (the
/// first of equals) and pays the total. 5, 1, 1 gives a a b a c a a.
fn smooth(weights: &[u64]) -> Box<[u32]> {
    let total: u64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut richest = 0;
            for index in 0..weights.len() {
                credit[index] += weights[index] as i64;
                if credit[index] > credit[richest] {
                    richest = index;
                }
            }
            credit[richest] -= total as i64;
            richest as u32
        })
        .collect()
}

fn gcd(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}
