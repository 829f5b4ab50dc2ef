//! One connection of HTTP/2 to a backend, and the exchanges that it carries.
//!
//! The frames are h2's. Each stream is a connection in appearance ([`crate::wire::Lane`]), so that an exchange goes
//! through the very code that serves HTTP/1. One task drives the connection; the exchanges stay with the tasks of their
//! clients. All are on the worker's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use h2::client::SendRequest;

use super::board::{Stand, Terms};
use super::{Connection, Hold};
use crate::backend::Backend;
use crate::frames::{Piece, Springs};
use crate::tls::Secure;
use crate::wire::{Blocks, Buffer, Charge, Outgoing, Stream};

mod branch;
mod driver;
mod duplex;
mod head;

pub(super) use driver::{Driver, greet};

use branch::Branch;
use duplex::Traffic;

/// Streams of one connection, whatever its backend allows: more are spread over further connections.
const MAX_STREAMS: usize = 128;

/// Bytes of one stream that a backend may send before they are read. So many can lie with a client that does not read.
const STREAM_WINDOW: u32 = 128 * 1024;

/// Bytes of all streams that it may send so at least.
const LEAST_WINDOW: u32 = 1024 * 1024;

/// How long is waited for the end of a connection that carries nothing more.
const FAREWELL: Duration = Duration::from_secs(1);

/// What exchanges and their connection know of each other.
#[derive(Debug)]
pub(super) struct Trunk {
    stand: Rc<Stand>,
    backend: Arc<Backend>,
    /// [`Backend::moves`] when it was dialled.
    moves: u32,
    secure: Option<Arc<Secure>>,
    blocks: Blocks,
    traffic: Rc<Traffic>,
    /// Begins streams, as long as the connection takes any.
    sender: RefCell<Option<SendRequest<Piece>>>,
    /// Streams that the backend allows.
    most: Cell<usize>,
    /// Exchanges that have a place.
    open: Cell<usize>,
    /// It has carried one.
    served: Cell<bool>,
    keep_for: Cell<Duration>,
    /// How long the backend may be silent before it is asked, and then be silent still.
    patience: Cell<Duration>,
    springs: Springs,
    /// Bytes of bodies that had come when there was last nobody to read any, and those read since.
    settled: Cell<u64>,
    /// What may come at most without being read: the connection's window.
    window: Cell<u32>,
    charge: RefCell<Charge>,
    driver: RefCell<Option<Waker>>,
}

impl Trunk {
    pub(super) fn moves(&self) -> u32 {
        self.moves
    }

    pub(super) fn secure(&self) -> Option<&Arc<Secure>> {
        self.secure.as_ref()
    }

    /// How many exchanges it carries.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// Whether it takes one more.
    pub(super) fn has_room(&self) -> bool {
        self.sender.borrow().is_some() && !self.traffic.is_gone() && self.open.get() < self.most.get()
    }

    /// Takes no more exchanges, and ends with the last that it carries.
    pub(super) fn leave(&self) {
        if self.sender.borrow_mut().take().is_some() {
            self.stand.forget(self);
            self.wake();
        }
    }

    /// One exchange's part of it. To be asked for only where there is room.
    pub(super) fn branch(self: Rc<Self>, terms: &Terms, blocks: &Blocks) -> Box<Connection> {
        let reused = self.served.replace(true) && !terms.fresh;
        self.keep_for.set(terms.keep_for);
        self.patience.set(terms.patience);
        let (backend, secure, moves) = (Arc::clone(&self.backend), self.secure.clone(), self.moves);
        let sender = self.sender.borrow().clone();
        let branch = Branch::new(Presence::of(self), sender, blocks);
        Box::new(Connection {
            stream: Stream::Lane(Box::new(branch)),
            buffer: Buffer::default(),
            out: Outgoing::default(),
            reused,
            secure,
            announced: None,
            hold: Hold::Branch(backend),
            moves,
        })
    }

    /// Lets the task that drives it look around.
    fn wake(&self) {
        if let Some(waker) = &*self.driver.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Counts what has come of bodies and has not been read: by what is known of frames, so that what belongs to
    /// streams that were given up is counted until nobody is left, but never more than can have come.
    fn settle(&self) {
        let came = self.traffic.data();
        if self.open.get() == 0 {
            self.settled.set(came);
        }
        let held = came.saturating_sub(self.settled.get()).min(u64::from(self.window.get()));
        self.blocks.count(&mut self.charge.borrow_mut(), usize::try_from(held).unwrap_or(usize::MAX));
    }
}

/// The place of one exchange.
#[derive(Debug)]
struct Presence(Rc<Trunk>);

impl Presence {
    fn of(trunk: Rc<Trunk>) -> Self {
        if trunk.open.replace(trunk.open.get() + 1) == 0 {
            trunk.backend.idle_gauge().fetch_sub(1, Ordering::Relaxed);
        }
        Self(trunk)
    }

    /// Notes that so much of a body has been read.
    fn read(&self, bytes: usize) {
        self.0.settled.set(self.0.settled.get() + bytes as u64);
        self.0.settle();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let trunk = &self.0;
        trunk.open.set(trunk.open.get() - 1);
        trunk.settle();
        if trunk.open.get() == 0 {
            trunk.backend.idle_gauge().fetch_add(1, Ordering::Relaxed);
        }
        trunk.wake();
        trunk.stand.call_one();
    }
}

impl Drop for Trunk {
    /// Nobody has a place on it any more.
    fn drop(&mut self) {
        self.backend.idle_gauge().fetch_sub(1, Ordering::Relaxed);
    }
}
