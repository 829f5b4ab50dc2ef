//! How fast a backend answers: a peak-sensitive moving average.
//!
//! After Finagle's peak EWMA: a sample above the average replaces it at once, a sample below pulls it
//! down by its share of time, and an average nobody feeds decays towards zero, so that a backend which
//! was slow once is tried again instead of being starved for good.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// After this time without a sample an estimate has fallen to 1/e. With 5 s, a backend that was 100
/// times slower than its peers is tried again after 23 s at the latest.
const DECAY: Duration = Duration::from_secs(5);

/// A failure counts as an answer that took at least so many times the estimate.
const FAILURE_FACTOR: f32 = 4.0;

/// A failure never counts as faster than this: a backend that refuses within microseconds would
/// otherwise look like the best of all and attract the whole traffic.
const FAILURE_FLOOR: Duration = Duration::from_millis(100);

/// What the failure of a backend counts that never answered: nothing says how fast it could be.
const FAILURE_UNKNOWN: Duration = Duration::from_secs(1);

/// No sample counts for more: the way back from a failure must stay in sight.
const SAMPLE_MAX: Duration = Duration::from_secs(60);

/// The smallest estimate in µs. Zero bits mean «no sample yet».
const ESTIMATE_MIN: f32 = 0.001;

/// Other workers may record at the same time; after so many lost races the sample is dropped, which an
/// average does not notice.
const RACES_MAX: usize = 8;

/// The peak-sensitive average of the time to the response head, shared by all workers without a lock.
///
/// One word holds both parts, so that no reader sees a new value with an old time: the estimate in µs
/// (bits of an `f32`) above, the time of the last sample in ms since the process's start (wrapping
/// after 49 days) below.
#[derive(Debug)]
pub struct Latency {
    packed: AtomicU64,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self { packed: AtomicU64::new(0) }
    }

    /// Records the time from the request sent to the head of its response.
    pub fn record(&self, sample: Duration, now: Instant) {
        let sample_us = micros(sample.min(SAMPLE_MAX));
        self.update(now, |_| sample_us);
    }

    /// Records a failure that came after `elapsed`: it counts as an answer that took the longest of
    /// `elapsed`, four times the present estimate and 100 ms (1 s where there is no estimate), at most
    /// 60 s.
    pub fn record_failure(&self, elapsed: Duration, now: Instant) {
        let elapsed_us = micros(elapsed);
        self.update(now, |estimate_us| {
            let slow = match estimate_us {
                Some(estimate_us) => (estimate_us * FAILURE_FACTOR).max(micros(FAILURE_FLOOR)),
                None => micros(FAILURE_UNKNOWN),
            };
            slow.max(elapsed_us).min(micros(SAMPLE_MAX))
        });
    }

    /// The estimate at `now`, decayed by the time without a sample; `None` before the first sample.
    pub fn estimate(&self, now: Instant) -> Option<Duration> {
        self.estimate_us(now).map(|us| Duration::from_secs_f64(f64::from(us) / 1e6))
    }

    /// As [`Self::estimate`], in µs: what a balancer compares.
    pub fn estimate_us(&self, now: Instant) -> Option<f32> {
        let average = Average::unpack(self.packed.load(Ordering::Relaxed))?;
        Some((average.us * average.left(stamp(now))).max(ESTIMATE_MIN))
    }

    fn update(&self, now: Instant, sample_us: impl Fn(Option<f32>) -> f32) {
        let now_ms = stamp(now);
        let mut held = self.packed.load(Ordering::Relaxed);
        for _ in 0..RACES_MAX {
            let average = Average::unpack(held);
            let next = match &average {
                None => Average { us: sample_us(None), at_ms: now_ms },
                Some(average) => average.with(&sample_us, now_ms),
            };
            match self.packed.compare_exchange_weak(held, next.pack(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => held = other,
            }
        }
    }
}

/// The unpacked word.
#[derive(Debug, Clone, Copy)]
struct Average {
    us: f32,
    at_ms: u32,
}

impl Average {
    fn unpack(packed: u64) -> Option<Self> {
        let us = f32::from_bits((packed >> 32) as u32);
        (us > 0.0).then_some(Self { us, at_ms: packed as u32 })
    }

    fn pack(self) -> u64 {
        u64::from(self.us.max(ESTIMATE_MIN).to_bits()) << 32 | u64::from(self.at_ms)
    }

    /// The share of this average that is left at `now_ms`: 1.0 at once, 1/e after [`DECAY`].
    fn left(&self, now_ms: u32) -> f32 {
        let age_ms = now_ms.wrapping_sub(self.at_ms);
        // A worker whose clock reading is a little older than the last sample's sees a negative age.
        if age_ms == 0 || age_ms > u32::MAX / 2 {
            return 1.0;
        }
        (-(age_ms as f32) / DECAY.as_millis() as f32).exp()
    }

    fn with(&self, sample_us: impl Fn(Option<f32>) -> f32, now_ms: u32) -> Self {
        let left = self.left(now_ms);
        let sample_us = sample_us(Some(self.us * left));
        let us = if sample_us >= self.us { sample_us } else { self.us * left + sample_us * (1.0 - left) };
        let older = now_ms.wrapping_sub(self.at_ms) > u32::MAX / 2;
        Self { us, at_ms: if older { self.at_ms } else { now_ms } }
    }
}

fn micros(time: Duration) -> f32 {
    time.as_secs_f32() * 1e6
}

/// The instant that this process counts time from. A virtual clock that begins here too is counted the
/// same in every run.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Milliseconds since [`epoch`]; an instant before it counts as 0.
fn stamp(now: Instant) -> u32 {
    now.saturating_duration_since(epoch()).as_millis() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn close(left: Option<Duration>, right: Duration) -> bool {
        left.is_some_and(|left| left.abs_diff(right) <= right / 100 + Duration::from_micros(2))
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let latency = Latency::new();
        assert_eq!(latency.estimate(start), None);
        latency.record(10 * MS, start);
        assert!(close(latency.estimate(start), 10 * MS));
        latency.record(80 * MS, start + MS);
        assert!(close(latency.estimate(start + MS), 80 * MS));
        // Idle for the decay time: 1/e of it is left.
        assert!(close(
            latency.estimate(start + MS + DECAY),
            Duration::from_secs_f64(0.080 / std::f64::consts::E)
        ));
        // A fast sample then weighs as much as the time that went by.
        latency.record(10 * MS, start + MS + DECAY);
        let expected = 0.080 / std::f64::consts::E + 0.010 * (1.0 - 1.0 / std::f64::consts::E);
        assert!(close(latency.estimate(start + MS + DECAY), Duration::from_secs_f64(expected)));
    }

    #[test]
    fn steady_fast_samples_pull_the_average_down() {
        let start = Instant::now();
        let latency = Latency::new();
        latency.record(500 * MS, start);
        for ms in 1..=40_000 {
            latency.record(Duration::from_micros(200), start + ms * MS);
        }
        let estimate = latency.estimate(start + 40_000 * MS).unwrap();
        assert!(estimate < Duration::from_micros(500), "{estimate:?}");
        assert!(estimate > Duration::from_micros(199), "{estimate:?}");
    }

    #[test]
    fn a_failure_is_slow_however_fast_it_came() {
        let now = Instant::now();
        let unknown = Latency::new();
        unknown.record_failure(MS, now);
        assert!(close(unknown.estimate(now), FAILURE_UNKNOWN));
        let fast = Latency::new();
        fast.record(MS, now);
        fast.record_failure(Duration::ZERO, now);
        assert!(close(fast.estimate(now), FAILURE_FLOOR));
        fast.record_failure(Duration::ZERO, now);
        assert!(close(fast.estimate(now), 400 * MS));
        for _ in 0..20 {
            fast.record_failure(Duration::ZERO, now);
        }
        assert!(close(fast.estimate(now), SAMPLE_MAX));
    }

    #[test]
    fn an_older_clock_reading_neither_decays_nor_turns_time_back() {
        let start = Instant::now();
        epoch();
        let latency = Latency::new();
        latency.record(10 * MS, start + 5_000 * MS);
        latency.record(5 * MS, start + 4_000 * MS);
        assert!(close(latency.estimate(start + 3_000 * MS), 10 * MS));
        assert!(close(latency.estimate(start + 5_000 * MS), 10 * MS));
    }

    proptest! {
        #[test]
        fn the_estimate_stays_between_nothing_and_the_longest_sample(
            samples in prop::collection::vec((0u64..5_000_000, 0u64..20_000), 1..50),
        ) {
            let latency = Latency::new();
            let mut now = Instant::now();
            let mut longest = 0;
            for (sample_us, gap_ms) in samples {
                now += Duration::from_millis(gap_ms);
                longest = longest.max(sample_us);
                latency.record(Duration::from_micros(sample_us), now);
                let estimate_us = latency.estimate_us(now).unwrap();
                prop_assert!(estimate_us <= longest as f32 * 1.001 + 1.0);
                prop_assert!(estimate_us > 0.0);
            }
        }
    }
}
