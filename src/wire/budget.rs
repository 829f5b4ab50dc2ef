//! What the buffers of all workers may hold together.
//!
//! Every buffer may hold [`FREE`] bytes without being counted: so much is always granted, so that an exchange
//! can always be carried to its end in small pieces, whatever others hold. What is larger counts whole. The
//! smaller the use, the lower the share of the budget it may fill: who relays much gives way to who must read
//! a head, and nobody who holds something ever waits for what another holds.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that a buffer may hold without being counted.
pub const FREE: usize = 4 * 1024;

/// What a worker takes from the budget at once: several requests' worth, so that no cache line is shared for
/// a small one.
const PIECE: u64 = 128 * 1024;

/// Of so many parts of the budget the workers together keep at most one that they do not use.
const PARTS: u64 = 8;

/// Memory is tight where a worker holds more than its share of one in so many parts of the budget.
const TIGHT: u64 = 4;

/// The budget of the process.
#[derive(Debug)]
pub struct Budget {
    /// What the workers have taken, used or not.
    granted: AtomicU64,
    max: AtomicU64,
    workers: u64,
}

/// What memory is wanted for: which share of the budget may be full for it to be granted still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Fewer calls for a large body: half.
    Speed,
    /// An ordinary block: three quarters.
    Relay,
    /// A head that is longer than what is free: all.
    Head,
}

impl Budget {
    /// Of `max` bytes for so many workers.
    pub fn new(max: u64, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            granted: AtomicU64::new(0),
            max: AtomicU64::new(max),
            workers: workers.max(1) as u64,
        })
    }

    /// Changes the bound. What is held above a lower one is not taken away: it runs out.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Bytes taken by the workers, in whole pieces.
    pub fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    /// The bound.
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    fn piece(&self) -> u64 {
        (self.max() / (2 * PARTS * self.workers)).clamp(FREE as u64, PIECE)
    }

    fn share(&self, purpose: Use) -> u64 {
        let max = self.max();
        match purpose {
            Use::Speed => max / 2,
            Use::Relay => max / 4 * 3,
            Use::Head => max,
        }
    }
}

/// One worker's part of the budget.
#[derive(Debug)]
pub(super) struct Purse {
    budget: Arc<Budget>,
    granted: Cell<u64>,
    held: Cell<u64>,
    /// With more than so much that is not used, some is given back.
    slack: Cell<u64>,
}

impl Purse {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        let slack = Cell::new(2 * budget.piece());
        Self { budget, granted: Cell::new(0), held: Cell::new(0), slack }
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whether so much would be granted now.
    pub(super) fn has_room(&self, bytes: usize, purpose: Use) -> bool {
        let lacking = (self.held.get() + bytes as u64).saturating_sub(self.granted.get());
        self.budget.granted() + lacking <= self.budget.share(purpose)
    }

    /// Whether this worker holds so much that what only waits should be given back.
    pub(super) fn is_tight(&self) -> bool {
        self.held.get().saturating_mul(TIGHT * self.budget.workers) > self.budget.max()
    }

    fn take(&self, bytes: usize) {
        let held = self.held.get() + bytes as u64;
        self.held.set(held);
        if held > self.granted.get() {
            self.fetch(held - self.granted.get());
        }
    }

    #[cold]
    fn fetch(&self, lacking: u64) {
        let more = lacking.next_multiple_of(self.budget.piece());
        self.budget.granted.fetch_add(more, Ordering::Relaxed);
        self.granted.set(self.granted.get() + more);
    }

    fn give(&self, bytes: usize) {
        let held = self.held.get() - bytes as u64;
        self.held.set(held);
        if self.granted.get() - held > self.slack.get() {
            self.keep(self.budget.piece());
        }
    }

    /// Gives back what is not used, beyond `spare`.
    #[cold]
    pub(super) fn keep(&self, spare: u64) {
        self.slack.set(2 * self.budget.piece()); // of the bound as it is now
        let back = self.granted.get().saturating_sub(self.held.get() + spare);
        if back > 0 {
            self.granted.set(self.granted.get() - back);
            self.budget.granted.fetch_sub(back, Ordering::Relaxed);
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.budget.granted.fetch_sub(self.granted.get(), Ordering::Relaxed);
    }
}

/// What one buffer is counted with; given back on drop.
#[derive(Debug, Default)]
pub struct Charge {
    purse: Option<Rc<Purse>>,
    bytes: usize,
}

impl Charge {
    /// Of nothing yet, for one who will not have the purse at hand.
    pub(super) fn new(purse: &Rc<Purse>) -> Self {
        Self { purse: Some(Rc::clone(purse)), bytes: 0 }
    }

    /// Whether so much more would be granted now.
    pub(super) fn grants(&self, bytes: usize, purpose: Use) -> bool {
        self.purse.as_ref().is_some_and(|purse| purse.has_room(bytes, purpose))
    }

    /// Counts `bytes` in place of what was counted, whether there is room or not. To be called only on one that
    /// has a purse.
    pub(super) fn resize(&mut self, bytes: usize) {
        if let Some(purse) = self.purse.clone().filter(|_| bytes.max(self.bytes) > FREE) {
            self.set(&purse, bytes);
        }
    }

    /// Counts `capacity` bytes in place of what was counted, whether there is room or not.
    #[inline]
    pub(super) fn set(&mut self, purse: &Rc<Purse>, capacity: usize) {
        let bytes = if capacity > FREE { capacity } else { 0 };
        if bytes == self.bytes {
            return;
        }
        let held = self.purse.get_or_insert_with(|| Rc::clone(purse));
        if bytes > self.bytes {
            held.take(bytes - self.bytes);
        } else {
            held.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(purse) = self.purse.take().filter(|_| self.bytes > 0) {
            purse.give(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 16 << 20;

    fn purse(budget: &Arc<Budget>) -> Rc<Purse> {
        Rc::new(Purse::new(Arc::clone(budget)))
    }

    #[test]
    fn what_is_small_is_free_and_what_is_larger_counts_whole() {
        let budget = Budget::new(MAX, 1);
        let purse = purse(&budget);
        let mut charge = Charge::default();
        charge.set(&purse, FREE);
        assert_eq!((purse.held.get(), budget.granted()), (0, 0));
        charge.set(&purse, FREE + 1);
        assert_eq!((purse.held.get(), budget.granted()), (FREE as u64 + 1, PIECE));
        drop(charge);
        purse.keep(0);
        assert_eq!((purse.held.get(), budget.granted()), (0, 0));
    }

    #[test]
    fn coming_and_going_of_a_few_blocks_touches_the_shared_budget_once() {
        let budget = Budget::new(MAX, 1);
        let purse = purse(&budget);
        let four = || std::array::from_fn::<_, 4, _>(|_| charged(&purse, 32 * 1024));
        drop(four());
        let before = budget.granted();
        for _ in 0..100 {
            drop(four());
            assert_eq!(budget.granted(), before);
        }
        assert!(before > 0);
    }

    #[test]
    fn large_relays_stop_before_relays_and_these_before_heads() {
        let budget = Budget::new(MAX, 2);
        let (here, there) = (purse(&budget), purse(&budget));
        let mut held = Vec::new();
        let mut fill = |purpose| {
            while here.has_room(64 * 1024, purpose) {
                held.push(charged(&here, 64 * 1024));
            }
            budget.granted()
        };
        let speed = fill(Use::Speed);
        assert!(speed <= MAX / 2 + PIECE && !there.has_room(64 * 1024, Use::Speed), "{speed}");
        assert!(there.has_room(64 * 1024, Use::Relay));
        let relay = fill(Use::Relay);
        assert!(relay <= MAX / 4 * 3 + PIECE && !there.has_room(64 * 1024, Use::Relay), "{relay}");
        assert!(there.has_room(64 * 1024, Use::Head));
        let head = fill(Use::Head);
        assert!(head <= MAX + PIECE && !there.has_room(PIECE as usize, Use::Head), "{head}");
        drop(held);
        assert!(there.has_room(64 * 1024, Use::Speed));
    }

    #[test]
    fn many_workers_do_not_hoard_the_budget() {
        let budget = Budget::new(MAX, 512);
        let purses: Vec<_> = (0..512).map(|_| purse(&budget)).collect();
        purses.iter().for_each(|purse| drop(charged(purse, 2 * FREE)));
        assert!(budget.granted() <= MAX / 2, "{}", budget.granted());
    }

    fn charged(purse: &Rc<Purse>, bytes: usize) -> Charge {
        let mut charge = Charge::default();
        charge.set(purse, bytes);
        charge
    }
}
