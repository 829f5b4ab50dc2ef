//! TLS on a socket: rustls driven by our own reads and writes.
//!
//! rustls holds no buffer of ours, and we hold none while the connection is idle. Records are read straight into
//! rustls while they are small; when more is waiting, through a block of the worker, for one read of 32 KiB is
//! cheaper than eight. What is written is taken into records at once and counts as written only when they go.
//!
//! The block and the records that wait for the socket are of the budget of buffers; where it has no room there is no
//! block, and records are made of as little as is always granted. What rustls itself holds of what came is not
//! counted: a record that is not whole and what has been made out of the last read, 16 KiB each and some; 64 KiB of
//! messages while hands are shaken, which the deadline for it bounds.

use std::io::{self, BufRead, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::records::{Inlet, Outlet};
use super::{Blocks, Buffer, Charge, FREE, Then, Use};

/// Bytes that are taken into records ahead of the socket.
const MAX_SEALED: usize = 64 * 1024;

/// One TLS connection.
#[derive(Debug)]
pub struct Session {
    socket: TcpStream,
    tls: Connection,
    inlet: Inlet,
    /// Something has been made out of the records, and there was no room for it.
    left: bool,
    /// What the budget counts for records that wait for the socket.
    sealed: Charge,
    /// Bytes of the application that were taken and have not gone.
    unsaid: u64,
    /// Bytes that have gone and have not been counted.
    said: u64,
    /// Nothing more may be said: not even that this is the end.
    silent: bool,
    /// Our close_notify is under way.
    closing: bool,
    /// The peer said something that nobody asked for.
    stray: bool,
    /// What waits for the socket is the handshake's last word alone. It goes with the first bytes that are written:
    /// tickets with the answer, a client's `Finished` with the request.
    last_word: bool,
}

impl Session {
    /// The server's side of a connection that has just been accepted.
    ///
    /// # Errors
    /// The configuration is one that rustls refuses.
    pub fn accept(
        socket: TcpStream,
        config: &Arc<ServerConfig>,
        blocks: &Blocks,
    ) -> Result<Self, rustls::Error> {
        Ok(Self::new(socket, ServerConnection::new(Arc::clone(config))?.into(), blocks))
    }

    /// The client's side of a connection that has just been opened.
    ///
    /// # Errors
    /// The configuration is one that rustls refuses.
    pub fn connect(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
        blocks: &Blocks,
    ) -> Result<Self, rustls::Error> {
        Ok(Self::new(socket, ClientConnection::new(Arc::clone(config), name)?.into(), blocks))
    }

    fn new(socket: TcpStream, mut tls: Connection, blocks: &Blocks) -> Self {
        tls.set_buffer_limit(Some(MAX_SEALED));
        Self {
            socket,
            tls,
            inlet: Inlet::default(),
            left: false,
            sealed: blocks.open_charge(),
            unsaid: 0,
            said: 0,
            silent: false,
            closing: false,
            stray: false,
            last_word: false,
        }
    }

    /// What rustls knows of it: version, suite, peer.
    pub fn tls(&self) -> &Connection {
        &self.tls
    }

    /// Ready when the handshake is over. Its last word goes with the first bytes that are written, or by
    /// [`super::Stream::poll_flush`]: whoever waits for the peer first must flush.
    ///
    /// # Errors
    /// The peer left, or is refused; an error of rustls is the source of the latter.
    pub fn poll_handshake(&mut self, blocks: &Blocks, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            ready!(self.poll_push(cx))?;
            if ready!(self.poll_records(blocks, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.last_word = self.tls.wants_write();
        Poll::Ready(Ok(()))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.last_word || !self.tls.wants_write()
    }

    /// Says nothing more on the wire.
    pub(super) fn be_silent(&mut self) {
        self.silent = true;
    }

    /// Whether nothing that came waits to be made out, or to be taken.
    pub(super) fn is_drained(&self) -> bool {
        self.inlet.is_empty() && !self.left
    }

    pub(super) fn note_stray(&mut self) {
        self.stray = true;
    }

    pub(super) fn has_strays(&self) -> bool {
        self.stray
    }

    /// Reads into the room of `buffer`; 0 where the peer has said that this is the end.
    ///
    /// # Errors
    /// Also an end of the socket without that word: what came may have been cut.
    pub(super) fn poll_read(
        &mut self,
        buffer: &mut Buffer,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.take_plain(buffer, blocks) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return Poll::Ready(taken),
            }
            ready!(self.poll_records(blocks, cx))?;
            if self.tls.wants_write()
                && !self.last_word
                && let Poll::Ready(Err(error)) = self.poll_push(cx)
            {
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Takes what has been made out of the records, as far as there is room for one read.
    fn take_plain(&mut self, buffer: &mut Buffer, blocks: &Blocks) -> io::Result<usize> {
        let mut taken = 0;
        self.left = false;
        loop {
            let mut reader = self.tls.reader();
            let chunk = match reader.fill_buf() {
                Ok(chunk) if !chunk.is_empty() => chunk,
                // What came before the end, or before an error, is given first.
                _ if taken > 0 => return Ok(taken),
                other => return other.map(<[u8]>::len),
            };
            // More room only for the first: the buffer grows no faster than by reading from a socket.
            let n = if taken == 0 { buffer.append(chunk, blocks) } else { buffer.append_within(chunk) };
            self.left = n < chunk.len();
            reader.consume(n);
            taken += n;
            if self.left {
                return Ok(taken);
            }
        }
    }

    /// Reads records once and makes them out; 0 at the end of the socket.
    fn poll_records(&mut self, blocks: &Blocks, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let n = ready!(self.inlet.poll_feed(&self.socket, &mut self.tls, blocks, cx))?;
        if let Err(error) = self.tls.process_new_packets() {
            // The alert that tells the peer why. It is sent once or not at all.
            let _ = self.poll_push(cx);
            self.silent = true;
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(n))
    }

    /// Takes bytes into records and begins to write these; gives how many were taken.
    pub(super) fn poll_write(
        &mut self,
        head: &[u8],
        tail: &[u8],
        then: Then,
        wrote: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !self.last_word {
            ready!(self.poll_flush(wrote, cx))?;
        }
        let max = if self.sealed.grants(MAX_SEALED, Use::Relay) { MAX_SEALED } else { FREE };
        let first = &head[..head.len().min(max)];
        let second = &tail[..tail.len().min(max - first.len())];
        let taken = self.tls.writer().write_vectored(&[IoSlice::new(first), IoSlice::new(second)])?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unsaid += taken as u64;
        if then == Then::Close && taken == head.len() + tail.len() {
            self.say_end();
        }
        match self.poll_flush(wrote, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    pub(super) fn poll_flush(&mut self, wrote: &mut u64, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pushed = self.poll_push(cx);
        *wrote += std::mem::take(&mut self.said);
        self.sealed.resize(usize::try_from(self.unsaid).unwrap_or(usize::MAX));
        pushed
    }

    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.last_word = false;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Outlet(&self.socket)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    let said = self.unsaid.min(n as u64);
                    self.unsaid -= said;
                    self.said += said;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // It may have become writable since: then an event for it is on its way.
                    let _ = self.socket.try_io(Interest::WRITABLE, || {
                        io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())
                    });
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.said += std::mem::take(&mut self.unsaid);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_end();
        ready!(self.poll_push(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn say_end(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.tls.send_close_notify();
        }
    }
}

impl Drop for Session {
    /// Says that this is the end, as far as the socket takes it at once. A peer that is not told must hold what
    /// it has for cut.
    fn drop(&mut self) {
        if self.silent || self.closing || self.tls.is_handshaking() {
            return;
        }
        self.say_end();
        while self.tls.wants_write() && matches!(self.tls.write_tls(&mut Outlet(&self.socket)), Ok(1..)) {}
    }
}

#[cfg(test)]
mod tests;
