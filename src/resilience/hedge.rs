//! When a second try is worth it: how long the answers of a pool take.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A second try is made once the first has taken longer than this share of the answers.
const SHARE: f64 = 0.95;

/// The shortest delay: below it a second try saves nothing that anybody notices.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// Answers before which nothing is known.
const SAMPLES_MIN: u32 = 100;

/// After so many answers those of before count half.
const HALF_LIFE: u32 = 1_024;

/// The delay is worked out again after so many answers.
const RENEW_EVERY: u32 = 32;

/// Buckets of each doubling: they are at most 13 % wide.
const PER_OCTAVE: u32 = 8;

/// Doublings of [`DELAY_MIN`] that are told apart: up to a minute.
const OCTAVES: u32 = 16;

/// The buckets. What took less than [`DELAY_MIN`] is in the first, what took more than a minute in the last.
const BUCKETS: usize = (OCTAVES * PER_OCTAVE) as usize;

/// How long a pool's answers take, shared by all workers without a lock: a histogram that forgets, and what follows
/// of it.
#[derive(Debug)]
pub struct HedgeDelay {
    buckets: Box<[AtomicU32; BUCKETS]>,
    /// Answers since the counts were halved.
    since: AtomicU32,
    /// In ns; 0: too few answers.
    delay_ns: AtomicU64,
}

impl Default for HedgeDelay {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU32::new(0) }; BUCKETS]),
            since: AtomicU32::new(0),
            delay_ns: AtomicU64::new(0),
        }
    }
}

impl HedgeDelay {
    /// How long a first try may take before a second is worth it; `None` while too little is known.
    pub fn get(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.delay_ns.load(Ordering::Relaxed))).filter(|delay| !delay.is_zero())
    }

    /// An answer took so long. One that was not waited for to its end took at least so long: it lies among the
    /// slowest all the same, for it had outlasted the delay.
    pub fn record(&self, took: Duration) {
        self.buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
        let since = self.since.fetch_add(1, Ordering::Relaxed) + 1;
        if since.is_multiple_of(RENEW_EVERY) {
            self.renew(since);
        }
    }

    /// Of two workers that come here at once each counts what it sees: the delay is off by a few answers.
    #[cold]
    fn renew(&self, since: u32) {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if all >= u64::from(SAMPLES_MIN) {
            let rank = (SHARE * all as f64).ceil() as u64;
            let mut below = 0;
            let reached = counts.iter().position(|count| {
                below += u64::from(*count);
                below >= rank
            });
            let delay = upper(reached.unwrap_or(BUCKETS - 1));
            self.delay_ns.store(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        if since >= HALF_LIFE {
            self.since.store(0, Ordering::Relaxed);
            for (bucket, count) in self.buckets.iter().zip(counts) {
                // What came meanwhile stays. One that two workers halve at once counts a quarter.
                let _ = bucket.try_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                    Some(now.saturating_sub(count - count / 2))
                });
            }
        }
    }
}

fn bucket(took: Duration) -> usize {
    let times = took.as_secs_f64() / DELAY_MIN.as_secs_f64();
    if times < 1.0 {
        return 0;
    }
    ((times.log2() * f64::from(PER_OCTAVE)) as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper(bucket: usize) -> Duration {
    DELAY_MIN.mul_f64(((bucket + 1) as f64 / f64::from(PER_OCTAVE)).exp2())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn after(answers: impl IntoIterator<Item = Duration>) -> Option<Duration> {
        let delay = HedgeDelay::default();
        answers.into_iter().for_each(|took| delay.record(took));
        delay.get()
    }

    /// Of 1 to `n` ms, in a shuffled order that is the same in every run.
    fn spread(n: u32) -> impl Iterator<Item = Duration> + Clone {
        (0..n).map(move |nth| MS * (nth * 7_919 % n + 1))
    }

    #[test]
    fn nothing_is_said_before_a_hundred_answers() {
        assert_eq!(after(spread(96)), None);
        assert!(after(spread(128)).is_some());
    }

    #[test]
    fn it_is_the_95th_of_a_hundred_to_the_width_of_a_bucket() {
        let delay = after(spread(1_000)).unwrap();
        assert!(delay >= MS * 950 && delay <= MS * 1_075, "{delay:?}");
        let fast = after([Duration::from_micros(30); 200]).unwrap();
        assert!(fast >= DELAY_MIN && fast < MS * 2, "{fast:?}");
        let slow = after([Duration::from_secs(3_600); 200]).unwrap();
        assert!(slow >= Duration::from_secs(60) && slow < Duration::from_secs(70), "{slow:?}");
    }

    #[test]
    fn what_was_is_forgotten() {
        let delay = HedgeDelay::default();
        (0..10_000).for_each(|_| delay.record(MS * 500));
        (0..10_000).for_each(|_| delay.record(MS * 5));
        assert!(delay.get().unwrap() < MS * 6, "{:?}", delay.get());
        let held: u32 = delay.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum();
        assert!(held <= 3 * HALF_LIFE, "{held}");
    }

    /// Losers are cut off at the delay or later: were they left out, each delay would be made of the answers that
    /// the one before let through, and go to nothing.
    #[test]
    fn what_was_cut_off_keeps_the_delay_where_it_is() {
        let delay = HedgeDelay::default();
        spread(1_000).for_each(|took| delay.record(took));
        for took in spread(1_000).cycle().take(20_000) {
            delay.record(delay.get().map_or(took, |cut| took.min(cut)));
        }
        let kept = delay.get().unwrap();
        assert!(kept >= MS * 850 && kept <= MS * 1_100, "{kept:?}");
    }

    #[test]
    fn workers_count_into_one() {
        let delay = HedgeDelay::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| spread(1_000).cycle().take(5_000).for_each(|took| delay.record(took)));
            }
        });
        let found = delay.get().unwrap();
        assert!(found >= MS * 800 && found <= MS * 1_100, "{found:?}");
    }
}
