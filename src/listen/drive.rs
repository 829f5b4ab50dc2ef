//! One client connection: head, exchange, head, exchange, …, end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::table::{Chair, Table};
use crate::http::{Origin, Parsed, Refusal, RequestHead};
use crate::proxy::{self, After, Arrival, Client, LARGE_HEAD, Scratch, Seat, Worker};
use crate::snapshot::{Counted, Listener, Place, Snapshot};
use crate::wire::poll_shutdown;

/// How long a connection is read on after its last answer. Closing with unread bytes resets the
/// connection, and the reset may overtake the answer (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How long a new connection's first request is waited for once the end has been announced.
const FIRST_GRACE: Duration = Duration::from_millis(500);

/// Bytes thrown away meanwhile.
const MAX_LINGER: u64 = 1024 * 1024;

/// What is known of a connection when it is accepted.
pub(super) struct Visit {
    pub(super) socket: u64,
    pub(super) peer: SocketAddr,
    pub(super) port: u16,
    pub(super) trusted: bool,
    pub(super) places: (Place, Option<Counted>),
}

/// Starts the task of a connection.
pub(super) fn begin(
    worker: &Rc<Worker>,
    table: &Rc<Table>,
    listener: Arc<Listener>,
    stream: TcpStream,
    visit: Visit,
    now: Instant,
) {
    let seat = Rc::new(Seat::default());
    let chair = table.sit(visit.socket, Rc::clone(&seat));
    let index = chair.index();
    let client = Client::new(
        stream,
        Origin::new(visit.peer, visit.port, false, visit.trusted),
        worker.wheel.timer(),
        seat,
    );
    let snapshot = worker.with_snapshot(Arc::clone);
    // Both of one moment: a listener older than its snapshot would never be looked up again.
    let listener = snapshot.listener(&listener.name).cloned().unwrap_or(listener);
    listener.series.connection_opened(worker.index);
    let drive = Drive {
        worker: Rc::clone(worker),
        listener,
        snapshot,
        client,
        large: false,
        _chair: chair,
        _places: visit.places,
    };
    let task = tokio::task::spawn_local(drive.run(now));
    table.served_by(index, task.abort_handle());
}

struct Drive {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    /// The snapshot that `listener` is of.
    snapshot: Arc<Snapshot>,
    client: Client,
    /// A head was so large that its memory is to be given back.
    large: bool,
    _chair: Chair,
    _places: (Place, Option<Counted>),
}

/// Where the wait for a head stands.
struct Waiting {
    /// When its first byte was there.
    began: Option<Instant>,
    /// It is the first of its connection.
    first: bool,
    /// It has been given its last time to come.
    graced: bool,
}

/// Why no head came.
enum NoHead {
    /// Nothing to answer: the client left, or was silent for too long.
    Silent,
    /// The status to answer with.
    Refused(Refusal),
}

impl Drive {
    async fn run(mut self, accepted: Instant) {
        poll_fn(|cx| {
            self.client.timer.wake(cx.waker());
            *self.client.seat.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        let (mut request, mut scratch) = (RequestHead::new(), Scratch::default());
        // A connection that has just been opened is expected to speak at once.
        let mut wait_from = accepted;
        let mut first = true;
        loop {
            let arrival = match self.head(&mut request, wait_from, first).await {
                Ok(arrival) => arrival,
                Err(NoHead::Silent) => return,
                Err(NoHead::Refused(refusal)) => {
                    proxy::refuse(&self.worker, &self.listener, &mut self.client, refusal, Instant::now());
                    return self.linger().await;
                }
            };
            self.follow_reload(true);
            first = false;
            let (worker, listener, client) = (&self.worker, &self.listener, &mut self.client);
            let (after, ended) =
                proxy::serve(worker, listener, client, &mut request, &mut scratch, arrival).await;
            if std::mem::take(&mut self.large) || scratch.large {
                // One request with large cookies must not weigh for as long as the connection lasts.
                (request, scratch) = (RequestHead::new(), Scratch::default());
            }
            match after {
                After::Next => wait_from = ended,
                After::Linger => return self.linger().await,
                After::Abort => return reset(&self.client),
            }
        }
    }

    /// The listener as it is now configured. One that has gone is served on as it was: its drain ends it,
    /// and a request tells its client so.
    fn follow_reload(&mut self, serving: bool) {
        let newer = self
            .worker
            .with_snapshot(|current| (!Arc::ptr_eq(current, &self.snapshot)).then(|| Arc::clone(current)));
        let Some(snapshot) = newer else { return };
        match snapshot.listener(&self.listener.name) {
            Some(listener) => self.listener = Arc::clone(listener),
            None if serving => self.client.seat.leave.set(true),
            None => return,
        }
        self.snapshot = snapshot;
    }

    /// Reads the next head; gives when it came.
    async fn head(
        &mut self,
        request: &mut RequestHead,
        wait_from: Instant,
        first: bool,
    ) -> Result<Arrival, NoHead> {
        // A client that takes no answers gets no further request served: its answers would pile up here.
        if !self.client.out.is_empty() {
            self.flush().await?;
        }
        self.pass_blank_lines();
        let mut waiting = Waiting { began: None, first, graced: false };
        if !self.client.buffer.is_empty() {
            if self.parse(request)? {
                return Ok(Arrival { began: wait_from, complete: wait_from });
            }
            waiting.began = Some(wait_from);
        }
        let patience = match waiting.began {
            None if !first => self.listener.keep_alive,
            _ => self.listener.head_timeout,
        };
        self.client.timer.arm(wait_from + patience);
        self.client.seat.idle.set(waiting.began.is_none());
        let read = poll_fn(|cx| self.poll_head(request, &mut waiting, cx)).await;
        self.client.seat.idle.set(false);
        read
    }

    /// Writes what is to be written, as long as the client takes it.
    async fn flush(&mut self) -> Result<(), NoHead> {
        let mut written = None;
        poll_fn(|cx| {
            match self.client.poll_flush(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(NoHead::Silent)),
                Poll::Pending if written == Some(self.client.wrote) => {}
                Poll::Pending => {
                    written = Some(self.client.wrote);
                    self.client.timer.arm(Instant::now() + self.listener.write_timeout);
                }
            }
            if self.client.timer.has_fired() { Poll::Ready(Err(NoHead::Silent)) } else { Poll::Pending }
        })
        .await
    }

    /// Empty lines between requests begin none (RFC 9112 2.2).
    fn pass_blank_lines(&mut self) {
        while self.client.buffer.filled().starts_with(b"\r\n") {
            self.client.buffer.consume(2);
        }
    }

    fn parse(&mut self, request: &mut RequestHead) -> Result<bool, NoHead> {
        let bytes = self.client.buffer.filled();
        match request.parse(bytes, self.listener.head, self.listener.policy).map_err(NoHead::Refused)? {
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
        request: &mut RequestHead,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arrival, NoHead>> {
        if self.client.timer.has_fired() {
            return Poll::Ready(Err(match waiting.began {
                Some(_) => NoHead::Refused(Refusal { status: 408, reason: "head not complete in time" }),
                None => NoHead::Silent,
            }));
        }
        loop {
            if self.client.half_closed {
                return Poll::Ready(Err(NoHead::Silent));
            }
            match self.client.poll_fill(&self.worker.blocks, cx) {
                Poll::Pending if self.client.buffer.is_empty() => {
                    // An idle connection holds no memory but its own.
                    self.client.buffer.release(&self.worker.blocks);
                    self.client.out.release(&self.worker.blocks);
                    self.follow_reload(false);
                    return if self.leaves(waiting) {
                        Poll::Ready(Err(NoHead::Silent))
                    } else {
                        Poll::Pending
                    };
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(NoHead::Silent)),
            }
            let first_read = waiting.began.is_none();
            if first_read {
                self.pass_blank_lines();
                if self.client.buffer.is_empty() {
                    continue;
                }
                waiting.began = Some(Instant::now());
                self.client.seat.idle.set(false);
            }
            let began = waiting.began.unwrap_or_else(Instant::now);
            match self.parse(request) {
                Ok(true) => {
                    let complete = if first_read { began } else { Instant::now() };
                    return Poll::Ready(Ok(Arrival { began, complete }));
                }
                Ok(false) => self.client.timer.arm(began + self.listener.head_timeout),
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
    }

    /// Whether a connection on which nothing has come is to end. One that was accepted a moment ago has
    /// its request on the way: it is given the time to arrive.
    fn leaves(&self, waiting: &mut Waiting) -> bool {
        if waiting.began.is_some() || !(self.client.seat.leave.get() || self.worker.is_draining()) {
            return false;
        }
        if waiting.first && !waiting.graced {
            waiting.graced = true;
            self.client.timer.arm(Instant::now() + FIRST_GRACE);
        }
        !waiting.first
    }

    /// Writes what is left, sends our FIN, and reads on until the client's, within bounds.
    async fn linger(mut self) {
        self.client.timer.arm(Instant::now() + self.listener.write_timeout);
        let mut told = false;
        let mut discarded = 0;
        poll_fn(|cx| {
            if self.client.timer.has_fired() {
                return Poll::Ready(());
            }
            if !told {
                match self.client.poll_flush(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(())) => {}
                }
                told = true;
                if self.client.half_closed {
                    return Poll::Ready(());
                }
                let _ = poll_shutdown(&mut self.client.stream, cx);
                self.client.timer.arm(Instant::now() + LINGER);
            }
            loop {
                self.client.buffer.consume(self.client.buffer.len());
                match self.client.poll_fill(&self.worker.blocks, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(n)) if n > 0 && discarded < MAX_LINGER => discarded += n as u64,
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if self.client.seat.backend.get() != 0 {
            // Ended from outside in the midst of an exchange.
            reset(&self.client);
        }
        self.client.buffer.consume(self.client.buffer.len());
        self.client.buffer.release(&self.worker.blocks);
        self.client.out.clear();
        self.client.out.release(&self.worker.blocks);
        self.client.count(&self.listener, self.worker.index);
        self.listener.series.connection_closed(self.worker.index);
    }
}

/// Ends a response that is not whole so that the client cannot take it for one: by a reset.
fn reset(client: &Client) {
    let _ = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
}
