//! One connection of a client: a socket that never blocks, what is still to be written, what was read.

use crate::answer::{Answer, Step};
use crate::tally::Fault;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
    sockopt,
};
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
    },
    /// The other side ended a connection on which nothing was asked.
    EndedIdle,
    Failed(Fault, String),
}

/// One client connection.
pub(crate) struct Connection {
    socket: Option<OwnedFd>,
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
        to: SocketAddrV4,
        source: Option<Ipv4Addr>,
    ) -> Result<(), Errno> {
        self.close();
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        if let Some(source) = source {
            bind(&socket, &SocketAddrV4::new(source, 0))?;
        } else {
            // A request may leave in several segments, and must not wait for an acknowledgement in between.
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        epoll::add(epoll, &socket, EventData::new_u64(key), EventFlags::IN)?;
        self.socket = Some(socket);
        self.phase = Phase::Idle;
        Ok(())
    }

    pub(crate) fn close(&mut self) {
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
        if self.phase == Phase::Asking && self.written < texts[self.text].len() {
            let outcome = self.write(epoll, key, texts);
            if !matches!(outcome, Outcome::Nothing) {
                return outcome;
            }
        }
        match self.read(buffer, expect) {
            Outcome::Answered { .. } if self.written < texts[self.text].len() => {
                let detail = format!("after {} of {} bytes", self.written, texts[self.text].len());
                Outcome::Failed(Fault::Early, detail)
            }
            outcome => outcome,
        }
    }

    fn write(&mut self, epoll: BorrowedFd<'_>, key: u64, texts: &[Box<[u8]>]) -> Outcome {
        let Some(socket) = &self.socket else { return Outcome::Nothing };
        let text = &texts[self.text];
        while self.written < text.len() {
            match send(socket, &text[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Outcome::Failed(fault_of(error), format!("writing: {error}")),
            }
        }
        let wants_room = self.written < text.len();
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
                Step::Done { keep } => return Outcome::Answered { keep, body: self.answer.body() },
                Step::Bad(fault, detail) => return Outcome::Failed(fault, detail),
            }
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
