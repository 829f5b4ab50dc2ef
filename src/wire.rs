//! Sockets and their buffers: what reads and writes have in common on both sides of the proxy.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

mod blocks;
mod budget;
mod buffer;
mod conduit;
mod lane;
mod records;
mod session;
mod stream;
mod turns;

pub use blocks::Blocks;
pub use budget::{Budget, Charge, FREE, Use};
pub use buffer::Buffer;
pub use conduit::{Conduit, Conduits};
pub use lane::Lane;
pub use session::Session;
pub use stream::Stream;
pub use turns::{Queued, Turns};

/// What is gathered before it is written: a head and a small body go in one call.
const MAX_GATHERED: usize = 64 * 1024;

/// Bytes that the kernel takes for a peer beyond what that one's window lets go (TCP_NOTSENT_LOWAT). By its own
/// measure (tcp_wmem) it would take some megabytes for each connection, so that a few hundred peers that do not read
/// would use up what the whole machine has for TCP (tcp_mem), and the copying its processors. What is under way to a
/// peer that keeps up does not count.
pub const MAX_UNSENT: u32 = 256 * 1024;

/// Bytes that are to be written.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    charge: Charge,
}

/// What follows on a socket after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing, or more at some time: the bytes leave at once.
    More,
    /// Our FIN, at once: the bytes leave with it, which spares a packet and a waking of the other side.
    Close,
}

impl Outgoing {
    /// Where to append.
    #[inline]
    pub fn writer(&mut self, blocks: &Blocks) -> &mut Vec<u8> {
        if self.written > 0 || self.bytes.capacity() < FREE {
            self.prepare(blocks);
        }
        &mut self.bytes
    }

    fn prepare(&mut self, blocks: &Blocks) {
        if self.written > 0 {
            // What was written is no reason to grow.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = blocks.take(Use::Relay).unwrap_or_default();
            blocks.charge(&mut self.charge, &self.bytes);
        }
        if self.bytes.capacity() < FREE {
            // Left to itself it would double, beyond what is not counted.
            self.bytes.reserve_exact(FREE - self.bytes.len());
        }
    }

    /// Counts what was appended where it made the buffer grow.
    pub fn settle(&mut self, blocks: &Blocks) {
        blocks.charge(&mut self.charge, &self.bytes);
    }

    /// Keeps no more memory than is needed while it is waited for somebody.
    pub fn park(&mut self, blocks: &Blocks) {
        if self.bytes.capacity() > FREE && self.len() <= FREE {
            let rest = self.bytes[self.written..].to_vec();
            blocks.give(std::mem::replace(&mut self.bytes, rest));
            self.written = 0;
        }
        self.settle(blocks);
    }

    /// How much may be gathered here before it is written.
    pub fn bound(&self, blocks: &Blocks) -> usize {
        if blocks.has_room(Use::Speed) {
            MAX_GATHERED
        } else {
            self.bytes.capacity().clamp(FREE, MAX_GATHERED)
        }
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first `len` of the bytes that are not written.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.written + len);
    }

    /// Forgets what is not written.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// Gives the memory back once all is written.
    pub fn release(&mut self, blocks: &Blocks) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            blocks.give(std::mem::take(&mut self.bytes));
            blocks.charge(&mut self.charge, &self.bytes);
            self.written = 0;
        }
    }

    /// Ready when all is written. `wrote` is raised by every byte that goes, also when the rest must wait.
    pub fn poll_flush(
        &mut self,
        stream: &mut Stream,
        wrote: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            ready!(self.poll_send(stream, &[], Then::More, wrote, cx))?;
        }
        stream.poll_flush(wrote, cx)
    }

    /// Writes once what is here and then `more`, in one call; gives how many bytes of `more` were taken. Of
    /// TLS they may go later: see [`Stream::poll_flush`].
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        more: &[u8],
        then: Then,
        wrote: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let own = &self.bytes[self.written..];
        let n = ready!(stream.poll_write(own, more, then, wrote, cx))?;
        let of_more = n.saturating_sub(own.len());
        self.written += n - of_more;
        if self.is_empty() {
            self.clear();
        }
        Poll::Ready(Ok(of_more))
    }
}

/// Reads once from a socket that is said to be ready into the spare room of `bytes`; `None` where it was not.
///
/// A read that does not fill the room has emptied the socket. tokio is told so, which saves the call that
/// would find out.
fn recv(stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<io::Result<usize>> {
    let room = bytes.capacity() - bytes.len();
    let mut outcome = Err(Errno::AGAIN);
    let _ = stream.try_io(Interest::READABLE, || {
        outcome = rustix::net::recv(stream, spare_capacity(bytes), RecvFlags::empty()).map(|(n, _)| n);
        readiness(outcome, room)
    });
    settled(outcome)
}

/// Bytes that are looked at in one go by [`poll_take`].
const MAX_AHEAD: usize = 1024;

/// Shows what comes next on a socket, and then reads as much of it as `wanted` says, to the byte: the rest is left
/// to whoever reads on. Gives how many bytes were shown; 0 at the end of the stream.
pub fn poll_take(
    socket: &TcpStream,
    wanted: impl FnOnce(&[u8]) -> usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut ahead = [0; MAX_AHEAD];
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let mut outcome = Err(Errno::AGAIN);
        let _ = socket.try_io(Interest::READABLE, || {
            outcome = rustix::net::recv(socket, &mut ahead, RecvFlags::PEEK).map(|(n, _)| n);
            // Nothing is known to be empty before it is read.
            readiness(outcome, 0)
        });
        let Some(shown) = settled(outcome) else { continue };
        let shown = shown?;
        let wanted = wanted(&ahead[..shown]).min(shown);
        if wanted > 0 && rustix::net::recv(socket, &mut ahead[..wanted], RecvFlags::empty())?.0 < wanted {
            // What lies in the kernel does not go away.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        return Poll::Ready(Ok(shown));
    }
}

/// Writes once, first `head` and then `tail`; 0 bytes are an error.
///
/// A socket takes what it is given as a rule: tokio is asked only about one that did not.
fn poll_write(
    stream: &TcpStream,
    head: &[u8],
    tail: &[u8],
    then: Then,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let written = match settled(send(stream, head, tail, then)) {
        Some(written) => written,
        None => loop {
            // It may have become writable since: then an event for it is on its way.
            let _ =
                stream.try_io(Interest::WRITABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
            ready!(stream.poll_write_ready(cx))?;
            if let Some(written) = settled(send(stream, head, tail, then)) {
                break written;
            }
        },
    };
    match written {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => Poll::Ready(other),
    }
}

fn send(stream: &TcpStream, head: &[u8], tail: &[u8], then: Then) -> Result<usize, Errno> {
    let flags = match then {
        Then::More => SendFlags::NOSIGNAL,
        Then::Close => SendFlags::NOSIGNAL | SendFlags::MORE,
    };
    match (head, tail) {
        (one, []) | ([], one) => rustix::net::send(stream, one, flags),
        _ => {
            let parts = [IoSlice::new(head), IoSlice::new(tail)];
            rustix::net::sendmsg(stream, &parts, &mut SendAncillaryBuffer::default(), flags)
        }
    }
}

/// What tokio is told of a socket after a call on it: a call that did less than it could has found its end.
fn readiness(outcome: Result<usize, Errno>, wanted: usize) -> io::Result<()> {
    match outcome {
        Ok(n) if n > 0 && n < wanted => Err(io::ErrorKind::WouldBlock.into()),
        Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// What a call came to; `None` where it is to be made again.
fn settled(outcome: Result<usize, Errno>) -> Option<io::Result<usize>> {
    match outcome {
        Err(Errno::AGAIN | Errno::INTR) => None,
        other => Some(other.map_err(io::Error::from)),
    }
}

/// Looks at one byte, past tokio's readiness, which is what is not to be trusted here.
fn peek(stream: &TcpStream) -> io::Result<usize> {
    socket2::SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()])
}
