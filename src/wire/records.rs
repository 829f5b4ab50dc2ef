//! Records of TLS between the socket and rustls.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use rustls::Connection;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Blocks, Charge, Use, readiness, recv, settled};

/// Parts of one write.
const MAX_PARTS: usize = 16;

/// Records as they came, before rustls has them.
#[derive(Debug, Default)]
pub(super) struct Inlet {
    block: Vec<u8>,
    start: usize,
    charge: Charge,
    /// The last read filled all the room: more is waiting.
    hungry: bool,
}

impl Inlet {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.block.len()
    }

    /// Gives rustls what came, or what comes now; 0 at the end of the socket.
    pub(super) fn poll_feed(
        &mut self,
        socket: &TcpStream,
        tls: &mut Connection,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.is_empty() {
                let n = tls.read_tls(&mut &self.block[self.start..])?;
                self.start += n;
                if self.is_empty() {
                    self.release(blocks);
                }
                return Poll::Ready(Ok(n));
            }
            ready!(socket.poll_read_ready(cx))?;
            // Without a block it goes on record by record.
            if let Some(block) = self.hungry.then(|| blocks.take(Use::Relay)).flatten() {
                self.block = block;
                blocks.charge(&mut self.charge, &self.block);
                let came = recv(socket, &mut self.block);
                self.hungry = self.block.len() == self.block.capacity();
                match came {
                    Some(Ok(1..)) => {}
                    Some(Ok(_)) => {
                        self.release(blocks);
                        return Poll::Ready(tls.read_tls(&mut io::empty()));
                    }
                    Some(Err(error)) => {
                        self.release(blocks);
                        return Poll::Ready(Err(error));
                    }
                    None => self.release(blocks),
                }
                continue;
            }
            let mut direct = Direct { socket, filled: false };
            match tls.read_tls(&mut direct) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    self.hungry = direct.filled;
                    return Poll::Ready(read);
                }
            }
        }
    }

    fn release(&mut self, blocks: &Blocks) {
        self.start = 0;
        self.block.clear();
        blocks.give(std::mem::take(&mut self.block));
        blocks.charge(&mut self.charge, &self.block);
    }
}

/// The socket as rustls reads from it. A read that does not fill the room has emptied the socket, and tokio is
/// told so.
struct Direct<'a> {
    socket: &'a TcpStream,
    filled: bool,
}

impl Read for Direct<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let wanted = room.len();
        let mut outcome = Err(Errno::AGAIN);
        let _ = self.socket.try_io(Interest::READABLE, || {
            outcome = rustix::net::recv(self.socket, room, RecvFlags::empty()).map(|(n, _)| n);
            readiness(outcome, wanted)
        });
        match settled(outcome) {
            Some(read) => {
                self.filled = matches!(read, Ok(n) if n == wanted);
                read
            }
            // Not «interrupted»: rustls would give that back too, and the loop above asks again in any case.
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The socket as rustls writes to it.
pub(super) struct Outlet<'a>(pub(super) &'a TcpStream);

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let parts = &parts[..parts.len().min(MAX_PARTS)];
        match parts {
            [one] => self.write(one),
            _ => Ok(rustix::net::sendmsg(
                self.0,
                parts,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            )?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
