//! What is counted of spans, and the traces that stand beside the buckets of durations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::RouteSeries;
use crate::observe::histogram::{EXPORTED_BOUNDS, exported_bucket};
use crate::observe::label::ExportFailure;

/// Spans that left, and those that could not.
#[derive(Debug, Default)]
pub struct SpanSeries {
    shown: AtomicBool,
    exported: AtomicU64,
    dropped: AtomicU64,
    failures: [AtomicU64; ExportFailure::COUNT],
}

impl SpanSeries {
    /// Spans are made from now on: it is shown.
    pub fn show(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// A collector took so many.
    pub fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    /// So many were lost. From any thread: those of requests that are recorded, and then only in trouble.
    pub fn dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// A try to post some has failed.
    pub fn failed(&self, failure: ExportFailure) {
        self.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many tries have failed so.
    pub fn failures(&self, failure: ExportFailure) -> u64 {
        self.failures[failure as usize].load(Ordering::Relaxed)
    }

    /// Spans that left, and those that were lost.
    pub fn counts(&self) -> [u64; 2] {
        [&self.exported, &self.dropped].map(|count| count.load(Ordering::Relaxed))
    }

    pub(in crate::observe) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }
}

/// A request that stands for a bucket.
#[derive(Debug, Clone, Copy)]
pub(in crate::observe) struct Exemplar {
    pub(in crate::observe) trace_id: u128,
    pub(in crate::observe) seconds: f64,
    /// Seconds since the epoch.
    pub(in crate::observe) at: f64,
}

/// The last of each bucket.
pub(in crate::observe) type Exemplars = [Option<Exemplar>; EXPORTED_BOUNDS.len() + 1];

impl RouteSeries {
    /// A request that was counted took so long, and its spans are exported: its trace stands for its bucket from now
    /// on. Where a scrape looks just then it does not; nobody waits.
    pub fn exemplar(&self, worker: usize, trace_id: u128, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let exemplars = self.shards.of(worker).exemplars.get_or_init(Box::default);
        if let Ok(mut exemplars) = exemplars.try_lock() {
            exemplars[exported_bucket(ns)] = Some(Exemplar { trace_id, seconds: duration.as_secs_f64(), at });
        }
    }

    /// The latest of each bucket over all shards; `None`: no request of the route was ever recorded.
    pub(in crate::observe) fn exemplars(&self) -> Option<Exemplars> {
        let shards = self.shards.iter().filter_map(|shard| OnceLock::get(&shard.exemplars));
        let read = shards.map(|shard| *Mutex::lock(shard).unwrap_or_else(PoisonError::into_inner));
        read.reduce(|mut latest, other| {
            for (one, other) in latest.iter_mut().zip(other) {
                if other.is_some_and(|other| one.is_none_or(|one| one.at < other.at)) {
                    *one = other;
                }
            }
            latest
        })
    }
}
