//! The accept loop of one socket on one worker.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::drive;
use super::table::Table;
use crate::observe::Reason;
use crate::proxy::Worker;
use crate::snapshot::{Listener, Place};

/// How long a worker that is out of descriptors waits before it accepts again: the kernel holds the
/// clients meanwhile, and trying at once would burn the core.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// How long a full listener waits for the place that an idle connection was asked to leave.
const FULL: Duration = Duration::from_millis(20);

/// Connections taken from a queue that is being closed.
const MAX_LAST: usize = 4096;

/// Steers one accept loop.
#[derive(Debug)]
pub(super) struct Handle {
    closing: Rc<Notify>,
    listener: Rc<RefCell<Arc<str>>>,
}

impl Handle {
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
    id: u64,
    listener: Arc<str>,
    socket: std::net::TcpListener,
) -> io::Result<Handle> {
    let socket = TcpListener::from_std(socket)?;
    let port = socket.local_addr()?.port();
    let closing = Rc::new(Notify::new());
    let listener = Rc::new(RefCell::new(listener));
    let last_known = RefCell::new(None);
    let door = Door {
        last_known,
        worker: Rc::clone(worker),
        table: Rc::clone(table),
        id,
        listener: Rc::clone(&listener),
        port,
    };
    tokio::task::spawn_local(door.keep(socket, Rc::clone(&closing)));
    Ok(Handle { closing, listener })
}

/// One socket and what its connections need.
struct Door {
    /// What the listener was when it was last looked up: those who wait in the queue of a removed one are
    /// served by it.
    last_known: RefCell<Option<Arc<Listener>>>,
    worker: Rc<Worker>,
    table: Rc<Table>,
    id: u64,
    listener: Rc<RefCell<Arc<str>>>,
    port: u16,
}

impl Door {
    async fn keep(self, socket: TcpListener, closing: Rc<Notify>) {
        loop {
            tokio::select! {
                biased;
                () = closing.notified() => return self.empty(&socket).await,
                accepted = self.next(&socket) => self.admit(accepted),
            }
        }
    }

    /// The next connection, with its place. While there is no room nothing is accepted: clients wait in
    /// the kernel's queue.
    async fn next(&self, socket: &TcpListener) -> (TcpStream, SocketAddr, Arc<Listener>, Place) {
        loop {
            let listener = self.listener().await;
            let Some(place) = listener.capacity.take() else {
                self.table.ask_an_idle_one();
                let _ = tokio::time::timeout(FULL, listener.capacity.freed()).await;
                continue;
            };
            match socket.accept().await {
                Ok((stream, peer)) => return (stream, peer, listener, place),
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    /// The listener as it is configured now. It is there while its socket is open: a reload opens sockets
    /// after the swap and closes them before it forgets a name.
    async fn listener(&self) -> Arc<Listener> {
        loop {
            match self.configured() {
                Some(listener) => {
                    *self.last_known.borrow_mut() = Some(Arc::clone(&listener));
                    return listener;
                }
                None => tokio::time::sleep(FULL).await,
            }
        }
    }

    fn configured(&self) -> Option<Arc<Listener>> {
        self.worker.with_snapshot(|snapshot| snapshot.listener(&self.listener.borrow()).cloned())
    }

    async fn cannot_accept(&self, error: &io::Error) {
        // A client that left while it waited is no error of ours.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
            return;
        }
        tracing::warn!(target: "equipoise::listen", listener = %self.listener.borrow(), "cannot accept: {error}");
        tokio::time::sleep(OUT_OF_FILES).await;
    }

    fn admit(&self, (stream, peer, listener, place): (TcpStream, SocketAddr, Arc<Listener>, Place)) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let trusted = listener.trusts(peer.ip());
        let limited = listener.max_per_address > 0 && !trusted;
        let counted = limited.then(|| listener.per_address.take(peer.ip(), listener.max_per_address));
        if let Some(None) = counted {
            listener.series.rejected(self.worker.index, Reason::ConnectionLimit);
            return;
        }
        let visit = drive::Visit {
            socket: self.id,
            peer,
            port: self.port,
            trusted,
            places: (place, counted.flatten()),
        };
        drive::begin(&self.worker, &self.table, listener, stream, visit, Instant::now());
    }

    /// Serves those who were already connected: closing the socket would reset them.
    async fn empty(&self, socket: &TcpListener) {
        for _ in 0..MAX_LAST {
            let Some(listener) = self.last_known.borrow().clone() else { return };
            let Some(place) = listener.capacity.take() else { return };
            match tokio::time::timeout(Duration::ZERO, socket.accept()).await {
                Ok(Ok((stream, peer))) => self.admit((stream, peer, listener, place)),
                _ => return,
            }
        }
    }
}
