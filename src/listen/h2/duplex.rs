//! The client's connection as the library reads and writes it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::{Flood, Meter};
use crate::frames::MAX_READ;
use crate::observe::ListenerSeries;
use crate::proxy::Client;
use crate::wire::{Blocks, Then};

/// Bytes that a client may send before anybody else gets a turn.
const TURN: usize = 256 * 1024;

/// Frames that it may send so: each costs as much as some hundred bytes of data.
const TURN_FRAMES: u64 = 128;

/// What the driver of a connection knows of its bytes.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Bytes that may still be read in this turn.
    turn: Cell<usize>,
    /// Frames that had begun when it began.
    began: Cell<u64>,
    /// Bytes that have been read.
    pub(super) read: Cell<u64>,
    /// Bytes that have been written.
    pub(super) wrote: Cell<u64>,
    /// The client does not take what is to be written.
    pub(super) blocked: Cell<bool>,
    pub(super) flood: Cell<Option<Flood>>,
    meter: RefCell<Meter>,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            turn: Cell::new(TURN),
            began: Cell::new(0),
            read: Cell::new(0),
            wrote: Cell::new(0),
            blocked: Cell::new(false),
            flood: Cell::new(None),
            meter: RefCell::new(Meter::new(now)),
        })
    }

    /// The driver has been given its turn, in which the client may be read from or not.
    pub(super) fn begin_turn(&self, reads: bool) {
        self.turn.set(if reads { TURN } else { 0 });
        self.began.set(self.meter.borrow().begun());
    }

    /// See [`Meter::refused`].
    pub(super) fn refused(&self, now: Instant) {
        if let Err(flood) = self.meter.borrow_mut().refused(now) {
            self.flood.set(Some(flood));
        }
    }

    /// See [`Meter::said`].
    pub(super) fn said(&self) {
        self.meter.borrow_mut().said();
    }

    /// See [`Meter::awaits_rest`].
    pub(super) fn awaits_rest(&self) -> Option<u64> {
        self.meter.borrow().awaits_rest()
    }

    /// Whether what came in small frames is to be put together now.
    pub(super) fn is_crumbly(&self) -> bool {
        self.meter.borrow().crumbs.sweep_up()
    }

    /// Bytes of bodies that have come or are announced.
    pub(super) fn data(&self) -> u64 {
        self.meter.borrow().data()
    }
}

/// Both directions of the connection.
pub(super) struct Duplex<'a> {
    pub(super) client: &'a mut Client,
    pub(super) blocks: &'a Blocks,
    pub(super) traffic: Rc<Traffic>,
    pub(super) series: Arc<ListenerSeries>,
    /// The worker's number.
    pub(super) index: usize,
}

impl Duplex<'_> {
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.client.poll_fill(self.blocks, cx) {
            Poll::Pending => {
                self.client.buffer.release(self.blocks);
                Poll::Pending
            }
            Poll::Ready(read) => {
                self.series.bytes_in(self.index, std::mem::take(&mut self.client.read));
                Poll::Ready(read.map(|_| ()))
            }
        }
    }

    fn write(&mut self, head: &[u8], tail: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = self.client.stream.poll_write(head, tail, Then::More, &mut self.client.wrote, cx);
        self.note_written(written.is_pending());
        written
    }

    fn note_written(&mut self, blocked: bool) {
        let wrote = std::mem::take(&mut self.client.wrote);
        self.series.bytes_out(self.index, wrote);
        self.traffic.wrote.set(self.traffic.wrote.get() + wrote);
        self.traffic.blocked.set(blocked);
        self.traffic.meter.borrow_mut().wrote(wrote);
    }
}

impl AsyncRead for Duplex<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.traffic.turn.get() == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.client.buffer.is_empty() {
            ready!(this.fill(cx))?;
        }
        let came = this.client.buffer.filled();
        let n = came.len().min(into.remaining()).min(MAX_READ);
        into.put_slice(&came[..n]);
        if let Err(flood) = this.traffic.meter.borrow_mut().read(&came[..n], Instant::now()) {
            this.traffic.flood.set(Some(flood));
        }
        let frames = this.traffic.meter.borrow().begun().saturating_sub(this.traffic.began.get());
        this.client.buffer.consume(n);
        this.traffic.turn.set(this.traffic.turn.get().saturating_sub(n));
        this.traffic.read.set(this.traffic.read.get() + n as u64);
        let crumbles = this.traffic.meter.borrow().crumbs.are_many();
        if this.traffic.flood.get().is_some() || frames >= TURN_FRAMES || crumbles {
            // Nothing more of it is looked at, or not yet.
            this.traffic.turn.set(0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(bytes, &[], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        let (first, second) = (filled.next(), filled.next());
        self.get_mut().write(first.map_or(&[], |part| part), second.map_or(&[], |part| part), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.client.stream.poll_flush(&mut this.client.wrote, cx);
        this.note_written(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().client.stream.poll_shutdown(cx)
    }
}
