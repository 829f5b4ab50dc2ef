//! A response of HTTP/1.1, as the exchange writes it, on its way out as frames of HTTP/2.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::server::SendResponse;
use h2::{Reason, SendStream};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::duplex::Traffic;
use super::head::{Tunnel, is_of_connection};
use super::queue::{Piece, Queue};
use crate::http::{Body, Decoder, Emitted, Step, Underscores, lines_of};
use crate::wire::{Blocks, Charge};

/// Bytes of interim responses on one stream. They may wait for a client that does not read, and nobody is lost
/// without them.
const MAX_INTERIM: usize = 16 * 1024;

/// Fields of a response for which room is made at once.
const USUAL_FIELDS: usize = 16;

/// Where the response of one stream goes.
#[derive(Debug)]
pub(super) struct Outlet {
    sending: Sending,
    phase: Phase,
    /// Bytes that come next and are data: the decoder has passed them.
    pending: usize,
    /// The response of a HEAD has no body whatever its head says.
    head_only: bool,
    tunnel: Option<Tunnel>,
    interim: usize,
    /// Data that leaves as one piece.
    gathered: Vec<u8>,
    /// How much more may be gathered in this call, once that has been asked.
    room: Option<usize>,
    queue: Rc<Queue>,
    traffic: Rc<Traffic>,
    blocks: Blocks,
    /// What is counted for the head, which may have to wait like anything else.
    head: Charge,
    /// Whom to wake: the library remembers the last that it was asked with.
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Sending {
    Awaiting(SendResponse<Piece>),
    Streaming(SendStream<Piece>),
}

#[derive(Debug)]
enum Phase {
    Head,
    Body { decoder: Decoder, chunked: bool },
    Raw,
    Done,
}

impl Outlet {
    pub(super) fn new(
        respond: SendResponse<Piece>,
        head_only: bool,
        tunnel: Option<Tunnel>,
        traffic: Rc<Traffic>,
        blocks: &Blocks,
    ) -> Self {
        Self {
            sending: Sending::Awaiting(respond),
            phase: Phase::Head,
            pending: 0,
            head_only,
            tunnel,
            interim: 0,
            gathered: Vec::new(),
            room: None,
            queue: Queue::new(blocks),
            traffic,
            blocks: blocks.clone(),
            head: Charge::default(),
            waker: None,
        }
    }

    /// See [`crate::wire::Lane::poll_write`].
    pub(super) fn poll_write(
        &mut self,
        head: &[u8],
        tail: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.remember(cx);
        self.room = None;
        let ahead = head.len() + tail.len();
        let mut taken = 0usize;
        let stopped = loop {
            let rest = match taken.checked_sub(head.len()) {
                None => &head[taken..],
                Some(of_tail) => &tail[of_tail..],
            };
            if rest.is_empty() {
                break Ok(());
            }
            match self.take(rest, ahead - taken, cx) {
                Ok(Some(n)) => taken += n,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let pushed = self.push();
        match stopped.and(pushed) {
            // What went wrong is found again by whoever writes on.
            _ if taken > 0 => Poll::Ready(Ok(taken)),
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The end of a tunnel's way out.
    pub(super) fn shut_down(&mut self) {
        if matches!(self.phase, Phase::Raw) {
            // A stream that is gone needs no telling.
            let _ = self.finish(None);
        }
    }

    /// See [`crate::wire::Lane::abort`].
    pub(super) fn abort(&mut self) {
        let reason = match self.phase {
            Phase::Done => return,
            Phase::Raw => Reason::CONNECT_ERROR,
            Phase::Head | Phase::Body { .. } => Reason::INTERNAL_ERROR,
        };
        self.reset(reason);
    }

    /// Ends the stream with this word.
    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.sending {
            Sending::Awaiting(respond) => respond.send_reset(reason),
            Sending::Streaming(stream) => stream.send_reset(reason),
        }
        self.phase = Phase::Done;
    }

    /// Ready when the client has broken the stream off.
    pub(super) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.remember(cx);
        let polled = match &mut self.sending {
            Sending::Awaiting(respond) => respond.poll_reset(cx),
            Sending::Streaming(stream) => stream.poll_reset(cx),
        };
        polled.map(|reset| match reset {
            Ok(reason) => io::Error::new(io::ErrorKind::ConnectionReset, reason.description()),
            Err(error) => io::Error::other(error),
        })
    }

    /// See [`crate::wire::Lane::is_broken`].
    pub(super) fn is_broken(&mut self) -> bool {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        self.poll_broken(&mut cx).is_ready()
    }

    fn remember(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Takes from `rest`, which is not empty; `None` where the client is to take something first.
    fn take(&mut self, rest: &[u8], ahead: usize, cx: &mut Context<'_>) -> io::Result<Option<usize>> {
        match &mut self.phase {
            Phase::Head => self.take_head(rest).map(Some),
            Phase::Body { .. } if self.pending > 0 => {
                let Some(n) = self.gather(&rest[..rest.len().min(self.pending)], ahead, cx)? else {
                    return Ok(None);
                };
                self.pending -= n;
                if self.pending == 0
                    && matches!(&self.phase, Phase::Body { decoder, chunked: false } if decoder.is_done())
                {
                    self.finish(None)?;
                }
                Ok(Some(n))
            }
            Phase::Body { decoder, .. } => {
                match decoder.step(rest).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))? {
                    Step::Data { start, end } => {
                        self.pending = end - start;
                        Ok(Some(start))
                    }
                    // Framing of ours is never cut within.
                    Step::More(0) => Err(io::ErrorKind::InvalidData.into()),
                    Step::More(used) => Ok(Some(used)),
                    Step::Done(used) => {
                        let trailers = fields(lines_of(decoder.trailers()))?;
                        self.finish((!trailers.is_empty()).then_some(trailers))?;
                        Ok(Some(used))
                    }
                }
            }
            Phase::Raw => self.gather(rest, ahead, cx),
            // The body of an answer of ours to a HEAD that was refused before it was known for one.
            Phase::Done => Ok(Some(rest.len())),
        }
    }

    /// Takes a whole head; gives its length.
    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let head = Emitted::read(bytes).ok_or(io::ErrorKind::InvalidData)?;
        let switched = match self.tunnel {
            Some(Tunnel::Connect) => matches!(head.status, 200..=299),
            Some(Tunnel::WebSocket) => head.status == 101,
            None => false,
        };
        let Sending::Awaiting(respond) = &mut self.sending else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut response = Response::new(());
        *response.headers_mut() = fields(head.fields())?;
        let status = match head.status {
            _ if switched => 200,
            // To an extended CONNECT it would say that what follows is the tunnel (RFC 8441 5).
            200..=299 if self.tunnel.is_some() => 502,
            status => status,
        };
        *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
        if head.status < 200 && !switched {
            self.interim += head.len;
            if self.interim <= MAX_INTERIM {
                respond.send_informational(response).map_err(io::Error::other)?;
                self.traffic.said();
            }
            return Ok(head.len);
        }
        self.blocks.count(&mut self.head, head.len);
        let body = if switched { Body::UntilClose } else { self.body_of(&head)? };
        if switched {
            // It answers a key of ours.
            response.headers_mut().remove("sec-websocket-accept");
        }
        let Sending::Awaiting(respond) = &mut self.sending else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let stream = respond.send_response(response, body == Body::None).map_err(io::Error::other)?;
        self.sending = Sending::Streaming(stream);
        self.traffic.said();
        self.phase = match body {
            Body::None => Phase::Done,
            Body::UntilClose => Phase::Raw,
            Body::Length(_) | Body::Chunked => {
                let mut decoder = Decoder::new(body);
                // They were judged when they came.
                decoder.set_underscores(Underscores::Allow);
                Phase::Body { decoder, chunked: body == Body::Chunked }
            }
        };
        Ok(head.len)
    }

    /// How the body ends that follows the head of a final response.
    fn body_of(&self, head: &Emitted<'_>) -> io::Result<Body> {
        if self.head_only || matches!(head.status, 204 | 304) {
            return Ok(Body::None);
        }
        if head.field(b"transfer-encoding").is_some() {
            return Ok(Body::Chunked);
        }
        let length =
            head.field(b"content-length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        match length {
            Some(0) => Ok(Body::None),
            Some(length) => Ok(Body::Length(length)),
            // Every response to a client of this version says where it ends.
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Copies of `data` what the client's windows and the queue have room for.
    fn gather(&mut self, data: &[u8], ahead: usize, cx: &mut Context<'_>) -> io::Result<Option<usize>> {
        let room = match self.room {
            Some(room) => room,
            None => self.ask_for_room(ahead, cx)?,
        };
        let n = room.min(data.len());
        self.gathered.extend_from_slice(&data[..n]);
        self.room = Some(room - n);
        Ok((n > 0).then_some(n))
    }

    fn ask_for_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> io::Result<usize> {
        let Sending::Streaming(stream) = &mut self.sending else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let wanted = wanted.min(self.queue.room(cx));
        if wanted == 0 {
            return Ok(0);
        }
        stream.reserve_capacity(wanted);
        loop {
            let granted = stream.capacity().min(wanted);
            if granted > 0 {
                self.gathered.reserve_exact(granted);
                return Ok(granted);
            }
            match stream.poll_capacity(cx) {
                Poll::Pending => return Ok(0),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(None) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Hands on what was gathered.
    fn push(&mut self) -> io::Result<()> {
        match self.gathered.is_empty() {
            true => Ok(()),
            false => self.send(false),
        }
    }

    fn send(&mut self, last: bool) -> io::Result<()> {
        let Sending::Streaming(stream) = &mut self.sending else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let bytes = std::mem::take(&mut self.gathered);
        self.traffic.said();
        let piece = if bytes.is_empty() { Piece::none() } else { self.queue.piece(bytes) };
        stream.send_data(piece, last).map_err(io::Error::other)
    }

    /// Ends the response, and what was gathered before with it.
    fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.phase = Phase::Done;
        let Some(trailers) = trailers else { return self.send(true) };
        self.push()?;
        match &mut self.sending {
            Sending::Streaming(stream) => stream.send_trailers(trailers).map_err(io::Error::other),
            Sending::Awaiting(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The fields of a message, without those that are of one connection.
fn fields<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> io::Result<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(USUAL_FIELDS);
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name).map_err(io::Error::other)?;
        if !is_of_connection(&name) {
            let mut value = HeaderValue::from_bytes(value).map_err(io::Error::other)?;
            // Never the same twice: in the table of HPACK it would only drive out what comes again.
            value.set_sensitive(name.as_str() == "x-request-id");
            fields.try_append(name, value).map_err(io::Error::other)?;
        }
    }
    Ok(fields)
}
