//! Weights as shares of one line: which candidate owns the point.

use super::Candidate;

/// Each candidate owns a stretch as long as its weight.
#[derive(Debug)]
pub(super) struct Shares {
    /// Where each candidate's stretch ends; empty where all weights are equal.
    ends: Box<[u64]>,
    total: u64,
    len: usize,
}

impl Shares {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let len = candidates.len();
        let first = candidates.first().map(|candidate| candidate.weight);
        if candidates.iter().all(|candidate| Some(candidate.weight) == first) {
            return Self { ends: Box::default(), total: len as u64, len };
        }
        let mut total = 0;
        let ends = candidates
            .iter()
            .map(|candidate| {
                total += u64::from(candidate.weight);
                total
            })
            .collect();
        Self { ends, total, len }
    }

    /// The owner of `point`, where the whole line is 0 to 2^64. `None` only where there is no candidate.
    pub(super) fn owner(&self, point: u64) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        // The high half of the product maps 2^64 points evenly onto the total, without a division.
        let place = ((u128::from(point) * u128::from(self.total)) >> 64) as u64;
        if self.ends.is_empty() {
            return Some(place as usize);
        }
        Some(self.ends.partition_point(|end| *end <= place).min(self.len - 1))
    }
}
