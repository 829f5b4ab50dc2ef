//! Answers of our own: plain, small, with the reason in one word and the request's id.

use std::io::Write;
use std::time::Instant;

use super::client::Client;
use super::fault::Fault;
use super::log;
use super::worker::Worker;
use crate::http::{self, Refusal};
use crate::observe::MethodLabel;
use crate::snapshot::Listener;

/// What an answer of ours says beyond its status.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra<'a> {
    /// Why, in one word; empty where nothing is wrong.
    pub(super) reason: &'static str,
    /// The connection ends after it.
    pub(super) close: bool,
    /// The client speaks HTTP/1.0 and asked to keep the connection.
    pub(super) keep_alive_10: bool,
    /// It answers a HEAD: no body.
    pub(super) head_only: bool,
    /// X-Request-Id.
    pub(super) request_id: &'a [u8],
    /// Location.
    pub(super) location: &'a [u8],
    /// Retry-After, in seconds.
    pub(super) retry_after: Option<u32>,
    /// `grpc-status`: it answers a call.
    pub(super) call: Option<u8>,
}

/// Writes a whole answer into the client's outgoing bytes: the listener's page for the status, or a few lines. Gives the
/// length of its body.
pub(super) fn write(
    worker: &Worker,
    listener: &Listener,
    client: &mut Client,
    status: u16,
    extra: Extra<'_>,
    now: Instant,
) -> usize {
    if let Some(code) = extra.call {
        write_call(worker, client, code, extra, now);
        return 0;
    }
    let phrase = http::reason_phrase(status);
    let text = format!(
        "{status} {phrase}\nreason: {}\nrequest: {}\n",
        extra.reason,
        String::from_utf8_lossy(extra.request_id)
    );
    let (content_type, body) = match listener.page(status) {
        // What is no error is said in the fields.
        _ if status < 400 => ("text/plain; charset=utf-8", &b""[..]),
        Some(page) => (page.content_type, &page.body[..]),
        None => ("text/plain; charset=utf-8", text.as_bytes()),
    };
    let length = body.len();
    let out = client.out.writer(&worker.blocks);
    worker.with_date(now, |date| {
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nDate: {date}\r\n"
        );
    });
    if matches!(status, 200 | 405) {
        // What is answered so is OPTIONS, and TRACE, the one method that is refused by itself (RFC 9110 9.3.7,
        // 15.5.6).
        out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    }
    fields(out, extra);
    if extra.head_only {
        return 0;
    }
    out.extend_from_slice(body);
    length
}

/// The answer to a call: a head and nothing behind it. Its status is one of success, or the client would not look further.
fn write_call(worker: &Worker, client: &mut Client, code: u8, extra: Extra<'_>, now: Instant) {
    let out = client.out.writer(&worker.blocks);
    worker.with_date(now, |date| {
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nDate: {date}\r\n"
        );
    });
    call_fields(out, code, extra.reason);
    fields(out, extra);
}

/// How a call went, as fields of a head or of trailers.
pub(super) fn call_fields(out: &mut Vec<u8>, code: u8, reason: &str) {
    let message = http::grpc_message(if reason.is_empty() { "not served here" } else { reason });
    let _ = write!(out, "grpc-status: {code}\r\ngrpc-message: {message}\r\n");
}

/// The fields that not every answer has, and the end of the head.
fn fields(out: &mut Vec<u8>, extra: Extra<'_>) {
    if let Some(seconds) = extra.retry_after {
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
    if !extra.location.is_empty() {
        out.extend_from_slice(b"Location: ");
        out.extend_from_slice(extra.location);
        out.extend_from_slice(b"\r\n");
    }
    if !extra.reason.is_empty() {
        let _ = write!(out, "X-Equipoise-Reason: {}\r\n", extra.reason);
    }
    if !extra.request_id.is_empty() {
        out.extend_from_slice(b"X-Request-Id: ");
        out.extend_from_slice(extra.request_id);
        out.extend_from_slice(b"\r\n");
    }
    if extra.close {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if extra.keep_alive_10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Answers a head that could not be read, and counts it. The connection is to be closed.
pub fn refuse(worker: &Worker, listener: &Listener, client: &mut Client, refusal: Refusal, started: Instant) {
    let now = Instant::now();
    let fault = Fault::Refused(refusal);
    let answer = fault.answer();
    let request_id = http::request_id(worker.random.borrow_mut().u128(..));
    let extra = Extra {
        reason: fault.word(),
        close: true,
        // Also where the head was refused before its end: a HEAD is answered without a body.
        head_only: client.buffer.filled().starts_with(b"HEAD "),
        request_id: &request_id,
        ..Extra::default()
    };
    let queued = client.out.len();
    let body = write(worker, listener, client, refusal.status, extra, now);
    log::refused(worker, listener, client, refusal, (started, now), (&request_id, queued, body));
    if let Some(reason) = answer.reason {
        listener.series.rejected(worker.index, reason);
    }
    listener.unrouted.request(worker.index, MethodLabel::Other, refusal.status, now.duration_since(started));
    let id = String::from_utf8_lossy(&request_id);
    tracing::debug!(target: "equipoise::proxy", peer = %client.origin.peer, status = refusal.status, request = %id, "request refused: {}", refusal.reason);
}
