//! What is shown: made of what the balancer told and of the keys that were pressed. Knows no terminal and no network.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::column::Column;
use super::feed::News;
use super::order::Order;
use super::routes::Routes;
use super::table::{Mark, Row};
use super::told::{Event, Route, Snapshot};

/// Rates of a pool that are kept for its curve: a wide terminal's columns.
pub(super) const SAMPLES: usize = 240;
/// Events that are kept, as many as the balancer keeps.
const MAX_EVENTS: usize = 200;
/// Snapshots come a little early now and then.
const SLACK: Duration = Duration::from_millis(500);

/// What the screen is made of.
#[derive(Debug)]
pub(super) struct State {
    /// Where the balancer is asked.
    pub(super) address: String,
    /// How often the picture changes, at most.
    interval: Duration,
    /// The picture, and since when it is shown.
    pub(super) snapshot: Option<Snapshot>,
    changed: Option<Instant>,
    /// When the balancer was heard last.
    heard: Instant,
    /// Why it cannot be heard.
    pub(super) lost: Option<String>,
    /// What happened, the newest first.
    pub(super) events: VecDeque<Event>,
    /// Requests a second of each pool, the oldest first.
    pub(super) rates: HashMap<String, VecDeque<u64>>,
    /// Which part keys move in.
    pub(super) pane: Pane,
    /// The routes that are shown, and the chosen one.
    pub(super) routes: Routes,
    /// By which column backends are sorted within their pools; `None`: as in the file.
    pub(super) sort: Option<Column>,
    /// The other way round.
    pub(super) reversed: bool,
    /// Only what has this in its name.
    pub(super) filter: String,
    /// The picture stands still.
    pub(super) paused: bool,
    /// What keys mean now.
    pub(super) mode: Mode,
    /// What came of the last order, or why a key did nothing.
    pub(super) message: String,
    /// An order is on its way.
    pub(super) busy: bool,
    /// The chosen row, and where it stood.
    pub(super) chosen: Option<Mark>,
    pub(super) at: usize,
    /// The first row and the first event that are shown.
    pub(super) top: usize,
    pub(super) first_event: usize,
    /// How many rows and events had room when they were drawn last.
    pub(super) page: usize,
    pub(super) event_page: usize,
}

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    /// Pools and their backends.
    Backends,
    /// Routes, in their place.
    Routes,
    /// What happened.
    Events,
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Commands.
    Looking,
    /// Letters of the filter; what it was before.
    Filtering(String),
    /// Letters of a weight for the chosen backend.
    Weighing(super::super::orders::Target, String),
    /// Yes or no.
    Asking(Order),
    /// Any key goes back.
    Helping,
}

impl State {
    /// Before anything was heard.
    pub(super) fn new(address: String, interval: Duration, now: Instant) -> Self {
        Self {
            address,
            interval,
            snapshot: None,
            changed: None,
            heard: now,
            lost: None,
            events: VecDeque::new(),
            rates: HashMap::new(),
            pane: Pane::Backends,
            routes: Routes::default(),
            sort: None,
            reversed: false,
            filter: String::new(),
            paused: false,
            mode: Mode::Looking,
            message: String::new(),
            busy: false,
            chosen: None,
            at: 0,
            top: 0,
            first_event: 0,
            page: 1,
            event_page: 1,
        }
    }

    /// Takes what is new at `now`.
    pub(super) fn hear(&mut self, news: News, now: Instant) {
        match news {
            News::Snapshot(snapshot) => self.see(*snapshot, now),
            News::Events { events, anew } => {
                if anew {
                    self.events.clear();
                }
                let older = events.len().saturating_sub(MAX_EVENTS);
                events.into_iter().skip(older).for_each(|event| self.events.push_front(event));
                self.events.truncate(MAX_EVENTS);
            }
            News::Lost(why) => self.lost = Some(why.to_string()),
            News::Ordered(words) => {
                self.message = words.to_string();
                self.busy = false;
            }
        }
    }

    fn see(&mut self, snapshot: Snapshot, now: Instant) {
        self.heard = now;
        self.lost = None;
        let told: HashSet<&str> = snapshot.pools.iter().map(|pool| pool.name.raw()).collect();
        self.rates.retain(|name, _| told.contains(name.as_str()));
        for pool in &snapshot.pools {
            let rates = self.rates.entry(pool.name.raw().to_owned()).or_default();
            rates.truncate_front_to(SAMPLES - 1);
            // A curve of whole numbers: tenths, so that a slow pool has one too.
            rates.push_back((pool.pace.rate.unwrap_or(0.0).max(0.0) * 10.0) as u64);
        }
        let due = |changed: Instant| now.saturating_duration_since(changed) + SLACK >= self.interval;
        if !self.paused && self.changed.is_none_or(due) {
            self.snapshot = Some(snapshot);
            self.changed = Some(now);
            self.settle();
        }
    }

    /// For how long nothing was heard, where that is worth a word.
    pub(super) fn silent(&self, now: Instant) -> Option<Duration> {
        self.lost.as_ref().map(|_| now.saturating_duration_since(self.heard))
    }

    /// The rows that pass the filter, in their order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let pools = self.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.pools);
        super::table::rows(pools, &self.filter, self.sort, self.reversed)
    }

    /// The routes that pass the filter, in their order.
    pub(super) fn shown_routes(&self) -> Vec<&Route> {
        let told = self.snapshot.as_ref().and_then(|snapshot| snapshot.routes.as_deref());
        self.routes.rows(told.unwrap_or_default(), &self.filter, self.reversed)
    }

    /// Changes the routes by what is shown of them.
    fn with_routes(&mut self, change: impl FnOnce(&mut Routes, &[&Route])) {
        let mut routes = std::mem::take(&mut self.routes);
        let told = self.snapshot.as_ref().and_then(|snapshot| snapshot.routes.as_deref());
        let rows = routes.rows(told.unwrap_or_default(), &self.filter, self.reversed);
        change(&mut routes, &rows);
        self.routes = routes;
    }

    /// Moves to the next part, or to the one before.
    pub(super) fn turn(&mut self, back: bool) {
        const ALL: [Pane; 3] = [Pane::Backends, Pane::Routes, Pane::Events];
        let at = ALL.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        self.pane = ALL[(at + if back { ALL.len() - 1 } else { 1 }) % ALL.len()];
    }

    /// Sorts what keys move in by its next column.
    pub(super) fn sort_next(&mut self) {
        if self.pane == Pane::Routes {
            self.routes.sort_next();
        } else {
            self.sort = Column::next(self.sort);
        }
        self.settle();
    }

    /// Moves the choice by so many rows, or the events.
    pub(super) fn step(&mut self, by: isize) {
        match self.pane {
            Pane::Backends => {
                let last = self.rows().len().saturating_sub(1);
                self.choose(self.at.saturating_add_signed(by).min(last));
            }
            Pane::Routes => self.with_routes(|routes, rows| {
                let at = routes.at.saturating_add_signed(by);
                routes.choose(rows, at);
            }),
            Pane::Events => {
                let last = self.events.len().saturating_sub(self.event_page);
                self.first_event = self.first_event.saturating_add_signed(by).min(last);
            }
        }
    }

    /// How far a page goes.
    pub(super) fn stride(&self) -> isize {
        let page = match self.pane {
            Pane::Backends => self.page,
            Pane::Routes => self.routes.page,
            Pane::Events => self.event_page,
        };
        isize::try_from(page.saturating_sub(1).max(1)).unwrap_or(1)
    }

    fn choose(&mut self, at: usize) {
        let rows = self.rows();
        let row = rows.get(at);
        self.chosen = row.map(|row| row.mark(self.snapshot.as_ref()));
        self.at = at;
    }

    /// Finds the chosen row where it stands now; another where it is not there any more.
    pub(super) fn settle(&mut self) {
        let (rows, snapshot) = (self.rows(), self.snapshot.as_ref());
        let found =
            self.chosen.as_ref().and_then(|chosen| rows.iter().position(|row| row.mark(snapshot) == *chosen));
        // At first the first backend, not the heading of its pool: keys have something to work on.
        let begin = || rows.iter().position(|row| row.backend.is_some()).unwrap_or(0);
        let at = found.unwrap_or_else(|| if self.chosen.is_none() { begin() } else { self.at });
        let last = rows.len().saturating_sub(1);
        self.choose(at.min(last));
        self.with_routes(Routes::settle);
    }

    /// Puts the chosen row, and the events, into what has room.
    pub(super) fn fit(&mut self, rows: usize, events: usize) {
        (self.page, self.event_page) = (rows, events);
        let all = self.rows().len();
        self.top =
            self.top.min(self.at).max((self.at + 1).saturating_sub(rows)).min(all.saturating_sub(rows));
        self.with_routes(|routes, shown| routes.fit(shown.len(), rows));
        self.first_event = self.first_event.min(self.events.len().saturating_sub(events));
    }
}

/// What `VecDeque` has for its other end only.
trait TruncateFront {
    fn truncate_front_to(&mut self, most: usize);
}

impl TruncateFront for VecDeque<u64> {
    fn truncate_front_to(&mut self, most: usize) {
        let over = self.len().saturating_sub(most);
        self.drain(..over);
    }
}
