//! What an exchange leaves in the ring of the last requests.

use std::time::Instant;

use super::client::Client;
use super::exchange::Exchange;
use super::fault::Fault;
use super::pick::Attempt;
use super::worker::Worker;
use crate::access::{Marks, Mask};
use crate::http::{self, Method, Refusal};
use crate::recent::{Choice, End, Query, Record, Tag, Try};
use crate::resilience::Failure;
use crate::snapshot::Listener;

/// The tries of one exchange.
#[derive(Default)]
pub(super) struct Tries {
    /// The one that runs, or was the last.
    current: Option<Choice>,
    /// Those that are over, and were followed by another.
    earlier: Vec<Try>,
    left_out: u32,
}

impl Tries {
    /// This one runs from now on.
    pub(super) fn begin(&mut self, choice: Choice) {
        self.current = Some(choice);
    }

    /// One is over, and is not what the answer comes from.
    #[cold]
    pub(super) fn over(&mut self, attempt: &Attempt<'_>, end: End, now: Instant) {
        Try::push(&mut self.earlier, &mut self.left_out, Try { choice: attempt.choice, ended: now, end });
    }

    /// The same, and another follows.
    #[cold]
    pub(super) fn failed(&mut self, attempt: &Attempt<'_>, failure: Failure, now: Instant) {
        self.over(attempt, end_of(attempt, failure), now);
        self.current = None;
    }
}

/// What a try with this failure is said to have ended with.
pub(super) fn end_of(attempt: &Attempt<'_>, failure: Failure) -> End {
    match failure {
        Failure::Status(status) => End::Status(status),
        other => End::Failed(attempt.fault(other).word()),
    }
}

impl Exchange<'_> {
    /// Keeps what was decided, and that it ended with `code`.
    pub(super) fn remember(&mut self, code: u16, reason: &'static str) {
        // Whoever asks does not wait in the midst of it: it is never taken.
        let Ok(mut ring) = self.worker.recent.try_borrow_mut() else { return };
        let Some(record) = ring.next(self.scratch.forwarding.request_id()) else { return };
        let (note, request) = (&mut self.note, &*self.request);
        (record.began, record.complete, record.ended) = (self.arrival.began, self.arrival.complete, self.now);
        record.marks = note.marks();
        record.client = self.client_address.unwrap_or_else(|| {
            let origin = &self.client.origin;
            http::client_address(&request.fields, origin, |address| self.listener.trusts(address))
        });
        (record.method, record.version) = (request.method, Some(request.version));
        if request.method == Method::Other {
            record.verb.set(request.method_token());
        }
        match self.listener.access.as_deref().map(|log| &log.mask) {
            Some(Mask::Named(_)) => self::masked(record, self.listener, request.target()),
            mask => {
                record.target.set(request.target());
                // Where no line is written nobody has said what may be shown.
                record.query = if mask == Some(&Mask::Nothing) { Query::Shown } else { Query::Masked };
            }
        }
        record.host.set(request.host());
        record.listener = self.listener.tag;
        (record.route, record.pool, record.algorithm) = match note.route {
            Some(route) => (route.tag, route.pool.tag, route.pool.algorithm.name),
            None => (Tag::NONE, Tag::NONE, ""),
        };
        record.answered = if record.marks.heard.is_some() { self.scratch.response.status } else { 0 };
        let tries = &mut note.tries;
        record.last = tries.current;
        record.earlier = std::mem::take(&mut tries.earlier);
        record.left_out = tries.left_out;
        (record.code, record.reason) = (code, reason);
        record.retries = self.retries;
        record.hedge = note.hedge.unwrap_or("");
    }
}

/// Takes a target without the values of parameters that are not to be shown.
#[cold]
fn masked(record: &mut Record, listener: &Listener, target: &[u8]) {
    let mut shown = Vec::new();
    if let Some(log) = &listener.access {
        log.mask.apply(target, target.len(), &mut shown);
    }
    record.target.set(&shown);
    record.query = Query::Shown;
}

/// Keeps that a head was refused. Nothing of it is kept: what could not be read may be anything.
pub(super) fn refused(
    worker: &Worker,
    listener: &Listener,
    client: &Client,
    refusal: Refusal,
    (began, ended): (Instant, Instant),
    request_id: &[u8],
) {
    let Ok(mut ring) = worker.recent.try_borrow_mut() else { return };
    let Some(record) = ring.next(request_id) else { return };
    (record.began, record.complete, record.ended) = (began, ended, ended);
    record.marks = Marks::default();
    record.client = client.origin.peer.ip();
    (record.method, record.version) = (Method::Other, None);
    record.verb.set(b"");
    record.target.set(b"");
    record.query = Query::Shown;
    record.host.set(b"");
    record.listener = listener.tag;
    (record.route, record.pool, record.algorithm) = (Tag::NONE, Tag::NONE, "");
    (record.last, record.answered) = (None, 0);
    (record.earlier, record.left_out) = (Vec::new(), 0);
    (record.code, record.reason) = (refusal.status, Fault::Refused(refusal).word());
    (record.retries, record.hedge) = (0, "");
}
