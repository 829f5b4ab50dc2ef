//! One exchange on a connection of HTTP/2 to a backend.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use hyper::Method;

use super::Presence;
use super::head::{self, Incoming};
use crate::frames::{Inflow, Outflow, Piece, feed};
use crate::wire::{Blocks, Lane};

/// A stream as a connection of its own: a request of HTTP/1.1 is written to it, and the response read.
#[derive(Debug)]
pub(super) struct Branch {
    sending: Sending,
    flow: Outflow,
    /// Heads that came, and how much of them is used up.
    head: (Vec<u8>, usize),
    coming: Coming,
    to_head: bool,
    /// It has been broken off, and how.
    broken: Option<ErrorKind>,
    presence: Presence,
}

#[derive(Debug)]
enum Sending {
    /// `None`: the connection took no more streams by then.
    Ahead(Option<SendRequest<Piece>>),
    Streaming(SendStream<Piece>),
}

#[derive(Debug)]
enum Coming {
    /// The request has not been sent.
    Nothing,
    Head(ResponseFuture),
    Body(Inflow),
}

impl Branch {
    pub(super) fn new(presence: Presence, sender: Option<SendRequest<Piece>>, blocks: &Blocks) -> Self {
        Self {
            sending: Sending::Ahead(sender),
            flow: Outflow::new(blocks),
            head: (Vec::new(), 0),
            coming: Coming::Nothing,
            to_head: false,
            broken: None,
            presence,
        }
    }

    fn take(&mut self, rest: &[u8], ahead: usize, cx: &mut Context<'_>) -> io::Result<Option<usize>> {
        if self.flow.is_ahead() {
            return self.take_head(rest).map(Some);
        }
        match &mut self.sending {
            Sending::Streaming(stream) => self.flow.take(rest, ahead, stream, cx),
            Sending::Ahead(_) => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Takes a whole head, and begins the stream; gives its length.
    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(out) = head::read(bytes, self.presence.0.secure.is_some()) else {
            return Err(self.fail(ErrorKind::InvalidInput));
        };
        let Sending::Ahead(Some(sender)) = &mut self.sending else {
            return Err(self.fail(ErrorKind::ConnectionAborted));
        };
        self.to_head = *out.request.method() == Method::HEAD;
        match sender.send_request(out.request, out.body == crate::http::Body::None) {
            Ok((response, stream)) => {
                self.coming = Coming::Head(response);
                self.sending = Sending::Streaming(stream);
                self.flow.begin(out.body);
                Ok(out.len)
            }
            // It was not begun: whatever the reason, the backend has heard nothing of it.
            Err(_) => {
                self.presence.0.leave();
                Err(self.fail(ErrorKind::ConnectionAborted))
            }
        }
    }

    /// Notes how it was broken off; the first word holds.
    fn fail(&mut self, kind: ErrorKind) -> io::Error {
        self.flow.end();
        (*self.broken.get_or_insert(kind)).into()
    }

    /// Writes the next head that has come.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Coming::Head(response) = &mut self.coming else { return Poll::Pending };
        self.head = (Vec::with_capacity(512), 0);
        if let Some(interim) = ready!(response.poll_informational(cx)) {
            let incoming = Incoming { to_head: self.to_head, is_whole: false };
            head::write(&interim?, incoming, &mut self.head.0);
            return Poll::Ready(Ok(()));
        }
        let (parts, body) = ready!(std::pin::Pin::new(response).poll(cx))?.into_parts();
        let incoming = Incoming { to_head: self.to_head, is_whole: body.is_end_stream() };
        let response = hyper::Response::from_parts(parts, ());
        let chunked = head::write(&response, incoming, &mut self.head.0);
        let flow = Inflow::new(body, chunked);
        self.presence.0.springs.add(flow.spring());
        self.coming = Coming::Body(flow);
        Poll::Ready(Ok(()))
    }

    /// Whether both messages have been whole.
    fn is_over(&self) -> bool {
        self.flow.is_done() && matches!(&self.coming, Coming::Body(flow) if flow.has_ended())
    }
}

impl Lane for Branch {
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if let Some(kind) = self.broken {
            return Poll::Ready(Err(kind.into()));
        }
        while self.head.1 == self.head.0.len() {
            let polled = match &mut self.coming {
                Coming::Nothing => return Poll::Pending, // the request is sent by the same task
                Coming::Head(_) => ready!(self.poll_head(cx)),
                Coming::Body(flow) => match ready!(flow.poll_fill(cx)) {
                    Ok(()) => break,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = polled {
                return Poll::Ready(Err(self.fail(kind_of(&error))));
            }
        }
        let head = &self.head.0[self.head.1..];
        match &self.coming {
            Coming::Body(flow) if head.is_empty() => Poll::Ready(Ok(flow.ahead())),
            _ => Poll::Ready(Ok(head)),
        }
    }

    fn consume(&mut self, n: usize) {
        if self.head.1 < self.head.0.len() {
            self.head.1 += n;
            if self.head.1 == self.head.0.len() {
                self.head = (Vec::new(), 0);
            }
        } else if let Coming::Body(flow) = &mut self.coming {
            let data = flow.consume(n);
            if data > 0 {
                self.presence.read(data);
            }
        }
    }

    fn poll_write(&mut self, head: &[u8], tail: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.broken {
            return Poll::Ready(Err(kind.into()));
        }
        self.flow.open();
        let (taken, stopped) = feed(head, tail, |rest, ahead| self.take(rest, ahead, cx));
        let pushed = match &mut self.sending {
            Sending::Streaming(stream) => self.flow.push(stream),
            Sending::Ahead(_) => Ok(()),
        };
        match stopped.and(pushed) {
            // What went wrong is found again by whoever writes on.
            _ if taken > 0 => Poll::Ready(Ok(taken)),
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn secured(&self) -> Option<(&'static str, Option<&str>)> {
        None // what is asked is asked of clients
    }

    fn shut_down(&mut self) {}

    fn abort(&mut self) {
        if let Sending::Streaming(stream) = &mut self.sending {
            stream.send_reset(Reason::CANCEL);
        }
        self.fail(ErrorKind::ConnectionAborted);
    }

    fn is_broken(&mut self) -> bool {
        self.broken.is_some()
    }

    fn doubt(&mut self, limit: Duration) {
        self.presence.0.traffic.doubt(limit);
        self.presence.0.wake();
    }
}

impl Drop for Branch {
    /// What has not come to its end is broken off, and the connection goes on.
    fn drop(&mut self) {
        if self.broken.is_none()
            && !self.is_over()
            && let Sending::Streaming(stream) = &mut self.sending
        {
            stream.send_reset(Reason::CANCEL);
        }
    }
}

/// What an error means for the exchange. [`ErrorKind::ConnectionRefused`]: the backend has refused this stream;
/// [`ErrorKind::ConnectionAborted`]: it has gone away before it (RFC 9113 8.7: in both cases it has done nothing for it);
/// [`ErrorKind::InvalidData`]: what it sent is no HTTP/2; [`ErrorKind::BrokenPipe`]: the connection has ended; else it has
/// ended the stream.
fn kind_of(error: &h2::Error) -> ErrorKind {
    match error.is_remote() {
        true if error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM) => {
            ErrorKind::ConnectionRefused
        }
        // h2 says so to streams above the last that the backend looked at, and to no other.
        true if error.is_go_away() => ErrorKind::ConnectionAborted,
        true => ErrorKind::ConnectionReset,
        false if error.is_library() => ErrorKind::InvalidData,
        false => ErrorKind::BrokenPipe,
    }
}
