//! The memory that buffers are made of.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::budget::{Budget, Charge, FREE, Purse, Use};
use super::conduit::{Conduit, Conduits};
use super::turns::Turns;

/// Size of a block: holds an ordinary head, and with it a page or a script whole, so that one read and one
/// write carry it. What is not written to costs no memory.
pub(super) const BLOCK: usize = 32 * 1024;

/// Size of the buffer through which a larger body flows.
pub(super) const LARGE: usize = 128 * 1024;

/// Blocks that a worker keeps for its next connections.
const MAX_SPARE: usize = 256;

/// Large ones that it keeps. Getting one from the kernel anew costs more than the copies that it saves.
const MAX_SPARE_LARGE: usize = 16;

/// The spare blocks of one worker, and its part of what all may hold. Idle connections hold none: thousands
/// of them must cost little.
#[derive(Debug, Clone)]
pub struct Blocks {
    spare: Rc<RefCell<Vec<Vec<u8>>>>,
    large: Rc<RefCell<Vec<Vec<u8>>>>,
    conduits: Conduits,
    purse: Rc<Purse>,
    turns: Turns,
}

impl Blocks {
    /// None yet, and to hold what `budget` grants.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            spare: Rc::default(),
            large: Rc::default(),
            conduits: Conduits::default(),
            purse: Rc::new(Purse::new(budget)),
            turns: Turns::default(),
        }
    }

    /// What bodies that could go on for ever share the worker by.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The budget of all workers.
    pub fn budget(&self) -> &Arc<Budget> {
        self.purse.budget()
    }

    /// Lets the other workers have what is not used here. To be called now and then.
    pub fn tidy(&self) {
        self.purse.keep(0);
    }

    /// Whether a block would be granted.
    pub fn has_room(&self, purpose: Use) -> bool {
        self.purse.has_room(if purpose == Use::Relay { BLOCK } else { LARGE }, purpose)
    }

    /// Whether so much is held that an exchange should keep nothing while it waits. Else giving blocks back and
    /// taking them again would be a tenth of the work of a small request.
    pub fn are_tight(&self) -> bool {
        self.purse.is_tight()
    }

    /// Whether a buffer may come to hold so much more for a head.
    pub(super) fn grants(&self, bytes: usize) -> bool {
        self.purse.has_room(bytes, Use::Head)
    }

    /// A kernel pipe for a large body, if there is one left.
    pub fn conduit(&self) -> Option<Conduit> {
        self.conduits.take()
    }

    /// An empty block, a large one for speed; `None` where the budget has no room for it.
    pub(super) fn take(&self, purpose: Use) -> Option<Vec<u8>> {
        if !self.has_room(purpose) {
            return None;
        }
        let (spare, size) = match purpose {
            Use::Speed => (&self.large, LARGE),
            Use::Relay | Use::Head => (&self.spare, BLOCK),
        };
        Some(spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(size)))
    }

    /// Gives a block back. One of another size than we make is freed.
    pub(super) fn give(&self, mut block: Vec<u8>) {
        let (spare, max) = match block.capacity() {
            BLOCK => (&self.spare, MAX_SPARE),
            LARGE => (&self.large, MAX_SPARE_LARGE),
            _ => return,
        };
        let mut spare = spare.borrow_mut();
        if spare.len() < max {
            block.clear();
            spare.push(block);
        }
    }

    /// A charge of nothing that knows where to count.
    pub(super) fn open_charge(&self) -> Charge {
        Charge::new(&self.purse)
    }

    /// Counts what `bytes` may hold.
    #[inline]
    pub(super) fn charge(&self, charge: &mut Charge, bytes: &Vec<u8>) {
        charge.set(&self.purse, bytes.capacity());
    }

    /// Counts `bytes` that are held elsewhere, whether there is room for them or not.
    pub fn count(&self, charge: &mut Charge, bytes: usize) {
        charge.set(&self.purse, bytes);
    }

    /// Whether so many bytes would be granted for this purpose.
    pub fn would_grant(&self, bytes: usize, purpose: Use) -> bool {
        self.purse.has_room(bytes, purpose)
    }

    /// Counts `bytes` that are kept for another try; says whether there is room for them.
    pub fn charge_replay(&self, charge: &mut Charge, bytes: usize) -> bool {
        let granted = bytes <= FREE || self.purse.has_room(bytes, Use::Relay);
        if granted {
            charge.set(&self.purse, bytes);
        }
        granted
    }
}

impl Default for Blocks {
    /// Of a worker that stands alone, without a bound worth the name.
    fn default() -> Self {
        Self::new(Budget::new(u64::MAX / 2, 1))
    }
}
