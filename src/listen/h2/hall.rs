//! What the streams of one connection have in common.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::duplex::Traffic;
use crate::announce::Addresses;
use crate::frames::{Inflow, Springs};
use crate::proxy::{Seat, Worker};
use crate::snapshot::{Beside, Capacity};
use crate::wire::Charge;

/// The streams of one connection, and what they hold of what came.
#[derive(Debug)]
pub(super) struct Hall {
    /// The connection's own.
    seat: Rc<Seat>,
    pub(super) traffic: Rc<Traffic>,
    /// Streams that are being served.
    open: Cell<usize>,
    /// Of these, those whose requests have bodies.
    bodies: Cell<usize>,
    /// Bytes of bodies that had come when there was last nobody to read any, and those read since.
    settled: Cell<u64>,
    /// What may come at most without being read: the connection's window.
    pub(super) window: Cell<u32>,
    worker: Rc<Worker>,
    /// Whom backends are told of.
    pub(super) ends: Rc<Addresses>,
    /// The version of TLS, and the name that the client asked for.
    secured: Option<(&'static str, Option<Box<str>>)>,
    charge: RefCell<Charge>,
    /// Where the bodies come from.
    pub(super) springs: Springs,
}

/// The presence of one stream.
#[derive(Debug)]
pub(super) struct Presence {
    hall: Rc<Hall>,
    has_body: bool,
    /// Where it is not the only one.
    _room: Option<Beside>,
}

impl Hall {
    pub(super) fn new(
        seat: Rc<Seat>,
        traffic: Rc<Traffic>,
        window: u32,
        worker: Rc<Worker>,
        ends: Rc<Addresses>,
        secured: Option<(&'static str, Option<&str>)>,
    ) -> Rc<Self> {
        Rc::new(Self {
            seat,
            traffic,
            open: Cell::new(0),
            bodies: Cell::new(0),
            settled: Cell::new(0),
            window: Cell::new(window),
            worker,
            ends,
            secured: secured.map(|(version, name)| (version, name.map(Box::from))),
            charge: RefCell::default(),
            springs: Springs::default(),
        })
    }

    /// What the connection is secured by.
    pub(super) fn secured(&self) -> Option<(&'static str, Option<&str>)> {
        self.secured.as_ref().map(|(version, name)| (*version, name.as_deref()))
    }

    /// How many streams are being served.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// Counts one more, if there is room for it.
    pub(super) fn enter(self: &Rc<Self>, has_body: bool, capacity: &Arc<Capacity>) -> Option<Presence> {
        let room = if self.open.get() > 0 { Some(capacity.take_stream()?) } else { None };
        self.open.set(self.open.get() + 1);
        self.bodies.set(self.bodies.get() + usize::from(has_body));
        Some(Presence { hall: Rc::clone(self), has_body, _room: room })
    }

    /// Counts what has come of bodies and has not been read: by what is known of frames, so that what belongs to
    /// streams that were given up is counted until all bodies have ended, but never more than can have come.
    pub(super) fn settle(&self) {
        let came = self.traffic.data();
        if self.bodies.get() == 0 {
            self.settled.set(came);
        }
        let held = came.saturating_sub(self.settled.get()).min(u64::from(self.window.get()));
        self.worker.blocks.count(&mut self.charge.borrow_mut(), usize::try_from(held).unwrap_or(usize::MAX));
    }
}

impl Drop for Hall {
    /// The last of them has gone: nobody else may use the connections on which their client was announced.
    fn drop(&mut self) {
        self.worker.upstream.forget(&self.ends);
    }
}

impl Presence {
    /// Lets the driver put the stream's small frames together.
    pub(super) fn springs_from(&self, flow: &Inflow) {
        if self.has_body {
            self.hall.springs.add(flow.spring());
        }
    }

    /// Notes that so much of a body has been read.
    pub(super) fn read(&self, bytes: usize) {
        self.hall.settled.set(self.hall.settled.get() + bytes as u64);
        self.hall.settle();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.hall.open.set(self.hall.open.get() - 1);
        self.hall.bodies.set(self.hall.bodies.get() - usize::from(self.has_body));
        self.hall.settle();
        self.hall.seat.wake();
    }
}
