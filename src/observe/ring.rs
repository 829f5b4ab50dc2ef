//! A window that moves on by buckets.

use std::time::Duration;

use super::ledger::micros;

/// What was counted within one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// Requests that succeeded or failed.
    pub(super) judged: u64,
    /// Those that failed.
    pub(super) failed: u64,
    /// Requests whose time was taken.
    pub(super) timed: u64,
    /// Those that took too long.
    pub(super) slow: u64,
}

impl Cell {
    pub(super) fn add(&mut self, more: Self) {
        self.judged = self.judged.saturating_add(more.judged);
        self.failed = self.failed.saturating_add(more.failed);
        self.timed = self.timed.saturating_add(more.timed);
        self.slow = self.slow.saturating_add(more.slow);
    }
}

/// Counts of the last while. Times are microseconds of a clock that never goes back; one that lies behind the
/// window is forgotten at once.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    width: u64,
    /// The number of the bucket that fills: its time / width.
    newest: u64,
    cells: Box<[Cell]>,
}

impl Ring {
    /// Of `buckets` buckets, one at least, that together make the window.
    pub(super) fn new(window: Duration, buckets: u64) -> Self {
        let buckets = buckets.max(1);
        let cells = vec![Cell::default(); usize::try_from(buckets).unwrap_or(1)].into();
        Self { width: (micros(window) / buckets).max(1), newest: 0, cells }
    }

    pub(super) fn add(&mut self, at: u64, more: Cell) {
        let bucket = at / self.width;
        self.turn(bucket);
        if bucket.saturating_add(self.len()) > self.newest {
            self.cells[(bucket % self.len()) as usize].add(more);
        }
    }

    /// All that lies within the window at this time.
    pub(super) fn sum(&self, at: u64) -> Cell {
        let current = (at / self.width).max(self.newest);
        let mut sum = Cell::default();
        for (begin, cell) in self.cells() {
            if (begin / self.width).saturating_add(self.len()) > current {
                sum.add(cell);
            }
        }
        sum
    }

    /// The buckets that hold anything, each with the time at which it began; the oldest first.
    pub(super) fn cells(&self) -> impl Iterator<Item = (u64, Cell)> {
        let oldest = self.newest.saturating_add(1).saturating_sub(self.len());
        let buckets = (oldest..=self.newest).map(|n| (n * self.width, self.cells[(n % self.len()) as usize]));
        buckets.filter(|(_, cell)| *cell != Cell::default())
    }

    /// Empties the buckets between the newest and this one.
    fn turn(&mut self, bucket: u64) {
        let steps = bucket.saturating_sub(self.newest).min(self.len());
        for step in 0..steps {
            self.cells[((bucket - step) % self.len()) as usize] = Cell::default();
        }
        self.newest = self.newest.max(bucket);
    }

    fn len(&self) -> u64 {
        self.cells.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> Ring {
        Ring::new(Duration::from_micros(50), 5)
    }

    fn one() -> Cell {
        Cell { judged: 1, failed: 0, timed: 1, slow: 1 }
    }

    #[test]
    fn what_comes_late_counts_where_it_belongs_or_not_at_all() {
        let mut ring = ring();
        ring.add(100, one());
        ring.add(72, one());
        assert_eq!(ring.sum(100).judged, 2);
        ring.add(59, one());
        assert_eq!(ring.sum(100).judged, 2, "behind the window");
        assert_eq!(ring.sum(125).judged, 1, "the bucket of 72 has left");
        assert_eq!(ring.cells().collect::<Vec<_>>(), [(70, one()), (100, one())]);
        ring.add(10_000, one());
        assert_eq!(ring.cells().collect::<Vec<_>>(), [(10_000, one())]);
    }

    proptest! {
        /// A window holds what came within its last whole buckets and the one that fills, whatever the order of
        /// times that only grow.
        #[test]
        fn a_window_is_its_last_buckets(steps in prop::collection::vec(0..40u64, 0..80), rest in 0..80u64) {
            let (mut ring, mut at, mut all) = (ring(), 0, Vec::new());
            for step in steps {
                at += step;
                all.push(at);
                ring.add(at, one());
            }
            at += rest;
            let expected = all.iter().filter(|&&then| then / 10 + 5 > at / 10).count() as u64;
            prop_assert_eq!(ring.sum(at).slow, expected);
        }
    }
}
