//! Idle connections on which a client was announced: what comes on them is that client's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::{Connection, Idle, close};
use crate::announce::{Addresses, Announcement};

/// Idle connections of one client, to whatever backends; one more closes the oldest.
const MAX_PER_CLIENT: usize = 16;

/// Those of every client, by what was said of it; the one that was used last stands last.
#[derive(Debug, Default)]
pub(super) struct Owned(RefCell<HashMap<Rc<Addresses>, Vec<Idle>, foldhash::fast::RandomState>>);

impl Owned {
    /// The client's own connection to a backend that was used last and `fits`.
    pub(super) fn take(
        &self,
        backend_id: u64,
        announced: &Announcement,
        must_be_recent: bool,
        now: Instant,
        fits: impl Fn(Idle) -> Option<Box<Connection>>,
    ) -> Option<Box<Connection>> {
        let mut shelves = self.0.borrow_mut();
        let shelf = shelves.get_mut(&*announced.addresses)?;
        loop {
            let at = shelf.iter().rposition(|idle| idle.leads_to(backend_id, announced))?;
            if must_be_recent && !shelf[at].is_recent(now) {
                return None;
            }
            let taken = fits(shelf.remove(at));
            if taken.is_some() {
                return taken;
            }
        }
    }

    /// Keeps one for the client that it announced.
    pub(super) fn keep(&self, idle: Idle) {
        let Some(announced) = &idle.connection.announced else { return close(idle) };
        let mut shelves = self.0.borrow_mut();
        let shelf = shelves.entry(Rc::clone(&announced.addresses)).or_default();
        if shelf.len() >= MAX_PER_CLIENT {
            close(shelf.remove(0));
        }
        shelf.push(idle);
    }

    /// Closes those of a client.
    pub(super) fn forget(&self, client: &Addresses) {
        if let Some(shelf) = self.0.borrow_mut().remove(client) {
            shelf.into_iter().for_each(close);
        }
    }

    /// Closes the one to a backend that has been idle for longest, if there is any; says whether there was. Looks at
    /// all: it is asked for only at a backend's limit.
    pub(super) fn give_way(&self, backend_id: u64) -> bool {
        let mut shelves = self.0.borrow_mut();
        let of_shelf = |shelf: &Vec<Idle>| shelf.iter().position(|idle| idle.backend_id() == backend_id);
        let candidates = shelves.values_mut().filter_map(|shelf| of_shelf(shelf).map(|at| (shelf, at)));
        let oldest = candidates.min_by_key(|(shelf, at)| shelf[*at].since);
        oldest.map(|(shelf, at)| close(shelf.remove(at))).is_some()
    }

    /// Keeps only the clients of whom something is left.
    pub(super) fn retain(&self, mut is_left: impl FnMut(&mut Vec<Idle>) -> bool) {
        self.0.borrow_mut().retain(|_, shelf| is_left(shelf));
    }
}

impl Idle {
    fn backend_id(&self) -> u64 {
        self.connection.backend().id()
    }

    fn leads_to(&self, backend_id: u64, announced: &Announcement) -> bool {
        self.backend_id() == backend_id && self.connection.announced.as_ref() == Some(announced)
    }
}
