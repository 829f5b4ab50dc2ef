//! What is counted of a pool's queue.

use std::time::Duration;

use super::{PoolSeries, summed};
use crate::observe::histogram::Distribution;

impl PoolSeries {
    /// A request waits in the pool's queue.
    pub fn queued(&self, worker: usize) {
        self.shards.of(worker).queued.add(1);
    }

    /// A request has left the queue, with a place or without. On the worker that it waited on.
    pub fn left_queue(&self, worker: usize, waited: Duration) {
        let shard = self.shards.of(worker);
        shard.left_queue.add(1);
        shard.waits.get_or_init(Box::default).record(waited);
    }

    /// Requests in the queue now.
    pub fn waiting(&self) -> u64 {
        // In this order: see `ListenerSeries::connections`.
        let left: u64 = self.shards.iter().map(|shard| shard.left_queue.value()).sum();
        let queued: u64 = self.shards.iter().map(|shard| shard.queued.value()).sum();
        queued.saturating_sub(left)
    }

    /// How long requests waited.
    pub fn waits(&self) -> Distribution {
        summed(self.shards.iter().map(|shard| &shard.waits))
    }
}
