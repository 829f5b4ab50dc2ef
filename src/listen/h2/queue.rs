//! What of one stream waits for the socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Buf;

use crate::wire::{Blocks, Charge, FREE, Use};

/// Bytes of one stream that wait for the socket, as long as the budget has room: a frame or four, so that the
/// socket does not run dry while the exchange fetches more.
const MAX_WAITING: usize = 64 * 1024;

/// What a piece counts for beside its bytes: it is an entry in three lists. Else a backend that answers byte by
/// byte would cost a hundred times what is counted.
const PIECE: usize = 256;

/// What of one stream waits for the socket, counted.
#[derive(Debug)]
pub(super) struct Queue {
    blocks: Blocks,
    waiting: Cell<usize>,
    charge: RefCell<Charge>,
    waker: RefCell<Option<Waker>>,
}

/// Bytes of a response on their way to the socket.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    used: usize,
    queue: Option<Rc<Queue>>,
}

impl Queue {
    pub(super) fn new(blocks: &Blocks) -> Rc<Self> {
        Rc::new(Self {
            blocks: blocks.clone(),
            waiting: Cell::new(0),
            charge: RefCell::default(),
            waker: RefCell::default(),
        })
    }

    /// How much may be added now. Where that is nothing, the task is woken when something has gone.
    pub(super) fn room(&self, cx: &Context<'_>) -> usize {
        let most = if self.blocks.has_room(Use::Relay) { MAX_WAITING } else { FREE };
        let room = most.saturating_sub(self.waiting.get() + PIECE);
        if room == 0 {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        room
    }

    /// Counts bytes that wait from now on.
    pub(super) fn piece(self: &Rc<Self>, bytes: Vec<u8>) -> Piece {
        self.set(self.waiting.get() + bytes.len() + PIECE);
        Piece { bytes, used: 0, queue: Some(Rc::clone(self)) }
    }

    fn set(&self, waiting: usize) {
        self.waiting.set(waiting);
        self.blocks.count(&mut self.charge.borrow_mut(), waiting);
    }
}

impl Piece {
    /// The end of a stream, which is no bytes.
    pub(super) fn none() -> Self {
        Self { bytes: Vec::new(), used: 0, queue: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.used
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn advance(&mut self, n: usize) {
        self.used += n;
    }
}

impl Drop for Piece {
    /// It has gone, or its stream has been given up.
    fn drop(&mut self) {
        let Some(queue) = &self.queue else { return };
        queue.set(queue.waiting.get() - self.bytes.len() - PIECE);
        if let Some(waker) = queue.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::Budget;

    #[test]
    fn what_waits_is_counted_until_it_has_gone() {
        let budget = Budget::new(1 << 20, 1);
        let blocks = Blocks::new(Arc::clone(&budget));
        let queue = Queue::new(&blocks);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(queue.room(&cx), MAX_WAITING - PIECE);
        let large = queue.piece(vec![0; 32 * 1024]);
        assert!(budget.granted() >= 32 * 1024);
        let small: Vec<Piece> = (0..100).map(|_| queue.piece(vec![0])).collect();
        assert_eq!(queue.room(&cx), MAX_WAITING - 32 * 1024 - 100 * (PIECE + 1) - 2 * PIECE);
        drop((large, small));
        blocks.tidy();
        assert_eq!((queue.waiting.get(), budget.granted()), (0, 0));
    }

    #[test]
    fn without_room_in_the_budget_little_waits() {
        let blocks = Blocks::new(Budget::new(64 * 1024, 1));
        let mut held = Charge::default();
        blocks.count(&mut held, 64 * 1024);
        let queue = Queue::new(&blocks);
        assert_eq!(queue.room(&Context::from_waker(Waker::noop())), FREE - PIECE);
    }
}
