//! What an exchange leaves in the ring of the last requests.

use std::time::Instant;

use super::client::Client;
use super::exchange::Exchange;
use super::fault::Fault;
use super::log::Note;
use super::pick::Attempt;
use super::worker::Worker;
use crate::access::{Arrival, Mask};
use crate::http::{Method, Refusal};
use crate::recent::{Choice, Course, End, Query, Try};
use crate::resilience::Failure;
use crate::snapshot::Listener;

impl Note<'_> {
    /// A try is over, and is not what the answer comes from.
    #[cold]
    pub(super) fn over(&mut self, choice: Choice, end: End, now: Instant) {
        self.earlier.get_or_insert_default().push(Try { choice, ended: now, end });
    }

    /// The same of the last one, and another follows.
    #[cold]
    pub(super) fn failed(&mut self, attempt: &Attempt<'_>, failure: Failure, now: Instant) {
        self.course.hedge = None;
        if let Some(choice) = self.course.last.take() {
            self.over(choice, end_of(attempt, failure), now);
        }
    }
}

/// Who was picked at this time, and why.
#[inline]
pub(super) fn choice(attempt: &Attempt<'_>, at: Instant) -> Choice {
    let (member, why, panics) = (attempt.member, attempt.why, attempt.panics);
    let tls_failed = attempt.tls_failed.get();
    Choice { backend: member.tag, why, priority: member.priority, panics, tls_failed, at }
}

/// What a try with this failure is said to have ended with.
pub(super) fn end_of(attempt: &Attempt<'_>, failure: Failure) -> End {
    match failure {
        Failure::Status(status) => End::Status(status),
        other => End::Failed(attempt.fault(other).word()),
    }
}

impl Exchange<'_> {
    /// The backend could not be spoken with in TLS.
    #[cold]
    pub(super) fn tls_failed(&mut self, attempt: &Attempt<'_>) {
        attempt.tls_failed.set(true);
        if let Some(last) = &mut self.note.course.last {
            last.tls_failed = true;
        }
    }

    /// Keeps what was decided, and that it ended with `code`.
    pub(super) fn remember(&mut self, code: u16, reason: &'static str) {
        if let Some(beside) = self.note.beside.take() {
            self.note.over(beside, End::Failed(reason), self.now);
        }
        // Whoever asks does not wait in the midst of it: it is never taken.
        let Ok(mut ring) = self.worker.recent.try_borrow_mut() else { return };
        let Some(record) = ring.next(self.scratch.forwarding.request_id()) else { return };
        record.client = self.asker();
        let (note, request) = (&mut self.note, &*self.request);
        record.arrival = self.arrival;
        record.ended = self.now;
        record.course = note.course;
        (record.method, record.version) = (request.method, Some(request.version));
        if request.method == Method::Other {
            record.verb.set(request.method_token());
        }
        match self.listener.access.as_deref().map(|log| &log.mask) {
            Some(mask @ Mask::Named(_)) => {
                record.target.set(b"");
                mask.apply(request.target(), |part| record.target.push(part));
                record.query = Query::Shown;
            }
            mask => {
                record.target.set(request.target());
                // Where no line is written nobody has said what may be shown.
                record.query = if matches!(mask, Some(Mask::Nothing)) { Query::Shown } else { Query::Masked };
            }
        }
        record.host.set(request.host());
        record.place = *note.route.map_or(&self.listener.place, |route| &route.place);
        record.answered = if note.course.marks.heard.is_some() { self.scratch.response.status } else { 0 };
        if note.earlier.is_some() || record.earlier.is_some() {
            record.earlier = note.earlier.take();
        }
        (record.code, record.reason) = (code, reason);
        record.retries = self.retries;
    }
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
    (record.arrival, record.ended) = (Arrival { began, complete: ended }, ended);
    record.course = Course::default();
    record.client = client.origin.peer.ip();
    (record.method, record.version) = (Method::Other, None);
    record.verb.set(b"");
    record.target.set(b"");
    record.query = Query::Shown;
    record.host.set(b"");
    record.place = listener.place;
    (record.answered, record.earlier) = (0, None);
    (record.code, record.reason) = (refusal.status, Fault::Refused(refusal).word());
    record.retries = 0;
}
