//! Drives one connection: greets the backend, makes room for its streams, finds out whether it is still there, and ends
//! it when it is time.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::client::{Builder, Connection as Http2};
use h2::{Ping, PingPong};

use super::duplex::{Duplex, Traffic};
use super::{FAREWELL, LEAST_WINDOW, MAX_STREAMS, STREAM_WINDOW, Trunk};
use crate::frames::{FRAME_BUDGET, Piece, Springs};
use crate::timer::{Timer, Wheel};
use crate::upstream::board::Stand;
use crate::upstream::{Connection, DialError, Hold};
use crate::wire::{Blocks, Use};

/// The list of fields that is taken of a backend at most: the codec's 64 KiB and 256 fields, in HTTP/2's reckoning
/// (RFC 9113 10.5.1), and some more so that the verdict is the codec's.
const MAX_FIELDS: u32 = 64 * 1024 + 256 * 32 + 16 * 1024;

/// Bytes that the library may hold of one stream for the socket. What it is given is counted, and bounded, before.
const SEND_BUFFER: usize = 64 * 1024;

/// After a question that no message followed, the next is put so much later. Servers of gRPC send away who asks more
/// often than every five minutes while they say nothing (GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS).
const ASK_AGAIN: Duration = Duration::from_secs(305);

/// Drives one connection, as a task of its own.
pub(in crate::upstream) struct Driver {
    trunk: Rc<Trunk>,
    connection: Http2<Duplex, Piece>,
    timer: Timer,
    /// Since when it carries nothing.
    idle: Option<Instant>,
    /// How much had been read at the last look, and since when that is all.
    heard: (u64, Instant),
    pings: Option<PingPong>,
    /// When the backend was asked whether it is still there, and has not answered.
    asked: Option<Instant>,
    /// When it was last asked, and how many frames of messages had come by then.
    last: Option<(Instant, u64)>,
}

/// Exchanges prefaces and settings: before these are known no stream is begun, so that one that speaks no HTTP/2 has got
/// nothing of a request, and one that allows few streams gets no more.
pub(in crate::upstream) async fn greet(
    connection: Box<Connection>,
    stand: &Rc<Stand>,
    wheel: &Wheel,
    blocks: &Blocks,
    (keep_for, patience): (Duration, Duration),
) -> Result<Box<Driver>, DialError> {
    let wrong = |error: h2::Error| DialError::Http2(io::Error::other(error));
    let Connection { stream, buffer, hold, secure, moves, .. } = *connection;
    let Hold::Whole(gauge) = hold else { return Err(DialError::Http2(io::ErrorKind::InvalidInput.into())) };
    let (backend, traffic) = (Arc::clone(&gauge.0), Traffic::new());
    let duplex = Duplex {
        stream,
        buffer,
        blocks: blocks.clone(),
        traffic: Rc::clone(&traffic),
        _gauge: gauge,
        doubted: false,
    };
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LEAST_WINDOW)
        .max_header_list_size(MAX_FIELDS)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET);
    let (sender, mut connection) = builder.handshake(duplex).await.map_err(wrong)?;
    poll_fn(|cx| {
        traffic.begin_turn();
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(DialError::Http2(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(wrong(error))),
            Poll::Pending if connection.max_concurrent_send_streams() == 0 => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        }
    })
    .await?;
    let most = connection.max_concurrent_send_streams().min(MAX_STREAMS);
    stand.expect(most);
    backend.idle_gauge().fetch_add(1, Ordering::Relaxed);
    let trunk = Rc::new(Trunk {
        stand: Rc::clone(stand),
        backend,
        moves,
        secure,
        blocks: blocks.clone(),
        traffic,
        sender: Some(sender).into(),
        most: most.into(),
        open: 0.into(),
        served: false.into(),
        keep_for: keep_for.into(),
        patience: patience.into(),
        springs: Springs::default(),
        settled: 0.into(),
        window: LEAST_WINDOW.into(),
        charge: Default::default(),
        driver: Default::default(),
    });
    let pings = connection.ping_pong();
    Ok(Box::new(Driver {
        heard: (trunk.traffic.read(), Instant::now()),
        trunk,
        connection,
        timer: wheel.timer(),
        idle: None,
        pings,
        asked: None,
        last: None,
    }))
}

impl Driver {
    pub(in crate::upstream) fn trunk(&self) -> Rc<Trunk> {
        Rc::clone(&self.trunk)
    }

    /// Drives it to its end.
    pub(in crate::upstream) async fn run(&mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        self.trunk.leave();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.wake(cx.waker());
        *self.trunk.driver.borrow_mut() = Some(cx.waker().clone());
        self.trunk.traffic.begin_turn();
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
                self.tell(ended.err().map(|error| error.to_string()).as_deref().unwrap_or("closed"));
                return Poll::Ready(());
            }
            self.trunk.settle();
            if self.trunk.traffic.is_crumbly() {
                self.trunk.springs.gather();
                self.trunk.traffic.begin_turn();
                cx.waker().wake_by_ref();
            }
            if !self.steer(cx) {
                break;
            }
        }
        let now = Instant::now();
        match self.deadlines(now).into_iter().flatten().min() {
            Some(due) if due <= now => {
                self.tell(if self.asked.is_some() { "no answer" } else { "over" });
                Poll::Ready(())
            }
            Some(due) => {
                self.timer.arm(due);
                Poll::Pending
            }
            None => {
                self.timer.disarm();
                Poll::Pending
            }
        }
    }

    /// Does what the connection's state asks for; says whether there is anything to send for it.
    fn steer(&mut self, cx: &mut Context<'_>) -> bool {
        let (trunk, now) = (Rc::clone(&self.trunk), Instant::now());
        let most = self.connection.max_concurrent_send_streams().min(MAX_STREAMS);
        if trunk.most.replace(most) < most {
            trunk.stand.expect(most);
        }
        let rested = self.idle.is_some();
        self.idle = (trunk.open.get() == 0).then(|| self.idle.unwrap_or(now));
        if rested && self.idle.is_none() {
            self.heard.1 = now; // nothing was to be heard before
        }
        let is_over = |since: Instant| since + trunk.keep_for.get() <= now;
        let takes_more = trunk.sender.borrow().is_some();
        if takes_more && (trunk.traffic.is_gone() || self.idle.is_some_and(is_over)) {
            trunk.leave();
            return true;
        }
        self.widen() || self.ask(now, cx)
    }

    /// One stream that is not read must not hold up the others: the window is that of all that are open, as long as
    /// there is memory for it.
    fn widen(&mut self) -> bool {
        let (now, open) = (self.trunk.window.get(), self.trunk.open.get() as u32);
        let wanted = (open.next_power_of_two() * STREAM_WINDOW).max(LEAST_WINDOW);
        if wanted <= now || !self.trunk.blocks.would_grant((wanted - now) as usize, Use::Relay) {
            return false;
        }
        self.trunk.window.set(wanted);
        self.connection.set_target_window_size(wanted);
        true
    }

    /// Asks a backend that has open streams and has been silent for long whether it is still there: of one that has
    /// vanished no event tells.
    fn ask(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let (read, said) = (self.trunk.traffic.read(), self.trunk.traffic.said());
        if self.asked.is_some()
            && let Some(pings) = &mut self.pings
        {
            // Any word of it will do; but its answer must be taken before it can be asked again.
            let _ = pings.poll_pong(cx);
        }
        if self.heard.0 != read {
            (self.heard, self.asked) = ((read, now), None);
        }
        if self.asked.is_some() || self.ask_at(said).is_none_or(|due| now < due) {
            return false;
        }
        (self.asked, self.last) = (Some(now), Some((now, said)));
        self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok())
    }

    /// When it is to be asked.
    fn ask_at(&self, said: u64) -> Option<Instant> {
        let due = self.heard.1 + self.trunk.patience.get();
        (self.trunk.open.get() > 0).then(|| match self.last {
            Some((asked, before)) if before == said => due.max(asked + ASK_AGAIN),
            _ => due,
        })
    }

    /// When it is over, or is to be looked after: each for a reason of its own.
    fn deadlines(&self, now: Instant) -> [Option<Instant>; 3] {
        let leaves = self.trunk.sender.borrow().is_none();
        let rest = if leaves { FAREWELL } else { self.trunk.keep_for.get() };
        let ask =
            self.ask_at(self.trunk.traffic.said()).filter(|_| self.asked.is_none() && self.pings.is_some());
        [
            self.idle.map(|since| since + rest),
            self.asked.map(|asked| asked + self.trunk.patience.get()),
            // Then it is asked, and that is not the end.
            ask.map(|due| due.max(now + crate::timer::TICK)),
        ]
    }

    fn tell(&self, why: &str) {
        let identity = self.trunk.backend.identity();
        tracing::debug!(target: "equipoise::upstream", pool = %identity.pool, backend = %identity.name, open = self.trunk.open.get(), "connection of HTTP/2 ends: {why}");
    }
}
