//! What of one stream waits for the socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Buf;

use crate::wire::{Blocks, Charge, FREE, Use};

/// Bytes of one stream that wait for the socket, as long as the budget has room: a frame or four, so that the
/// socket does not run dry while the exchange fetches more.
const MAX_WAITING: usize = 64 * 1024;

/// What a piece counts for beside its bytes: it is an entry in three lists. Else a peer that sends byte by
/// byte would cost a hundred times what is counted.
const PIECE: usize = 256;

/// What of one stream waits for the socket, counted.
#[derive(Debug)]
pub struct Backlog {
    blocks: Blocks,
    waiting: Cell<usize>,
    charge: RefCell<Charge>,
    waker: RefCell<Option<Waker>>,
}

/// Bytes of a body on their way to the socket.
#[derive(Debug)]
pub struct Piece {
    bytes: Vec<u8>,
    used: usize,
    backlog: Option<Rc<Backlog>>,
}

impl Backlog {
    /// Of one stream; nothing waits yet.
    pub fn new(blocks: &Blocks) -> Rc<Self> {
        Rc::new(Self {
            blocks: blocks.clone(),
            waiting: Cell::new(0),
            charge: RefCell::default(),
            waker: RefCell::default(),
        })
    }

    /// How much may be added now. Where that is nothing, the task is woken when something has gone.
    pub fn room(&self, cx: &Context<'_>) -> usize {
        let most = if self.blocks.has_room(Use::Relay) { MAX_WAITING } else { FREE };
        let room = most.saturating_sub(self.waiting.get() + PIECE);
        if room == 0 {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        room
    }

    /// Counts bytes that wait from now on.
    pub fn piece(self: &Rc<Self>, bytes: Vec<u8>) -> Piece {
        self.set(self.waiting.get() + bytes.len() + PIECE);
        Piece { bytes, used: 0, backlog: Some(Rc::clone(self)) }
    }

    fn set(&self, waiting: usize) {
        self.waiting.set(waiting);
        self.blocks.count(&mut self.charge.borrow_mut(), waiting);
    }
}

impl Piece {
    /// The end of a stream, which is no bytes.
    pub fn none() -> Self {
        Self { bytes: Vec::new(), used: 0, backlog: None }
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
        let Some(backlog) = &self.backlog else { return };
        backlog.set(backlog.waiting.get() - self.bytes.len() - PIECE);
        if let Some(waker) = backlog.waker.borrow_mut().take() {
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
        let backlog = Backlog::new(&blocks);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(backlog.room(&cx), MAX_WAITING - PIECE);
        let large = backlog.piece(vec![0; 32 * 1024]);
        assert!(budget.granted() >= 32 * 1024);
        let small: Vec<Piece> = (0..100).map(|_| backlog.piece(vec![0])).collect();
        assert_eq!(backlog.room(&cx), MAX_WAITING - 32 * 1024 - 100 * (PIECE + 1) - 2 * PIECE);
        drop((large, small));
        blocks.tidy();
        assert_eq!((backlog.waiting.get(), budget.granted()), (0, 0));
    }

    #[test]
    fn without_room_in_the_budget_little_waits() {
        let blocks = Blocks::new(Budget::new(64 * 1024, 1));
        let mut held = Charge::default();
        blocks.count(&mut held, 64 * 1024);
        let backlog = Backlog::new(&blocks);
        assert_eq!(backlog.room(&Context::from_waker(Waker::noop())), FREE - PIECE);
    }
}
