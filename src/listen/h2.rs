//! A connection of HTTP/2: many exchanges side by side on one client connection.
//!
//! The frames are h2's, the library below hyper. Each stream becomes a connection in appearance
//! ([`crate::wire::Lane`]): its request is written as HTTP/1.1 and read by the codec, so that every rule is the one
//! that holds there; what the exchange answers is turned into frames again. One task drives the connection and one
//! each stream, all on the worker's thread.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use h2::server::{Builder, Connection};

use super::drive::Drive;
use crate::frames::{FRAME_BUDGET, Piece};
use crate::http::{HeadLimits, Refusal};
use crate::proxy;

mod driver;
mod duplex;
mod hall;
mod head;
mod inlet;
mod meter;
mod outlet;
mod stream;

use driver::Driver;
use duplex::{Duplex, Traffic};
use hall::Hall;

/// What a client sends before its first frame (RFC 9113 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that a client may have at once: enough for a page with all its parts, and what clients assume before
/// they are told (RFC 9113 6.5.2 recommends no fewer than 100).
const MAX_STREAMS: u32 = 128;

/// Streams that a client may have reset before they were looked at: above what is taken for a flood, and counted as
/// one, by ourselves.
const MAX_PENDING_RESETS: usize = 2 * meter::RESETS as usize;

/// Streams that a client may make us break off by what it does wrong, over the life of its connection. Each costs
/// us the work that it had begun (CVE-2025-8671); a client that works makes none.
const MAX_OWN_RESETS: usize = 256;

/// Bytes of one stream that a client may send before they are read.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of all streams that it may send so at first: what HTTP/2 begins with.
const FIRST_WINDOW: u32 = 65_535;

/// What the window grows to once a client has sent so much, as long as the budget has room: only who really sends
/// large bodies gets more.
const WIDER_WINDOWS: [(u64, u32); 2] = [(FIRST_WINDOW as u64, 256 * 1024), (1024 * 1024, 1024 * 1024)];

/// Bytes that the library may hold of one stream for the socket. What it is given is counted, and bounded, before.
const SEND_BUFFER: usize = 64 * 1024;

/// What a field counts for in the library beside its octets (RFC 9113 10.5.1).
const FIELD_OVERHEAD: usize = 32;

/// How far beyond the listener's limits a head is read, so that it is ours to answer 431.
const HEAD_SLACK: usize = 16 * 1024;

/// How long is waited for a client's end once its end has been announced and nothing is left to do.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a client with open streams may be silent before it is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(30);

impl Drive {
    /// Looks how a client in clear begins, and serves it where that is not for HTTP/1. Says whether it did.
    pub(super) async fn turns_to_http2(&mut self, woken: Instant) -> bool {
        let is_preface = match self.client.stream.tls() {
            // What is spoken in TLS has been agreed upon.
            Some(_) => false,
            None => self.begins_with_preface(woken).await,
        };
        if is_preface {
            self.serve_http2(woken).await;
            return true;
        }
        let halved = PREFACE.starts_with(self.client.buffer.filled());
        if self.listener.protocols.h1 || halved {
            // A part of the preface is a head that is not complete.
            return false;
        }
        let refusal = Refusal { status: 505, reason: "HTTP/1 is not spoken here" };
        proxy::refuse(&self.worker, &self.listener, &mut self.client, refusal, woken);
        self.linger().await;
        true
    }

    /// Reads on while what came may be the preface, for as long as a head may take.
    async fn begins_with_preface(&mut self, woken: Instant) -> bool {
        self.client.timer.arm(woken + self.listener.head_timeout);
        poll_fn(|cx| {
            loop {
                let came = self.client.buffer.filled();
                let n = came.len().min(PREFACE.len());
                if came[..n] != PREFACE[..n] || n == PREFACE.len() {
                    return Poll::Ready(n == PREFACE.len() && came[..n] == PREFACE[..n]);
                }
                if self.client.timer.has_fired() {
                    return Poll::Ready(false);
                }
                match self.client.poll_fill(&self.worker.blocks, cx) {
                    Poll::Pending => {
                        self.client.park(&self.worker.blocks);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(_) => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Serves the client in HTTP/2 until the connection's end.
    pub(super) async fn serve_http2(&mut self, since: Instant) {
        let traffic = Traffic::new(since);
        let blocks = self.worker.blocks.clone();
        // Without them the client has gone.
        let Ok(ends) = self.client.ends() else { return };
        let (seat, worker) = (Rc::clone(&self.client.seat), Rc::clone(&self.worker));
        let hall =
            Hall::new(seat, Rc::clone(&traffic), FIRST_WINDOW, worker, ends, self.client.stream.secured());
        let mut driver = Driver::new(self, Rc::clone(&hall), since);
        let duplex = Duplex {
            series: Arc::clone(&self.listener.series),
            index: self.worker.index,
            client: &mut self.client,
            blocks: &blocks,
            traffic,
        };
        if let Some(mut connection) = greet(duplex, &mut driver).await {
            poll_fn(|cx| driver.poll(&mut connection, &self.chair, cx)).await;
        }
        let is_stuck = driver.is_stuck();
        drop(driver);
        match is_stuck {
            // What waits for a client that takes nothing would stay with the kernel for minutes.
            true => self.client.stream.abort(),
            false => self.linger().await,
        }
    }
}

/// Exchanges prefaces, within the time that a head may take.
async fn greet<'a>(duplex: Duplex<'a>, driver: &mut Driver) -> Option<Connection<Duplex<'a>, Piece>> {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_OWN_RESETS))
        .initial_window_size(STREAM_WINDOW)
        .max_header_list_size(header_list(driver.listener.head))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .enable_connect_protocol();
    let mut handshake = pin!(builder.handshake(duplex));
    poll_fn(|cx| {
        driver.begin_turn(cx);
        if driver.timer.has_fired() {
            return Poll::Ready(None);
        }
        handshake.as_mut().poll(cx).map(Result::ok)
    })
    .await
}

/// The list of fields that the library takes at most, in its own reckoning.
fn header_list(limits: HeadLimits) -> u32 {
    let most = limits.max_size + limits.max_fields * FIELD_OVERHEAD + HEAD_SLACK;
    u32::try_from(most).unwrap_or(u32::MAX)
}
