//! Accept connections and drive each one, request after request.
//!
//! One [`run`] per worker thread. The control thread binds the sockets and sends them here with
//! [`Command`]s; a worker never binds, resolves or waits for anything but its own sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::drain::{Phase, Watch};
use crate::proxy::Worker;

mod accept;
mod bind;
mod drive;
mod head;
mod linger;
mod queue;
mod table;

pub use bind::{Socket, bind};

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
        /// Which socket it is; the same number on every worker.
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
}

/// Runs one worker until its commands end or the drain's end has come.
pub async fn run(worker: Rc<Worker>, mut commands: mpsc::Receiver<Command>, mut end: Watch) {
    let table = Rc::new(Table::default());
    let sockets: RefCell<HashMap<u64, accept::Handle>> = RefCell::default();
    let timers = worker.wheel.clone();
    tokio::task::spawn_local(async move { timers.run().await });
    tokio::task::spawn_local(keep_upstream(Rc::clone(&worker)));
    let mut draining = end.clone();
    let mut is_draining = false;
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => obey(command, &worker, &table, &sockets),
                None => break,
            },
            () = draining.reached(Phase::Draining), if !is_draining => {
                is_draining = true;
                worker.drain();
                for (_, socket) in sockets.borrow_mut().drain() {
                    socket.close();
                }
                table.ask_all_to_leave();
            }
            () = table.emptied(), if is_draining => break,
            () = end.reached(Phase::Ended) => break,
        }
    }
}

fn obey(
    command: Command,
    worker: &Rc<Worker>,
    table: &Rc<Table>,
    sockets: &RefCell<HashMap<u64, accept::Handle>>,
) {
    match command {
        Command::Open { id, listener, socket } => match accept::open(worker, table, id, listener, socket) {
            Ok(handle) => drop(sockets.borrow_mut().insert(id, handle)),
            Err(error) => {
                tracing::error!(target: "equipoise::listen", "cannot listen on a bound socket: {error}")
            }
        },
        Command::Follow => {
            worker.with_snapshot(|_| ()); // the cached one is let go
            sockets.borrow().values().for_each(accept::Handle::follow);
            table.wake_all();
        }
        Command::Assign { id, listener } => {
            if let Some(handle) = sockets.borrow().get(&id) {
                handle.assign(listener);
            }
        }
        Command::Close(id) => {
            if let Some(handle) = sockets.borrow_mut().remove(&id) {
                handle.close();
            }
            table.ask_to_leave(id);
        }
        Command::End(id) => table.abort(|seat| seat.socket == id),
        Command::EndBackend(id) => table.abort(|seat| seat.seat.backend.get() == id),
    }
}

/// Closes idle backend connections that have expired, or whose place another worker needs.
async fn keep_upstream(worker: Rc<Worker>) {
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = sweep.tick() => worker.upstream.sweep(Instant::now()),
            () = worker.upstream.give_way() => {}
        }
    }
}
