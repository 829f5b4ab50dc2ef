//! Backend connections that belong to one client's connection alone.
//!
//! NTLM and Negotiate log in the connection, not the request: whatever comes on it later is that user's. Such
//! a backend connection never goes back to the worker's pool, where another client's request would be served
//! in the user's name. It waits here for the next request of its own client and closes with it.

use std::sync::Arc;

use crate::snapshot::Route;
use crate::upstream::Connection;
use crate::wire::Blocks;

/// Most connections that are one client's alone, each to the pool of another route: the oldest gives way.
const MAX_BONDS: usize = 4;

/// The backend connections of one client.
#[derive(Debug, Default)]
pub(super) struct Bonds(Vec<Bond>);

/// One of them, idle. What was said on it was said to one route: another, of another host perhaps, has no
/// part in it.
#[derive(Debug)]
struct Bond {
    route: Arc<str>,
    pool: Arc<str>,
    connection: Box<Connection>,
}

impl Bonds {
    /// The connection that this client has on a route, if its backend has not ended it. By name, for a reload
    /// makes routes and pools anew. In a box: every exchange holds room for one, and next to none has one.
    pub(super) fn take(&mut self, route: &Route, blocks: &Blocks) -> Option<Box<Connection>> {
        let at = self.0.iter().position(|bond| bond.route == route.name && bond.pool == route.pool.name)?;
        let mut connection = self.0.remove(at).connection;
        let leaves = connection.backend().is_retired() || connection.backend().is_maintenance();
        if leaves || !connection.is_silent(blocks) {
            connection.count_strays();
            return None;
        }
        // One of another TLS is of an older configuration, which may have asked for less.
        let member = route.pool.member(connection.backend());
        if member.is_some_and(|(_, member)| !member.security.is_of(connection.secure())) {
            return None;
        }
        // The pool has been told since to announce its clients, or in other words, or not to.
        if connection.announced().map(|said| said.version) != route.pool.announce {
            return None;
        }
        connection.reused = true;
        Some(connection)
    }

    /// Keeps a connection whose exchange ended cleanly for the next request of this client on this route.
    pub(super) fn keep(&mut self, route: &Route, mut connection: Box<Connection>, blocks: &Blocks) {
        if connection.backend().is_retired() || !connection.buffer.is_empty() {
            return;
        }
        connection.buffer.release(blocks);
        connection.out.release(blocks);
        if self.0.len() >= MAX_BONDS {
            self.0.remove(0);
        }
        let (route, pool) = (Arc::clone(&route.name), Arc::clone(&route.pool.name));
        self.0.push(Bond { route, pool, connection });
    }

    /// Closes those whose backend has gone from the configuration.
    pub(super) fn drop_retired(&mut self) {
        self.0.retain(|bond| !bond.connection.backend().is_retired());
    }
}
