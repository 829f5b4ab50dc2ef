//! A response of HTTP/1.1, as the exchange writes it, on its way out as frames of HTTP/2.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::server::SendResponse;
use h2::{Reason, SendStream};
use hyper::{Response, StatusCode, header};

use super::duplex::Traffic;
use super::head::Tunnel;
use crate::frames::{Outflow, Piece, feed, fields, is_grpc};
use crate::http::{Body, Emitted};
use crate::wire::{Blocks, Charge};

/// Bytes of interim responses on one stream. They may wait for a client that does not read, and nobody is lost
/// without them.
const MAX_INTERIM: usize = 16 * 1024;

/// Where the response of one stream goes.
#[derive(Debug)]
pub(super) struct Outlet {
    sending: Sending,
    flow: Outflow,
    /// The response of a HEAD has no body whatever its head says.
    head_only: bool,
    tunnel: Option<Tunnel>,
    interim: usize,
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
            flow: Outflow::new(blocks),
            head_only,
            tunnel,
            interim: 0,
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
        self.flow.open();
        let (taken, stopped) = feed(head, tail, |rest, ahead| self.take(rest, ahead, cx));
        let pushed = match &mut self.sending {
            Sending::Streaming(stream) => self.flow.push(stream),
            Sending::Awaiting(_) => Ok(()),
        };
        (0..self.flow.take_said()).for_each(|_| self.traffic.said());
        match stopped.and(pushed) {
            // What went wrong is found again by whoever writes on.
            _ if taken > 0 => Poll::Ready(Ok(taken)),
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The end of a tunnel's way out.
    pub(super) fn shut_down(&mut self) {
        if self.flow.is_raw()
            && let Sending::Streaming(stream) = &mut self.sending
        {
            // A stream that is gone needs no telling.
            let _ = self.flow.finish(None, stream);
        }
    }

    /// See [`crate::wire::Lane::abort`].
    pub(super) fn abort(&mut self) {
        if self.flow.is_done() {
            return;
        }
        self.reset(if self.flow.is_raw() { Reason::CONNECT_ERROR } else { Reason::INTERNAL_ERROR });
    }

    /// Ends the stream with this word.
    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.sending {
            Sending::Awaiting(respond) => respond.send_reset(reason),
            Sending::Streaming(stream) => stream.send_reset(reason),
        }
        self.flow.end();
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

    fn take(&mut self, rest: &[u8], ahead: usize, cx: &mut Context<'_>) -> io::Result<Option<usize>> {
        if self.flow.is_ahead() {
            return self.take_head(rest).map(Some);
        }
        match &mut self.sending {
            Sending::Streaming(stream) => self.flow.take(rest, ahead, stream, cx),
            // Reset before there was a head.
            Sending::Awaiting(_) => Ok(Some(rest.len())),
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
        *response.headers_mut() = fields(head.fields()).map_err(io::Error::other)?;
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
        if head.field(b"content-length") == Some(b"0") && is_grpc(response.headers()) {
            // The form that gRPC has for an answer without messages knows no length.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
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
        self.flow.begin(body);
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
}
