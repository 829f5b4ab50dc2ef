//! The backend's connection as the library reads and writes it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frames::{Crumbs, Heads, MAX_READ};
use crate::upstream::OpenGauge;
use crate::wire::{Blocks, Buffer, Stream, Then};

/// Bytes that a backend may send before anybody else gets a turn.
const TURN: usize = 256 * 1024;

/// What is known of the bytes of a connection.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Bytes that may still be read in this turn.
    turn: Cell<usize>,
    read: Cell<u64>,
    /// Bytes of bodies that have come or are announced.
    data: Cell<u64>,
    crumbs: Crumbs,
    /// Frames of messages.
    said: Cell<u64>,
    /// The backend has said that it takes no new streams.
    gone: Cell<bool>,
    heads: RefCell<Heads>,
    /// For how long what was sent may stay without an acknowledgement, once somebody doubts that the backend is there.
    doubt: Cell<Option<Duration>>,
}

impl Traffic {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            turn: Cell::new(TURN),
            read: Cell::new(0),
            data: Cell::new(0),
            crumbs: Crumbs::default(),
            said: Cell::new(0),
            gone: Cell::new(false),
            heads: RefCell::new(Heads::after(0)),
            doubt: Cell::new(None),
        })
    }

    /// The driver has been given its turn.
    pub(super) fn begin_turn(&self) {
        self.turn.set(TURN);
    }

    /// Whether what came in small frames is to be put together now.
    pub(super) fn is_crumbly(&self) -> bool {
        self.crumbs.sweep_up()
    }

    /// Bytes that have been read.
    pub(super) fn read(&self) -> u64 {
        self.read.get()
    }

    /// Bytes of bodies that have come or are announced.
    pub(super) fn data(&self) -> u64 {
        self.data.get()
    }

    /// Frames of messages that have come.
    pub(super) fn said(&self) -> u64 {
        self.said.get()
    }

    /// Whether the backend has said that it takes no new streams.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// The connection is to end once something sent has not been acknowledged for so long.
    pub(super) fn doubt(&self, limit: Duration) {
        self.doubt.set(Some(limit));
    }

    fn came(&self, mut bytes: &[u8]) {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const GOAWAY: u8 = 7;
        self.read.set(self.read.get() + bytes.len() as u64);
        let mut heads = self.heads.borrow_mut();
        while !bytes.is_empty() {
            let Some(head) = heads.next(&mut bytes) else { continue };
            match head.kind {
                DATA => {
                    self.data.set(self.data.get() + head.length as u64);
                    self.crumbs.count(head.length);
                }
                GOAWAY => self.gone.set(true),
                _ => {}
            }
            self.said.set(self.said.get() + u64::from(matches!(head.kind, DATA | HEADERS)));
        }
    }
}

/// Both directions of the connection.
pub(super) struct Duplex {
    pub(super) stream: Stream,
    pub(super) buffer: Buffer,
    pub(super) blocks: Blocks,
    pub(super) traffic: Rc<Traffic>,
    /// It is one of the backend's open connections.
    pub(super) _gauge: OpenGauge,
    /// The kernel has been told to doubt.
    pub(super) doubted: bool,
}

impl Duplex {
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = self.buffer.poll_fill(&mut self.stream, &self.blocks, cx);
        if read.is_pending() {
            self.buffer.release(&self.blocks);
        }
        read.map(|read| read.map(|_| ()))
    }

    fn set_doubt(&mut self, limit: Option<Duration>) {
        self.doubted = limit.is_some();
        if let Some(socket) = self.stream.socket() {
            // Without it the ordinary timeouts hold.
            let _ = socket2::SockRef::from(socket).set_tcp_user_timeout(limit);
        }
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        self.buffer.consume(self.buffer.len());
        self.buffer.release(&self.blocks);
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(limit) = this.traffic.doubt.take() {
            this.set_doubt(Some(limit));
        }
        if this.traffic.turn.get() == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.buffer.is_empty() {
            ready!(this.fill(cx))?;
        }
        if this.doubted {
            this.set_doubt(None);
        }
        let came = this.buffer.filled();
        let n = came.len().min(into.remaining()).min(MAX_READ);
        into.put_slice(&came[..n]);
        this.traffic.came(&came[..n]);
        this.buffer.consume(n);
        let left = this.traffic.turn.get().saturating_sub(n);
        this.traffic.turn.set(if this.traffic.crumbs.are_many() { 0 } else { left });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(bytes, &[], Then::More, &mut 0, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        let (first, second) = (filled.next(), filled.next());
        let (first, second) = (first.map_or(&[][..], |part| part), second.map_or(&[][..], |part| part));
        self.get_mut().stream.poll_write(first, second, Then::More, &mut 0, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(&mut 0, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_shutdown(cx)
    }
}
