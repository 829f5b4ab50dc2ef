//! What every exchange of one worker shares.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use super::exchange::Scratch;
use crate::access::Pen;
use crate::backend::CoarseClock;
use crate::http::{DateCache, RequestHead};
use crate::recent::Ring;
use crate::snapshot::Snapshot;
use crate::timer::Wheel;
use crate::upstream::{Fleet, Upstream};
use crate::wire::{Blocks, Budget};

/// How old the cached wall-clock second may be.
const DATE_AGE: Duration = Duration::from_millis(500);

/// Desks that are kept for the next connections.
const MAX_SPARE_DESKS: usize = 256;

/// The memory of one exchange, used again by the next one.
#[derive(Debug, Default)]
pub struct Desk {
    /// The request's head.
    pub request: RequestHead,
    /// All the rest.
    pub scratch: Scratch,
}

/// The desks that nobody works at. Idle connections have none.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "each is taken and given without being moved")]
pub struct Desks(RefCell<Vec<Box<Desk>>>);

impl Desks {
    /// A free one, or a new one.
    pub fn take(&self) -> Box<Desk> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives one back whose last head was read to its end.
    pub fn give(&self, desk: Box<Desk>) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < MAX_SPARE_DESKS {
            spare.push(desk);
        }
    }
}

/// One worker: its clock, buffers, backend connections and view of the configuration. Lives on one
/// thread.
#[derive(Debug)]
pub struct Worker {
    /// Which of the process's workers; also its metric shard.
    pub index: usize,
    /// Its deadlines.
    pub wheel: Wheel,
    /// Its spare buffers.
    pub blocks: Blocks,
    /// What its exchanges work with.
    pub desks: Desks,
    /// Its backend connections.
    pub upstream: Upstream,
    /// Its time, where some milliseconds do not matter.
    pub clock: CoarseClock,
    /// Its part of the access log.
    pub pen: RefCell<Pen>,
    /// What was decided for its last requests.
    pub recent: RefCell<Ring>,
    /// Its randomness.
    pub random: RefCell<fastrand::Rng>,
    draining: Cell<bool>,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    date: RefCell<(DateCache, Instant)>,
}

impl Worker {
    /// A worker that follows `snapshot`, with buffers within `budget`.
    pub fn new(index: usize, snapshot: Arc<ArcSwap<Snapshot>>, fleet: Fleet, budget: Arc<Budget>) -> Self {
        budget.set_max(snapshot.load().buffer_memory);
        let now = Instant::now();
        let mut recent = Ring::new(now);
        recent.resize(snapshot.load().recent_each, now);
        let (wheel, blocks) = (Wheel::new(), Blocks::new(budget));
        let mut date = DateCache::new();
        date.at(SystemTime::now());
        Self {
            index,
            upstream: Upstream::new(wheel.clone(), blocks.clone(), fleet, index),
            wheel,
            blocks,
            desks: Desks::default(),
            clock: CoarseClock::new(Instant::now()),
            pen: RefCell::default(),
            recent: RefCell::new(recent),
            random: RefCell::new(fastrand::Rng::new()),
            draining: Cell::new(false),
            snapshot: RefCell::new(Cache::new(snapshot)),
            date: RefCell::new((date, Instant::now())),
        }
    }

    /// Looks at the configuration in force. One relaxed load where it has not changed.
    #[inline]
    pub fn with_snapshot<R>(&self, look: impl FnOnce(&Arc<Snapshot>) -> R) -> R {
        look(self.snapshot.borrow_mut().load())
    }

    /// The configuration in force, where it is not this one.
    #[inline]
    pub fn newer(&self, known: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        self.with_snapshot(|current| (!Arc::ptr_eq(current, known)).then(|| Arc::clone(current)))
    }

    /// Takes up the configuration in force: lets go of the one before, holds as much and remembers as many as it grants.
    pub fn follow(&self) {
        self.with_snapshot(|snapshot| {
            self.blocks.budget().set_max(snapshot.buffer_memory);
            self.recent.borrow_mut().resize(snapshot.recent_each, Instant::now());
        });
    }

    /// From now on no connection is kept alive.
    pub fn drain(&self) {
        self.draining.set(true);
        self.upstream.close_trunks();
    }

    /// Whether connections are to end.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Has lines of the access log written that have waited long enough. Never ends.
    pub async fn keep_log(&self) {
        let (begun, patience) = self.pen.borrow().begun();
        loop {
            begun.notified().await;
            tokio::time::sleep(patience).await;
            if !self.pen.borrow_mut().flush() {
                begun.notify_one(); // the writer has no room now
            }
        }
    }

    /// The text of Date.
    pub fn with_date<R>(&self, now: Instant, look: impl FnOnce(&str) -> R) -> R {
        let mut date = self.date.borrow_mut();
        let wall = if now.saturating_duration_since(date.1) >= DATE_AGE || date.1 > now {
            date.1 = now;
            Some(SystemTime::now())
        } else {
            None
        };
        look(date.0.text(wall))
    }
}
