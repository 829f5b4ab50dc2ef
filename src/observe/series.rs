//! The handles a snapshot holds, each one label set.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::account::Account;
use super::coarse::CoarseHistogram;
use super::histogram::{Distribution, Histogram};
use super::label::{
    CODE_SLOTS, CheckResult, Ejection, Handshake, MethodLabel, OUTCOME_SLOTS, Outcome, Phase, Reason,
    RetryReason, code_slot, each_shown,
};
use super::shard::{Count, Sharded};
use crate::backend::Backend;

mod accounts;
mod phases;
mod spans;
mod waits;

pub use accounts::RouteAccount;
pub use phases::Phases;
pub use spans::SpanSeries;
pub(super) use spans::{Exemplar, Exemplars};

/// Allocated by the shard's writer at its first use: a thousand routes that see no traffic cost little.
type Lazy<T> = OnceLock<Box<T>>;

struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl<const N: usize> fmt::Debug for Counts<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Count::value)).finish()
    }
}

/// What happened at one listener.
#[derive(Debug)]
pub struct ListenerSeries {
    name: Arc<str>,
    shards: Sharded<ListenerShard>,
    /// `None`: it does not speak TLS.
    certificates: Mutex<Option<Vec<CertificateLabel>>>,
}

/// A certificate that a listener shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateLabel {
    /// The first name that it is for.
    pub name: Box<str>,
    /// In hexadecimal.
    pub serial: Box<str>,
    /// When it expires, in seconds since the epoch.
    pub not_after: i64,
}

#[derive(Debug, Default)]
struct ListenerShard {
    bytes_in: Count,
    bytes_out: Count,
    opened: Count,
    closed: Count,
    rejected: Counts<{ Reason::COUNT }>,
    handshakes: Counts<{ Handshake::COUNT }>,
}

impl ListenerSeries {
    pub(super) fn new(name: &str, workers: usize) -> Self {
        Self { name: Arc::from(name), shards: Sharded::new(workers), certificates: Mutex::new(None) }
    }

    /// The listener's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of requests read from clients, heads and bodies.
    pub fn bytes_in(&self, worker: usize, bytes: u64) {
        self.shards.of(worker).bytes_in.add(bytes);
    }

    /// Bytes of responses written to clients, heads and bodies.
    pub fn bytes_out(&self, worker: usize, bytes: u64) {
        self.shards.of(worker).bytes_out.add(bytes);
    }

    /// A client connection was accepted.
    pub fn connection_opened(&self, worker: usize) {
        self.shards.of(worker).opened.add(1);
    }

    /// A client connection ended. On the worker that accepted it.
    pub fn connection_closed(&self, worker: usize) {
        self.shards.of(worker).closed.add(1);
    }

    /// We answered or closed ourselves.
    pub fn rejected(&self, worker: usize, reason: Reason) {
        self.shards.of(worker).rejected.0[reason as usize].add(1);
    }

    /// A handshake of TLS ended so.
    pub fn handshake(&self, worker: usize, result: Handshake) {
        self.shards.of(worker).handshakes.0[result as usize].add(1);
    }

    /// Says which certificates are shown from now on, and whether TLS is spoken at all.
    pub fn set_certificates(&self, tls: bool, mut shown: Vec<CertificateLabel>) {
        // The same labels twice would spoil the scrape.
        shown.sort_by(|a, b| (&a.name, &a.serial).cmp(&(&b.name, &b.serial)));
        shown.dedup_by(|a, b| (&a.name, &a.serial) == (&b.name, &b.serial));
        *held(&self.certificates) = tls.then_some(shown);
    }

    /// The certificates that are shown; `None` where TLS is not spoken.
    pub fn certificates(&self) -> Option<Vec<CertificateLabel>> {
        held(&self.certificates).clone()
    }

    /// How often handshakes ended so.
    pub fn handshakes(&self, result: Handshake) -> u64 {
        self.shards.iter().map(|shard| shard.handshakes.0[result as usize].value()).sum()
    }

    /// Bytes read and bytes written so far.
    pub fn bytes(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(read, written), shard| {
            (read + shard.bytes_in.value(), written + shard.bytes_out.value())
        })
    }

    /// Connections open now, and all that were accepted.
    pub fn connections(&self) -> (u64, u64) {
        // `closed` is read first: the other way round, a connection that opens and closes in between
        // would make the difference negative.
        let closed: u64 = self.shards.iter().map(|shard| shard.closed.value()).sum();
        let opened: u64 = self.shards.iter().map(|shard| shard.opened.value()).sum();
        (opened.saturating_sub(closed), opened)
    }

    /// Connections that one worker serves now.
    pub(super) fn connections_of(&self, worker: usize) -> u64 {
        let shard = self.shards.of(worker);
        let closed = shard.closed.value();
        shard.opened.value().saturating_sub(closed)
    }

    /// How often we answered or closed ourselves for this reason.
    pub fn rejections(&self, reason: Reason) -> u64 {
        self.shards.iter().map(|shard| shard.rejected.0[reason as usize].value()).sum()
    }
}

/// The requests of one route at one listener.
#[derive(Debug)]
pub struct RouteSeries {
    listener: Arc<str>,
    route: Arc<str>,
    shards: Sharded<RouteShard>,
}

#[derive(Debug, Default)]
struct RouteShard {
    methods: [Lazy<Counts<CODE_SLOTS>>; MethodLabel::ALL.len()],
    durations: Lazy<Histogram>,
    phases: Lazy<[CoarseHistogram; Phase::COUNT]>,
    exemplars: Lazy<Mutex<Exemplars>>,
    broken: Count,
}

impl RouteSeries {
    pub(super) fn new(listener: &str, route: &str, workers: usize) -> Self {
        Self { listener: Arc::from(listener), route: Arc::from(route), shards: Sharded::new(workers) }
    }

    /// The listener's name.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// The route's name.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// A request ended: its final status ([`super::CLIENT_LEFT`] where the client left before the end)
    /// and the time from its first byte to the last of the response.
    pub fn request(&self, worker: usize, method: MethodLabel, code: u16, duration: Duration) {
        let shard = self.shards.of(worker);
        shard.methods[method as usize].get_or_init(Box::default).0[code_slot(code)].add(1);
        shard.durations.get_or_init(Box::default).record(duration);
    }

    /// The response of a request that was counted broke off after its head, and not by the client's fault.
    pub fn broke_off(&self, worker: usize) {
        self.shards.of(worker).broken.add(1);
    }

    /// How long requests took.
    pub fn durations(&self) -> Distribution {
        summed(self.shards.iter().map(|shard| &shard.durations))
    }

    /// Calls `each` with method, slot of the code and count, where the count is not 0.
    pub(super) fn each_count(&self, mut each: impl FnMut(MethodLabel, usize, u64)) {
        for method in MethodLabel::ALL {
            each_shown(CODE_SLOTS, |slot| self.count(method, slot), |slot, count| each(method, slot, count));
        }
    }
}

impl RouteSeries {
    fn count(&self, method: MethodLabel, slot: usize) -> u64 {
        let blocks = self.shards.iter().filter_map(|shard| shard.methods[method as usize].get());
        blocks.map(|block| block.0[slot].value()).sum()
    }
}

/// What happened in one pool above its single backends.
#[derive(Debug)]
pub struct PoolSeries {
    name: Arc<str>,
    shards: Sharded<PoolShard>,
    panics: AtomicBool,
    account: Arc<Account>,
    /// The routes that lead here: they can be served as long as it can.
    followers: Mutex<Vec<Arc<Account>>>,
}

#[derive(Debug, Default)]
struct PoolShard {
    retries: Counts<{ RetryReason::COUNT }>,
    budget_exhausted: Count,
    queued: Count,
    left_queue: Count,
    waits: Lazy<Histogram>,
}

impl PoolSeries {
    pub(super) fn new(name: &str, workers: usize, account: Arc<Account>) -> Self {
        Self {
            name: Arc::from(name),
            shards: Sharded::new(workers),
            panics: AtomicBool::new(false),
            account,
            followers: Mutex::default(),
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request was tried again.
    pub fn retry(&self, worker: usize, reason: RetryReason) {
        self.shards.of(worker).retries.0[reason as usize].add(1);
    }

    /// A further try was due, but the retry budget was spent.
    pub fn budget_exhausted(&self, worker: usize) {
        self.shards.of(worker).budget_exhausted.add(1);
    }

    /// Tells whether health is ignored, because so few backends are well.
    pub fn set_panicking(&self, panics: bool) {
        self.panics.store(panics, Ordering::Relaxed);
    }

    /// What [`Self::set_panicking`] was told.
    pub fn is_panicking(&self) -> bool {
        self.panics.load(Ordering::Relaxed)
    }

    /// How often requests were tried again for this reason.
    pub fn retries(&self, reason: RetryReason) -> u64 {
        self.shards.iter().map(|shard| shard.retries.0[reason as usize].value()).sum()
    }

    /// How often the retry budget was spent when a further try was due.
    pub fn budget_exhaustions(&self) -> u64 {
        self.shards.iter().map(|shard| shard.budget_exhausted.value()).sum()
    }
}

/// What happened at one backend.
#[derive(Debug)]
pub struct BackendSeries {
    backend: Arc<Backend>,
    shards: Sharded<BackendShard>,
    checks: [AtomicU64; CheckResult::COUNT],
    ejections: [AtomicU64; Ejection::COUNT],
    account: Arc<Account>,
}

#[derive(Debug, Default)]
struct BackendShard {
    outcomes: Lazy<Counts<OUTCOME_SLOTS>>,
    response_times: Lazy<Histogram>,
}

impl BackendSeries {
    pub(super) fn new(backend: &Arc<Backend>, workers: usize, account: Arc<Account>) -> Self {
        Self {
            backend: Arc::clone(backend),
            shards: Sharded::new(workers),
            checks: Default::default(),
            ejections: Default::default(),
            account,
        }
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// One try at it ended.
    pub fn outcome(&self, worker: usize, outcome: Outcome) {
        self.shards.of(worker).outcomes.get_or_init(Box::default).0[outcome.slot()].add(1);
    }

    /// A response head came, so long after the request had been sent.
    pub fn response_time(&self, worker: usize, duration: Duration) {
        self.shards.of(worker).response_times.get_or_init(Box::default).record(duration);
    }

    /// An active check ended. From any thread: checks are rare.
    pub fn health_check(&self, result: CheckResult) {
        self.checks[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// It was ejected. From any thread: ejections are rare.
    pub fn ejected(&self, why: Ejection) {
        self.ejections[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was ejected so.
    pub fn ejections(&self, why: Ejection) -> u64 {
        self.ejections[why as usize].load(Ordering::Relaxed)
    }

    /// From the request sent to the head of the response, over the life of this series.
    pub fn response_times(&self) -> Distribution {
        summed(self.shards.iter().map(|shard| &shard.response_times))
    }

    /// All tries that ended.
    pub fn requests(&self) -> u64 {
        (0..OUTCOME_SLOTS).map(|slot| self.count(slot)).sum()
    }

    /// How often checks ended so.
    pub fn health_checks(&self, result: CheckResult) -> u64 {
        self.checks[result as usize].load(Ordering::Relaxed)
    }

    /// Calls `each` with slot and count, where the count is not 0.
    pub(super) fn each_count(&self, mut each: impl FnMut(usize, u64)) {
        each_shown(OUTCOME_SLOTS, |slot| self.count(slot), &mut each);
    }

    fn count(&self, slot: usize) -> u64 {
        self.shards.iter().filter_map(|shard| shard.outcomes.get()).map(|block| block.0[slot].value()).sum()
    }
}

/// One of the logs.
#[derive(Debug, Default)]
pub struct LogSeries(AtomicU64);

impl LogSeries {
    /// Lines were lost. From any thread: it is rare, or there is worse.
    pub fn dropped(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }

    /// How many lines were lost so far.
    pub fn drops(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn summed<'a>(shards: impl Iterator<Item = &'a Lazy<Histogram>>) -> Distribution {
    let mut sum = Distribution::default();
    shards.filter_map(OnceLock::get).for_each(|histogram| sum.add(histogram));
    sum
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
