//! Times in slots of equal relative width, so that a percentile is known within 0.4 % from 1 ns to 18 minutes.

use std::time::Duration;

/// 2^7 slots for each doubling: half a slot's width is 1/256 of its value.
const BITS: u32 = 7;
/// Longer times are counted as this one: 2^40 ns are 18 minutes, and every wait ends long before.
const LONGEST_NS: u64 = (1 << 40) - 1;
const SLOTS: usize = slot(LONGEST_NS) + 1;

/// How often which time was seen.
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    longest_ns: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; SLOTS].into_boxed_slice(), total: 0, longest_ns: 0 }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(LONGEST_NS).min(LONGEST_NS);
        self.counts[slot(ns)] += 1;
        self.total += 1;
        self.longest_ns = self.longest_ns.max(ns);
    }

    /// The time that the given share of all stayed within, in microseconds; 0 where nothing was recorded.
    pub(crate) fn percentile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle_ns(slot).min(self.longest_ns as f64) / 1000.0;
            }
        }
        0.0
    }

    pub(crate) fn longest_us(&self) -> f64 {
        self.longest_ns as f64 / 1000.0
    }
}

/// Times below 2^8 ns have a slot each; above, the highest 8 bits count.
const fn slot(ns: u64) -> usize {
    let width = 64 - ns.leading_zeros();
    let shift = width.saturating_sub(BITS + 1);
    ((shift << BITS) as u64 + (ns >> shift)) as usize
}

fn middle_ns(slot: usize) -> f64 {
    let shift = (slot >> BITS).saturating_sub(1);
    let lowest = (slot - (shift << BITS)) << shift;
    lowest as f64 + ((1_u64 << shift) as f64 - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_told_within_half_a_percent() {
        let mut ns = 1_u64;
        while ns < LONGEST_NS {
            let told = middle_ns(slot(ns));
            assert!((told - ns as f64).abs() <= ns as f64 * 0.005, "{ns} ns is told as {told} ns");
            ns += ns / 97 + 1;
        }
    }

    #[test]
    fn slots_grow_with_time_and_none_is_left_out() {
        let mut last = 0;
        for ns in 0..100_000 {
            let here = slot(ns);
            assert!(here == last || here == last + 1, "{ns} ns falls into slot {here} after {last}");
            last = here;
        }
    }

    #[test]
    fn percentiles_count_from_the_short_end() {
        let mut histogram = Histogram::new();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let told = histogram.percentile_us(share) / 1000.0;
            assert!((told - ms).abs() <= ms * 0.005, "{share}: {told} ms instead of {ms}");
        }
        assert_eq!(histogram.longest_us(), 1_000_000.0);
        assert_eq!(Histogram::new().percentile_us(0.5), 0.0);
    }
}
