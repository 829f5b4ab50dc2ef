//! The wait for a request's head.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::drive::Drive;
use crate::http::{Parsed, Refusal, leading_blank};
use crate::proxy::{Arrival, Desk, LARGE_HEAD};

/// How long a connection that waits for its next request stays ready for it. Thousands that come at once and
/// then are idle should not all hold an exchange's state at one time.
const BUSY_FOR: Duration = Duration::from_millis(50);

/// How long a head that is longer than what is always granted waits before it asks for memory again.
const STARVED: Duration = Duration::from_millis(250);

/// How long a new connection's first request is waited for where the end has been announced.
const FIRST_GRACE: Duration = Duration::from_millis(500);

/// Where the wait for a head stands.
struct Waiting {
    /// When its first byte was there.
    began: Option<Instant>,
    /// It is the first of its connection.
    first: bool,
    /// Its last time to come, once it has been given one.
    graced: Option<Instant>,
    /// The half of an empty line has come, and holds memory: it is not waited for as long as for nothing.
    halved: bool,
    /// Until then a long head waits for memory.
    starved: Option<Instant>,
}

/// Why no head came.
pub(super) enum NoHead {
    /// Nothing has come for a while, and it may still.
    Idle,
    /// Nothing to answer: the client left, or was silent for too long.
    Silent,
    /// The status to answer with, and when the first byte of the head was there.
    Refused(Refusal, Instant),
}

impl Drive {
    /// Waits until an idle client has sent something, and reads it; `None` where it is to be left.
    pub(super) async fn awaken(&mut self, since: Instant, first: bool) -> Option<Instant> {
        let patience = if first { self.listener.head_timeout } else { self.listener.keep_alive };
        self.client.timer.arm(since + patience);
        self.chair.doze();
        let mut waiting = Waiting { began: None, first, graced: None, halved: false, starved: None };
        let stays = poll_fn(|cx| {
            if self.client.timer.has_fired() {
                return Poll::Ready(false);
            }
            if let Poll::Ready(read) = self.client.poll_listen(&self.worker.blocks, cx) {
                return Poll::Ready(matches!(read, Ok(n) if n > 0));
            }
            // A new connection is read from in the hope that its request came with it.
            self.client.buffer.release(&self.worker.blocks);
            self.follow_reload(false);
            if self.leaves(&mut waiting, since) { Poll::Ready(false) } else { Poll::Pending }
        })
        .await;
        self.chair.rouse();
        stays.then(Instant::now)
    }

    /// Reads the next head; gives when it came, and on `desk` what it says.
    pub(super) async fn head(
        &mut self,
        desk: &mut Option<Box<Desk>>,
        wait_from: Instant,
        first: bool,
    ) -> Result<Arrival, NoHead> {
        // A client that takes no answers gets no further request served: its answers would pile up here.
        if !self.client.out.is_empty() {
            self.flush().await?;
        }
        let mut waiting = Waiting { began: None, first, graced: None, halved: false, starved: None };
        if self.pass_blank_lines() {
            if self.parse(desk, wait_from)? {
                return Ok(Arrival { began: wait_from, complete: wait_from });
            }
            waiting.began = Some(wait_from);
        }
        waiting.halved = !self.client.buffer.is_empty();
        let patience = match waiting.began {
            None if !first && !waiting.halved => BUSY_FOR.min(self.listener.keep_alive),
            _ => self.listener.head_timeout,
        };
        self.client.timer.arm(wait_from + patience);
        poll_fn(|cx| self.poll_head(desk, &mut waiting, wait_from, cx)).await
    }

    /// Writes what is to be written, as long as the client takes it.
    async fn flush(&mut self) -> Result<(), NoHead> {
        let mut written = None;
        poll_fn(|cx| {
            match self.client.poll_flush(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(NoHead::Silent)),
                Poll::Pending if written == Some(self.client.wrote) => {
                    self.client.park(&self.worker.blocks);
                }
                Poll::Pending => {
                    written = Some(self.client.wrote);
                    self.client.timer.arm(Instant::now() + self.listener.write_timeout);
                }
            }
            if self.client.timer.has_fired() { Poll::Ready(Err(NoHead::Silent)) } else { Poll::Pending }
        })
        .await
    }

    /// Empty lines between requests begin none (RFC 9112 2.2). Says whether there is more than them, or than
    /// the half of one.
    fn pass_blank_lines(&mut self) -> bool {
        self.client.buffer.consume(leading_blank(self.client.buffer.filled()));
        !matches!(self.client.buffer.filled(), b"" | b"\r")
    }

    fn parse(&mut self, desk: &mut Option<Box<Desk>>, began: Instant) -> Result<bool, NoHead> {
        let request = &mut desk.get_or_insert_with(|| self.worker.desks.take()).request;
        let bytes = self.client.buffer.filled();
        let parsed = request.parse(bytes, self.listener.head, self.listener.policy);
        match parsed.map_err(|refusal| NoHead::Refused(refusal, began))? {
            Parsed::Complete(used) => {
                self.client.buffer.consume(used);
                self.large |= used > LARGE_HEAD;
                Ok(true)
            }
            Parsed::Partial => Ok(false),
        }
    }

    fn poll_head(
        &mut self,
        desk: &mut Option<Box<Desk>>,
        waiting: &mut Waiting,
        since: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arrival, NoHead>> {
        if self.client.timer.has_fired() && !self.tries_again(waiting) {
            return Poll::Ready(Err(match waiting.began {
                Some(began) => {
                    NoHead::Refused(Refusal { status: 408, reason: "head not complete in time" }, began)
                }
                None if waiting.first || waiting.halved => NoHead::Silent,
                None => NoHead::Idle,
            }));
        }
        loop {
            if self.client.half_closed {
                return Poll::Ready(Err(NoHead::Silent));
            }
            if self.client.buffer.is_starved(&self.worker.blocks) {
                self.starve(waiting);
                return Poll::Pending;
            }
            match self.client.poll_listen(&self.worker.blocks, cx) {
                Poll::Pending if self.client.buffer.is_empty() => {
                    // An idle connection holds no memory but its own.
                    self.client.buffer.release(&self.worker.blocks);
                    self.client.out.release(&self.worker.blocks);
                    if let Some(desk) = desk.take() {
                        self.worker.desks.give(desk);
                    }
                    self.follow_reload(false);
                    return if self.leaves(waiting, since) {
                        Poll::Ready(Err(NoHead::Silent))
                    } else {
                        Poll::Pending
                    };
                }
                Poll::Pending => {
                    self.client.park(&self.worker.blocks);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(NoHead::Silent)),
            }
            let first_read = waiting.began.is_none();
            if first_read {
                if !self.pass_blank_lines() {
                    if !self.client.buffer.is_empty() && !std::mem::replace(&mut waiting.halved, true) {
                        self.client.timer.arm(Instant::now() + self.listener.head_timeout);
                    }
                    continue;
                }
                waiting.began = Some(Instant::now());
            }
            let began = waiting.began.unwrap_or_else(Instant::now);
            match self.parse(desk, began) {
                Ok(true) => {
                    let complete = if first_read { began } else { Instant::now() };
                    return Poll::Ready(Ok(Arrival { began, complete }));
                }
                Ok(false) => self.client.timer.arm(began + self.listener.head_timeout),
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
    }

    /// A long head for which there is no memory is left in the kernel for a while. Others give theirs back at
    /// their deadlines at the latest; its own deadline holds too.
    fn starve(&self, waiting: &mut Waiting) {
        let retry = Instant::now() + STARVED;
        let deadline = waiting.began.unwrap_or(retry) + self.listener.head_timeout;
        waiting.starved = (retry < deadline).then_some(deadline);
        self.client.timer.arm(retry.min(deadline));
    }

    /// Whether what has passed is no more than the time to look for memory again.
    fn tries_again(&self, waiting: &mut Waiting) -> bool {
        let Some(deadline) = waiting.starved.take().filter(|deadline| Instant::now() < *deadline) else {
            return false;
        };
        self.client.timer.arm(deadline);
        true
    }

    /// Whether a connection on which nothing has come is to end. One that was accepted a moment ago has
    /// its request on the way: it is given the time to arrive.
    fn leaves(&self, waiting: &mut Waiting, since: Instant) -> bool {
        if waiting.began.is_some() || !(self.client.seat.leave.get() || self.worker.is_draining()) {
            return false;
        }
        if !waiting.first {
            return true;
        }
        let until = *waiting.graced.get_or_insert_with(|| {
            let until = since + FIRST_GRACE;
            self.client.timer.arm(until);
            until
        });
        Instant::now() >= until
    }
}
