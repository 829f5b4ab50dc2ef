//! Raw bytes both ways after 101 (RFC 9110 7.8).

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::fault::Fault;
use super::pipe::{Ends, Pipe, Replay};
use crate::http::Body;
use crate::upstream::Connection;

/// One direction.
struct Way {
    pipe: Pipe,
    moved: u64,
    /// The source has ended.
    ended: bool,
    /// The source has ended, and the sink has been told.
    closed: bool,
}

impl Way {
    fn new() -> Self {
        Self {
            pipe: Pipe::new(Body::UntilClose, Body::UntilClose, 0, Replay::Gone),
            moved: 0,
            ended: false,
            closed: false,
        }
    }

    fn poll(&mut self, mut ends: Ends<'_>, cx: &mut Context<'_>) -> Result<(), Fault> {
        if !self.ended && self.pipe.poll(&mut ends, cx).map_err(|_| Fault::Cut)?.is_ready() {
            self.ended = true;
        }
        if self.ended && !self.closed {
            // The other side learns that no more will come; a socket that is gone needs no telling.
            self.closed = ends.sink.poll_shutdown(cx).is_ready();
        }
        Ok(())
    }
}

/// A side that has sent its FIN is not read from: no event tells that it has then reset the connection, and
/// the other side may have nothing to say for as long as the timeout lasts.
fn look_for_resets(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    (up, down): (&Way, &Way),
) -> Result<(), Fault> {
    if up.closed && exchange.client.stream.has_failed() {
        return Err(Fault::ClientLeft);
    }
    if down.closed && connection.stream.has_failed() {
        return Err(Fault::Cut);
    }
    Ok(())
}

/// Relays until both sides have ended, one breaks, or nothing has moved for `timeout`. What breaks on one side
/// is broken on the other too: an end in good order must not be seen where there was none.
pub(super) async fn run(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    timeout: Duration,
) -> Result<(), Fault> {
    let (mut up, mut down) = (Way::new(), Way::new());
    let mut armed = None;
    let relayed = poll_fn(|cx| {
        if armed.is_some() && exchange.client.timer.has_fired() {
            return Poll::Ready(Err(exchange.timed_out(Fault::Cut)));
        }
        relay(exchange, connection, (&mut up, &mut down), cx)?;
        if up.closed && down.closed {
            return Poll::Ready(Ok(()));
        }
        if (up.closed || down.closed) && exchange.is_time_to_look(cx) {
            look_for_resets(exchange, connection, (&up, &down))?;
        }
        let moved = up.moved + down.moved;
        if armed != Some(moved) {
            armed = Some(moved);
            exchange.client.count(exchange.listener, exchange.worker.index);
            exchange.arm(Instant::now() + timeout);
        }
        Poll::Pending
    })
    .await;
    if relayed.is_err() {
        connection.reset_on_close();
    }
    relayed
}

/// Moves what can be moved both ways. Most tunnels are silent most of the time: they hold no memory meanwhile.
fn relay(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    (up, down): (&mut Way, &mut Way),
    cx: &mut Context<'_>,
) -> Result<(), Fault> {
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
    client.buffer.release(blocks);
    client.out.release(blocks);
    connection.buffer.release(blocks);
    connection.out.release(blocks);
    Ok(())
}
