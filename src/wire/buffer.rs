//! Bytes that were read and not yet used up.

use std::io;
use std::task::{Context, Poll, ready};

use super::blocks::{BLOCK, Blocks, LARGE};
use super::budget::{Charge, FREE, Use};
use super::{Lane, Stream, recv};

/// What was read from one socket.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// The last read filled all the room: more is waiting, and a larger buffer will save calls.
    hungry: bool,
    /// It was large when its memory was last given back in the midst of something.
    large: bool,
    charge: Charge,
}

impl Buffer {
    /// What is there.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How much is there.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether to read on now would take memory that the budget does not have.
    pub fn is_starved(&self, blocks: &Blocks) -> bool {
        let full = self.bytes.len() == self.bytes.capacity() && self.start == 0 && self.len() >= FREE;
        full && !blocks.grants(grown(self.bytes.capacity()))
    }

    /// Uses up the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        debug_assert!(self.start <= self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Gives the memory back while nothing is there.
    pub fn release(&mut self, blocks: &Blocks) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            blocks.give(std::mem::take(&mut self.bytes));
            blocks.charge(&mut self.charge, &self.bytes);
            self.start = 0;
            (self.hungry, self.large) = (false, false);
        }
    }

    /// Keeps no more memory than is needed while it is waited for somebody: thousands may send a few bytes and
    /// then wait.
    pub fn park(&mut self, blocks: &Blocks) {
        if self.is_empty() {
            let large = self.large || self.bytes.capacity() == LARGE;
            self.release(blocks);
            self.large = large;
        } else if self.bytes.capacity() > FREE && self.len() <= FREE {
            let rest = self.filled().to_vec();
            blocks.give(std::mem::replace(&mut self.bytes, rest));
            blocks.charge(&mut self.charge, &self.bytes);
            self.start = 0;
        }
    }

    /// Reads once; gives how many bytes came, 0 at the end of the stream. Takes no memory while nothing is
    /// there to be read.
    pub fn poll_fill(
        &mut self,
        stream: &mut Stream,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = match stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(session) => return session.poll_read(self, blocks, cx),
            Stream::Lane(lane) => return self.poll_lane(&mut **lane, blocks, cx),
        };
        loop {
            ready!(stream.poll_read_ready(cx))?;
            self.make_room(blocks);
            if let Some(read) = recv(stream, &mut self.bytes) {
                self.hungry = self.bytes.len() == self.bytes.capacity();
                return Poll::Ready(read);
            }
        }
    }

    /// Takes what has come on a lane, as far as there is room for one read. Apart, so that reading from a socket
    /// stays small enough to be put where it is used.
    #[cold]
    fn poll_lane(
        &mut self,
        lane: &mut dyn Lane,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut taken = self.append(ready!(lane.poll_ahead(cx))?, blocks);
        lane.consume(taken);
        while taken > 0
            && let Poll::Ready(Ok(more)) = lane.poll_ahead(cx)
            && !more.is_empty()
        {
            let n = self.append_within(more);
            lane.consume(n);
            if n == 0 {
                break;
            }
            taken += n;
        }
        Poll::Ready(Ok(taken))
    }

    /// Makes room as for one read, and copies as much of `bytes` as there is room for; gives how much that is.
    pub fn append(&mut self, bytes: &[u8], blocks: &Blocks) -> usize {
        self.make_room(blocks);
        self.append_within(bytes)
    }

    /// Copies as much of `bytes` as there is room for already; gives how much that is.
    pub(super) fn append_within(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.bytes.capacity() - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..n]);
        self.hungry = n < bytes.len();
        n
    }

    fn make_room(&mut self, blocks: &Blocks) {
        let capacity = self.bytes.capacity();
        if capacity < BLOCK && self.len() < FREE {
            let large = if self.large { blocks.take(Use::Speed) } else { None };
            match large.or_else(|| blocks.take(Use::Relay)) {
                Some(block) => self.move_to(block, blocks),
                None => {
                    // There is what is always granted.
                    self.bytes.drain(..self.start);
                    self.start = 0;
                    self.bytes.reserve_exact(FREE - self.bytes.len());
                }
            }
        } else if self.hungry && self.is_empty() && capacity < LARGE {
            match blocks.take(Use::Speed) {
                Some(large) => self.move_to(large, blocks),
                None => return,
            }
        } else if self.bytes.len() < capacity {
            return;
        } else if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        } else {
            self.bytes.reserve_exact(grown(capacity));
        }
        blocks.charge(&mut self.charge, &self.bytes);
    }

    fn move_to(&mut self, mut other: Vec<u8>, blocks: &Blocks) {
        other.extend_from_slice(self.filled());
        blocks.give(std::mem::replace(&mut self.bytes, other));
        self.start = 0;
    }
}

/// By how much a full buffer grows.
fn grown(capacity: usize) -> usize {
    capacity.max(FREE)
}
