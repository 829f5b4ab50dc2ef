//! The root: which series there are, and what is said of the process as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::account::Whose;
use super::accounts::Accounts;
use super::collect;
use super::journal::Journal;
use super::series::{
    BackendSeries, ListenerSeries, LogSeries, PoolSeries, RouteAccount, RouteSeries, SpanSeries,
};
use super::sheet::Form;
use crate::backend::Backend;

/// Every series of the process.
///
/// Series are held weakly: those of a removed backend, route or listener disappear when the last
/// snapshot that used them is dropped, and those that a new snapshot asks for again live on.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    book: Mutex<Book>,
    ready: AtomicBool,
    reloads_ok: AtomicU64,
    reloads_rejected: AtomicU64,
    /// Bytes that buffers hold, and may hold.
    buffers: [AtomicU64; 2],
    access_log: Arc<LogSeries>,
    event_log: OnceLock<Arc<LogSeries>>,
    spans: Arc<SpanSeries>,
    configuration: Mutex<Configuration>,
    accounts: Accounts,
    /// Of the configuration in force, in its order.
    routes: Mutex<Vec<Arc<RouteAccount>>>,
    state_file: StateFile,
}

/// How the file fares in which the accounts are kept.
#[derive(Debug, Default)]
struct StateFile {
    /// There is one.
    kept: AtomicBool,
    /// Milliseconds since the epoch.
    synced_ms: AtomicU64,
    errors: AtomicU64,
}

/// What is known of the configuration in force and of the last try to replace it.
#[derive(Debug, Clone, Default)]
pub(super) struct Configuration {
    pub(super) sha256: Option<Arc<str>>,
    pub(super) last_successful: bool,
    /// Seconds since the epoch.
    pub(super) last_success: Option<f64>,
}

#[derive(Debug, Default)]
struct Book {
    listeners: BTreeMap<String, Weak<ListenerSeries>>,
    routes: BTreeMap<(String, String), Weak<RouteSeries>>,
    pools: BTreeMap<String, Weak<PoolSeries>>,
    /// By pool and name, the labels; newest last. After a change of address two backends share their
    /// labels until the old snapshot is gone, and only one of them may be shown: a scrape with the same
    /// labels twice is refused as a whole.
    backends: BTreeMap<(String, String), Vec<Weak<BackendSeries>>>,
}

impl Metrics {
    /// Metrics written by `workers` workers, numbered from 0, and the control thread.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            access_log: Arc::default(),
            event_log: OnceLock::new(),
            spans: Arc::default(),
            workers,
            book: Mutex::default(),
            ready: AtomicBool::new(false),
            reloads_ok: AtomicU64::new(0),
            reloads_rejected: AtomicU64::new(0),
            buffers: Default::default(),
            configuration: Mutex::default(),
            accounts: Accounts::new(Instant::now(), SystemTime::now()),
            routes: Mutex::default(),
            state_file: StateFile::default(),
        })
    }

    /// The series of a listener, made if nobody holds it.
    pub fn listener(&self, name: &str) -> Arc<ListenerSeries> {
        let mut book = self.book();
        let entry = book.listeners.entry(name.to_owned()).or_default();
        kept(entry, || ListenerSeries::new(name, self.workers))
    }

    /// The series of a route at a listener, made if nobody holds it. Requests that go to the listener's
    /// own pool are those of the route `default`, those that nobody takes of the route `none`.
    pub fn route(&self, listener: &str, route: &str) -> Arc<RouteSeries> {
        let mut book = self.book();
        let entry = book.routes.entry((listener.to_owned(), route.to_owned())).or_default();
        kept(entry, || RouteSeries::new(listener, route, self.workers))
    }

    /// The series of a pool, made if nobody holds it.
    pub fn pool(&self, name: &str) -> Arc<PoolSeries> {
        let mut book = self.book();
        let entry = book.pools.entry(name.to_owned()).or_default();
        kept(entry, || PoolSeries::new(name, self.workers, self.accounts.open(Whose::Pool(name.to_owned()))))
    }

    /// The account of a route; of what no route of a listener takes where that is given.
    pub fn route_account(&self, listener: Option<&str>, route: &str) -> RouteAccount {
        RouteAccount::new(listener, route, |whose| self.accounts.open(whose))
    }

    /// The series of a backend, made if nobody holds it; its ledger then begins at `now`, or goes on if there was one
    /// of this pool, name and address.
    pub fn backend(&self, backend: &Arc<Backend>, now: Instant) -> Arc<BackendSeries> {
        let identity = backend.identity();
        let mut book = self.book();
        let entry = book.backends.entry((identity.pool.to_string(), identity.name.to_string())).or_default();
        if let Some(at) = entry.iter().position(|weak| is_of(weak, backend)) {
            // To the end: the newest snapshot has asked for it, so it is the one to show.
            let weak = entry.remove(at);
            let series = weak.upgrade();
            entry.push(weak);
            if let Some(series) = series {
                return series;
            }
        }
        entry.retain(|weak| weak.strong_count() > 0);
        let account = self.accounts.open(Whose::Backend {
            pool: identity.pool.to_string(),
            backend: identity.name.to_string(),
            address: identity.address.to_string(),
        });
        let series = Arc::new(BackendSeries::new(backend, self.workers, account));
        series.join(now);
        entry.push(Arc::downgrade(&series));
        series
    }

    /// The access log.
    pub fn access_log(&self) -> &Arc<LogSeries> {
        &self.access_log
    }

    /// Spans of requests.
    pub fn spans(&self) -> &Arc<SpanSeries> {
        &self.spans
    }

    /// Shows the event log too. It began before there were metrics; a second call changes nothing.
    pub fn show_event_log(&self, series: Arc<LogSeries>) {
        let _ = self.event_log.set(series);
    }

    /// Lines lost of the access log and of the event log.
    pub(super) fn log_drops(&self) -> [(&'static str, u64); 2] {
        [("access", self.access_log.drops()), ("event", self.event_log.get().map_or(0, |log| log.drops()))]
    }

    /// Says what the configuration in force holds, so that the accounts of all else rest, and which routes are
    /// shown.
    pub fn hold(
        &self,
        backends: &[Arc<Backend>],
        pools: &[&str],
        routes: Vec<Arc<RouteAccount>>,
        now: Instant,
    ) {
        let whose = backends.iter().map(|backend| {
            let identity = backend.identity();
            Whose::Backend {
                pool: identity.pool.to_string(),
                backend: identity.name.to_string(),
                address: identity.address.to_string(),
            }
        });
        let mut held: BTreeSet<Whose> = whose.collect();
        held.extend(pools.iter().map(|&pool| Whose::Pool(pool.to_owned())));
        held.extend(routes.iter().map(|route| route.account().whose().clone()));
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
        self.accounts.hold(&held, now);
    }

    /// Goes on with the accounts of an earlier process. To be called before any series is made.
    pub fn restore(&self, mut journal: Journal, now: Instant, wall: SystemTime) {
        self.accounts.restore(&mut journal, now, wall);
    }

    /// To be called once a second: counts into the error budgets, and looks at the wall clock, and at the condition
    /// of every backend that nobody may have told of.
    pub fn tick(&self, now: Instant, wall: SystemTime) {
        self.note_conditions(now);
        self.accounts.tick(now, wall);
    }

    /// What of the accounts has changed since this was last asked, to be written behind what was written before; with
    /// `all` a journal that stands for itself.
    pub fn journal(&self, now: Instant, wall: SystemTime, all: bool) -> Vec<u8> {
        self.accounts.lines(now, wall, all)
    }

    /// The accounts are kept in a file, which holds all up to now.
    pub fn state_synced(&self, at: SystemTime) {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        self.state_file.synced_ms.store(millis, Ordering::Relaxed);
        self.state_file.kept.store(true, Ordering::Relaxed);
    }

    /// That file could not be written.
    pub fn state_failed(&self) {
        self.state_file.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Up to when the file holds what happened, in seconds since the epoch, and how often it could not be written;
    /// `None` without a file.
    pub(super) fn state_file(&self) -> Option<(f64, u64)> {
        let StateFile { kept, synced_ms, errors } = &self.state_file;
        kept.load(Ordering::Relaxed)
            .then(|| (synced_ms.load(Ordering::Relaxed) as f64 / 1e3, errors.load(Ordering::Relaxed)))
    }

    /// The accounts of the routes in force.
    pub(super) fn route_accounts(&self) -> Vec<Arc<RouteAccount>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether new connections are taken.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether new connections are taken.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Tells how many bytes buffers hold, and how many they may hold.
    pub fn set_buffers(&self, held: u64, max: u64) {
        self.buffers[0].store(held, Ordering::Relaxed);
        self.buffers[1].store(max, Ordering::Relaxed);
    }

    /// What [`Self::set_buffers`] was told.
    pub(super) fn buffers(&self) -> [u64; 2] {
        [0, 1].map(|at| self.buffers[at].load(Ordering::Relaxed))
    }

    /// The configuration of the start is in force. It is no reload and not counted as one.
    pub fn configured(&self, sha256: &str, at: SystemTime) {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        *self.held_configuration() = Configuration {
            sha256: Some(Arc::from(sha256)),
            last_successful: true,
            last_success: Some(since_epoch.as_secs_f64()),
        };
    }

    /// A reload took effect.
    pub fn reloaded(&self, sha256: &str, at: SystemTime) {
        self.configured(sha256, at);
        self.reloads_ok.fetch_add(1, Ordering::Relaxed);
    }

    /// A reload was refused and changed nothing.
    pub fn reload_rejected(&self) {
        self.held_configuration().last_successful = false;
        self.reloads_rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how every backend stands. For the control thread, before a page is written.
    pub fn note_conditions(&self, now: Instant) {
        self.live_backends().iter().for_each(|series| series.note_condition(now));
    }

    /// Everything, as one page. Sums the shards, which takes long where there is much; from any thread, for it changes
    /// nothing.
    ///
    /// # Errors
    /// The page cannot be written; no reason for that is known.
    pub fn render(&self, now: Instant, form: Form) -> Result<String, prometheus::Error> {
        collect::scrape(self, now, form)
    }

    pub(super) fn configuration(&self) -> Configuration {
        self.held_configuration().clone()
    }

    /// Reloads that took effect, and those that were refused.
    pub(super) fn reloads(&self) -> (u64, u64) {
        (self.reloads_ok.load(Ordering::Relaxed), self.reloads_rejected.load(Ordering::Relaxed))
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers
    }

    pub(super) fn live_listeners(&self) -> Vec<Arc<ListenerSeries>> {
        live(&mut self.book().listeners)
    }

    pub(super) fn live_routes(&self) -> Vec<Arc<RouteSeries>> {
        live(&mut self.book().routes)
    }

    /// Those of the configuration in force. What began before a pool was removed may run on for days, and nobody is to
    /// be told for so long that there is no backend in it.
    pub(super) fn live_pools(&self) -> Vec<Arc<PoolSeries>> {
        let mut pools = live(&mut self.book().pools);
        pools.retain(|series| series.account().left().is_none());
        pools
    }

    /// One series per pair of labels: the newest that is alive. Those of removed backends are not shown:
    /// idle connections may hold an older snapshot for long.
    pub(super) fn live_backends(&self) -> Vec<Arc<BackendSeries>> {
        let mut newest = Vec::new();
        self.book().backends.retain(|_, entry| {
            entry.retain(|weak| weak.strong_count() > 0);
            let alive = entry.iter().rev().find_map(Weak::upgrade);
            newest.extend(alive.filter(|series| !series.backend().is_retired()));
            !entry.is_empty()
        });
        newest
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept<T>(entry: &mut Weak<T>, make: impl FnOnce() -> T) -> Arc<T> {
    entry.upgrade().unwrap_or_else(|| {
        let made = Arc::new(make());
        *entry = Arc::downgrade(&made);
        made
    })
}

fn is_of(series: &Weak<BackendSeries>, backend: &Backend) -> bool {
    series.upgrade().is_some_and(|series| series.backend().id() == backend.id())
}

/// The living, in the order of their keys; the dead are forgotten.
fn live<K: Ord, T>(entries: &mut BTreeMap<K, Weak<T>>) -> Vec<Arc<T>> {
    let mut living = Vec::with_capacity(entries.len());
    entries.retain(|_, weak| match weak.upgrade() {
        Some(series) => {
            living.push(series);
            true
        }
        None => false,
    });
    living
}
