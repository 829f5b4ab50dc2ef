//! A client connection, as exchanges see it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::bonds::Bonds;
use crate::announce::{self, Addresses, Announcement};
use crate::http::{Origin, Shown};
use crate::snapshot::Listener;
use crate::timer::Timer;
use crate::upstream::Upstream;
use crate::wire::{Blocks, Buffer, Outgoing, Stream};

/// Bytes of further requests that are read while one is being served: enough to see a client leave,
/// little enough that a flood of pipelined requests stays in the kernel.
const MAX_AHEAD: usize = 16 * 1024;

/// A client connection between its bytes and its exchanges.
#[derive(Debug)]
pub struct Client {
    /// The connection itself.
    pub stream: Stream,
    /// What was read from it.
    pub buffer: Buffer,
    /// What is to be written to it.
    pub out: Outgoing,
    /// Who it is.
    pub origin: Origin,
    /// The certificate that it has shown.
    pub shown: Option<Rc<Shown>>,
    /// The PROXY header that it began with.
    pub announced: Option<Box<announce::Header>>,
    /// What backends are told of it, where it has been announced to one.
    ends: Option<Rc<Addresses>>,
    /// Its one deadline.
    pub timer: Timer,
    /// Its place among the worker's connections.
    pub seat: Rc<Seat>,
    /// Bytes read and not yet counted.
    pub read: u64,
    /// Bytes written and not yet counted.
    pub wrote: u64,
    /// Bytes read and written that have been counted.
    counted: [u64; 2],
    /// The client has sent its FIN.
    pub half_closed: bool,
    /// Backend connections that nobody else may use.
    pub(super) bonds: Bonds,
}

/// What the rest of the worker knows of a connection, and may ask of it.
#[derive(Debug, Default)]
pub struct Seat {
    /// It is to close as soon as it is idle.
    pub leave: Cell<bool>,
    /// The id of the backend that serves it now; 0: none.
    pub backend: Cell<u64>,
    /// Its task.
    pub waker: RefCell<Option<Waker>>,
}

impl Seat {
    /// Asks the connection to close as soon as it is idle.
    pub fn ask_to_leave(&self) {
        self.leave.set(true);
        self.wake();
    }

    /// Lets the connection's task look around.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What watching a client has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// Nothing new, or the beginning of its next request.
    Present,
    /// It sent its FIN.
    HalfClosed,
    /// It has sent so much ahead that nothing more is read.
    Blind,
}

impl Client {
    /// A connection that has just been accepted.
    pub fn new(
        stream: Stream,
        origin: Origin,
        announced: Option<Box<announce::Header>>,
        timer: Timer,
        seat: Rc<Seat>,
    ) -> Self {
        Self {
            stream,
            buffer: Buffer::default(),
            out: Outgoing::default(),
            origin,
            shown: None,
            announced,
            ends: None,
            timer,
            seat,
            read: 0,
            wrote: 0,
            counted: [0; 2],
            half_closed: false,
            bonds: Bonds::default(),
        }
    }

    /// Lets go of what leads to backends that a reload has removed.
    pub fn follow_reload(&mut self) {
        self.bonds.drop_retired();
    }

    /// What a backend is told of this client before the first byte.
    ///
    /// # Errors
    /// The client's connection is gone, and nothing is known of where it went.
    pub(super) fn announcement(&mut self, version: announce::Version) -> io::Result<Announcement> {
        let addresses = self.ends()?;
        Ok(Announcement { version, addresses })
    }

    /// Where it comes from and where it went to, as backends are told.
    ///
    /// # Errors
    /// As above.
    pub fn ends(&mut self) -> io::Result<Rc<Addresses>> {
        let addresses = match &self.ends {
            Some(ends) => Rc::clone(ends),
            None => {
                let said = self.announced.as_ref().and_then(|header| header.addresses);
                let own = || {
                    let socket = self.stream.socket().ok_or(io::ErrorKind::NotConnected)?;
                    Ok(Addresses::new(self.origin.peer, socket.local_addr()?))
                };
                Rc::new(said.map_or_else(own, io::Result::Ok)?)
            }
        };
        self.ends = Some(Rc::clone(&addresses));
        Ok(addresses)
    }

    /// One exchange of a connection that has these ends.
    pub fn of_connection(mut self, ends: Rc<Addresses>) -> Self {
        self.ends = Some(ends);
        self
    }

    /// One that has shown this certificate.
    pub fn with_certificate(mut self, shown: Option<Rc<Shown>>) -> Self {
        self.shown = shown;
        self
    }

    /// Nobody else may use the connections on which it was announced.
    pub fn leave(&mut self, upstream: &Upstream) {
        if let Some(ends) = self.ends.take() {
            upstream.forget(&ends);
        }
    }

    /// Puts before all that will come what has been read of the connection already.
    pub fn read_ahead(&mut self, bytes: &[u8], blocks: &Blocks) {
        if !bytes.is_empty() {
            let taken = self.buffer.append(bytes, blocks);
            debug_assert_eq!(taken, bytes.len(), "a header's beginning fits what is always granted");
            self.came(taken);
        }
    }

    /// Reads once.
    pub fn poll_fill(&mut self, blocks: &Blocks, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = self.buffer.poll_fill(&mut self.stream, blocks, cx);
        if let Poll::Ready(Ok(n)) = read {
            self.came(n);
        }
        read
    }

    /// Reads once where nothing is being answered: before it is waited for the client, all that was to be written
    /// goes, such as the last word of a handshake.
    pub fn poll_listen(&mut self, blocks: &Blocks, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.poll_fill(blocks, cx) {
            Poll::Pending => match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
            read => read,
        }
    }

    fn came(&mut self, n: usize) {
        self.read += n as u64;
        self.half_closed |= n == 0;
    }

    /// Whether nothing lies unread, as far as is known without asking the kernel.
    pub(super) fn is_silent(&self) -> bool {
        self.buffer.is_empty() && self.stream.is_silent()
    }

    /// Whether something is to be written.
    pub(super) fn has_unsent(&self) -> bool {
        !self.out.is_empty() || !self.stream.is_flushed()
    }

    /// Writes all that is to be written.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_flush(&mut self.stream, &mut self.wrote, cx)
    }

    /// Keeps no more memory than is needed while it is waited for somebody.
    pub fn park(&mut self, blocks: &Blocks) {
        self.buffer.park(blocks);
        self.out.park(blocks);
    }

    /// Counts the bytes that have gone either way since the last call; those of a lane are counted as they pass
    /// the connection below.
    pub fn count(&mut self, listener: &Listener, worker: usize) {
        let (read, wrote) = (std::mem::take(&mut self.read), std::mem::take(&mut self.wrote));
        self.counted[0] += read;
        self.counted[1] += wrote;
        if !self.stream.is_lane() {
            listener.series.bytes_in(worker, read);
            listener.series.bytes_out(worker, wrote);
        }
    }

    /// How many bytes of the connection requests have taken, and responses have been given, so far.
    pub(super) fn progress(&self) -> [u64; 2] {
        let taken = (self.counted[0] + self.read).saturating_sub(self.buffer.len() as u64);
        [taken, self.counted[1] + self.wrote + self.out.len() as u64]
    }

    /// Looks whether a client whose request is complete is still there. Costs no system call while
    /// nothing came from it.
    pub(super) fn watch(&mut self, blocks: &Blocks, cx: &mut Context<'_>) -> io::Result<Watched> {
        while !self.half_closed && self.buffer.len() < MAX_AHEAD && !self.buffer.is_starved(blocks) {
            match self.poll_fill(blocks, cx) {
                Poll::Pending => return Ok(Watched::Present),
                Poll::Ready(read) => read?,
            };
        }
        Ok(if self.half_closed { Watched::HalfClosed } else { Watched::Blind })
    }
}
