//! How a backend answers: how fast, how often not at all, and what is still out.
//!
//! Three numbers, kept apart because they would spoil each other:
//! - the average time of its answers, in which one sample never counts for much. A peak that replaced the
//!   average, as in Finagle's peak EWMA, makes equal backends look unequal for as long as the average
//!   lasts, because response times are nearly memoryless and one in a hundred is five times the mean;
//! - the share of its requests that fail. As slow samples in the average, failures would raise the pool's
//!   median that they are measured by, and with it each other, without an end;
//! - the age of what it has not answered yet, which shows a backend that hangs before any sample can.
//!
//! What is good is relative: to the median of the pool ([`Norm`]).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::clock::{Moment, TICK_US, ticks};
use super::fading::{Fading, Held};
use super::waiting::Waiting;

/// With so much time between two samples the newer one would get 1 − 1/e of the average. In this time without
/// a sample an average goes to 1/e of its distance from the pool's median, and a failure rate to 1/e.
const MEMORY: Duration = Duration::from_secs(10);

/// The share of the average that a sample gets at least: a busy backend's average is of some hundred
/// samples rather than of ten seconds, so that a change shows at once.
const SAMPLE_MIN: f32 = 1.0 / 128.0;

/// The share of the average that a sample gets at most: a quiet backend is not judged by one sample.
const SAMPLE_MAX: f32 = 1.0 / 8.0;

/// After so many samples an average is fully believed; before, it is drawn towards the pool's median. The
/// first answers of equal backends differ by chance far more than those of different ones do on average.
const BELIEVED: u32 = 32;

/// Samples are counted up to here: from then on [`SAMPLE_MIN`] says what one more counts for.
const COUNTED: u32 = 127;

/// A sample counts for at most so many times the pool's median.
const CAP: f32 = 10.0;

/// The share of the failure rate that one request gets at least, and at most. At the least, a single
/// failure stays within what a balancer overlooks.
const FAILURE_MIN: f32 = 1.0 / 20.0;
const FAILURE_MAX: f32 = 1.0 / 2.0;

/// A failure rate below this is none.
const FAILURE_NONE: f32 = 1e-3;

/// The longest that a failed request goes on counting.
const LOST_MAX: Duration = Duration::from_secs(5);

/// The smallest average in µs: 0.0 is «none».
const AVERAGE_MIN: f32 = 0.001;

/// After so many ticks nothing is left: less than 1e-15. Later numbers get so small that processors take ten times as long
/// with each.
const FORGOTTEN: u32 = ticks(MEMORY) * 64;

/// How long a pool's median serves.
const NORM_AGE: Duration = Duration::from_millis(100);

/// What is usual in one pool: the median of its backends' average times. Shared by them and by the
/// balancer, which renews it.
#[derive(Debug, Default)]
pub struct Norm {
    /// Bits of the median in µs, 0 for none, above; the tick when it is due again below.
    packed: AtomicU64,
}

impl Norm {
    /// The median in µs; `None` while nobody has answered.
    pub fn us(&self) -> Option<f32> {
        Some(f32::from_bits((self.packed.load(Ordering::Relaxed) >> 32) as u32)).filter(|us| *us > 0.0)
    }

    /// As it is now; what becomes of the one is nothing to the other.
    pub fn copied(&self) -> Self {
        Self { packed: AtomicU64::new(self.packed.load(Ordering::Relaxed)) }
    }

    /// Whether it is due to be worked out again. To one worker it is, and for the others it is not.
    pub fn is_due(&self, now: Moment) -> bool {
        let packed = self.packed.load(Ordering::Relaxed);
        let left = (packed as u32).wrapping_sub(now.ticks() as u32);
        if left != 0 && left <= ticks(NORM_AGE) {
            return false;
        }
        let due = (now.ticks() as u32).wrapping_add(ticks(NORM_AGE));
        let next = packed >> 32 << 32 | u64::from(due);
        self.packed.compare_exchange(packed, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Sets the median, in µs.
    pub fn set(&self, us: Option<f32>, now: Moment) {
        let due = (now.ticks() as u32).wrapping_add(ticks(NORM_AGE));
        let packed = u64::from(us.unwrap_or(0.0).to_bits()) << 32 | u64::from(due);
        self.packed.store(packed, Ordering::Relaxed);
    }
}

/// How one backend answers, shared by all workers without a lock. Written through [`super::Lease`].
#[derive(Debug)]
pub struct Latency {
    norm: OnceLock<Arc<Norm>>,
    /// The average time of an answer, in µs.
    average: Fading,
    /// How many samples it is of, up to [`COUNTED`].
    samples: AtomicU32,
    /// The share of requests that fail, 0.0 to 1.0.
    failing: Fading,
    /// Failed requests that go on counting.
    lost: Fading,
    pub(super) waiting: Waiting,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self {
            norm: OnceLock::new(),
            average: Fading::new(),
            samples: AtomicU32::new(0),
            failing: Fading::new(),
            lost: Fading::new(),
            waiting: Waiting::new(),
        }
    }

    /// Measures this backend by its pool's median from now on. A backend is of one pool all its life, so
    /// that only the first call counts.
    pub fn measure_by(&self, norm: &Arc<Norm>) {
        let _ = self.norm.set(Arc::clone(norm));
    }

    /// Whether a balancer reads this. Where none ever did, leases keep no times: to keep them costs a
    /// request more than a turn of round-robin does.
    pub(super) fn is_measured(&self) -> bool {
        self.norm.get().is_some()
    }

    /// Records the time from the request sent to the head of a good response.
    pub fn record(&self, sample: Duration, now: impl Into<Moment>) {
        let now = now.into();
        let norm = self.norm_us();
        let sample = micros(sample).min(norm.map_or(f32::MAX, |norm| norm * CAP));
        let samples = self.samples.load(Ordering::Relaxed);
        if samples < COUNTED {
            // Two workers may count at once: then it is one more than needed.
            self.samples.fetch_add(1, Ordering::Relaxed);
        }
        // Of the first samples the plain mean.
        let least = 1.0 / (samples as f32 + 1.0);
        self.average.change(now, |held| {
            let next = held.map_or(sample, |held| {
                let share = share(held.age(now), SAMPLE_MIN, SAMPLE_MAX).max(least);
                let next = held.value + (sample - held.value) * share;
                let shown = towards(norm.unwrap_or(held.value), held, now);
                // What was forgotten since the last sample stays so where this one does not confirm it.
                if sample < shown { next.min(shown) } else { next.max(shown) }
            });
            next.max(AVERAGE_MIN)
        });
        if self.failing.get().is_some() {
            self.failing.change(now, |held| {
                let left = held.map_or(0.0, |held| failing_left(held, now) * (1.0 - FAILURE_MIN));
                if left < FAILURE_NONE { 0.0 } else { left }
            });
        }
    }

    /// Records a failure that came after `elapsed`.
    pub fn record_failure(&self, elapsed: Duration, now: impl Into<Moment>) {
        let now = now.into();
        self.failing.change(now, |held| {
            let share = held.map_or(FAILURE_MIN, |held| share(held.age(now), FAILURE_MIN, FAILURE_MAX));
            let before = held.map_or(0.0, |held| failing_left(held, now));
            before + (1.0 - before) * share
        });
        if let Some(usual) = self.usual_us() {
            // What it took is over; it counts for the rest of what a good one takes.
            let more = (-micros(elapsed) / usual).exp2();
            self.lost.change(now, |held| held.map_or(0.0, |held| lost_left(held, usual, now)) + more);
        }
    }

    /// The average time of an answer at `now`, drawn towards `norm_us` while samples are few and for want of
    /// new ones; `None` before the first.
    pub fn average_us(&self, norm_us: f32, now: Moment) -> Option<f32> {
        let held = self.average.get()?;
        let samples = self.samples.load(Ordering::Relaxed);
        let belief = if samples >= BELIEVED { 1.0 } else { samples as f32 / BELIEVED as f32 };
        Some(norm_us + (towards(norm_us, held, now) - norm_us) * belief)
    }

    /// Whether at its last answer its average was within this factor of `norm_us`, and it has not failed of late. One that
    /// never answered is as it is usual.
    pub fn is_within(&self, factor: f32, norm_us: f32) -> bool {
        let is_near = |held: Held| held.value < norm_us * factor && held.value * factor > norm_us;
        self.failing.get().is_none() && self.average.get().is_none_or(is_near)
    }

    /// The average time of an answer as it was at the last one.
    pub fn last_average_us(&self) -> Option<f32> {
        self.average.get().map(|held| held.value)
    }

    /// The share of its requests that fail, 0.0 to 1.0.
    pub fn failing(&self, now: Moment) -> f32 {
        self.failing.get().map_or(0.0, |held| failing_left(held, now))
    }

    /// The mean age in µs of what it has not answered yet.
    pub fn mean_age_us(&self, now: Moment) -> f32 {
        self.waiting.mean_age_us(now)
    }

    /// Failed requests that go on counting, because a backend that fails at once would otherwise look idle.
    /// One counts for as long as a good request takes, at most 5 s; of several that failed at once half are
    /// left after that time. Only balancers read this: it is no part of what is in flight.
    pub fn lost(&self, now: Moment) -> u32 {
        let Some(held) = self.lost.get() else { return 0 };
        let left = self.usual_us().map_or(0.0, |usual| lost_left(held, usual, now));
        if left < 0.5 {
            // The tick of the last failure wraps: left standing, it would come back after days.
            self.lost.forget(held);
            return 0;
        }
        left.round() as u32
    }

    /// Whether nothing has been heard of it for this time, good or bad.
    pub fn is_silent_for(&self, time: Duration, now: Moment) -> bool {
        let silent = |held: Held| held.age(now) >= ticks(time);
        self.average.get().is_none_or(silent) && self.failing.get().is_none_or(silent)
    }

    fn norm_us(&self) -> Option<f32> {
        self.norm.get().and_then(|norm| norm.us())
    }

    /// What a good request takes here, as far as it counts for lost ones.
    fn usual_us(&self) -> Option<f32> {
        let usual = self.last_average_us().or_else(|| self.norm_us())?;
        Some(usual.min(micros(LOST_MAX)))
    }
}

/// The share of an average that a new sample gets after `age` ticks.
pub(super) fn share(age: u32, min: f32, max: f32) -> f32 {
    (1.0 - faded(age)).clamp(min, max)
}

/// An average that has gone towards the median for want of samples.
fn towards(norm_us: f32, held: Held, now: Moment) -> f32 {
    norm_us + (held.value - norm_us) * faded(held.age(now))
}

fn failing_left(held: Held, now: Moment) -> f32 {
    held.value * faded(held.age(now))
}

fn lost_left(held: Held, usual_us: f32, now: Moment) -> f32 {
    held.value * (-(held.age(now) as f32) * TICK_US / usual_us).exp2()
}

/// What is left after `age` ticks of what falls to about 1/e in [`MEMORY`]: (1 + x/32)^-32 in place of e^-x,
/// because a pick looks at many and an exponential function takes as long as all the rest of one.
pub(super) fn faded(age: u32) -> f32 {
    const WHOLE: f32 = (ticks(MEMORY) * 32) as f32;
    if age >= FORGOTTEN {
        return 0.0;
    }
    let part = WHOLE / (WHOLE + age as f32);
    let power_4 = part * part * (part * part);
    let power_16 = power_4 * power_4 * (power_4 * power_4);
    power_16 * power_16
}

fn micros(time: Duration) -> f32 {
    time.as_secs_f32() * 1e6
}
