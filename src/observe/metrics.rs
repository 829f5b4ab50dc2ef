//! The root: which series there are, and what is said of the process as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus::{Registry, TextEncoder};

use super::collect::Scrape;
use super::series::{BackendSeries, ListenerSeries, LogSeries, PoolSeries, RouteSeries};
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
    configuration: Mutex<Configuration>,
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
            workers,
            book: Mutex::default(),
            ready: AtomicBool::new(false),
            reloads_ok: AtomicU64::new(0),
            reloads_rejected: AtomicU64::new(0),
            buffers: Default::default(),
            configuration: Mutex::default(),
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
        kept(entry, || PoolSeries::new(name, self.workers))
    }

    /// The series of a backend, made if nobody holds it; its ledger then begins at `now`.
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
        let series = Arc::new(BackendSeries::new(backend, self.workers, now));
        entry.push(Arc::downgrade(&series));
        series
    }

    /// The access log.
    pub fn access_log(&self) -> &Arc<LogSeries> {
        &self.access_log
    }

    /// Shows the event log too. It began before there were metrics; a second call changes nothing.
    pub fn show_event_log(&self, series: Arc<LogSeries>) {
        let _ = self.event_log.set(series);
    }

    /// Lines lost of the access log and of the event log.
    pub(super) fn log_drops(&self) -> [(&'static str, u64); 2] {
        [("access", self.access_log.drops()), ("event", self.event_log.get().map_or(0, |log| log.drops()))]
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

    /// Everything in the Prometheus text format, version 0.0.4. Sums the shards; for the control thread.
    ///
    /// # Errors
    /// When a family breaks a rule of the format, which a test excludes for all that are known.
    pub fn render(self: &Arc<Self>, now: Instant) -> Result<String, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(Scrape::new(Arc::clone(self), now)?))?;
        TextEncoder::new().encode_to_string(&registry.gather())
    }

    pub(super) fn configuration(&self) -> Configuration {
        self.held_configuration().clone()
    }

    /// Reloads that took effect, and those that were refused.
    pub(super) fn reloads(&self) -> (u64, u64) {
        (self.reloads_ok.load(Ordering::Relaxed), self.reloads_rejected.load(Ordering::Relaxed))
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    pub(super) fn live_listeners(&self) -> Vec<Arc<ListenerSeries>> {
        live(&mut self.book().listeners)
    }

    pub(super) fn live_routes(&self) -> Vec<Arc<RouteSeries>> {
        live(&mut self.book().routes)
    }

    pub(super) fn live_pools(&self) -> Vec<Arc<PoolSeries>> {
        live(&mut self.book().pools)
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
