//! Durations counted between the exported bounds alone: a tenth of the memory of a
//! [`Histogram`](super::histogram::Histogram), and less to sum.

use std::time::Duration;

use super::histogram::{Distribution, EXPORTED_BOUNDS, exported_bucket};
use super::shard::Count;

const BOUNDS: usize = EXPORTED_BOUNDS.len();

/// Durations counted by one writer between the exported bounds alone: a tenth of the memory of a [`Histogram`].
#[derive(Debug, Default)]
pub(super) struct CoarseHistogram {
    buckets: [Count; BOUNDS + 1],
    sum_ns: Count,
}

impl CoarseHistogram {
    /// Counts one duration. For the one writer of the shard it stands in.
    pub(super) fn record(&self, duration: Duration) {
        // Nearly all are shorter than a second.
        let ns = match duration.as_secs() {
            0 => u64::from(duration.subsec_nanos()),
            _ => u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        };
        self.buckets[exported_bucket(ns)].add(1);
        self.sum_ns.add(ns);
    }
}

/// What is exported of durations.
#[derive(Debug, Clone, Default)]
pub(super) struct Exported {
    /// How many were at most as long as each of [`EXPORTED_BOUNDS`].
    pub(super) within: [u64; BOUNDS],
    /// How many there were.
    pub(super) count: u64,
    /// Their sum.
    pub(super) sum_seconds: f64,
}

impl Exported {
    /// Sums shards.
    pub(super) fn sum<'a>(shards: impl Iterator<Item = &'a CoarseHistogram>) -> Self {
        let mut sum = Self::default();
        let mut nanoseconds = 0_u128;
        for shard in shards {
            let mut below = 0;
            for (within, bucket) in sum.within.iter_mut().zip(&shard.buckets) {
                below += bucket.value();
                *within += below;
            }
            sum.count += below + shard.buckets[BOUNDS].value();
            nanoseconds += u128::from(shard.sum_ns.value());
        }
        sum.sum_seconds = nanoseconds as f64 / 1e9;
        sum
    }
}

impl From<&Distribution> for Exported {
    fn from(read: &Distribution) -> Self {
        Self { within: read.exported(), count: read.count(), sum_seconds: read.sum_seconds() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::observe::histogram::Histogram;

    proptest! {
        #[test]
        fn it_tells_what_the_fine_one_tells(values in prop::collection::vec(0..80_000_000_000u64, 0..300)) {
            let (one, two, fine) = (CoarseHistogram::default(), CoarseHistogram::default(), Histogram::default());
            for (at, &ns) in values.iter().enumerate() {
                if at % 3 == 0 { &one } else { &two }.record(Duration::from_nanos(ns));
                fine.record(Duration::from_nanos(ns));
            }
            let mut read = Distribution::default();
            read.add(&fine);
            let coarse = Exported::sum([&one, &two].into_iter());
            prop_assert_eq!(coarse.within, read.exported());
            prop_assert_eq!((coarse.count, coarse.sum_seconds), (read.count(), read.sum_seconds()));
        }
    }
}
