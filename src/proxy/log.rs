//! What an exchange leaves in the access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Client;
use super::exchange::Exchange;
use super::fault::Fault;
use super::pick::Attempt;
use super::recall::{self, choice};
use super::worker::Worker;
use crate::access::{Arrival, Load, Log, Marks, Record, Secure, Times};
use crate::backend::Backend;
use crate::http::Refusal;
use crate::observe::{Phase, Phases};
use crate::recent::{Choice, Course, Earlier};
use crate::resilience::Failure;
use crate::snapshot::{Listener, Pool, Route};

/// Bytes of a head that was refused which are shown.
const MAX_UNREAD: usize = 256;
/// Bytes of what is not even the beginning of a request: it may be a field with a credential, or the rest of a body. So many
/// tell which other protocol it is.
const MAX_ODD: usize = 8;

/// What is remembered of an exchange for its line and its record. Next to nothing where there is no access log.
#[derive(Default)]
pub(super) struct Note<'a> {
    /// It has been told.
    told: bool,
    /// How far it came.
    pub(super) course: Course,
    /// The tries before the last one.
    pub(super) earlier: Option<Box<Earlier>>,
    /// The one that runs beside the last one.
    pub(super) beside: Option<Choice>,
    /// Taken when the line is written.
    log: Option<&'a Log>,
    pub(super) route: Option<&'a Route>,
    /// That of the last try.
    backend: Option<Arc<Backend>>,
    /// From the connection of the last try to the head of its response.
    first_byte: Duration,
    /// Bytes of the connection that were of requests and of responses before.
    start: [u64; 2],
    /// Bytes of this exchange's heads to the client.
    head_out: u64,
}

impl<'a> Note<'a> {
    /// Begins where the head of a request has been read.
    pub(super) fn new(listener: &'a Listener, client: &Client, head: usize) -> Self {
        let Some(log) = &listener.access else { return Self::default() };
        let [read, written] = client.progress();
        Self { log: Some(log), start: [read.saturating_sub(head as u64), written], ..Self::default() }
    }

    /// A try begins.
    pub(super) fn attempt(&mut self, attempt: &Attempt<'_>, now: Instant) {
        if self.log.is_some() {
            self.backend = Some(Arc::clone(attempt.lease.backend()));
        }
        self.course.last = Some(choice(attempt, now));
        (self.course.marks.connected, self.course.marks.heard) = (None, None);
    }

    /// Its backend has been reached.
    pub(super) fn connect(&mut self, now: Instant) {
        self.course.marks.connected = Some(now);
    }

    /// The head of a response is there, so long after the request had been sent.
    pub(super) fn hear(&mut self, now: Instant, sent_at: Instant, took: Duration) {
        self.course.marks.heard = Some(now);
        // A subtraction of instants costs as much as all the rest of counting: most requests need no second one.
        self.first_byte = match self.course.marks.connected {
            Some(connected) if connected != sent_at => now.saturating_duration_since(connected),
            _ => took,
        };
    }

    /// It waits in the queue from now on.
    pub(super) fn queue(&mut self, now: Instant) {
        self.backend = None;
        let waited = self.course.marks.waited;
        self.course.marks = Marks { queued: Some(now), waited, connected: None, heard: None };
    }

    /// It has left the queue for a backend.
    pub(super) fn leave_queue(&mut self, now: Instant) {
        let since = self.course.marks.queued.take();
        self.course.marks.waited +=
            since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    }

    /// All that has been written so far, but `body` bytes, are heads.
    pub(super) fn heads_end(&mut self, client: &Client, body: usize) {
        if self.log.is_some() {
            self.head_out = (client.progress()[1] - self.start[1]).saturating_sub(body as u64);
        }
    }

    /// Counts the phases that it went through. Those that took no time at all were none: a connection that was kept is
    /// there at once, and most do not wait.
    pub(super) fn count_phases(&self, phases: Phases<'_>, arrival: Arrival, ended: Instant, whole: Duration) {
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let marks = &self.course.marks;
        let mut waited = marks.waited;
        if let Some(since) = marks.queued {
            waited += between(since, ended);
        }
        if !waited.is_zero() {
            phases.took(Phase::Queue, waited);
        }
        let Some(connected) = marks.connected else { return };
        if connected > arrival.complete {
            let reached = between(arrival.complete, connected).saturating_sub(waited);
            if !reached.is_zero() {
                phases.took(Phase::Connect, reached);
            }
        }
        if let Some(heard) = marks.heard {
            phases.took(Phase::FirstByte, self.first_byte);
            // Most heads come in one piece and find a connection at hand: then no instants need be subtracted.
            let transfer = match connected == arrival.began {
                true => whole.saturating_sub(self.first_byte),
                false => between(heard, ended),
            };
            phases.took(Phase::Transfer, transfer);
        }
    }

    /// Who ended it, and in which phase.
    fn termination(&self, fault: Option<Fault>, cut: bool) -> [u8; 2] {
        let marks = &self.course.marks;
        let phase = match (&self.backend, marks.connected, marks.heard) {
            (_, _, Some(_)) => b'D',
            (_, Some(_), _) => b'H',
            (Some(_), ..) => b'C',
            (None, ..) if marks.queued.is_some() => b'Q',
            (None, ..) => b'R',
        };
        let Some(fault) = fault else { return if cut { [b'K', phase] } else { *b"--" } };
        match fault {
            Fault::Redirected | Fault::LastHop => *b"LR",
            Fault::NoRoute => *b"PR",
            Fault::NoBackend | Fault::Backend(Failure::Connect) => *b"SC",
            Fault::PoolFull | Fault::QueueTimeout => *b"sQ",
            Fault::ConnectTimeout => *b"sC",
            Fault::Backend(Failure::Reset | Failure::Refused) => *b"SH",
            Fault::Backend(Failure::Timeout) => *b"sH",
            Fault::Backend(Failure::Invalid | Failure::Status(_)) => *b"PH",
            Fault::Cut => *b"SD",
            Fault::ClientLeft => [b'C', phase],
            Fault::BodyTimeout | Fault::WriteTimeout => [b'c', phase],
            Fault::Deadline => [b's', phase],
            Fault::Refused(_) | Fault::BodyTooLarge | Fault::NeedsLength | Fault::CannotContinue => {
                [b'P', phase]
            }
        }
    }
}

impl Exchange<'_> {
    /// Writes the line of an exchange that has ended with `code`, and its record.
    pub(super) fn log(&mut self, code: u16, fault: Option<Fault>) {
        let why = fault.map_or("", reason);
        self.note.told = true;
        self.remember(code, why);
        if self.trail.is_recorded() {
            self.export(code, why);
        }
        let Some(log) = self.note.log.take() else { return };
        if self.note.route.is_none_or(|route| route.access_log) {
            self.write_line(log, code, fault, false);
        }
    }

    /// The same for one that is ended from outside.
    #[cold]
    fn log_cut(&mut self) {
        self.now = Instant::now();
        self.remember(self.status.unwrap_or(0), "ended");
        if self.trail.is_recorded() {
            self.export(self.status.unwrap_or(0), "ended");
        }
        let Some(log) = self.note.log.take() else { return };
        if self.note.route.is_none_or(|route| route.access_log) {
            self.write_line(log, self.status.unwrap_or(0), None, true);
        }
    }

    fn write_line(&self, log: &Log, code: u16, fault: Option<Fault>, cut: bool) {
        let (note, client, request) = (&self.note, &*self.client, &*self.request);
        let broken = cut || fault.is_some_and(|fault| !matches!(fault, Fault::Redirected | Fault::LastHop));
        if !is_sampled(self.worker, log, broken || code >= 400) {
            return;
        }
        let [read, written] = client.progress();
        let pool = note.route.map(|route| &*route.pool);
        let address = self.asker();
        let backend = note.backend.as_ref();
        let record = Record {
            began: self.arrival.began,
            ended: self.now,
            client: address,
            peer: client.origin.peer,
            listener: &self.listener.name,
            route: note.route.map(|route| &*route.name),
            pool: pool.map(|pool| &*pool.name),
            backend: backend.map(|backend| &*backend.identity().name),
            request: Some(request),
            unread: b"",
            response: self.status.map(|_| &self.scratch.response.fields),
            secure: secure(client),
            request_id: self.scratch.forwarding.request_id(),
            trace: self.trail.ids(),
            code,
            reason: if cut { "ended" } else { fault.map_or("", reason) },
            bytes_in: read.saturating_sub(note.start[0]),
            bytes_out: written.saturating_sub(note.start[1]),
            head_out: note.head_out,
            retries: self.retries,
            hedge: note.course.hedge.unwrap_or_default(),
            times: note.course.marks.times(self.arrival, self.now, backend.is_some()),
            termination: note.termination(fault, cut),
            load: load(self.worker, log, self.listener, pool, backend),
        };
        write(self.worker, log, &record);
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.note.told {
            self.log_cut();
        }
    }
}

/// Writes the line of a head that was refused, `body` bytes of whose answer are no head, and `queued` bytes of what waits
/// are of answers before.
pub(super) fn refused(
    worker: &Worker,
    listener: &Listener,
    client: &Client,
    refusal: Refusal,
    (began, ended): (Instant, Instant),
    (request_id, queued, body): (&[u8], usize, usize),
) {
    recall::refused(worker, listener, client, refusal, (began, ended), request_id);
    let Some(log) = &listener.access else { return };
    let head = client.buffer.filled();
    let line = first_line(head);
    let written = (client.out.len() - queued) as u64;
    let record = Record {
        began,
        ended,
        client: client.origin.peer.ip(),
        peer: client.origin.peer,
        listener: &listener.name,
        route: None,
        pool: None,
        backend: None,
        request: None,
        unread: line,
        response: None,
        secure: secure(client),
        request_id,
        trace: None,
        code: refusal.status,
        reason: Fault::Refused(refusal).word(),
        bytes_in: head.len() as u64,
        bytes_out: written,
        head_out: written.saturating_sub(body as u64),
        retries: 0,
        hedge: "",
        times: Times::default(),
        termination: if refusal.status == 408 { *b"cR" } else { *b"PR" },
        load: load(worker, log, listener, None, None),
    };
    write(worker, log, &record);
}

/// What may be shown of a head that was refused: of its first line so much as has room, but no user and password.
fn first_line(head: &[u8]) -> &[u8] {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let most = line.len().min(MAX_UNREAD);
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let target = line.get(method.len() + 1..).unwrap_or_default();
    let is_word =
        !method.is_empty() && method.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let scheme = memchr::memmem::find(target, b"://");
    let has_version = memchr::memmem::find(target, b" HTTP/").is_some();
    if !is_word || !(target.starts_with(b"/") || scheme.is_some() || has_version) {
        return &line[..line.len().min(MAX_ODD)];
    }
    if target.starts_with(b"/") {
        return &line[..most];
    }
    // The authority, in which a user and a password may stand; it may be cut off before its end, and then nobody knows.
    let from = method.len() + 1 + scheme.map_or(0, |at| at + 3);
    let rest = &line[from..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b' ')).unwrap_or(rest.len());
    let is_bare = end < rest.len() && memchr::memchr(b'@', rest).is_none();
    if is_bare { &line[..most] } else { &line[..from.min(most)] }
}

/// Why, in one word: that of our answer, or what became of it where there was none.
fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::ClientLeft => "client_left",
        Fault::Redirected => "https_redirect",
        Fault::LastHop => "max_forwards",
        _ => fault.word(),
    }
}

fn is_sampled(worker: &Worker, log: &Log, error: bool) -> bool {
    error || log.sample >= 1.0 || worker.random.borrow_mut().f64() < log.sample
}

fn write(worker: &Worker, log: &Log, record: &Record<'_>) {
    // Whoever writes does not wait in the midst of it: it is never taken.
    if let Ok(mut pen) = worker.pen.try_borrow_mut() {
        pen.write(log, record);
    }
}

fn secure(client: &Client) -> Option<Secure<'_>> {
    client.stream.secured().map(|(version, sni)| Secure { version, sni })
}

fn load(
    worker: &Worker,
    log: &Log,
    listener: &Listener,
    pool: Option<&Pool>,
    backend: Option<&Arc<Backend>>,
) -> Load {
    if !log.format.shows_load() {
        return Load::default();
    }
    let open = |listener: &Arc<Listener>| listener.series.connections().0;
    let flying = |pool: &Pool| pool.members.iter().map(|member| u64::from(member.backend.in_flight())).sum();
    Load {
        process: worker.with_snapshot(|snapshot| snapshot.listeners.iter().map(open).sum()),
        listener: listener.series.connections().0,
        pool: pool.map_or(0, flying),
        backend: backend.map_or(0, |backend| u64::from(backend.in_flight())),
    }
}
