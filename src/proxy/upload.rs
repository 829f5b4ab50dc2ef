//! The request on its way to a backend: head, then body, both again for another try.

use std::task::{Context, Poll};

use super::client::Client;
use super::pipe::{Ends, Pipe, PipeError, Replay, Waiting};
use crate::http::{Body, RequestHead};
use crate::snapshot::Listener;
use crate::upstream::Connection;
use crate::wire::{Blocks, Charge};

/// The body of one request.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) pipe: Pipe,
    /// All of it has been written to the connection of this try.
    pub(super) done: bool,
    /// The backend takes no more; what it answers is still read.
    pub(super) broken: bool,
    /// Bytes written to the backend in this try.
    pub(super) sent: u64,
}

impl Upload {
    /// Of a body to this listener that may be repeated from `keep` bytes (none: not at all).
    pub(super) fn new(body: Body, listener: &Listener, keep: Option<usize>) -> Self {
        // Where there is no body there is nothing to keep.
        let replay = keep.filter(|_| body != Body::None).map_or(Replay::Gone, |max| Replay::Held {
            bytes: Vec::new(),
            max,
            charge: Charge::default(),
        });
        let pipe = Pipe::new(body, body, listener.max_body, replay);
        let mut upload = Self { pipe, done: false, broken: false, sent: 0 };
        upload.pipe.judge(listener.policy.underscores);
        upload
    }

    /// Whether the request can be sent from its start.
    pub(super) fn is_replayable(&self) -> bool {
        self.pipe.is_untouched() || matches!(self.pipe.replay, Replay::Held { .. })
    }

    /// Begins a try: the head, and what was taken of the body by earlier ones.
    pub(super) fn begin(&mut self, head: &RequestHead, connection: &mut Connection, blocks: &Blocks) {
        (self.done, self.broken, self.sent) = (false, false, 0);
        let out = connection.out.writer(blocks);
        head.emit(out);
        if let Replay::Held { bytes, .. } = &self.pipe.replay {
            out.extend_from_slice(bytes);
        }
    }

    /// Sends on.
    pub(super) fn poll(
        &mut self,
        client: &mut Client,
        connection: &mut Connection,
        blocks: &Blocks,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PipeError>> {
        if self.pipe.is_void() {
            let flushed = connection.out.poll_flush(&mut connection.stream, &mut self.sent, cx);
            if flushed.is_pending() {
                client.buffer.park(blocks);
                connection.out.park(blocks);
                self.pipe.waiting = Waiting::Sink;
            }
            self.done = matches!(flushed, Poll::Ready(Ok(())));
            return flushed.map_err(|_| PipeError::Sink);
        }
        let mut ends = Ends {
            source: &mut client.stream,
            buffer: &mut client.buffer,
            sink: &mut connection.stream,
            out: &mut connection.out,
            blocks,
            read: &mut client.read,
            wrote: &mut self.sent,
        };
        let polled = self.pipe.poll(&mut ends, cx);
        self.done |= matches!(polled, Poll::Ready(Ok(())));
        polled
    }
}
