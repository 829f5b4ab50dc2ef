//! What is said to a backend and heard from it, up to the head of the final response.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::client::Watched;
use super::exchange::{Exchange, LARGE_HEAD};
use super::fault::Fault;
use super::pace::Pace;
use super::pipe::{PipeError, Waiting};
use super::upload::Upload;
use crate::http::{HeadLimits, Interim, Parsed, Refusal, Version};
use crate::resilience::Failure;
use crate::snapshot::Pool;
use crate::timer::Timer;
use crate::upstream::Connection;

/// Bounds of a response head. Applications set large cookies; nothing real needs more than this.
const RESPONSE_HEAD: HeadLimits = HeadLimits { max_size: 64 * 1024, max_fields: 256 };

/// How often a client that is not read from is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Bytes of interim responses that wait for a client to take them; with more the backend is not read from.
const MAX_BEHIND: usize = 64 * 1024;

/// Interim responses before the final one; more are a fault of the backend.
const MAX_INTERIM: u32 = 32;

/// Why a conversation gave no response head.
pub(super) enum Trouble {
    /// The backend's doing: another may be tried.
    Backend(Failure),
    /// The backend left in good order before it began with the request: no fault, and another may be tried.
    Left,
    /// The client's, or the route's timeout: it is over.
    Over(Fault),
}

impl Trouble {
    /// Whether it was not the backend that ended it. It may still be at work, and must not take our leaving
    /// for a half-close.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self, Self::Over(_) | Self::Backend(Failure::Timeout))
    }
}

/// Where a conversation stands.
pub(super) struct Talk {
    /// Its deadline, where the client's is another conversation's.
    timer: Option<Timer>,
    interim: u32,
    pace: Pace,
    /// What the deadline was last set for: who is waited for, and how much had moved.
    armed: Option<(Option<Waiting>, u64)>,
    /// What had come from the client when its pace was last measured.
    read: u64,
    sent_at: Instant,
    /// An interim response claimed a body, or the end of the connection.
    tainted: bool,
    /// The backend has been silent for so long that the kernel is to find out whether it is still there.
    doubted: bool,
}

impl Talk {
    pub(super) fn new(began: Instant, read: u64, timer: Option<Timer>) -> Self {
        Self {
            timer,
            interim: 0,
            pace: Pace::default(),
            armed: None,
            read,
            sent_at: began,
            tainted: false,
            doubted: false,
        }
    }
}

impl Exchange<'_> {
    /// Sends the request and reads up to the head of the final response. Gives when the request had been
    /// sent whole (or, if the response came first, when the try began).
    pub(super) async fn converse(
        &mut self,
        pool: &Pool,
        connection: &mut Connection,
        upload: &mut Upload,
        began: Instant,
    ) -> Result<Instant, Trouble> {
        let mut talk = Talk::new(began, self.client.read, None);
        poll_fn(|cx| self.poll_converse(pool, connection, upload, &mut talk, cx)).await?;
        Ok(self.heard_out(connection, &talk))
    }

    /// The head of the final response has been read. Gives when the request had been sent.
    pub(super) fn heard_out(&mut self, connection: &Connection, talk: &Talk) -> Instant {
        if talk.doubted {
            connection.trust();
        }
        self.scratch.response.keep_alive &= !talk.tainted;
        talk.sent_at
    }

    /// What [`Self::converse`] does between two wakings.
    #[inline] // called with each of them
    pub(super) fn poll_converse(
        &mut self,
        pool: &Pool,
        connection: &mut Connection,
        upload: &mut Upload,
        talk: &mut Talk,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Trouble>> {
        if talk.armed.is_some()
            && self.timer_of(talk).has_fired()
            && !self.doubts(pool, connection, upload, talk)
        {
            return Poll::Ready(Err(self.expired(upload, talk)));
        }
        if !upload.done && !upload.broken {
            self.poll_upload(pool, connection, upload, talk, cx)?;
        }
        if self.client.has_unsent()
            && let Poll::Ready(Err(_)) = self.client.poll_flush(cx)
        {
            return Poll::Ready(Err(Trouble::Over(Fault::ClientLeft)));
        }
        if self.poll_response(connection, talk, cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.watch_client(upload, cx).map_err(Trouble::Over)?;
        if self.worker.blocks.are_tight() {
            self.client.park(&self.worker.blocks);
            connection.park(&self.worker.blocks);
        }
        Poll::Pending
    }

    fn timer_of<'t>(&'t self, talk: &'t Talk) -> &'t Timer {
        talk.timer.as_ref().unwrap_or(&self.client.timer)
    }

    /// Sets the next deadline, never past the route's.
    fn arm_talk(&self, talk: &Talk, at: Instant) {
        self.timer_of(talk).arm(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }

    fn poll_upload(
        &mut self,
        pool: &Pool,
        connection: &mut Connection,
        upload: &mut Upload,
        talk: &mut Talk,
        cx: &mut Context<'_>,
    ) -> Result<(), Trouble> {
        let sent = match upload.poll(self.client, connection, &self.worker.blocks, cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => return self.wait_for_upload(pool, upload, talk),
        };
        match sent {
            Ok(()) => {}
            // It may have answered before it stopped reading: that answer is still to be read.
            Err(PipeError::Sink) => upload.broken = true,
            Err(error) => return Err(Trouble::Over(client_fault(&error))),
        }
        talk.sent_at = Instant::now();
        talk.armed = Some((None, 0));
        self.arm_talk(talk, talk.sent_at + pool.response_timeout.min(pool.connect_timeout));
        Ok(())
    }

    /// A request sent on a connection from before may go to a host that has vanished: no reset comes, and
    /// `timeouts.response` may be long. After as long as a connect may take the kernel is asked to give the
    /// connection up if what was sent has not even been acknowledged; that counts as a reset. A host that
    /// acknowledges may take its time. Says whether this was such a moment, and not yet the end.
    fn doubts(&self, pool: &Pool, connection: &mut Connection, upload: &Upload, talk: &mut Talk) -> bool {
        let due = talk.sent_at + pool.response_timeout;
        let now = Instant::now();
        let sent = upload.done || upload.broken;
        if !sent || talk.doubted || now >= due || self.deadline.is_some_and(|deadline| now >= deadline) {
            return false;
        }
        connection.doubt(pool.connect_timeout);
        talk.doubted = true;
        self.arm_talk(talk, due);
        true
    }

    /// Sets the deadline anew whenever something has moved, or somebody else is waited for.
    fn wait_for_upload(&mut self, pool: &Pool, upload: &Upload, talk: &mut Talk) -> Result<(), Trouble> {
        let asks_first = self.request.expects_continue && upload.pipe.is_untouched() && talk.interim == 0;
        let waiting = (!asks_first).then_some(upload.pipe.waiting);
        let moved = upload.sent + self.client.read;
        if talk.armed == Some((waiting, moved)) {
            return Ok(());
        }
        let now = Instant::now();
        let came = self.client.read - std::mem::replace(&mut talk.read, self.client.read);
        // A stream of messages may well be silent.
        let min_rate = if self.is_call { 0 } else { self.listener.min_rate };
        if talk.pace.moved(came, min_rate, now) {
            return Err(Trouble::Over(Fault::BodyTimeout));
        }
        let allowed = match waiting {
            None => pool.response_timeout,
            Some(_) if self.is_call => pool.tunnel_timeout,
            Some(Waiting::Sink) => pool.idle_timeout,
            Some(Waiting::Source) => {
                talk.pace.wait(now);
                self.listener.body_timeout
            }
        };
        talk.armed = Some((waiting, moved));
        self.arm_talk(talk, now + allowed);
        Ok(())
    }

    fn expired(&self, upload: &Upload, talk: &Talk) -> Trouble {
        let client_waited_for = matches!(talk.armed, Some((Some(Waiting::Source), _))) && !upload.done;
        match self.timed_out(Fault::BodyTimeout) {
            Fault::Deadline => Trouble::Over(Fault::Deadline),
            fault if client_waited_for => Trouble::Over(fault),
            _ => Trouble::Backend(Failure::Timeout),
        }
    }

    /// Reads heads until the final one, passing interim ones on.
    fn poll_response(
        &mut self,
        connection: &mut Connection,
        talk: &mut Talk,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Trouble> {
        let garbled = |_| Trouble::Backend(Failure::Invalid);
        loop {
            if self.client.out.len() >= MAX_BEHIND {
                return Ok(Poll::Pending); // its writing wakes
            }
            match connection.buffer.poll_fill(&mut connection.stream, &self.worker.blocks, cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(Err(error)) if connection.stream.is_lane() && talk.interim == 0 => {
                    // One that goes on with other streams was not a connection that had been closed while it was idle.
                    connection.reused &= error.kind() == ErrorKind::BrokenPipe;
                    return Err(broken_off(&error));
                }
                // Behind an interim response it is not the end of an idle connection.
                Poll::Ready(_) if connection.buffer.is_empty() && talk.interim == 0 => {
                    return Err(Trouble::Backend(Failure::Reset));
                }
                Poll::Ready(_) => return Err(Trouble::Backend(Failure::Invalid)),
            }
            while !connection.buffer.is_empty() {
                let head = &mut self.scratch.response;
                let asked = self.request.upgrade.as_ref();
                let bytes = connection.buffer.filled();
                match head.parse(bytes, RESPONSE_HEAD, self.request.method, asked).map_err(garbled)? {
                    Parsed::Partial => break,
                    Parsed::Complete(used) => {
                        connection.buffer.consume(used);
                        self.scratch.large |= used > LARGE_HEAD;
                    }
                }
                if head.interim != Interim::Yes {
                    return Ok(Poll::Ready(()));
                }
                talk.interim += 1;
                talk.tainted |= !head.keep_alive;
                if talk.interim > MAX_INTERIM {
                    return Err(Trouble::Backend(Failure::Invalid));
                }
                if self.request.version != Version::Http10 {
                    head.strip_hop_by_hop();
                    head.emit(self.client.out.writer(&self.worker.blocks));
                }
            }
            if self.client.has_unsent()
                && let Poll::Ready(Err(_)) = self.client.poll_flush(cx)
            {
                return Err(Trouble::Over(Fault::ClientLeft));
            }
        }
    }

    /// Ends the exchange of a client that has left. A FIN alone is a half-close unless the listener says
    /// otherwise.
    pub(super) fn watch_client(&mut self, upload: &Upload, cx: &mut Context<'_>) -> Result<(), Fault> {
        let reads_on = !upload.done && upload.pipe.waiting == Waiting::Source;
        if reads_on {
            return Ok(());
        }
        let watched = match upload.done {
            true => self.client.watch(&self.worker.blocks, cx),
            false => Ok(Watched::Blind),
        };
        match watched {
            Err(_) => Err(Fault::ClientLeft),
            Ok(Watched::Present) => Ok(()),
            Ok(Watched::HalfClosed) if self.listener.abort_on_close => Err(Fault::ClientLeft),
            Ok(Watched::HalfClosed | Watched::Blind) => self.look_for_reset(cx),
        }
    }

    /// Where nothing more is read from the client, no event tells that it has reset the connection: looks
    /// now and then.
    pub(super) fn look_for_reset(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.is_time_to_look(cx) && self.client.stream.has_failed() {
            return Err(Fault::ClientLeft);
        }
        Ok(())
    }

    /// Says so now and then, and wakes the task for it.
    pub(super) fn is_time_to_look(&mut self, cx: &mut Context<'_>) -> bool {
        let lookout = self.lookout.get_or_insert_with(|| {
            let timer = self.worker.wheel.timer();
            timer.wake(cx.waker());
            timer.arm(Instant::now() + LOOK_EVERY);
            timer
        });
        let due = lookout.has_fired();
        if due {
            lookout.arm(Instant::now() + LOOK_EVERY);
        }
        due
    }
}

/// What it means that a stream of HTTP/2 was broken off.
fn broken_off(error: &io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionRefused => Trouble::Backend(Failure::Refused),
        ErrorKind::ConnectionAborted => Trouble::Left,
        ErrorKind::InvalidData => Trouble::Backend(Failure::Invalid),
        ErrorKind::InvalidInput => {
            Trouble::Over(Fault::Refused(Refusal::bad("HTTP/2 cannot carry this head")))
        }
        _ => Trouble::Backend(Failure::Reset),
    }
}

/// The fault of a request body that stopped short.
pub(super) fn client_fault(error: &PipeError) -> Fault {
    match error {
        PipeError::TooLarge => Fault::BodyTooLarge,
        PipeError::Invalid(invalid) => Fault::Refused(Refusal::bad(invalid.0)),
        PipeError::Truncated | PipeError::Source | PipeError::Sink => Fault::ClientLeft,
    }
}
