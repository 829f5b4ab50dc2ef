//! One client connection: head, exchange, head, exchange, …, end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::net::TcpStream;

use super::head::NoHead;
use super::share::{Guest, Share};
use super::table::{Chair, Table};
use crate::announce::Header;
use crate::http::{Origin, Shown};
use crate::observe::ListenerSeries;
use crate::proxy::{self, After, Client, Desk, Seat, Worker};
use crate::snapshot::{AcceptProxy, Counted, Listener, Place, Snapshot};
use crate::timer::Timer;
use crate::tls;
use crate::wire::Stream;

/// What is known of a connection when it is accepted.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) socket: u64,
    pub(super) peer: SocketAddr,
    pub(super) port: u16,
    pub(super) trusted: bool,
    pub(super) places: (Place, Option<Counted>),
    pub(super) share: Share,
}

/// Starts the task of a connection.
pub(super) fn begin(worker: &Rc<Worker>, table: &Rc<Table>, guest: Guest, now: Instant) {
    let Guest { listener, stream, visit } = guest;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(target: "equipoise::listen", listener = %listener.name, "cannot watch a connection: {error}");
            return;
        }
    };
    let seat = Rc::new(Seat::default());
    let chair = table.sit(visit.socket, Rc::clone(&seat));
    let index = chair.index();
    let snapshot = worker.with_snapshot(Arc::clone);
    // Both of one moment: a listener older than its snapshot would never be looked up again.
    let listener = snapshot.listener(&listener.name).cloned().unwrap_or(listener);
    let secure = listener.tls.is_some();
    let announced = listener.accept_proxy != AcceptProxy::Off && visit.trusted;
    let newcomer = Newcomer {
        worker: Rc::clone(worker),
        origin: Origin::new(visit.peer, visit.port, secure, visit.trusted),
        timer: worker.wheel.timer(),
        seat,
        snapshot,
        open: Open::new(&listener, worker.index),
        listener,
        chair,
        port: visit.port,
        places: visit.places,
        announced: None,
        share: visit.share,
    };
    let task = match (announced, secure) {
        (true, _) => tokio::task::spawn_local(newcomer.announced(stream, now)),
        (false, false) => tokio::task::spawn_local(newcomer.drive(stream.into()).run(now)),
        (false, true) => tokio::task::spawn_local(newcomer.secured(stream, now)),
    };
    table.served_by(index, task.abort_handle());
}

/// A client that has been let in, and has not been spoken with.
pub(super) struct Newcomer {
    pub(super) worker: Rc<Worker>,
    pub(super) listener: Arc<Listener>,
    pub(super) origin: Origin,
    pub(super) timer: Timer,
    pub(super) seat: Rc<Seat>,
    snapshot: Arc<Snapshot>,
    open: Open,
    pub(super) chair: Chair,
    /// The port that it came to.
    pub(super) port: u16,
    pub(super) places: (Place, Option<Counted>),
    /// The PROXY header that it began with.
    pub(super) announced: Option<Box<Header>>,
    share: Share,
}

impl Newcomer {
    pub(super) fn drive(self, stream: Stream) -> Box<Drive> {
        let shown = shown(&stream);
        let client = Client::new(stream, self.origin, self.announced, self.timer, self.seat);
        // In a box: a future holds what it was given twice, where it came in and where it is used.
        Box::new(Drive {
            client: client.with_certificate(shown),
            worker: self.worker,
            listener: self.listener,
            snapshot: self.snapshot,
            large: false,
            chair: self.chair,
            _open: self.open,
            _places: self.places,
            _share: self.share,
        })
    }
}

/// The certificate that a client has shown in its handshake, which failed if that was not good.
fn shown(stream: &Stream) -> Option<Rc<Shown>> {
    let holder = tls::holder(stream.tls()?.peer_certificates()?.first()?)?;
    Some(Rc::new(Shown {
        subject: holder.subject.into(),
        issuer: holder.issuer.into(),
        serial: holder.serial.into(),
        fingerprint: holder.fingerprint.into(),
    }))
}

/// Counts a connection for as long as it is open.
struct Open(Arc<ListenerSeries>, usize);

impl Open {
    fn new(listener: &Listener, worker: usize) -> Self {
        listener.series.connection_opened(worker);
        Self(Arc::clone(&listener.series), worker)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed(self.1);
    }
}

pub(super) struct Drive {
    pub(super) worker: Rc<Worker>,
    pub(super) listener: Arc<Listener>,
    /// The snapshot that `listener` is of.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) client: Client,
    /// A head was so large that its memory is to be given back.
    pub(super) large: bool,
    pub(super) chair: Chair,
    _open: Open,
    _places: (Place, Option<Counted>),
    _share: Share,
}

impl Drive {
    /// Waits for bytes with next to no memory, and takes what exchanges need only while there are some: most
    /// connections are idle most of the time.
    pub(super) async fn run(mut self: Box<Self>, accepted: Instant) {
        poll_fn(|cx| {
            self.client.timer.wake(cx.waker());
            *self.client.seat.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        if self.client.stream.tls().is_some_and(|tls| tls.alpn_protocol() == Some(b"h2")) {
            return Box::pin(self.serve_http2(accepted)).await;
        }
        // A connection that has just been opened is expected to speak at once.
        let (mut idle_since, mut first) = (accepted, true);
        while let Some(woken) = self.awaken(idle_since, first).await {
            if first && self.listener.protocols.h2 && Box::pin(self.turns_to_http2(woken)).await {
                return;
            }
            match Box::pin(self.busy(woken, first)).await {
                Some(since) => (idle_since, first) = (since, false),
                None => return,
            }
        }
    }

    /// Serves request after request. Gives since when the connection has been idle, or `None` at its end.
    async fn busy(&mut self, mut wait_from: Instant, mut first: bool) -> Option<Instant> {
        let mut desk = None;
        loop {
            let arrival = match self.head(&mut desk, wait_from, first).await {
                Ok(arrival) => arrival,
                Err(NoHead::Idle) => return Some(wait_from),
                Err(NoHead::Silent) => return None,
                Err(NoHead::Refused(refusal, began)) => {
                    proxy::refuse(&self.worker, &self.listener, &mut self.client, refusal, began);
                    self.linger().await;
                    return None;
                }
            };
            self.follow_reload(true);
            first = false;
            let (worker, listener, client) = (&self.worker, &self.listener, &mut self.client);
            let Desk { request, scratch } = &mut **desk.get_or_insert_default();
            let (after, ended) = proxy::serve(worker, listener, client, request, scratch, arrival).await;
            if std::mem::take(&mut self.large) || scratch.large {
                // One request with large cookies must not weigh for as long as the connection lasts.
                desk = None;
            }
            match after {
                After::Next => {
                    wait_from = ended;
                    continue;
                }
                After::Close => {}
                After::Linger => self.linger().await,
                After::Abort => self.client.stream.abort(),
            }
            if let Some(desk) = desk {
                self.worker.desks.give(desk);
            }
            return None;
        }
    }

    /// The listener as it is now configured. One that has gone is served on as it was: its drain ends it,
    /// and a request tells its client so.
    #[inline]
    pub(super) fn follow_reload(&mut self, serving: bool) {
        if let Some(newer) = self.worker.newer(&self.snapshot) {
            self.take_up(newer, serving);
        }
    }

    #[cold]
    fn take_up(&mut self, snapshot: Arc<Snapshot>, serving: bool) {
        match snapshot.listener(&self.listener.name) {
            Some(listener) => self.listener = Arc::clone(listener),
            None if serving => self.client.seat.leave.set(true),
            None => return,
        }
        self.snapshot = snapshot;
        self.client.follow_reload();
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if self.client.seat.backend.get() != 0 {
            // Ended from outside in the midst of an exchange.
            self.client.stream.abort();
        }
        self.client.leave(&self.worker.upstream);
        self.client.buffer.consume(self.client.buffer.len());
        self.client.buffer.release(&self.worker.blocks);
        self.client.out.clear();
        self.client.out.release(&self.worker.blocks);
        self.client.count(&self.listener, self.worker.index);
    }
}
