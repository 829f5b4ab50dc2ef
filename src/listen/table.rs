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
    /// The first and the last of those that are idle, longest first: a list through their entries.
    idle: Cell<Option<(usize, usize)>>,
    emptied: Notify,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) socket: u64,
    pub(super) seat: Rc<Seat>,
    pub(super) task: Option<AbortHandle>,
    idle: Option<Neighbours>,
}

/// Who has been idle for longer, and who for less.
#[derive(Debug, Clone, Copy, Default)]
struct Neighbours {
    before: Option<usize>,
    after: Option<usize>,
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
        let entry = Some(Entry { socket, seat, task: None, idle: None });
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

    /// Asks the connection that has been idle for longest to end, if there is one.
    pub(super) fn ask_an_idle_one(&self) {
        let Some((first, _)) = self.idle.get() else { return };
        self.rouse(first);
        if let Some(Some(entry)) = self.seats.borrow().get(first) {
            entry.seat.ask_to_leave();
        }
    }

    /// Appends a connection to those that are idle.
    fn doze(&self, index: usize) {
        self.rouse(index);
        let mut seats = self.seats.borrow_mut();
        let ends = self.idle.get();
        let Some(Some(entry)) = seats.get_mut(index) else { return };
        entry.idle = Some(Neighbours { before: ends.map(|(_, last)| last), after: None });
        if let Some((_, last)) = ends
            && let Some(Some(Entry { idle: Some(last), .. })) = seats.get_mut(last)
        {
            last.after = Some(index);
        }
        self.idle.set(Some((ends.map_or(index, |(first, _)| first), index)));
    }

    /// Takes a connection from among them.
    fn rouse(&self, index: usize) {
        let mut seats = self.seats.borrow_mut();
        let Some(Some(Neighbours { before, after })) =
            seats.get_mut(index).and_then(Option::as_mut).map(|entry| entry.idle.take())
        else {
            return;
        };
        if let Some(before) = before
            && let Some(Some(Entry { idle: Some(before), .. })) = seats.get_mut(before)
        {
            before.after = after;
        }
        if let Some(after) = after
            && let Some(Some(Entry { idle: Some(after), .. })) = seats.get_mut(after)
        {
            after.before = before;
        }
        self.idle.set(self.idle.get().and_then(|(first, last)| {
            let first = if first == index { after } else { Some(first) };
            let last = if last == index { before } else { Some(last) };
            first.zip(last)
        }));
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
    /// Sits another down that came by the same socket.
    pub(super) fn beside(&self, seat: Rc<Seat>) -> Self {
        let socket = self.table.seats.borrow()[self.index].as_ref().map_or(0, |entry| entry.socket);
        self.table.sit(socket, seat)
    }

    /// Sets the task that serves the one at `index`.
    pub(super) fn serve(&self, index: usize, task: AbortHandle) {
        self.table.served_by(index, task);
    }

    /// Where it stands.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Its connection is idle from now on, and may have to give way.
    pub(super) fn doze(&self) {
        self.table.doze(self.index);
    }

    /// Its connection is not idle any more.
    pub(super) fn rouse(&self) {
        self.table.rouse(self.index);
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        self.rouse();
        let gone = self.table.seats.borrow_mut()[self.index].take();
        self.table.free.borrow_mut().push(self.index);
        self.table.leave();
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seats that were asked to leave, by their number.
    fn asked(seats: &[Rc<Seat>]) -> Vec<usize> {
        (0..seats.len()).filter(|at| seats[*at].leave.get()).collect()
    }

    #[test]
    fn who_has_been_idle_for_longest_gives_way_first() {
        let table = Rc::new(Table::default());
        let seats: Vec<Rc<Seat>> = (0..5).map(|_| Rc::default()).collect();
        let mut chairs: Vec<Chair> = seats.iter().map(|seat| table.sit(1, Rc::clone(seat))).collect();
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0; 0]);
        [3, 1, 0, 2, 4].iter().for_each(|at: &usize| chairs[*at].doze());
        chairs[1].rouse(); // from the middle
        chairs[3].doze(); // the first becomes the last
        drop(chairs.pop()); // one leaves
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0]);
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0, 2]);
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0, 2, 3]);
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0, 2, 3], "nobody else is idle");
        chairs[1].doze();
        table.ask_an_idle_one();
        assert_eq!(asked(&seats), [0, 1, 2, 3]);
    }
}
