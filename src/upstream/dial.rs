//! Opening a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Connection, Fleet, Hold, OpenGauge};
use crate::announce::Announcement;
use crate::backend::Backend;
use crate::timer::Wheel;
use crate::tls::Secure;
use crate::wire::{Blocks, Buffer, MAX_UNSENT, Outgoing, Session, Stream};

/// How often a worker that waits for a place looks again, beside whenever a connection closes.
const RECHECK: Duration = Duration::from_millis(2);

/// Why no connection was opened. In every case nothing of the request was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Refused, unreachable, out of descriptors and the like.
    #[error("connect: {0}")]
    Failed(#[from] io::Error),
    /// Not connected in time.
    #[error("connect timeout after {0:?}")]
    TimedOut(Duration),
    /// Connected, but no TLS came of it.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// Connected, but no HTTP/2 came of it.
    #[error("HTTP/2: {0}")]
    Http2(io::Error),
    /// As many connections as allowed were open all the time.
    #[error("no connection was free within {0:?}")]
    NoPlace(Duration),
    /// Its name has not been resolved.
    #[error("name not resolved")]
    NoAddress,
}

impl DialError {
    /// Whether the time has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::NoPlace(_))
    }

    /// The same for another who waited for the same connection.
    pub(super) fn again(&self) -> Self {
        let copy = |error: &io::Error| match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        match self {
            Self::Failed(error) => Self::Failed(copy(error)),
            Self::TimedOut(after) => Self::TimedOut(*after),
            Self::Tls(error) => Self::Tls(copy(error)),
            Self::Http2(error) => Self::Http2(copy(error)),
            Self::NoPlace(after) => Self::NoPlace(*after),
            Self::NoAddress => Self::NoAddress,
        }
    }

    /// Whether it says something of the backend, and not only of us: that we lack descriptors, ports or
    /// memory, or have as many connections open as we may.
    pub fn is_the_backends(&self) -> bool {
        use rustix::io::Errno;
        const OURS: [Errno; 7] = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::ACCESS,
            Errno::PERM,
        ];
        match self {
            Self::Failed(error) => !Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno)),
            Self::TimedOut(_) | Self::Tls(_) | Self::Http2(_) => true,
            Self::NoPlace(_) | Self::NoAddress => false,
        }
    }
}

/// What a connection is opened with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) wheel: &'a Wheel,
    pub(super) blocks: &'a Blocks,
    pub(super) fleet: &'a Fleet,
}

/// A connection being opened; see [`super::Upstream::dial`].
#[derive(Debug)]
pub struct Dialing<'a> {
    means: Means<'a>,
    backend: Arc<Backend>,
    limit: u32,
    timeout: Duration,
    deadline: Instant,
    secure: Option<Arc<Secure>>,
    announced: Option<Announcement>,
}

impl<'a> Dialing<'a> {
    pub(super) fn new(
        means: Means<'a>,
        backend: &Arc<Backend>,
        limit: u32,
        timeout: Duration,
        deadline: Instant,
    ) -> Self {
        let (secure, announced) = (None, None);
        Self { means, backend: Arc::clone(backend), limit, timeout, deadline, secure, announced }
    }

    /// With TLS; the deadline is of both.
    pub fn secured(self, secure: Option<Arc<Secure>>) -> Self {
        Self { secure, ..self }
    }

    /// With a PROXY header that announces whom it is for, before all else.
    pub fn announced(self, announced: Option<Announcement>) -> Self {
        Self { announced, ..self }
    }

    /// Connects.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(self) -> Result<Box<Connection>, DialError> {
        // Before the address: a change in between makes the connection look older than it is.
        let moves = self.backend.moves();
        let address = self.backend.address().ok_or(DialError::NoAddress)?;
        let gauge = self.take_place().await?;
        let mut stream = self.in_time(TcpStream::connect(address)).await??;
        // A request head waits for no further segment. Failing to set it only costs time, or memory.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
        if is_to_itself(&stream, address) {
            return Err(DialError::Failed(io::ErrorKind::ConnectionRefused.into()));
        }
        if let Some(announced) = &self.announced {
            self.in_time(stream.write_all(&announced.header())).await??;
        }
        let stream = match &self.secure {
            None => stream.into(),
            Some(secure) => self.shake_hands(stream, secure).await?,
        };
        Ok(Box::new(Connection {
            stream,
            buffer: Buffer::default(),
            out: Outgoing::default(),
            reused: false,
            secure: self.secure,
            announced: self.announced,
            hold: Hold::Whole(gauge),
            moves,
        }))
    }

    async fn shake_hands(&self, stream: TcpStream, secure: &Secure) -> Result<Stream, DialError> {
        let session = Session::connect(stream, &secure.config, secure.name.clone(), self.means.blocks);
        let mut session = Box::new(session.map_err(|error| DialError::Tls(io::Error::other(error)))?);
        let handshake = poll_fn(|cx| session.poll_handshake(self.means.blocks, cx));
        Box::pin(self.in_time(handshake)).await?.map_err(DialError::Tls)?;
        Ok(Stream::Tls(session))
    }

    /// Counts the connection, once the backend has room for it.
    async fn take_place(&self) -> Result<OpenGauge, DialError> {
        loop {
            if self.backend.open_connection(self.limit) {
                return Ok(OpenGauge(Arc::clone(&self.backend)));
            }
            if Instant::now() >= self.deadline {
                return Err(DialError::NoPlace(self.timeout));
            }
            self.means.fleet.ask_to_close_one(self.backend.id());
            self.backend.until_connection_closed(RECHECK).await;
        }
    }

    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, DialError> {
        let done = in_time(self.means.wheel, self.deadline, future).await;
        done.ok_or(DialError::TimedOut(self.timeout))
    }
}

/// What comes of it, if that comes by then.
pub(super) async fn in_time<T>(
    wheel: &Wheel,
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let timer = wheel.timer();
    timer.arm(deadline);
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        timer.wake(cx.waker());
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if timer.has_fired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A connect to a local port of the ephemeral range that nobody listens on may get that very port as its
/// own and succeed with itself (TCP simultaneous open).
fn is_to_itself(stream: &TcpStream, address: SocketAddr) -> bool {
    address.ip().is_loopback() && stream.local_addr().is_ok_and(|local| local == address)
}
