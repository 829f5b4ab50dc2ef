//! The candidates of one compilation, and which of them may be picked.

use super::Candidate;

/// The candidates, in the order their indexes refer to.
#[derive(Debug)]
pub(super) struct Choices(Box<[Candidate]>);

impl Choices {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        Self(candidates.into())
    }

    pub(super) fn list(&self) -> &[Candidate] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the candidate may be picked: not tried and not full.
    ///
    /// Fullness is looked at here and not only when the lease is taken, because a pool of 1,024 full
    /// backends would otherwise cost 1,024 picks, each longer than the last, before its 503.
    pub(super) fn is_open(&self, index: usize, tried: &[usize]) -> bool {
        self.0.get(index).is_some_and(|candidate| is_open(candidate, index, tried))
    }

    /// The open candidates and their indexes.
    pub(super) fn open<'a>(&'a self, tried: &'a [usize]) -> impl Iterator<Item = (usize, &'a Candidate)> {
        self.0.iter().enumerate().filter(|(index, candidate)| is_open(candidate, *index, tried))
    }

    /// The first open candidate at or after `start`, around the end.
    pub(super) fn next_open(&self, start: usize, tried: &[usize]) -> Option<usize> {
        let len = self.len();
        (start..len).chain(0..start.min(len)).find(|index| self.is_open(*index, tried))
    }
}

fn is_open(candidate: &Candidate, index: usize, tried: &[usize]) -> bool {
    !tried.contains(&index) && candidate.backend.has_room(candidate.limit)
}
