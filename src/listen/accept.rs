//! The accept loop of one socket on one worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::drive;
use super::queue::Queue;
use super::share::{Guest, Neighbours};
use super::table::{Hold, Table};
use crate::observe::Reason;
use crate::proxy::Worker;
use crate::snapshot::{AcceptProxy, Listener, Place};

/// How long a worker that is out of descriptors waits before it accepts again: the kernel holds the
/// clients meanwhile, and trying at once would burn the core.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// How long a full listener waits for the place that an idle connection was asked to leave.
const FULL: Duration = Duration::from_millis(20);

/// Connections that are accepted before anybody else gets a turn.
const MAX_BATCH: usize = 16;

/// Connections taken from a queue that is being closed.
const MAX_LAST: usize = 4096;

/// Steers one accept loop.
#[derive(Debug)]
pub(super) struct Handle {
    closing: Rc<Notify>,
    changed: Rc<Notify>,
    listener: Rc<RefCell<Arc<str>>>,
}

impl Handle {
    /// Looks its listener up again.
    pub(super) fn follow(&self) {
        self.changed.notify_one();
    }

    /// From now on its connections are another listener's: a reload gave the address a new name.
    pub(super) fn assign(&self, listener: Arc<str>) {
        *self.listener.borrow_mut() = listener;
    }

    /// Takes what stands in the accept queue, then closes the socket.
    pub(super) fn close(self) {
        self.closing.notify_one();
    }
}

/// Begins to accept.
pub(super) fn open(
    worker: &Rc<Worker>,
    table: &Rc<Table>,
    neighbours: &Rc<Neighbours>,
    id: u64,
    listener: Arc<str>,
    socket: std::net::TcpListener,
) -> io::Result<Handle> {
    let port = socket.local_addr()?.port();
    let socket = Queue::new(socket)?;
    let closing = Rc::new(Notify::new());
    let listener = Rc::new(RefCell::new(listener));
    let door = Door {
        worker: Rc::clone(worker),
        table: Rc::clone(table),
        neighbours: Rc::clone(neighbours),
        id,
        listener: Rc::clone(&listener),
        port,
        last_known: RefCell::default(),
        waiting: RefCell::default(),
        troubled: Cell::new(false),
        _hold: table.hold(),
    };
    let changed = Rc::new(Notify::new());
    tokio::task::spawn_local(door.keep(socket, Rc::clone(&closing), Rc::clone(&changed)));
    Ok(Handle { closing, changed, listener })
}

/// One socket and what its connections need.
struct Door {
    worker: Rc<Worker>,
    table: Rc<Table>,
    neighbours: Rc<Neighbours>,
    id: u64,
    listener: Rc<RefCell<Arc<str>>>,
    port: u16,
    /// What the listener was when it was last looked up: those who wait in the queue of a removed one are
    /// served by it.
    last_known: RefCell<Option<Arc<Listener>>>,
    /// Accepted while there was no room. Nobody else is accepted before it has a place: clients wait in
    /// the kernel's queue.
    waiting: RefCell<Option<(TcpStream, SocketAddr)>>,
    /// Accepting has failed since it last succeeded.
    troubled: Cell<bool>,
    _hold: Hold,
}

impl Door {
    async fn keep(self, socket: Queue, closing: Rc<Notify>, changed: Rc<Notify>) {
        loop {
            let listener = self.listener().await;
            let pressed = listener.capacity.pressed();
            tokio::select! {
                biased;
                () = closing.notified() => return self.empty(&socket, &listener).await,
                () = changed.notified() => {}
                () = pressed => self.table.ask_an_idle_one(),
                () = self.seat_next(&socket) => {}
            }
        }
    }

    /// Accepts those who are there, or finds a place for the one that waits.
    async fn seat_next(&self, socket: &Queue) {
        if self.waiting.borrow().is_none() {
            match socket.accept().await {
                Ok(accepted) => *self.waiting.borrow_mut() = Some(accepted),
                Err(error) => return self.cannot_accept(&error).await,
            }
        }
        // A reload may have come while nobody else did.
        let listener = &self.listener().await;
        for _ in 1..MAX_BATCH {
            let Some(place) = listener.capacity.take() else { break };
            self.admit(listener, place);
            match socket.accept_at_once() {
                None => return,
                Some(Ok(accepted)) => *self.waiting.borrow_mut() = Some(accepted),
                Some(Err(error)) => return self.cannot_accept(&error).await,
            }
        }
        match listener.capacity.take() {
            Some(place) => self.admit(listener, place),
            None => {
                // Any worker may have an idle connection to give up.
                listener.capacity.press();
                self.table.ask_an_idle_one();
                let _ = tokio::time::timeout(FULL, listener.capacity.freed()).await;
            }
        }
    }

    /// The listener as it is configured now. It is there while its socket is open: a reload opens sockets
    /// after the swap and closes them before it forgets a name.
    async fn listener(&self) -> Arc<Listener> {
        loop {
            let configured =
                self.worker.with_snapshot(|snapshot| snapshot.listener(&self.listener.borrow()).cloned());
            let known = configured.or_else(|| self.last_known.borrow().clone());
            match known {
                Some(listener) => {
                    *self.last_known.borrow_mut() = Some(Arc::clone(&listener));
                    return listener;
                }
                None => tokio::time::sleep(FULL).await,
            }
        }
    }

    async fn cannot_accept(&self, error: &io::Error) {
        // A client that left while it waited is no error of ours.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
            return;
        }
        // Once a trouble: it may last, and be met twenty times a second.
        if !self.troubled.replace(true) {
            tracing::warn!(target: "equipoise::listen", listener = %self.listener.borrow(), "cannot accept: {error}");
        }
        self.table.ask_an_idle_one();
        tokio::time::sleep(OUT_OF_FILES).await;
    }

    /// Starts the connection that waits, here or at another worker.
    fn admit(&self, listener: &Arc<Listener>, place: Place) {
        let Some((stream, peer)) = self.waiting.borrow_mut().take() else { return };
        self.troubled.set(false);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let trusted = listener.trusts(peer.ip());
        if listener.accept_proxy == AcceptProxy::Require && !trusted {
            listener.series.rejected(self.worker.index, Reason::ProxyUntrusted);
            return;
        }
        let limited = listener.max_per_address > 0 && !trusted;
        let counted = limited.then(|| listener.per_address.take(peer.ip(), listener.max_per_address));
        if let Some(None) = counted {
            listener.series.rejected(self.worker.index, Reason::ConnectionLimit);
            return;
        }
        let (places, share) = ((place, counted.flatten()), self.neighbours.share());
        let visit = drive::Visit { socket: self.id, peer, port: self.port, trusted, places, share };
        let guest = Guest { listener: Arc::clone(listener), stream, visit };
        if let Some(own) = self.neighbours.hand_over(guest) {
            drive::begin(&self.worker, &self.table, own, Instant::now());
        }
    }

    /// Serves those who were already connected: closing the socket would reset them.
    async fn empty(&self, socket: &Queue, listener: &Arc<Listener>) {
        for _ in 0..MAX_LAST {
            let Some(place) = listener.capacity.take() else { return };
            if self.waiting.borrow().is_none() {
                match tokio::time::timeout(Duration::ZERO, socket.accept()).await {
                    Ok(Ok(accepted)) => *self.waiting.borrow_mut() = Some(accepted),
                    _ => return,
                }
            }
            self.admit(listener, place);
        }
    }
}
