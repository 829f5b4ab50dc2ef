//! How much one body may move before others get a turn.
//!
//! Two fast peers would else keep a worker for as long as the kernel has room. A request passes through the worker's
//! queue some five times until it is answered, and waits each time for all the bodies before it: so turns are shorter
//! the more bodies there are.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes of a turn where few wait for theirs: more would save no calls.
const LONGEST: u64 = 256 * 1024;

/// Bytes of a turn however many wait: with less the calls cost more than the bytes.
const SHORTEST: u64 = 16 * 1024;

/// What all who wait may move before the first of them has its next turn, as long as that gives each [`SHORTEST`].
const ROUND: u64 = 4 * 1024 * 1024;

/// Those of one worker who wait for their next turn.
#[derive(Debug, Clone, Default)]
pub struct Turns(Rc<Cell<u64>>);

/// Waits for its next turn.
#[derive(Debug)]
pub struct Queued(Turns);

impl Turns {
    /// Bytes that may be moved now.
    pub fn length(&self) -> u64 {
        (ROUND / self.0.get().max(1)).clamp(SHORTEST, LONGEST)
    }

    /// Counts one who waits, until it is dropped.
    pub fn queue(&self) -> Queued {
        self.0.set(self.0.get() + 1);
        Queued(self.clone())
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_shorter_the_more_wait() {
        let turns = Turns::default();
        assert_eq!(turns.length(), LONGEST);
        let few: Vec<Queued> = (0..16).map(|_| turns.queue()).collect();
        assert_eq!(turns.length(), LONGEST);
        let many: Vec<Queued> = (0..48).map(|_| turns.queue()).collect();
        assert_eq!(turns.length(), ROUND / 64);
        let crowd: Vec<Queued> = (0..10_000).map(|_| turns.queue()).collect();
        assert_eq!(turns.length(), SHORTEST);
        drop((few, many, crowd));
        assert_eq!(turns.length(), LONGEST);
    }
}
