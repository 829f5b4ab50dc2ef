//! One part per worker, and the counter that lives in it.

use std::sync::atomic::{AtomicU64, Ordering};

/// One `T` per worker and one more for the control thread, each on cache lines of its own.
///
/// **A shard has one writer.** [`Count::add`] is a load and a store, not a locked instruction: two
/// threads writing the same shard would lose counts.
#[derive(Debug)]
pub struct Sharded<T> {
    shards: Box<[Padded<T>]>,
}

/// 128 bytes: x86-64 fetches cache lines in pairs, so that 64 would still let two workers share a fetch.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> Sharded<T> {
    /// Shards for `workers` workers (numbered from 0) and for the control thread (number `workers`).
    pub fn new(workers: usize) -> Self {
        Self { shards: (0..=workers).map(|_| Padded::default()).collect() }
    }
}

impl<T> Sharded<T> {
    /// The shard of one worker. A number beyond the last is the control thread's: a wrong number may
    /// lose a count, but never stops a request.
    pub fn of(&self, worker: usize) -> &T {
        &self.shards[worker.min(self.shards.len() - 1)].0
    }

    /// Every shard, for the scrape.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().map(|padded| &padded.0)
    }
}

/// A number that only grows; written by one thread, read by any.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. For the one writer of the shard it stands in.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
