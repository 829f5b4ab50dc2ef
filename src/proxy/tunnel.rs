//! Raw bytes both ways after 101 (RFC 9110 7.8).

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::fault::Fault;
use super::pipe::{Ends, Pipe, Replay};
use crate::http::Body;
use crate::upstream::Connection;
use crate::wire::poll_shutdown;

/// One direction.
struct Way {
    pipe: Pipe,
    moved: u64,
    /// The source has ended, and the sink has been told.
    closed: bool,
}

impl Way {
    fn new() -> Self {
        Self { pipe: Pipe::new(Body::UntilClose, Body::UntilClose, 0, Replay::Gone), moved: 0, closed: false }
    }

    fn poll(&mut self, mut ends: Ends<'_>, cx: &mut Context<'_>) -> Result<(), Fault> {
        if !self.closed && self.pipe.poll(&mut ends, cx).map_err(|_| Fault::Cut)?.is_ready() {
            self.closed = true;
            // The other side learns that no more will come; a socket that is gone needs no telling.
            let _ = poll_shutdown(ends.sink, cx);
        }
        Ok(())
    }
}

/// Relays until both sides have ended, one breaks, or nothing has moved for `timeout`.
pub(super) async fn run(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    timeout: Duration,
) -> Result<(), Fault> {
    let (mut up, mut down) = (Way::new(), Way::new());
    let mut armed = None;
    poll_fn(|cx| {
        if armed.is_some() && exchange.client.timer.has_fired() {
            return Poll::Ready(Err(exchange.timed_out(Fault::Cut)));
        }
        let (blocks, client) = (&exchange.worker.blocks, &mut *exchange.client);
        let mut written = 0;
        let to_backend = Ends {
            source: &mut client.stream,
            buffer: &mut client.buffer,
            sink: &mut connection.stream,
            out: &mut connection.out,
            blocks,
            read: &mut client.read,
            wrote: &mut written,
        };
        up.poll(to_backend, cx)?;
        up.moved += written;
        let mut read = 0;
        let to_client = Ends {
            source: &mut connection.stream,
            buffer: &mut connection.buffer,
            sink: &mut client.stream,
            out: &mut client.out,
            blocks,
            read: &mut read,
            wrote: &mut client.wrote,
        };
        down.poll(to_client, cx)?;
        down.moved += read;
        if up.closed && down.closed {
            return Poll::Ready(Ok(()));
        }
        let moved = up.moved + down.moved;
        if armed != Some(moved) {
            armed = Some(moved);
            exchange.client.count(exchange.listener, exchange.worker.index);
            exchange.arm(Instant::now() + timeout);
        }
        Poll::Pending
    })
    .await
}
