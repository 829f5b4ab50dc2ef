//! What came of a run.

use std::ops::Range;
use std::time::Duration;

use super::ns;

/// Requests are counted in slices of this length, so that a share can be asked for any whole span.
const SLICE: Duration = Duration::from_millis(250);

/// Bits of a time below its leading one that choose its bucket: buckets are less than 1 % wide.
const FINE_BITS: u32 = 7;

/// What came of a run. Two runs of one scenario give equal reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tries that were sent to a server.
    pub sent: u64,
    /// Requests that failed in the end.
    pub failed: u64,
    /// Requests that nobody could take.
    pub refused: u64,
    /// How long the requests after the warm-up took, the failed ones too.
    pub took: Took,
    /// How long those waited who had to and came after the warm-up, until a server had room or they gave up.
    pub waited: Took,
    /// How often a server was ejected.
    pub ejections: u64,
    /// Which server came back from an ejection, and when.
    pub returns: Vec<(usize, Duration)>,
    /// Tries per slice and server.
    slices: Vec<u64>,
    /// Requests per slice.
    asked: Vec<u64>,
    servers: usize,
}

impl Report {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            sent: 0,
            failed: 0,
            refused: 0,
            took: Took::default(),
            waited: Took::default(),
            ejections: 0,
            returns: Vec::new(),
            slices: Vec::new(),
            asked: Vec::new(),
            servers,
        }
    }

    pub(super) fn count(&mut self, server: usize, now_ns: u64) {
        self.sent += 1;
        let place = slice(now_ns) * self.servers + server;
        if place >= self.slices.len() {
            self.slices.resize((slice(now_ns) + 1) * self.servers, 0);
        }
        self.slices[place] += 1;
    }

    pub(super) fn ask(&mut self, now_ns: u64) {
        let place = slice(now_ns);
        if place >= self.asked.len() {
            self.asked.resize(place + 1, 0);
        }
        self.asked[place] += 1;
    }

    /// How many requests came in this span, whose ends are rounded down to slices of 250 ms.
    pub fn asked(&self, span: Range<Duration>) -> u64 {
        let (from, until) = (slice(ns(span.start)), slice(ns(span.end)));
        self.asked.iter().skip(from).take(until.saturating_sub(from)).sum()
    }

    /// How many tries each server got in this span, whose ends are rounded down to slices of 250 ms.
    pub fn counts(&self, span: Range<Duration>) -> Vec<u64> {
        let (from, until) = (slice(ns(span.start)), slice(ns(span.end)));
        let rows = self.slices.chunks_exact(self.servers.max(1));
        let mut counts = vec![0; self.servers];
        for row in rows.skip(from).take(until.saturating_sub(from)) {
            counts.iter_mut().zip(row).for_each(|(count, more)| *count += more);
        }
        counts
    }

    /// The share of the requests in this span that one server got; 1.0 is all of them.
    pub fn share(&self, server: usize, span: Range<Duration>) -> f64 {
        let counts = self.counts(span);
        let all: u64 = counts.iter().sum();
        counts.get(server).map_or(0.0, |count| *count as f64 / all.max(1) as f64)
    }

    /// How far the servers are from equal shares in this span: 0.1 is one that got 10 % more or less.
    pub fn imbalance(&self, span: Range<Duration>) -> f64 {
        let counts = self.counts(span);
        let fair = counts.iter().sum::<u64>().max(1) as f64 / counts.len().max(1) as f64;
        counts.iter().map(|count| (*count as f64 / fair - 1.0).abs()).fold(0.0, f64::max)
    }
}

fn slice(at_ns: u64) -> usize {
    (at_ns / ns(SLICE)) as usize
}

/// A distribution of times, to within 1 %.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Took {
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
}

impl Took {
    pub(super) fn record(&mut self, ns: u64) {
        let bucket = bucket(ns);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.sum_ns / u128::from(self.count.max(1))) as u64)
    }

    /// The time that this share of all do not exceed: 0.99 is p99.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil() as u64;
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_nanos(found.map_or(0, upper_ns))
    }
}

/// Its leading one and the bits below it, as one number that grows with the time.
fn bucket(ns: u64) -> usize {
    let shift = ns.max(1).ilog2().saturating_sub(FINE_BITS);
    ((u64::from(shift) << FINE_BITS) + (ns >> shift)) as usize
}

/// The longest time of a bucket.
fn upper_ns(bucket: usize) -> u64 {
    let shift = (bucket >> FINE_BITS).saturating_sub(1) as u32;
    let fine = bucket as u64 - (u64::from(shift) << FINE_BITS);
    ((fine + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_less_than_a_hundredth_wide() {
        let mut last = 0;
        for exponent in 0..55 {
            for fine in 0..300u64 {
                let ns = (1 << exponent) + (fine << exponent) / 300;
                let place = bucket(ns);
                assert!(place >= last);
                last = place;
                assert!(upper_ns(place) >= ns && upper_ns(place) - ns <= ns / 100, "{ns}");
            }
        }
    }
}
