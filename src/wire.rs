//! Sockets and their buffers: what reads and writes have in common on both sides of the proxy.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

/// Size of a block: holds an ordinary head, or a small answer whole.
pub const BLOCK: usize = 16 * 1024;

/// What a buffer may grow to while a large body flows through it.
const MAX_BUFFER: usize = 256 * 1024;

/// Blocks that a worker keeps for its next connections.
const MAX_SPARE: usize = 256;

/// The spare blocks of one worker. Idle connections hold none: thousands of them must cost little.
#[derive(Debug, Clone, Default)]
pub struct Blocks(Rc<RefCell<Vec<Vec<u8>>>>);

impl Blocks {
    /// An empty block.
    pub fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BLOCK))
    }

    /// Gives a block back. One that has grown is freed.
    pub fn give(&self, mut block: Vec<u8>) {
        let mut spare = self.0.borrow_mut();
        if block.capacity() == BLOCK && spare.len() < MAX_SPARE {
            block.clear();
            spare.push(block);
        }
    }
}

/// Bytes that were read and not yet used up.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// The last read filled all the room: more is waiting, and a larger buffer will save calls.
    hungry: bool,
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
            self.start = 0;
            self.hungry = false;
        }
    }

    /// Reads once; gives how many bytes came, 0 at the end of the stream.
    pub fn poll_fill(
        &mut self,
        stream: &mut TcpStream,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(blocks);
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx));
        self.hungry = self.bytes.len() == self.bytes.capacity();
        Poll::Ready(read)
    }

    fn make_room(&mut self, blocks: &Blocks) {
        if self.bytes.capacity() == 0 {
            self.bytes = blocks.take();
        } else if self.hungry && self.is_empty() && self.bytes.capacity() < MAX_BUFFER {
            let larger = (self.bytes.capacity() * 4).min(MAX_BUFFER);
            blocks.give(std::mem::replace(&mut self.bytes, Vec::with_capacity(larger)));
        } else if self.bytes.len() == self.bytes.capacity() {
            if self.start > 0 {
                self.bytes.drain(..self.start);
                self.start = 0;
            } else {
                self.bytes.reserve(self.bytes.capacity());
            }
        }
    }
}

/// Bytes that are to be written.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    /// Where to append.
    pub fn writer(&mut self, blocks: &Blocks) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = blocks.take();
        }
        &mut self.bytes
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
            self.written = 0;
        }
    }

    /// Ready when all is written. `wrote` is raised by every byte that goes, also when the rest must wait.
    pub fn poll_flush(
        &mut self,
        stream: &mut TcpStream,
        wrote: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let n = ready!(poll_write(stream, &self.bytes[self.written..], cx))?;
            self.written += n;
            *wrote += n as u64;
        }
        self.clear();
        Poll::Ready(Ok(()))
    }
}

/// Writes once; 0 bytes are an error.
pub fn poll_write(stream: &mut TcpStream, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(stream).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => Poll::Ready(other),
    }
}

/// Sends the end of our side of the stream.
pub fn poll_shutdown(stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    Pin::new(stream).poll_shutdown(cx)
}
