//! The client connections of one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::proxy::Seat;

/// Every connection that is open.
#[derive(Debug, Default)]
pub(super) struct Table {
    seats: RefCell<Vec<Option<Entry>>>,
    free: RefCell<Vec<usize>>,
    taken: Cell<usize>,
    emptied: Notify,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) socket: u64,
    pub(super) seat: Rc<Seat>,
    pub(super) task: Option<AbortHandle>,
}

/// The place of one connection; given back on drop.
#[derive(Debug)]
pub(super) struct Chair {
    table: Rc<Table>,
    index: usize,
}

impl Table {
    /// Adds a connection that came by a socket.
    pub(super) fn sit(self: &Rc<Self>, socket: u64, seat: Rc<Seat>) -> Chair {
        let entry = Some(Entry { socket, seat, task: None });
        let mut seats = self.seats.borrow_mut();
        let index = match self.free.borrow_mut().pop() {
            Some(index) => {
                seats[index] = entry;
                index
            }
            None => {
                seats.push(entry);
                seats.len() - 1
            }
        };
        self.taken.set(self.taken.get() + 1);
        Chair { table: Rc::clone(self), index }
    }

    /// Keeps the table from being empty: somebody may still sit down.
    pub(super) fn hold(self: &Rc<Self>) -> Hold {
        self.taken.set(self.taken.get() + 1);
        Hold(Rc::clone(self))
    }

    fn leave(&self) {
        self.taken.set(self.taken.get() - 1);
        if self.taken.get() == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// Sets the task that serves a connection, so that it can be ended.
    pub(super) fn served_by(&self, index: usize, task: AbortHandle) {
        if let Some(Some(entry)) = self.seats.borrow_mut().get_mut(index) {
            entry.task = Some(task);
        }
    }

    /// Asks the connections of one socket to end with their present request.
    pub(super) fn ask_to_leave(&self, socket: u64) {
        self.each(|entry| entry.socket == socket, |entry| entry.seat.ask_to_leave());
    }

    /// Asks all of them.
    pub(super) fn ask_all_to_leave(&self) {
        self.each(|_| true, |entry| entry.seat.ask_to_leave());
    }

    /// Lets every connection look around.
    pub(super) fn wake_all(&self) {
        self.each(|_| true, |entry| entry.seat.wake());
    }

    /// Asks one idle connection to end, if there is one.
    pub(super) fn ask_an_idle_one(&self) {
        let seats = self.seats.borrow();
        if let Some(entry) = seats.iter().flatten().find(|e| e.seat.idle.get() && !e.seat.leave.get()) {
            entry.seat.ask_to_leave();
        }
    }

    /// Ends connections at once.
    pub(super) fn abort(&self, which: impl Fn(&Entry) -> bool) {
        self.each(which, |entry| {
            if let Some(task) = &entry.task {
                task.abort();
            }
        });
    }

    /// Waits until no connection is left and none can come.
    pub(super) async fn emptied(&self) {
        while self.taken.get() > 0 {
            self.emptied.notified().await;
        }
    }

    fn each(&self, which: impl Fn(&Entry) -> bool, act: impl Fn(&Entry)) {
        self.seats.borrow().iter().flatten().filter(|entry| which(entry)).for_each(act);
    }
}

/// See [`Table::hold`].
#[derive(Debug)]
pub(super) struct Hold(Rc<Table>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Chair {
    /// Where it stands.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        let gone = self.table.seats.borrow_mut()[self.index].take();
        self.table.free.borrow_mut().push(self.index);
        self.table.leave();
        drop(gone);
    }
}
