//! One connection of a client: a socket that never blocks, what is still to be written, what was read.

use crate::answer::{Answer, Step};
use crate::options::Plan;
use crate::secure::Secure;
use crate::tally::Fault;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
    sockopt,
};
use rustls::HandshakeKind;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is no socket.
    Closed,
    /// Nothing is asked.
    Idle,
    /// From the first byte of the request to the last of the answer.
    Asking,
}

/// What an event brought.
pub(crate) enum Outcome {
    Nothing,
    /// The whole answer is there.
    Answered {
        keep: bool,
        body: u64,
        /// Of the connection's first answer, where TLS is spoken.
        handshake: Option<HandshakeKind>,
    },
    /// The other side ended a connection on which nothing was asked.
    EndedIdle,
    Failed(Fault, String),
}

/// One client connection.
pub(crate) struct Connection {
    socket: Option<OwnedFd>,
    secure: Option<Box<Secure>>,
    pub(crate) phase: Phase,
    /// When the request began, or was due.
    pub(crate) since: Instant,
    /// Which request is being asked, and how much of it the kernel took.
    text: usize,
    written: usize,
    /// Whether epoll also tells when there is room to write.
    wants_room: bool,
    /// Whether the first request on it has its outcome.
    pub(crate) settled: bool,
    answer: Answer,
}

impl Connection {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            socket: None,
            secure: None,
            phase: Phase::Closed,
            since: now,
            text: 0,
            written: 0,
            wants_room: false,
            settled: false,
            answer: Answer::new(),
        }
    }

    /// Opens the connection without waiting for it. `source` is the client's address, where it matters.
    pub(crate) fn open(
        &mut self,
        epoll: BorrowedFd<'_>,
        key: u64,
        plan: &Plan,
        source: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        self.close();
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        if let Some(source) = source {
            bind(&socket, &SocketAddrV4::new(source, 0))?;
        } else {
            // A request may leave in several segments, and must not wait for an acknowledgement in between.
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        match connect(&socket, &plan.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(terms) = &plan.terms {
            self.secure = Some(Box::new(terms.begin().map_err(io::Error::other)?));
        }
        epoll::add(epoll, &socket, EventData::new_u64(key), EventFlags::IN)?;
        self.socket = Some(socket);
        self.phase = Phase::Idle;
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        if let (Some(mut secure), Some(socket)) = (self.secure.take(), &self.socket) {
            secure.farewell(socket.as_fd());
        }
        self.socket = None;
        self.phase = Phase::Closed;
        self.wants_room = false;
    }

    /// Begins a request.
    pub(crate) fn ask(
        &mut self,
        epoll: BorrowedFd<'_>,
        key: u64,
        text: usize,
        texts: &[Box<[u8]>],
        since: Instant,
    ) -> Outcome {
        self.phase = Phase::Asking;
        self.since = since;
        self.text = text;
        self.written = 0;
        self.answer.reset();
        if let Some(secure) = &mut self.secure {
            if let Err(error) = secure.say(&texts[text]) {
                return Outcome::Failed(Fault::Tls, format!("writing: {error}"));
            }
            self.written = texts[text].len();
        }
        self.write(epoll, key, texts)
    }

    /// Epoll says that something can be done. `buffer` is only for the time of the call.
    pub(crate) fn progress(
        &mut self,
        epoll: BorrowedFd<'_>,
        key: u64,
        texts: &[Box<[u8]>],
        buffer: &mut [u8],
        expect: Option<u64>,
    ) -> Outcome {
        if self.phase == Phase::Asking && !self.all_written(texts) {
            let outcome = self.write(epoll, key, texts);
            if !matches!(outcome, Outcome::Nothing) {
                return outcome;
            }
        }
        let outcome =
            if self.secure.is_some() { self.read_secure(buffer, expect) } else { self.read(buffer, expect) };
        match outcome {
            Outcome::Answered { .. } if !self.all_written(texts) => {
                let detail = format!("after {} of {} bytes", self.written, texts[self.text].len());
                Outcome::Failed(Fault::Early, detail)
            }
            // What was read may ask for words of the handshake.
            Outcome::Nothing if !self.all_written(texts) => self.write(epoll, key, texts),
            outcome => outcome,
        }
    }

    fn all_written(&self, texts: &[Box<[u8]>]) -> bool {
        match &self.secure {
            Some(secure) => !secure.wants_write(),
            None => self.phase != Phase::Asking || self.written == texts[self.text].len(),
        }
    }

    fn write(&mut self, epoll: BorrowedFd<'_>, key: u64, texts: &[Box<[u8]>]) -> Outcome {
        let Some(socket) = &self.socket else { return Outcome::Nothing };
        if let Some(secure) = &mut self.secure {
            if let Err(error) = secure.flush(socket.as_fd()) {
                let fault = Errno::from_io_error(&error).map_or(Fault::Tls, fault_of);
                return Outcome::Failed(fault, format!("writing: {error}"));
            }
        } else {
            let text = &texts[self.text];
            while self.written < text.len() {
                match send(socket, &text[self.written..], SendFlags::NOSIGNAL) {
                    Ok(count) => self.written += count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Outcome::Failed(fault_of(error), format!("writing: {error}")),
                }
            }
        }
        let wants_room = !self.all_written(texts);
        if wants_room != self.wants_room {
            let room = if wants_room { EventFlags::OUT } else { EventFlags::empty() };
            if let Err(error) = epoll::modify(epoll, socket, EventData::new_u64(key), EventFlags::IN | room) {
                return Outcome::Failed(Fault::Reset, format!("epoll: {error}"));
            }
            self.wants_room = wants_room;
        }
        Outcome::Nothing
    }

    fn read(&mut self, buffer: &mut [u8], expect: Option<u64>) -> Outcome {
        let Some(socket) = &self.socket else { return Outcome::Nothing };
        loop {
            // The kernel throws away what is body and nothing else, without a copy: the load shares its core with
            // the origin, and together they must cost less than the proxy.
            let skip = if self.phase == Phase::Asking { self.answer.skippable() } else { 0 };
            let (room, flags) = match skip {
                0 => (buffer.len(), RecvFlags::empty()),
                _ => (buffer.len().min(usize::try_from(skip).unwrap_or(usize::MAX)), RecvFlags::TRUNC),
            };
            let count = match recv(socket, &mut buffer[..room], flags) {
                Ok((_, count)) => count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Outcome::Nothing,
                Err(_) if self.phase == Phase::Idle => return Outcome::EndedIdle,
                Err(error) => return Outcome::Failed(fault_of(error), format!("reading: {error}")),
            };
            if self.phase == Phase::Idle {
                return match count {
                    0 => Outcome::EndedIdle,
                    _ => Outcome::Failed(Fault::Malformed, format!("{count} bytes without a request")),
                };
            }
            let step = match count {
                0 => self.answer.end(expect),
                _ if skip > 0 => self.answer.skip(count as u64, expect),
                _ => self.answer.feed(&buffer[..count], expect),
            };
            match step {
                Step::More if count < room => return Outcome::Nothing,
                Step::More => {}
                Step::Done { keep } => {
                    return Outcome::Answered { keep, body: self.answer.body(), handshake: None };
                }
                Step::Bad(fault, detail) => return Outcome::Failed(fault, detail),
            }
        }
    }

    fn read_secure(&mut self, buffer: &mut [u8], expect: Option<u64>) -> Outcome {
        let (Some(socket), Some(secure)) = (&self.socket, &mut self.secure) else { return Outcome::Nothing };
        let idle = self.phase == Phase::Idle;
        loop {
            let count = match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Outcome::Nothing,
                Ok((_, 0)) | Err(_) if idle => return Outcome::EndedIdle,
                Ok((_, count)) => count,
                Err(error) => return Outcome::Failed(fault_of(error), format!("reading: {error}")),
            };
            if count == 0 {
                let when = if secure.is_handshaking() { "within the handshake" } else { "without farewell" };
                return Outcome::Failed(Fault::Closed, format!("the connection ended {when}"));
            }
            let (answer, mut step, mut strays) = (&mut self.answer, Step::More, 0);
            let heard = secure.hear(&buffer[..count], |plain| match step {
                Step::More if !idle => step = answer.feed(plain, expect),
                _ => strays += plain.len(),
            });
            let ended = match heard {
                Ok(ended) => ended,
                Err(detail) => return Outcome::Failed(Fault::Tls, detail),
            };
            if ended && step == Step::More && !idle {
                step = answer.end(expect);
            }
            match step {
                Step::Bad(fault, detail) => return Outcome::Failed(fault, detail),
                _ if strays > 0 => {
                    let detail = format!("{strays} bytes that nobody asked for");
                    return Outcome::Failed(Fault::Malformed, detail);
                }
                Step::Done { keep } => return Self::answered(secure, keep && !ended, answer.body()),
                Step::More if ended => return Outcome::EndedIdle,
                Step::More if count < buffer.len() => return Outcome::Nothing,
                Step::More => {}
            }
        }
    }

    fn answered(secure: &mut Secure, keep: bool, body: u64) -> Outcome {
        match secure.handshake().transpose() {
            Ok(handshake) => Outcome::Answered { keep, body, handshake },
            Err(detail) => Outcome::Failed(Fault::Tls, detail),
        }
    }
}

/// What the kernel says of a connection that was never made, and of one that broke.
fn fault_of(error: Errno) -> Fault {
    match error {
        Errno::CONNREFUSED | Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL => Fault::Connect,
        _ => Fault::Reset,
    }
}
