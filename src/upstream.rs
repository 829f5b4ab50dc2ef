//! Carry one request to one backend: dial, keep idle connections, find out whether they still live.
//!
//! Connections belong to the worker that opened them; nothing crosses threads. An idle one goes back only
//! by an explicit [`Upstream::release`] after a clean end: a dropped exchange drops its connection. One on which a
//! client was announced serves that client alone, and closes with it. Where HTTP/2 is spoken, an exchange gets one
//! stream of a connection that carries many ([`Upstream::board`]).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::announce::{Addresses, Announcement};
use crate::backend::Backend;
use crate::timer::Wheel;
use crate::tls::Secure;
use crate::wire::{Blocks, Buffer, Outgoing, Stream};

mod board;
mod dial;
mod fleet;
mod owned;
mod trunk;
mod turn;

pub use board::{Protocol, Terms};
pub use dial::{DialError, Dialing};
pub use fleet::Fleet;
pub use turn::events_were_read;

use board::Stands;
use dial::Means;
use owned::Owned;

/// Idle connections to one backend that one worker keeps; one more closes the oldest.
const MAX_IDLE_PER_BACKEND: usize = 1024;

/// How long a connection may have been idle to carry a request that must not be sent twice. Servers
/// close idle connections after 2 s (gunicorn) or 5 s (Node); a request written into that moment is lost,
/// and one that is not idempotent cannot be repeated.
const FRESH_ENOUGH: Duration = Duration::from_secs(1);

/// An open connection to a backend.
#[derive(Debug)]
pub struct Connection {
    /// The connection itself.
    pub stream: Stream,
    /// What was read from it.
    pub buffer: Buffer,
    /// What is to be written to it.
    pub out: Outgoing,
    /// Whether it has carried an exchange before.
    pub reused: bool,
    /// The TLS that was agreed on when it was dialled.
    secure: Option<Arc<Secure>>,
    /// Whom it was announced as, and is for from then on.
    announced: Option<Announcement>,
    hold: Hold,
    /// [`Backend::moves`] when it was dialled.
    moves: u32,
}

/// What a connection is counted by.
#[derive(Debug)]
enum Hold {
    /// It is one of the backend's open connections.
    Whole(OpenGauge),
    /// It is one stream of such a connection.
    Branch(Arc<Backend>),
}

impl Connection {
    /// Whose connection it is.
    pub fn backend(&self) -> &Arc<Backend> {
        match &self.hold {
            Hold::Whole(gauge) => &gauge.0,
            Hold::Branch(backend) => backend,
        }
    }

    /// The TLS that was agreed on when it was dialled; `None`: it goes in clear.
    pub fn secure(&self) -> Option<&Arc<Secure>> {
        self.secure.as_ref()
    }

    /// Whom it was announced as when it was dialled; `None`: nobody, and it is for everybody.
    pub fn announced(&self) -> Option<&Announcement> {
        self.announced.as_ref()
    }

    /// Whether it lives and its backend has said nothing that nobody asked for; asks the kernel.
    pub fn is_silent(&mut self, blocks: &Blocks) -> bool {
        self.stream.is_quiet(false, blocks)
    }

    /// Keeps no more memory than is needed while it is waited for somebody.
    pub fn park(&mut self, blocks: &Blocks) {
        self.buffer.park(blocks);
        self.out.park(blocks);
    }

    /// Counts a connection that is to be closed where the backend has said something that belongs to no
    /// response.
    pub fn count_strays(&self) {
        if !self.buffer.is_empty() || self.stream.has_strays() {
            self.backend().count_stray();
        }
    }

    /// Lets the kernel end the connection once something sent has not been acknowledged for so long
    /// (TCP_USER_TIMEOUT, RFC 5482). Not for longer than needed: it would also end one whose peer is slow
    /// to take a large body.
    pub fn doubt(&mut self, limit: Duration) {
        match &mut self.stream {
            Stream::Lane(lane) => lane.doubt(limit),
            _ => self.set_user_timeout(Some(limit)),
        }
    }

    /// Makes the close of this connection a reset: its backend must not take it for an end in good order.
    pub fn reset_on_close(&mut self) {
        self.stream.abort();
    }

    /// Takes [`Self::doubt`] back.
    pub fn trust(&self) {
        self.set_user_timeout(None);
    }

    fn set_user_timeout(&self, limit: Option<Duration>) {
        if let Some(socket) = self.stream.socket() {
            // Without it the ordinary timeouts hold.
            let _ = socket2::SockRef::from(socket).set_tcp_user_timeout(limit);
        }
    }
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
struct OpenGauge(Arc<Backend>);

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    /// The turn in which it was released: what its backend has sent since is unknown until the next.
    turn: u64,
    since: Instant,
    expires: Instant,
}

/// The backend connections of one worker.
#[derive(Debug)]
pub struct Upstream {
    idle: RefCell<HashMap<u64, Vec<Idle>, foldhash::fast::FixedState>>,
    owned: Owned,
    stands: Stands,
    blocks: Blocks,
    wheel: Wheel,
    fleet: Fleet,
    mailbox: Arc<fleet::Mailbox>,
}

impl Upstream {
    /// No connections yet. `fleet` reaches the other workers; this is worker `index` of it.
    pub fn new(wheel: Wheel, blocks: Blocks, fleet: Fleet, index: usize) -> Self {
        let (idle, owned, stands) = (RefCell::default(), Owned::default(), Stands::default());
        Self { idle, owned, stands, blocks, wheel, mailbox: fleet.mailbox(index), fleet }
    }

    /// An idle connection that still lives, the last used one first. With `must_be_recent` only one that
    /// was used within the last second. One of another TLS than `secure` is of an older configuration, which may
    /// have asked for less: it is closed. With `announced` only one that announced the same.
    ///
    /// A response that nobody asked for must not become the answer to this request. What arrived before
    /// the last look at the kernel's events is known without a call; so connections that have been idle
    /// across such a look are preferred, and a younger one is asked by a call of its own.
    #[inline(always)] // every request of HTTP/1.1 comes here, and few others
    pub fn idle(
        &self,
        backend: &Backend,
        secure: Option<&Arc<Secure>>,
        announced: Option<&Announcement>,
        must_be_recent: bool,
        now: Instant,
    ) -> Option<Box<Connection>> {
        if let Some(announced) = announced {
            let fits = |idle: Idle| idle.unless_stale(secure, turn::current(), now, &self.blocks);
            return self.owned.take(backend.id(), announced, must_be_recent, now, fits);
        }
        let mut pools = self.idle.borrow_mut();
        let pool = pools.get_mut(&backend.id())?;
        let turn = turn::current();
        loop {
            let last = pool.len().checked_sub(1)?;
            // They stand in the order of their turns.
            let settled = match pool[last].turn < turn {
                true => Some(last),
                false => pool.partition_point(|idle| idle.turn < turn).checked_sub(1),
            };
            let at = settled.filter(|at| !must_be_recent || pool[*at].is_recent(now)).unwrap_or(last);
            if settled.is_none() {
                turn::was_missed();
            }
            if must_be_recent && !pool[at].is_recent(now) {
                return None; // those below it have been idle for longer still
            }
            let taken = pool.remove(at).unless_stale(secure, turn, now, &self.blocks);
            if taken.is_some() {
                return taken;
            }
        }
    }

    /// Keeps a connection whose exchange ended cleanly, with nothing unread, for at most `keep_for`.
    pub fn release(&self, mut connection: Box<Connection>, keep_for: Duration, now: Instant) {
        if connection.stream.is_lane() {
            return; // the connection below goes on without it
        }
        let backend = Arc::clone(connection.backend());
        let moved = backend.moves() != connection.moves;
        if backend.is_retired() || moved || keep_for.is_zero() || !connection.buffer.is_empty() {
            return;
        }
        connection.buffer.release(&self.blocks);
        connection.out.release(&self.blocks);
        backend.idle_gauge().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        turn::note();
        let idle = Idle { connection, turn: turn::current(), since: now, expires: now + keep_for };
        if idle.connection.announced.is_some() {
            return self.owned.keep(idle);
        }
        let mut pools = self.idle.borrow_mut();
        let pool = pools.entry(backend.id()).or_default();
        if pool.len() >= MAX_IDLE_PER_BACKEND {
            close(pool.remove(0));
        }
        pool.push(idle);
    }

    /// Closes the idle connections on which a client was announced that has left.
    pub fn forget(&self, client: &Addresses) {
        self.owned.forget(client);
    }

    /// Opens a connection, by `deadline`. With a `limit` (0: none) on the backend's open connections an
    /// idle one of another worker is closed first.
    ///
    /// # Errors
    /// Why there is none; nothing of the request was sent.
    pub fn dial<'a>(
        &'a self,
        backend: &Arc<Backend>,
        limit: u32,
        timeout: Duration,
        deadline: Instant,
    ) -> Dialing<'a> {
        Dialing::new(self.means(), backend, limit, timeout, deadline)
    }

    fn means(&self) -> Means<'_> {
        Means { wheel: &self.wheel, blocks: &self.blocks, fleet: &self.fleet }
    }

    /// Closes what has expired, broken or lost its backend. To be called about once a second.
    pub fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, pool| sweep(pool, now, &self.blocks));
        self.owned.retain(|shelf| sweep(shelf, now, &self.blocks));
        self.stands.sweep();
    }

    /// Waits until other workers need places, and closes the oldest idle connection to each backend they
    /// name.
    pub async fn give_way(&self) {
        for backend_id in self.mailbox.take().await {
            match self.idle.borrow_mut().get_mut(&backend_id) {
                Some(pool) if !pool.is_empty() => close(pool.remove(0)),
                _ if self.owned.give_way(backend_id) => {}
                _ => self.stands.give_way(backend_id),
            }
        }
    }
}

/// Closes those that have expired, broken or lost their backend. Says whether any is left.
fn sweep(shelf: &mut Vec<Idle>, now: Instant, blocks: &Blocks) -> bool {
    let mut kept = Vec::with_capacity(shelf.len());
    for mut idle in shelf.drain(..) {
        let backend = idle.connection.backend();
        let gone = backend.is_retired() || backend.moves() != idle.connection.moves;
        if gone || now >= idle.expires || !idle.connection.stream.is_quiet(true, blocks) {
            idle.connection.count_strays();
            close(idle);
        } else {
            kept.push(idle);
        }
    }
    *shelf = kept;
    !shelf.is_empty()
}

fn close(idle: Idle) {
    idle.connection.backend().idle_gauge().fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
}

impl Idle {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < FRESH_ENOUGH
    }

    /// Takes it into use, unless it has expired, has something to say, or is of another TLS.
    fn unless_stale(
        mut self,
        secure: Option<&Arc<Secure>>,
        turn: u64,
        now: Instant,
        blocks: &Blocks,
    ) -> Option<Box<Connection>> {
        self.connection.backend().idle_gauge().fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        let quiet = self.connection.stream.is_quiet(self.turn < turn, blocks);
        if now < self.expires && quiet && self.connection.secure.as_ref() == secure {
            self.connection.reused = true;
            return Some(self.connection);
        }
        self.connection.count_strays();
        None
    }
}
