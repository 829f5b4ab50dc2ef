//! Answers of our own.

use std::io::Write;
use std::time::Instant;

use super::client::Client;
use super::fault::Fault;
use super::worker::Worker;
use crate::http::Refusal;
use crate::observe::MethodLabel;
use crate::snapshot::Listener;

/// What an answer of ours says beyond its status.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra<'a> {
    /// The connection ends after it.
    pub(super) close: bool,
    /// The client speaks HTTP/1.0 and asked to keep the connection.
    pub(super) keep_alive_10: bool,
    /// It answers a HEAD: no body.
    pub(super) head_only: bool,
    /// X-Request-Id.
    pub(super) request_id: &'a [u8],
    /// Retry-After, in seconds.
    pub(super) retry_after: Option<u32>,
}

/// Writes a whole answer into the client's outgoing bytes.
pub(super) fn write(worker: &Worker, client: &mut Client, status: u16, extra: Extra<'_>, now: Instant) {
    let reason = reason_phrase(status);
    let out = client.out.writer(&worker.blocks);
    // The answer to OPTIONS is in the fields.
    let bare = matches!(status, 200 | 304);
    let body_len = if bare { 0 } else { reason.len() + 5 };
    worker.with_date(now, |date| {
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {body_len}\r\nDate: {date}\r\n"
        );
    });
    if let Some(seconds) = extra.retry_after {
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
    if matches!(status, 200 | 405) {
        // What is answered so is OPTIONS, and TRACE, the one method that is refused by itself (RFC 9110 9.3.7,
        // 15.5.6).
        out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
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
    if !extra.head_only && !bare {
        let _ = writeln!(out, "{status} {reason}");
    }
}

/// Answers a head that could not be read, and counts it. The connection is to be closed.
pub fn refuse(worker: &Worker, listener: &Listener, client: &mut Client, refusal: Refusal, started: Instant) {
    let now = Instant::now();
    let answer = Fault::Refused(refusal).answer();
    // Also where the head was refused before its end: a HEAD is answered without a body.
    let head_only = client.buffer.filled().starts_with(b"HEAD ");
    write(worker, client, refusal.status, Extra { close: true, head_only, ..Extra::default() }, now);
    if let Some(reason) = answer.reason {
        listener.series.rejected(worker.index, reason);
    }
    listener.unrouted.request(worker.index, MethodLabel::Other, refusal.status, now.duration_since(started));
    tracing::debug!(target: "equipoise::proxy", peer = %client.origin.peer, status = refusal.status, "request refused: {}", refusal.reason);
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
