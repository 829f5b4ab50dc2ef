//! The kernel's queue of connections that wait to be accepted.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::net::TcpStream as Watched;

/// One listening socket.
///
/// An accept that finds nobody makes a socket and throws it away, which costs five times as much as asking
/// the kernel whether somebody waits. So it is asked before every accept but the first after a wait.
pub(super) struct Queue {
    /// In the clothes of a stream, which is only asked whether it is readable: tokio's listener can do nothing
    /// but accept, and its handle for other descriptors takes `unsafe`.
    socket: Watched,
    known: Cell<Known>,
}

/// What is known of the queue beyond what tokio knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The kernel told of somebody, and nobody has been accepted since.
    Told,
    /// Somebody has been accepted.
    Taken,
    /// Nobody waits, and tokio has not been told.
    Empty,
}

impl Queue {
    /// Begins to hear of connections.
    ///
    /// # Errors
    /// The socket cannot be watched.
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        let socket = Watched::from_std(TcpStream::from(OwnedFd::from(socket)))?;
        Ok(Self { socket, known: Cell::new(Known::Taken) })
    }

    /// Takes the next connection; waits until there is one.
    ///
    /// # Errors
    /// As accept(2) gives them; never that nobody waits.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            self.socket.readable().await?;
            let somebody = match self.known.get() {
                Known::Told => true,
                Known::Taken => self.somebody_waits(),
                Known::Empty => false,
            };
            if somebody {
                match self.take() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    taken => return taken,
                }
            }
            // Who came after the question is told of by an event that has not been read yet.
            let _ = self
                .socket
                .try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
            self.known.set(Known::Told);
        }
    }

    /// The same where somebody waits; `None` where nobody does.
    pub(super) fn accept_at_once(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.somebody_waits() {
            match self.take() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return Some(taken),
            }
        }
        self.known.set(Known::Empty);
        None
    }

    fn take(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.known.set(Known::Taken);
        let (socket, peer) = acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let stream = TcpStream::from(socket);
        // The kernel gives it as a rule; a peer that has already gone has none to be asked for.
        let peer = peer.map_or_else(|| stream.peer_addr(), Ok)?;
        Ok((stream, peer))
    }

    /// Asks the kernel. Where it does not say, an accept will.
    fn somebody_waits(&self) -> bool {
        let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut asked, Some(&at_once)).map_or(true, |ready| ready > 0)
    }
}
