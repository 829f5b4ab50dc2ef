//! A connection as the rest of the house sees it: bytes in and out, whatever lies between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use super::lane::Lane;
use super::session::Session;
use super::{Blocks, Buffer, Then, peek};

/// One connection. The plain arm is the socket itself: nothing is added to what is done with it.
#[derive(Debug)]
pub enum Stream {
    /// The socket's bytes are the application's.
    Plain(TcpStream),
    /// They are records of TLS. In a box: most of the room would be empty in plain connections.
    Tls(Box<Session>),
    /// They are one exchange's of many on a connection that somebody else drives.
    Lane(Box<dyn Lane>),
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl Stream {
    /// The socket below, where it is this stream's alone.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(session) => Some(session.socket()),
            Self::Lane(_) => None,
        }
    }

    /// The socket, where its bytes are the application's.
    pub fn bare(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(_) | Self::Lane(_) => None,
        }
    }

    /// What rustls knows of it, where TLS lies between.
    pub fn tls(&self) -> Option<&rustls::Connection> {
        match self {
            Self::Tls(session) => Some(session.tls()),
            Self::Plain(_) | Self::Lane(_) => None,
        }
    }

    /// Whether it is counted by whoever drives the connection below.
    pub fn is_lane(&self) -> bool {
        matches!(self, Self::Lane(_))
    }

    /// Whether the peer has reset it, or it has failed in another way. For those that are not read from: no
    /// event tells.
    pub fn has_failed(&mut self) -> bool {
        match self {
            Self::Plain(socket) => !matches!(socket.take_error(), Ok(None)),
            Self::Tls(session) => !matches!(session.socket().take_error(), Ok(None)),
            Self::Lane(lane) => lane.is_broken(),
        }
    }

    /// The version of TLS, and the name that a client has asked for; `None`: there is no TLS.
    pub fn secured(&self) -> Option<(&'static str, Option<&str>)> {
        let session = match self {
            Self::Tls(session) => session,
            Self::Lane(lane) => return lane.secured(),
            Self::Plain(_) => return None,
        };
        let version = match session.tls().protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLS",
        };
        let name = match session.tls() {
            rustls::Connection::Server(server) => server.server_name(),
            rustls::Connection::Client(_) => None,
        };
        Some((version, name))
    }

    /// Whether all that was taken to be written has gone to the socket.
    pub fn is_flushed(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Lane(_) => true,
            Self::Tls(session) => session.is_flushed(),
        }
    }

    /// Ready when all that was taken to be written has gone to the socket. `wrote` is raised by what goes.
    pub fn poll_flush(&mut self, wrote: &mut u64, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) | Self::Lane(_) => Poll::Ready(Ok(())),
            Self::Tls(session) => session.poll_flush(wrote, cx),
        }
    }

    /// Sends the end of our side of the stream, and all that was taken before it.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(session) => session.poll_shutdown(cx),
            Self::Lane(lane) => {
                lane.shut_down();
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ends the connection so that the peer cannot take what it has for all there is: by a reset, and
    /// without the farewell of TLS.
    pub fn abort(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Tls(session) => session.be_silent(),
            Self::Lane(lane) => lane.abort(),
        }
        if let Some(socket) = self.socket() {
            // Failing to set it leaves the ordinary end.
            let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// Whether nothing lies unread, as far as is known without asking the kernel.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Plain(socket) => !is_readable(socket),
            Self::Tls(session) => session.is_drained() && !is_readable(session.socket()),
            // What a client sends on after its answer cannot reset that.
            Self::Lane(_) => true,
        }
    }

    /// Whether an idle connection has nothing to say: neither its end nor bytes that nobody asked for. With
    /// `settled` the kernel's last word on it is trusted, which costs no call while no event came.
    pub fn is_quiet(&mut self, settled: bool, blocks: &Blocks) -> bool {
        match self {
            Self::Plain(socket) => {
                // Readiness may be left over from a read that filled its buffer: then the socket itself is asked.
                (settled && !is_readable(socket))
                    || matches!(peek(socket), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            // Its peer may have sent tickets and the like: only what comes out of the records counts.
            Self::Tls(session) => {
                let (mut nothing, mut cx) = (Buffer::default(), Context::from_waker(Waker::noop()));
                let read = session.poll_read(&mut nothing, blocks, &mut cx);
                if !nothing.is_empty() {
                    session.note_stray();
                }
                // It may be pending because the task has had its share of tokio's attention.
                read.is_pending()
                    && ((settled && !is_readable(session.socket()))
                        || matches!(peek(session.socket()), Err(error) if error.kind() == io::ErrorKind::WouldBlock))
            }
            Self::Lane(lane) => !lane.is_broken(),
        }
    }

    /// Whether bytes have come that nobody has asked for and nobody has read.
    pub fn has_strays(&self) -> bool {
        match self {
            Self::Plain(socket) => matches!(peek(socket), Ok(1..)),
            Self::Tls(session) => session.has_strays(),
            Self::Lane(_) => false,
        }
    }

    /// Writes once, first `head` and then `tail`; gives how much was taken. Of TLS that may go later: see
    /// [`Self::poll_flush`].
    pub fn poll_write(
        &mut self,
        head: &[u8],
        tail: &[u8],
        then: Then,
        wrote: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => {
                let written = super::poll_write(socket, head, tail, then, cx);
                if let Poll::Ready(Ok(n)) = written {
                    *wrote += n as u64;
                }
                written
            }
            Self::Tls(session) => session.poll_write(head, tail, then, wrote, cx),
            Self::Lane(lane) => {
                let taken = lane.poll_write(head, tail, cx);
                if let Poll::Ready(Ok(n)) = taken {
                    *wrote += n as u64;
                }
                taken
            }
        }
    }
}

/// Whether an event has told of bytes, or of the end, that nobody has read. Asks neither the kernel nor to be woken: the
/// way by a waker costs four times as much.
fn is_readable(socket: &TcpStream) -> bool {
    socket.try_io(Interest::READABLE, || Ok(())).is_ok()
}
