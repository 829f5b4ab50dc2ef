//! Accept connections and drive each one, request after request.
//!
//! One [`run`] per worker thread. The control thread binds the sockets and sends them here with
//! [`Command`]s; a worker never binds, resolves or waits for anything but its own sockets.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::drain::{Phase, Watch};
use crate::proxy::Worker;
use crate::recent::Found;

mod accept;
mod announced;
mod bind;
mod drive;
mod h2;
mod head;
mod linger;
mod patience;
mod queue;
mod secure;
mod share;
mod table;

pub use bind::{Socket, bind};
pub use share::{Guests, Neighbours, neighbours};

use share::Guest;
use table::Table;

/// How often idle backend connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Commands that may wait for one worker.
pub const MAX_COMMANDS: usize = 4096;

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept from this socket, for the listener of this name.
    Open {
        /// Which socket it is; the same number on every worker, higher than those before it.
        id: u64,
        /// The listener's name.
        listener: Arc<str>,
        /// This worker's own socket.
        socket: std::net::TcpListener,
    },
    /// The configuration has changed: idle connections, too, let go of the one before.
    Follow,
    /// The connections of this socket are from now on this listener's.
    Assign {
        /// Which socket.
        id: u64,
        /// The listener's name.
        listener: Arc<str>,
    },
    /// Empty the accept queue of this socket, close it, and let its connections end.
    Close(u64),
    /// End what still runs on this socket's connections.
    End(u64),
    /// End what still runs on this backend.
    EndBackend(u64),
    /// Say what was decided for the requests of this id.
    Recall {
        /// X-Request-Id.
        id: Arc<str>,
        /// To whom.
        reply: oneshot::Sender<Found>,
    },
}

/// What the commands to one worker act on.
struct Room {
    worker: Rc<Worker>,
    table: Rc<Table>,
    /// Gone with the sockets: then no connection goes from here to another worker.
    neighbours: RefCell<Option<Rc<Neighbours>>>,
    sockets: RefCell<HashMap<u64, accept::Handle>>,
    /// The highest number of a socket so far.
    newest: Cell<Option<u64>>,
}

/// Runs one worker until its commands end or the drain's end has come.
pub async fn run(
    worker: Rc<Worker>,
    (neighbours, mut guests): (Neighbours, Guests),
    mut commands: mpsc::Receiver<Command>,
    mut end: Watch,
) {
    let table = Rc::new(Table::default());
    let mut open_to_guests = Some(table.hold());
    let room = Room {
        worker: Rc::clone(&worker),
        table: Rc::clone(&table),
        neighbours: RefCell::new(Some(Rc::new(neighbours))),
        sockets: RefCell::default(),
        newest: Cell::default(),
    };
    let timers = worker.wheel.clone();
    tokio::task::spawn_local(async move { timers.run().await });
    tokio::task::spawn_local(keep_upstream(worker));
    let mut draining = end.clone();
    let mut is_draining = false;
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => room.obey(command),
                None => break,
            },
            guest = guests.next(), if open_to_guests.is_some() => match guest {
                Some(guest) => room.welcome(guest),
                None => open_to_guests = None,
            },
            () = draining.reached(Phase::Draining), if !is_draining => {
                is_draining = true;
                room.drain();
            }
            () = table.emptied(), if is_draining => break,
            () = end.reached(Phase::Ended) => break,
        }
    }
}

impl Room {
    fn obey(&self, command: Command) {
        match command {
            Command::Open { id, listener, socket } => self.open(id, listener, socket),
            Command::Follow => {
                self.worker.follow();
                self.sockets.borrow().values().for_each(accept::Handle::follow);
                self.table.wake_all();
            }
            Command::Assign { id, listener } => {
                if let Some(handle) = self.sockets.borrow().get(&id) {
                    handle.assign(listener);
                }
            }
            Command::Close(id) => {
                if let Some(handle) = self.sockets.borrow_mut().remove(&id) {
                    handle.close();
                }
                self.table.ask_to_leave(id);
            }
            Command::End(id) => self.table.abort(|seat| seat.socket == id),
            Command::Recall { id, reply } => {
                // Who asked may have gone.
                let _ = reply.send(self.worker.recent.borrow().find(id.as_bytes()));
            }
            Command::EndBackend(id) => self.table.abort(|seat| seat.seat.backend.get() == id),
        }
    }

    fn open(&self, id: u64, listener: Arc<str>, socket: std::net::TcpListener) {
        self.newest.set(Some(id));
        let Some(neighbours) = self.neighbours.borrow().clone() else { return };
        match accept::open(&self.worker, &self.table, &neighbours, id, listener, socket) {
            Ok(handle) => drop(self.sockets.borrow_mut().insert(id, handle)),
            Err(error) => {
                tracing::error!(target: "equipoise::listen", "cannot listen on a bound socket: {error}")
            }
        }
    }

    /// Serves a connection that another worker has accepted.
    fn welcome(&self, guest: Guest) {
        let socket = guest.visit.socket;
        drive::begin(&self.worker, &self.table, guest, Instant::now());
        // It was on its way when its socket was closed; a socket that has not been opened here yet is another case.
        if self.newest.get() >= Some(socket) && !self.sockets.borrow().contains_key(&socket) {
            self.table.ask_to_leave(socket);
        }
    }

    fn drain(&self) {
        self.worker.drain();
        for (_, socket) in self.sockets.borrow_mut().drain() {
            socket.close();
        }
        self.neighbours.take();
        self.table.ask_all_to_leave();
    }
}

/// Closes idle backend connections that have expired, or whose place another worker needs.
async fn keep_upstream(worker: Rc<Worker>) {
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = sweep.tick() => {
                worker.upstream.sweep(Instant::now());
                worker.blocks.tidy();
            }
            () = worker.upstream.give_way() => {}
        }
    }
}
