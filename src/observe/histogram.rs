//! Durations in fine buckets, and the coarse ones that are exported.
//!
//! Between two exported bounds lie as many fine ones, in geometric steps, as keep every step at 5 % or
//! less. The exported bounds thus are fine bounds too, and their cumulative counts are exact sums.
//!
//! Finding the bucket takes one table access and one comparison: the top bit and the five below it name a
//! cell at most 3.2 % wide, narrower than every bucket, so that at most one bound lies in it.

use std::time::Duration;

use super::shard::Count;

/// The bounds on /metrics, in nanoseconds.
const EXPORTED_NS: [u64; 24] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    20_000_000,
    30_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    150_000_000,
    200_000_000,
    300_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_000_000_000,
    3_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// The bounds on /metrics, in seconds: 0.1 ms to 60 s.
pub const EXPORTED_BOUNDS: [f64; 24] = exported_seconds();

/// The largest ratio of two neighbouring fine bounds.
const STEP: f64 = 1.05;

const FINE: usize = fine_count();

/// Inclusive upper bounds, in nanoseconds. One more bucket, without a bound, follows.
static BOUNDS: [u64; FINE] = bounds();

/// The largest power of two that is not above the first bound.
const FIRST_OCTAVE: u32 = EXPORTED_NS[0].ilog2();
const LAST_NS: u64 = EXPORTED_NS[EXPORTED_NS.len() - 1];
const CELL_BITS: u32 = 5;
const CELLS: usize = ((LAST_NS.ilog2() - FIRST_OCTAVE + 1) << CELL_BITS) as usize;

/// Cell → the bucket of its smallest value.
static CELL_BUCKET: [u16; CELLS] = cells();

/// Fine bucket → the exported one that it is part of.
static COARSE: [u8; FINE + 1] = coarse();

/// Durations counted by one writer.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Count; FINE + 1],
    sum_ns: Count,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Count::default()), sum_ns: Count::default() }
    }
}

impl Histogram {
    /// Counts one duration. For the one writer of the shard it stands in.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)].add(1);
        self.sum_ns.add(ns);
    }
}

/// Durations summed over shards, to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    buckets: Box<[u64]>,
    sum_ns: u128,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: vec![0; FINE + 1].into(), sum_ns: 0 }
    }
}

impl Distribution {
    /// Adds what one shard counted.
    pub fn add(&mut self, shard: &Histogram) {
        for (sum, count) in self.buckets.iter_mut().zip(&shard.buckets) {
            *sum += count.value();
        }
        self.sum_ns += u128::from(shard.sum_ns.value());
    }

    /// Adds what was summed elsewhere.
    pub fn join(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.sum_ns += other.sum_ns;
    }

    /// What came since an earlier reading of the same.
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        Self {
            buckets: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns),
        }
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// How many were at most as long as each of [`EXPORTED_BOUNDS`].
    pub fn exported(&self) -> [u64; EXPORTED_NS.len()] {
        let mut counts = [0; EXPORTED_NS.len()];
        let mut below = 0;
        let mut fine = 0;
        for (count, bound) in counts.iter_mut().zip(EXPORTED_NS) {
            while fine < FINE && BOUNDS[fine] <= bound {
                below += self.buckets[fine];
                fine += 1;
            }
            *count = below;
        }
        counts
    }

    /// How many were at most this long: exactly so at [`EXPORTED_BOUNDS`]; between two fine bounds, 5 % apart at most,
    /// what lies between the lower one and the limit is not among them.
    pub fn within(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let whole = BOUNDS.partition_point(|&bound| bound <= limit);
        self.buckets[..whole].iter().sum()
    }

    /// The duration that a share `p` (0 to 1) of all stays at or below, within 5 % from 0.1 ms to 60 s;
    /// beyond 60 s it says 60 s. `None` when nothing was counted.
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (p.clamp(0.0, 1.0) * count as f64).ceil().max(1.0);
        let mut below = 0;
        for (bucket, &inside) in self.buckets.iter().enumerate() {
            if inside > 0 && (below + inside) as f64 >= rank {
                let low = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] };
                let high = BOUNDS.get(bucket).copied().unwrap_or(LAST_NS);
                let share = (rank - below as f64) / inside as f64;
                return Some(Duration::from_nanos(low + ((high - low) as f64 * share) as u64));
            }
            below += inside;
        }
        Some(Duration::from_nanos(LAST_NS))
    }
}

/// The place of the first of [`EXPORTED_BOUNDS`] that is not below; one beyond the last where there is none.
pub(super) fn exported_bucket(ns: u64) -> usize {
    usize::from(COARSE[bucket_of(ns)])
}

fn bucket_of(ns: u64) -> usize {
    if ns <= EXPORTED_NS[0] {
        return 0;
    }
    if ns > LAST_NS {
        return FINE;
    }
    let octave = ns.ilog2();
    let mantissa = (ns >> (octave - CELL_BITS)) & ((1 << CELL_BITS) - 1);
    let cell = (((octave - FIRST_OCTAVE) << CELL_BITS) as u64 | mantissa) as usize;
    let bucket = usize::from(CELL_BUCKET[cell]);
    bucket + usize::from(ns > BOUNDS[bucket])
}

const fn exported_seconds() -> [f64; 24] {
    let mut seconds = [0.0; 24];
    let mut at = 0;
    while at < 24 {
        seconds[at] = EXPORTED_NS[at] as f64 / 1e9;
        at += 1;
    }
    seconds
}

/// How many fine steps lie between two exported bounds.
const fn pieces(low: u64, high: u64) -> usize {
    let ratio = high as f64 / low as f64;
    let (mut n, mut reach) = (1, STEP);
    while reach < ratio {
        reach *= STEP;
        n += 1;
    }
    n
}

const fn fine_count() -> usize {
    let (mut sum, mut at) = (1, 1);
    while at < EXPORTED_NS.len() {
        sum += pieces(EXPORTED_NS[at - 1], EXPORTED_NS[at]);
        at += 1;
    }
    sum
}

const fn bounds() -> [u64; FINE] {
    let mut bounds = [EXPORTED_NS[0]; FINE];
    let (mut at, mut next) = (1, 1);
    while at < EXPORTED_NS.len() {
        let (low, high) = (EXPORTED_NS[at - 1], EXPORTED_NS[at]);
        let n = pieces(low, high);
        let step = root(high as f64 / low as f64, n);
        let (mut piece, mut bound) = (1, low as f64);
        while piece < n {
            bound *= step;
            bounds[next] = (bound + 0.5) as u64;
            next += 1;
            piece += 1;
        }
        // The exported bound itself, not its rounded neighbour: else the sums would not be exact.
        bounds[next] = high;
        next += 1;
        at += 1;
    }
    bounds
}

const fn coarse() -> [u8; FINE + 1] {
    let mut table = [EXPORTED_NS.len() as u8; FINE + 1];
    let (mut fine, mut exported) = (0, 0);
    while fine < FINE {
        while EXPORTED_NS[exported] < BOUNDS[fine] {
            exported += 1;
        }
        table[fine] = exported as u8;
        fine += 1;
    }
    table
}

/// The n-th root of `x` >= 1, by Newton's method from above (`powf` is not const).
const fn root(x: f64, n: usize) -> f64 {
    let mut guess = STEP;
    let mut round = 0;
    while round < 32 {
        let (mut power, mut k) = (1.0, 1);
        while k < n {
            power *= guess;
            k += 1;
        }
        guess -= (power * guess - x) / (n as f64 * power);
        round += 1;
    }
    guess
}

const fn cells() -> [u16; CELLS] {
    let mut cells = [0; CELLS];
    let (mut cell, mut bucket) = (0, 0);
    while cell < CELLS {
        let octave = FIRST_OCTAVE + (cell >> CELL_BITS) as u32;
        let mantissa = (cell & ((1 << CELL_BITS) - 1)) as u64;
        let smallest = (1 << octave) | (mantissa << (octave - CELL_BITS));
        while bucket < FINE - 1 && BOUNDS[bucket] < smallest {
            bucket += 1;
        }
        cells[cell] = bucket as u16;
        cell += 1;
    }
    cells
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fine_bounds_rise_by_at_most_five_percent_and_hold_every_exported_one() {
        for pair in BOUNDS.windows(2) {
            let ratio = pair[1] as f64 / pair[0] as f64;
            assert!(ratio <= STEP, "{pair:?} {ratio}");
            assert!(ratio > 1.0 + 1.0 / 32.0, "narrower than a cell: {pair:?}");
        }
        assert!(EXPORTED_NS.iter().all(|bound| BOUNDS.contains(bound)));
        assert_eq!(BOUNDS[FINE - 1], LAST_NS);
    }

    #[test]
    fn every_bound_belongs_to_its_own_bucket_and_the_next_value_to_the_next() {
        for (bucket, &bound) in BOUNDS.iter().enumerate() {
            assert_eq!(bucket_of(bound), bucket);
            assert_eq!(bucket_of(bound + 1), bucket + 1);
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), FINE);
    }

    #[test]
    fn an_empty_distribution_has_no_quantile() {
        assert_eq!(Distribution::default().quantile(0.5), None);
    }

    #[test]
    fn what_lies_beyond_the_last_bound_is_counted_and_called_sixty_seconds() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(3600));
        let mut read = Distribution::default();
        read.add(&histogram);
        assert_eq!(read.count(), 1);
        assert_eq!(read.exported()[23], 0);
        assert_eq!(read.quantile(0.5), Some(Duration::from_secs(60)));
        assert!((read.sum_seconds() - 3600.0).abs() < 1e-6);
    }

    #[test]
    fn what_came_since_is_what_was_recorded_since() {
        let histogram = Histogram::default();
        let read = || {
            let mut read = Distribution::default();
            read.add(&histogram);
            read
        };
        (0..100).for_each(|_| histogram.record(Duration::from_millis(5)));
        let earlier = read();
        (0..10).for_each(|_| histogram.record(Duration::from_millis(400)));
        let since = read().since(&earlier);
        assert_eq!(since.count(), 10);
        assert!(since.quantile(0.01).is_some_and(|low| low > Duration::from_millis(380)));
        assert!((since.sum_seconds() - 4.0).abs() < 1e-9);
        let mut all = earlier.clone();
        all.join(&since);
        assert_eq!(all, read());
        assert_eq!(earlier.since(&read()).count(), 0, "never below nothing");
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_search_finds(ns in prop_oneof![0..200_000u64, 0..100_000_000_000u64, any::<u64>()]) {
            prop_assert_eq!(bucket_of(ns), BOUNDS.partition_point(|&bound| bound < ns));
        }

        #[test]
        fn exported_counts_are_exact(values in prop::collection::vec(0..80_000_000_000u64, 0..300)) {
            let (one, two) = (Histogram::default(), Histogram::default());
            for (at, &ns) in values.iter().enumerate() {
                if at % 2 == 0 { &one } else { &two }.record(Duration::from_nanos(ns));
            }
            let mut read = Distribution::default();
            read.add(&one);
            read.add(&two);
            for (count, bound) in read.exported().into_iter().zip(EXPORTED_NS) {
                prop_assert_eq!(count, values.iter().filter(|&&ns| ns <= bound).count() as u64);
            }
            prop_assert_eq!(read.count(), values.len() as u64);
        }

        #[test]
        fn quantiles_are_within_five_percent(
            mut values in prop::collection::vec(100_000..60_000_000_000u64, 1..400),
            p in prop::sample::select(vec![0.5, 0.9, 0.99, 0.999]),
        ) {
            let histogram = Histogram::default();
            values.iter().for_each(|&ns| histogram.record(Duration::from_nanos(ns)));
            let mut read = Distribution::default();
            read.add(&histogram);
            values.sort_unstable();
            let rank = ((p * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            let told = read.quantile(p).unwrap().as_nanos() as f64;
            prop_assert!((told / exact - 1.0).abs() <= 0.0501, "{} {}", told, exact);
        }
    }
}
