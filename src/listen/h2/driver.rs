//! Drives one connection: accepts its streams, and ends it when it is time.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::server::Connection;
use h2::{Ping, PingPong, Reason};

use super::duplex::Duplex;
use super::hall::Hall;
use super::stream::{self, House};
use super::{ASK_AFTER, FAREWELL, WIDER_WINDOWS};
use crate::frames::Piece;
use crate::http::{Origin, Shown};
use crate::listen::drive::Drive;
use crate::listen::table::Chair;
use crate::observe::Reason as Rejected;
use crate::proxy::{Seat, Worker};
use crate::snapshot::{Listener, Snapshot};
use crate::timer::{TICK, Timer};
use crate::wire::Use;

/// Streams that one connection begins before anybody else gets a turn: each is a task, and all that are ready have
/// theirs before another connection is looked at again.
const MAX_BATCH: usize = 8;

/// What one connection is driven by.
pub(super) struct Driver {
    worker: Rc<Worker>,
    pub(super) listener: Arc<Listener>,
    snapshot: Arc<Snapshot>,
    origin: Origin,
    shown: Option<Rc<Shown>>,
    seat: Rc<Seat>,
    hall: Rc<Hall>,
    pub(super) timer: Timer,
    /// Since when no stream is served.
    idle: Option<Instant>,
    /// A stream has been served.
    served: bool,
    /// Streams that have been read wait to be begun: nothing more is read before. A few octets can stand for heads
    /// that take long to be decompressed, and who sends such is to be found out before the next are.
    behind: bool,
    /// Its end has been announced, and when it is to be over where nothing is left to do.
    leaving: Option<Instant>,
    /// It was sent away: it is over then, whatever is left.
    ejected: Option<Instant>,
    /// Which frame or head has begun and not ended, and when that was first seen.
    rest: Option<(u64, Instant)>,
    /// How much had been written when the client was last seen not to take more, and when that was.
    stuck: Option<(u64, Instant)>,
    /// How much had been read at the last look, and since when that is all.
    heard: (u64, Instant),
    pings: Option<PingPong>,
    /// When the client was asked whether it is still there.
    asked: Option<Instant>,
}

impl Driver {
    pub(super) fn new(drive: &Drive, hall: Rc<Hall>, since: Instant) -> Self {
        let timer = drive.worker.wheel.timer();
        timer.arm(since + drive.listener.head_timeout);
        Self {
            worker: Rc::clone(&drive.worker),
            listener: Arc::clone(&drive.listener),
            snapshot: Arc::clone(&drive.snapshot),
            origin: drive.client.origin.clone(),
            shown: drive.client.shown.clone(),
            seat: Rc::clone(&drive.client.seat),
            hall,
            timer,
            idle: None,
            served: false,
            behind: false,
            leaving: None,
            ejected: None,
            rest: None,
            stuck: None,
            heard: (0, since),
            pings: None,
            asked: None,
        }
    }

    /// Notes whom to wake, and that others have had their turn.
    pub(super) fn begin_turn(&mut self, cx: &Context<'_>) {
        self.timer.wake(cx.waker());
        *self.seat.waker.borrow_mut() = Some(cx.waker().clone());
        self.hall.traffic.begin_turn(!self.behind);
    }

    /// Ready when the connection is over.
    pub(super) fn poll(
        &mut self,
        connection: &mut Connection<Duplex<'_>, Piece>,
        chair: &Chair,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.begin_turn(cx);
        self.follow_reload();
        let mut left = MAX_BATCH;
        loop {
            while left > 0
                && let Poll::Ready(accepted) = connection.poll_accept(cx)
            {
                let Some(Ok((request, respond))) = accepted else { return Poll::Ready(()) };
                left -= 1;
                if self.ejected.is_some() {
                    continue;
                }
                let house = House {
                    worker: &self.worker,
                    listener: &self.listener,
                    origin: &self.origin,
                    shown: &self.shown,
                    chair,
                    hall: &self.hall,
                };
                stream::begin(&house, request, respond, cx);
                self.served = true;
            }
            // What is said now is sent by the next round.
            if !self.steer(connection, cx) || left == 0 {
                break;
            }
        }
        self.behind = left == 0;
        if self.behind {
            cx.waker().wake_by_ref();
        }
        self.hall.settle();
        if self.hall.traffic.is_crumbly() {
            self.hall.springs.gather();
        }
        let now = Instant::now();
        self.rest_or_rouse(chair, now);
        match self.deadlines(now).into_iter().flatten().min() {
            Some(due) if due <= now => Poll::Ready(()),
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
    fn steer(&mut self, connection: &mut Connection<Duplex<'_>, Piece>, cx: &mut Context<'_>) -> bool {
        if self.ejected.is_some() {
            return false;
        }
        if let Some(flood) = self.hall.traffic.flood.get() {
            tracing::debug!(target: "equipoise::listen", peer = %self.origin.peer, ?flood, "sent away");
            self.listener.series.rejected(self.worker.index, Rejected::Flood);
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            self.ejected = Some(Instant::now() + FAREWELL);
            return true;
        }
        let now = Instant::now();
        let is_over = |since: Instant| since + self.patience() <= now;
        if self.leaving.is_none()
            && (self.seat.leave.get() || self.worker.is_draining() || self.idle.is_some_and(is_over))
        {
            // A request that is on its way all the same is served.
            connection.graceful_shutdown();
            self.leaving = Some(now + FAREWELL);
            return true;
        }
        self.widen(connection) || self.ask(connection, cx)
    }

    /// Lets a client that sends large bodies send more ahead.
    fn widen(&mut self, connection: &mut Connection<Duplex<'_>, Piece>) -> bool {
        let (now, sent) = (self.hall.window.get(), self.hall.traffic.data());
        let wider = WIDER_WINDOWS.into_iter().find(|(from, window)| sent >= *from && *window > now);
        let Some((_, window)) =
            wider.filter(|(_, w)| self.worker.blocks.would_grant(*w as usize, Use::Speed))
        else {
            return false;
        };
        self.hall.window.set(window);
        connection.set_target_window_size(window);
        true
    }

    /// Asks a client that has open streams and has been silent for long whether it is still there: of one that has
    /// vanished no event tells.
    fn ask(&mut self, connection: &mut Connection<Duplex<'_>, Piece>, cx: &mut Context<'_>) -> bool {
        let (now, read) = (Instant::now(), self.hall.traffic.read.get());
        if let Some(pings) = &mut self.pings
            && self.asked.is_some()
        {
            // Any word of it will do; but its answer must be taken before it can be asked again.
            let _ = pings.poll_pong(cx);
        }
        if self.heard.0 != read || self.hall.open() == 0 {
            (self.heard, self.asked) = ((read, now), None);
        }
        if self.asked.is_some() || now < self.heard.1 + ASK_AFTER {
            return false;
        }
        if self.pings.is_none() {
            self.pings = connection.ping_pong();
        }
        self.asked = Some(now);
        self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok())
    }

    /// A connection without streams may have to give way.
    fn rest_or_rouse(&mut self, chair: &Chair, now: Instant) {
        match (self.hall.open(), self.idle) {
            (0, None) => {
                self.idle = Some(now);
                chair.doze();
            }
            (1.., Some(_)) => {
                self.idle = None;
                chair.rouse();
            }
            _ => {}
        }
    }

    /// Whether the client does not take what was written last.
    pub(super) fn is_stuck(&self) -> bool {
        self.hall.traffic.blocked.get()
    }

    /// How long it may be without streams.
    fn patience(&self) -> Duration {
        if self.served { self.listener.keep_alive } else { self.listener.head_timeout }
    }

    /// When it is over: each for a reason of its own.
    fn deadlines(&mut self, now: Instant) -> [Option<Instant>; 6] {
        let (listener, traffic) = (&self.listener, &self.hall.traffic);
        let idle = self.idle.filter(|_| self.leaving.is_none()).map(|since| since + self.patience());
        let farewell = self.idle.zip(self.leaving).map(|(since, announced)| announced.max(since + FAREWELL));
        let rest = traffic.awaits_rest();
        self.rest = rest.map(|which| match self.rest {
            Some((same, since)) if same == which => (which, since),
            _ => (which, now),
        });
        let (wrote, blocked) = (traffic.wrote.get(), traffic.blocked.get());
        self.stuck = blocked.then_some(match self.stuck {
            Some((same, since)) if same == wrote => (wrote, since),
            _ => (wrote, now),
        });
        let silence = match self.asked {
            Some(asked) => asked + listener.write_timeout,
            // Then it is asked, and that is not the end.
            None => (self.heard.1 + ASK_AFTER).max(now + TICK),
        };
        [
            idle,
            farewell,
            self.ejected,
            self.rest.map(|(_, since)| since + listener.head_timeout),
            self.stuck.map(|(_, since)| since + listener.write_timeout),
            self.idle.is_none().then_some(silence),
        ]
    }

    /// The listener as it is now configured. One that has gone is served on as it was: its drain ends it.
    fn follow_reload(&mut self) {
        let Some(snapshot) = self.worker.newer(&self.snapshot) else { return };
        if let Some(listener) = snapshot.listener(&self.listener.name) {
            self.listener = Arc::clone(listener);
            self.snapshot = snapshot;
        }
    }
}
