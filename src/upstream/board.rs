//! Where exchanges get their streams: the connections of HTTP/2 to each backend, and those who wait for one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::dial::{Dialing, Means, in_time};
use super::trunk::{self, Trunk};
use super::{Connection, DialError, Fleet, Upstream};
use crate::backend::Backend;
use crate::timer::Wheel;
use crate::tls::Secure;
use crate::wire::Blocks;

/// Connections of HTTP/2 that one worker has to one backend. One that leaves is not counted: it ends with its last
/// exchange.
const MAX_TRUNKS: usize = 64;

/// Exchanges that a connection is expected to carry where none has said yet how many it will: what servers are asked to
/// allow at least (RFC 9113 6.5.2).
const EXPECTED_STREAMS: usize = 100;

/// What is spoken to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: in clear by prior knowledge, with TLS by ALPN.
    Http2,
    /// What the backend chooses by ALPN.
    Either,
}

/// How a backend of HTTP/2 is reached.
#[derive(Debug)]
pub struct Terms {
    /// What is spoken.
    pub protocol: Protocol,
    /// The TLS below it.
    pub secure: Option<Arc<Secure>>,
    /// How many connections the backend may have, where it turns out to speak HTTP/1; 0: no limit.
    pub limit: u32,
    /// How long a connect may take.
    pub timeout: Duration,
    /// Until when this one may.
    pub deadline: Instant,
    /// How long a connection is kept that carries nothing.
    pub keep_for: Duration,
    /// How long the backend may be silent, with exchanges open, before it is asked whether it is still there; and how long
    /// it then has for its answer.
    pub patience: Duration,
    /// No connection of HTTP/1 that has been idle.
    pub fresh: bool,
    /// Only one of HTTP/1 that was used within the last second.
    pub must_be_recent: bool,
}

/// The stands of one worker.
#[derive(Debug, Default)]
pub(super) struct Stands(RefCell<HashMap<u64, Rc<Stand>, foldhash::fast::FixedState>>);

/// The connections of HTTP/2 to one backend.
#[derive(Debug)]
pub(super) struct Stand {
    backend: Arc<Backend>,
    /// Those that take exchanges.
    trunks: RefCell<Vec<Rc<Trunk>>>,
    /// How many more are being opened.
    opening: Cell<usize>,
    /// How many exchanges the last one that was opened takes.
    expected: Cell<usize>,
    /// Who waits for a place.
    waiting: Cell<usize>,
    /// How many could not be opened, and why the last could not.
    failed: Cell<u64>,
    why: RefCell<Option<DialError>>,
    /// It chose HTTP/1 when it was last asked.
    speaks_1: Cell<bool>,
    /// What was opened to find that out.
    spare: RefCell<Option<Box<Connection>>>,
    changed: Notify,
}

impl Stands {
    fn of(&self, backend: &Arc<Backend>) -> Rc<Stand> {
        let mut stands = self.0.borrow_mut();
        Rc::clone(stands.entry(backend.id()).or_insert_with(|| Stand::new(backend)))
    }

    /// Sends away what leads to nobody any more.
    pub(super) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, stand| {
            stand.spare.borrow_mut().take();
            let (retired, moves) = (stand.backend.is_retired(), stand.backend.moves());
            stand.dismiss(|trunk| retired || trunk.moves() != moves);
            !retired
        });
    }

    /// Sends away one that carries nothing.
    pub(super) fn give_way(&self, backend_id: u64) {
        if let Some(stand) = self.0.borrow().get(&backend_id) {
            let idle = stand.trunks.borrow().iter().find(|trunk| trunk.open() == 0).cloned();
            idle.iter().for_each(|trunk| trunk.leave());
        }
    }

    /// Sends all away, each with its last exchange.
    pub(super) fn close(&self) {
        self.0.borrow().values().for_each(|stand| stand.dismiss(|_| true));
    }
}

impl Stand {
    fn new(backend: &Arc<Backend>) -> Rc<Self> {
        Rc::new(Self {
            backend: Arc::clone(backend),
            trunks: RefCell::default(),
            opening: Cell::new(0),
            expected: Cell::new(EXPECTED_STREAMS),
            waiting: Cell::new(0),
            failed: Cell::new(0),
            why: RefCell::default(),
            speaks_1: Cell::new(false),
            spare: RefCell::default(),
            changed: Notify::new(),
        })
    }

    /// Somebody may find a place who did not.
    pub(super) fn call_one(&self) {
        self.changed.notify_one();
    }

    /// Everybody who waits is to look again.
    pub(super) fn call_all(&self) {
        self.changed.notify_waiters();
    }

    /// So many exchanges can be had of one connection.
    pub(super) fn expect(&self, most: usize) {
        self.expected.set(most.max(1));
        self.call_all();
    }

    /// A connection that takes exchanges no more.
    pub(super) fn forget(&self, trunk: &Trunk) {
        self.trunks.borrow_mut().retain(|other| !std::ptr::eq(&raw const **other, trunk));
    }

    fn dismiss(&self, mut which: impl FnMut(&Trunk) -> bool) {
        // Whoever leaves takes itself out of the list.
        let those: Vec<_> = self.trunks.borrow().iter().filter(|trunk| which(trunk)).cloned().collect();
        those.iter().for_each(|trunk| trunk.leave());
    }

    /// A place on the connection that carries least, so that exchanges are spread, and at low load the others come to
    /// rest.
    fn place(&self, terms: &Terms, blocks: &Blocks) -> Option<Box<Connection>> {
        let moves = self.backend.moves();
        // One of another TLS is of an older configuration, which may have asked for less.
        self.dismiss(|trunk| trunk.moves() != moves || trunk.secure() != terms.secure.as_ref());
        let least = {
            let trunks = self.trunks.borrow();
            trunks.iter().filter(|trunk| trunk.has_room()).min_by_key(|trunk| trunk.open()).cloned()
        };
        least.map(|trunk| trunk.branch(terms, blocks))
    }

    /// Whether those who wait are more than what is being opened will carry.
    fn wants_another(&self) -> bool {
        let open = self.trunks.borrow().len() + self.opening.get();
        self.waiting.get() > self.opening.get() * self.expected.get() && open < MAX_TRUNKS
    }

    /// Why none could be opened, if that has happened since `before`.
    fn failed_since(&self, before: u64) -> Option<DialError> {
        if self.failed.get() == before {
            return None;
        }
        self.why.borrow().as_ref().map(DialError::again)
    }
}

/// Counts one who waits.
struct Waiting(Rc<Stand>);

impl Waiting {
    fn at(stand: &Rc<Stand>) -> Self {
        stand.waiting.set(stand.waiting.get() + 1);
        Self(Rc::clone(stand))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl Upstream {
    /// A connection for one exchange with a backend that speaks HTTP/2, or may: one stream of a connection that it
    /// shares with others, or where the backend has chosen HTTP/1 a whole one.
    ///
    /// # Errors
    /// Why there is none; nothing of the request was sent.
    pub async fn board(
        &self,
        backend: &Arc<Backend>,
        terms: &Terms,
        now: Instant,
    ) -> Result<Box<Connection>, DialError> {
        let stand = self.stands.of(backend);
        let (failed, _waiting) = (stand.failed.get(), Waiting::at(&stand));
        loop {
            if stand.speaks_1.get() && terms.protocol == Protocol::Either {
                match self.whole(&stand, terms, now).await? {
                    Some(connection) => return Ok(connection),
                    None => continue, // it has chosen HTTP/2 now
                }
            }
            if let Some(connection) = stand.place(terms, &self.blocks) {
                return Ok(connection);
            }
            if let Some(error) = stand.failed_since(failed) {
                return Err(error);
            }
            let changed = stand.changed.notified();
            if stand.wants_another() {
                self.open(&stand, terms, None);
            }
            if in_time(&self.wheel, terms.deadline, changed).await.is_none() {
                return Err(match stand.opening.get() {
                    0 => DialError::NoPlace(terms.timeout),
                    _ => DialError::TimedOut(terms.timeout),
                });
            }
        }
    }

    /// Lets no connection of HTTP/2 take another exchange.
    pub fn close_trunks(&self) {
        self.stands.close();
    }

    /// One of HTTP/1; `None` where what was opened for it turned out to speak HTTP/2.
    async fn whole(
        &self,
        stand: &Rc<Stand>,
        terms: &Terms,
        now: Instant,
    ) -> Result<Option<Box<Connection>>, DialError> {
        if let Some(spare) =
            stand.spare.borrow_mut().take().filter(|one| one.secure() == terms.secure.as_ref())
        {
            return Ok(Some(spare));
        }
        if !terms.fresh
            && let Some(idle) =
                self.idle(&stand.backend, terms.secure.as_ref(), None, terms.must_be_recent, now)
        {
            return Ok(Some(idle));
        }
        let dial = self.dial(&stand.backend, terms.limit, terms.timeout, terms.deadline);
        let connection = dial.secured(terms.secure.clone()).connect().await?;
        if !speaks_2(&connection) {
            return Ok(Some(connection));
        }
        stand.speaks_1.set(false);
        self.open(stand, terms, Some(connection));
        Ok(None)
    }

    /// Begins to open another connection, for whoever waits.
    fn open(&self, stand: &Rc<Stand>, terms: &Terms, dialled: Option<Box<Connection>>) {
        stand.opening.set(stand.opening.get() + 1);
        let opening = Opening {
            stand: Rc::clone(stand),
            dialled,
            secure: terms.secure.clone(),
            limit: if terms.protocol == Protocol::Either { terms.limit } else { 0 },
            timeout: terms.timeout,
            // That of all who will wait for it, not of the one who came first.
            deadline: Instant::now() + terms.timeout,
            wheel: self.wheel.clone(),
            blocks: self.blocks.clone(),
            fleet: self.fleet.clone(),
        };
        tokio::task::spawn_local(opening.run(terms.protocol, (terms.keep_for, terms.patience)));
    }
}

/// Whether HTTP/2 is to be spoken: in clear that is known, and in TLS it was agreed upon.
fn speaks_2(connection: &Connection) -> bool {
    connection.stream.tls().is_none_or(|tls| tls.alpn_protocol() == Some(b"h2"))
}

/// A connection that is being opened for whoever waits.
struct Opening {
    stand: Rc<Stand>,
    dialled: Option<Box<Connection>>,
    secure: Option<Arc<Secure>>,
    limit: u32,
    timeout: Duration,
    deadline: Instant,
    wheel: Wheel,
    blocks: Blocks,
    fleet: Fleet,
}

impl Opening {
    /// Opens it, and then drives it to its end.
    async fn run(mut self, protocol: Protocol, waits: (Duration, Duration)) {
        let opened = self.open(protocol, waits).await;
        let stand = Rc::clone(&self.stand);
        drop(self);
        match opened {
            Ok(Opened::Trunk(mut driver)) => {
                stand.trunks.borrow_mut().push(driver.trunk());
                stand.call_all();
                driver.run().await;
            }
            Ok(Opened::Whole(connection)) => {
                stand.speaks_1.set(true);
                stand.spare.borrow_mut().replace(connection);
                stand.call_all();
            }
            Err(error) => {
                stand.why.borrow_mut().replace(error);
                stand.failed.set(stand.failed.get() + 1);
                stand.call_all();
            }
        }
    }

    async fn open(&mut self, protocol: Protocol, waits: (Duration, Duration)) -> Result<Opened, DialError> {
        let connection = match self.dialled.take() {
            Some(connection) => connection,
            None => {
                let means = Means { wheel: &self.wheel, blocks: &self.blocks, fleet: &self.fleet };
                let dial = Dialing::new(means, &self.stand.backend, self.limit, self.timeout, self.deadline);
                dial.secured(self.secure.clone()).connect().await?
            }
        };
        if speaks_2(&connection) {
            let greeting = trunk::greet(connection, &self.stand, &self.wheel, &self.blocks, waits);
            let greeted = in_time(&self.wheel, self.deadline, greeting).await;
            return Ok(Opened::Trunk(greeted.ok_or(DialError::TimedOut(self.timeout))??));
        }
        match protocol {
            Protocol::Either | Protocol::Http1 => Ok(Opened::Whole(connection)),
            Protocol::Http2 => Err(DialError::Http2(io::Error::other("not chosen by ALPN"))),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.stand.opening.set(self.stand.opening.get() - 1);
    }
}

/// What came of a connection.
enum Opened {
    Trunk(Box<trunk::Driver>),
    Whole(Box<Connection>),
}
