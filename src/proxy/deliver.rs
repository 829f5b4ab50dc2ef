//! The response on its way to the client.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::converse::client_fault;
use super::exchange::{Ended, Exchange};
use super::fault::Fault;
use super::pace::Pace;
use super::pick::Attempt;
use super::pipe::{Ends, Pipe, PipeError, Replay, Waiting};
use super::tunnel;
use super::upload::Upload;
use crate::http::{self, Body, Interim, Known, Version};
use crate::snapshot::{Pool, Route};
use crate::upstream::Connection;

/// Bytes of a body that go with the head in one copy; larger ones are better written from where they were read.
const MAX_GATHERED: u64 = 4 * 1024;

/// The body of one response, and the deadlines of its flow.
struct Download {
    pipe: Pipe,
    /// The client gets it in chunks.
    in_chunks: bool,
    /// It is a stream of events, which may be silent for long.
    is_stream: bool,
    idle_timeout: Duration,
    pace: Pace,
    /// What the deadline was last set for: who is waited for, and how much had moved.
    armed: Option<(Waiting, u64)>,
    read: u64,
    written: u64,
    /// What had been written when the client's pace was last measured.
    taken: u64,
}

impl Exchange<'_> {
    /// Sends the response whose head has been read, to its end.
    pub(super) async fn deliver(
        &mut self,
        (route, pool): (&Route, &Pool),
        attempt: &Attempt<'_>,
        mut connection: Box<Connection>,
        upload: &mut Upload,
    ) -> Result<(), Fault> {
        if self.scratch.response.interim == Interim::Switching && !upload.done {
            // Bytes of the request would be taken for the new protocol's.
            return Err(attempt.fault(crate::resilience::Failure::Invalid));
        }
        let response = &self.scratch.response;
        self.bound |= matches!(response.status, 401 | 407) && http::offers_login(&response.fields);
        // An answer before this one may still be on its way.
        let queued = self.client.out.len();
        let (keep_client, framing) = self.begin_response(pool, attempt, upload);
        if self.scratch.response.interim == Interim::Switching {
            attempt.went_well(pool); // it may last for hours
            let _open = attempt.lease.backend().open_tunnel();
            let ended = tunnel::run(self, &mut connection, pool.tunnel_timeout).await;
            self.now = Instant::now();
            return ended;
        }
        // It will not be sent again.
        upload.pipe.replay = Replay::Gone;
        let whole = upload.done && self.gather(&mut connection);
        let at_once = whole
            && keep_client
            && poll_fn(|cx| Poll::Ready(matches!(self.client.poll_flush(cx), Poll::Ready(Ok(()))))).await;
        if !at_once {
            let body = if whole { Body::None } else { self.scratch.response.body };
            let mut download = self.download(pool, (body, framing), keep_client);
            if download.is_stream {
                attempt.went_well(pool); // it may last as long
            }
            self.flow(&mut connection, upload, &mut download, queued).await?;
        }
        self.now = Instant::now();
        let response = &self.scratch.response;
        if !connection.buffer.is_empty() {
            connection.count_strays();
        }
        if response.keep_alive && upload.done {
            self.keep((route, pool), connection, keep_client);
        }
        self.ended = match keep_client {
            true => Ended::Kept,
            false if upload.done => Ended::Whole,
            false => Ended::Early,
        };
        Ok(())
    }

    /// Takes a body of which all has come with its head, as most have: it is written in one go with the head, and
    /// nothing of what a body may need is made ready. Says whether nothing is left of it.
    #[inline]
    fn gather(&mut self, connection: &mut Connection) -> bool {
        let length = match self.scratch.response.body {
            Body::None => return true,
            Body::Length(length) if length <= MAX_GATHERED => length as usize,
            _ => return false,
        };
        let Some(body) = connection.buffer.filled().get(..length) else { return false };
        let out = self.client.out.writer(&self.worker.blocks);
        if out.capacity() - out.len() < length {
            return false; // where memory is short the pipe goes in small pieces
        }
        out.extend_from_slice(body);
        connection.buffer.consume(length);
        true
    }

    /// Carries the body on until it has ended.
    async fn flow(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload,
        download: &mut Download,
        queued: usize,
    ) -> Result<(), Fault> {
        let delivered = poll_fn(|cx| self.poll_deliver(connection, upload, download, cx)).await;
        self.in_chunks = download.in_chunks && !download.pipe.has_ended();
        if delivered == Err(Fault::Cut) && download.written == 0 && self.client.stream.is_flushed() {
            // Nothing of the response has left: there is still time to say what became of it.
            self.client.out.truncate(queued);
            self.status = None;
            self.in_chunks = false;
        }
        if delivered.is_err() {
            connection.reset_on_close(); // a half-close to a backend that is still at work otherwise
        }
        delivered
    }

    /// Keeps the backend's connection after a clean end: for everybody, or for this client alone.
    fn keep(&mut self, (route, pool): (&Route, &Pool), connection: Box<Connection>, keep_client: bool) {
        let own = self.bound || connection.announced().is_some();
        if own && !keep_client {
            return; // one that nobody will ask for again is better closed now
        }
        if self.bound && !connection.stream.is_lane() {
            return self.client.bonds.keep(route, connection, &self.worker.blocks);
        }
        let keep_alive = pool.keep_alive;
        let keep_for = match self.scratch.response.keep_alive_timeout {
            Some(told) => told.saturating_sub(Duration::from_secs(1)).min(keep_alive),
            None => keep_alive,
        };
        self.worker.upstream.release(connection, keep_for, self.now);
    }

    /// Writes the head for the client. Says whether its connection will be kept, and how the body is framed
    /// for it.
    fn begin_response(&mut self, pool: &Pool, attempt: &Attempt<'_>, upload: &Upload) -> (bool, Body) {
        let version = self.request.version;
        let keeps_client = self.keeps_client();
        let switching = self.scratch.response.interim == Interim::Switching;
        let response = &mut self.scratch.response;
        response.strip_hop_by_hop();
        let framing = response.frame_for(version);
        let keep = keeps_client && upload.done && framing != Body::UntilClose && !switching;
        if let Some(sticky) = &pool.sticky {
            self.set_cookie(sticky, attempt);
        }
        let response = &mut self.scratch.response;
        let id = self.scratch.forwarding.request_id();
        let fields = &mut response.fields;
        fields.replace(Known::XRequestId, "X-Request-Id", &[id]);
        if self.listener.via {
            response.add_via();
        }
        let fields = &mut response.fields;
        if fields.first(Known::Date).is_none() {
            // RFC 9110 6.6.1: who forwards a response without Date adds it.
            self.worker.with_date(self.now, |date| fields.append(Known::Date, "Date", &[date.as_bytes()]));
        }
        match (keep, version) {
            _ if switching => {}
            (false, _) => fields.append(Known::Connection, "Connection", &[b"close"]),
            (true, Version::Http10) => fields.append(Known::Connection, "Connection", &[b"keep-alive"]),
            (true, Version::Http11 | Version::Http2) => {}
        }
        response.emit(self.client.out.writer(&self.worker.blocks));
        self.status = Some(response.status);
        self.note.heads_end(self.client, 0);
        (keep, framing)
    }

    fn download(&self, pool: &Pool, (body, framing): (Body, Body), keep_client: bool) -> Download {
        let response = &self.scratch.response;
        let is_stream = response
            .fields
            .first(Known::ContentType)
            .is_some_and(|t| t.len() >= 17 && t[..17].eq_ignore_ascii_case(b"text/event-stream"));
        let mut download = Download {
            pipe: Pipe::new(body, framing, 0, Replay::Gone),
            in_chunks: framing == Body::Chunked,
            is_stream,
            idle_timeout: if is_stream || self.is_call { pool.tunnel_timeout } else { pool.idle_timeout },
            pace: Pace::default(),
            armed: None,
            read: 0,
            written: 0,
            taken: 0,
        };
        if !keep_client {
            download.pipe.close_after();
        }
        download
    }

    fn poll_deliver(
        &mut self,
        connection: &mut Connection,
        upload: &mut Upload,
        download: &mut Download,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        if let Some((waiting, _)) = download.armed
            && self.client.timer.has_fired()
        {
            let fault = if waiting == Waiting::Source { Fault::Cut } else { Fault::WriteTimeout };
            return Poll::Ready(Err(self.timed_out(fault)));
        }
        if !upload.done && !upload.broken {
            match upload.poll(self.client, connection, &self.worker.blocks, cx) {
                Poll::Ready(Err(PipeError::Sink)) => upload.broken = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(client_fault(&error))),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        let before = self.client.wrote;
        let mut ends = Ends {
            source: &mut connection.stream,
            buffer: &mut connection.buffer,
            sink: &mut self.client.stream,
            out: &mut self.client.out,
            blocks: &self.worker.blocks,
            read: &mut download.read,
            wrote: &mut self.client.wrote,
        };
        let polled = download.pipe.poll(&mut ends, cx);
        download.written += self.client.wrote - before;
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(PipeError::Sink)) => Poll::Ready(Err(Fault::ClientLeft)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::Cut)),
            Poll::Pending => {
                self.wait_for_download(download, upload)?;
                self.watch_client(upload, cx)?;
                self.client.park(&self.worker.blocks);
                Poll::Pending
            }
        }
    }

    /// Sets the deadline anew whenever something has moved, or somebody else is waited for.
    fn wait_for_download(&mut self, download: &mut Download, upload: &Upload) -> Result<(), Fault> {
        let waiting = download.pipe.waiting;
        // A backend that answers early may rightly be silent while the request still comes in.
        let moved = download.read + download.written + upload.sent;
        if download.armed == Some((waiting, moved)) {
            return Ok(());
        }
        let now = Instant::now();
        let taken = download.written - std::mem::replace(&mut download.taken, download.written);
        if download.pace.moved(taken, self.listener.min_rate, now) {
            return Err(Fault::WriteTimeout);
        }
        let allowed = match waiting {
            Waiting::Source => download.idle_timeout,
            Waiting::Sink => {
                download.pace.wait(now);
                self.listener.write_timeout
            }
        };
        download.armed = Some((waiting, moved));
        self.client.count(self.listener, self.worker.index);
        self.arm(now + allowed);
        Ok(())
    }
}
