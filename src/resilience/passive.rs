//! When is live traffic kept from a backend that fails it, and for how long?

use std::time::Duration;

/// The longest ejection, however often it is repeated.
const SENTENCE_MAX: Duration = Duration::from_secs(300);

/// `[pool.NAME.passive]`, where it is enabled.
#[derive(Debug, Clone, PartialEq)]
pub struct Passive {
    /// So many failures in a row eject.
    pub consecutive: u32,
    /// This share of the requests of a window ejects.
    pub ratio: f64,
    /// Below so many requests in the window the ratio says nothing.
    pub min_requests: u64,
    /// Over which time the ratio counts.
    pub window: Duration,
    /// Above this multiple of the pool's median time a backend is ejected; 0.0: never.
    pub latency_factor: f64,
    /// How long the first ejection lasts.
    pub eject_for: Duration,
    /// The share of the pool that may be out at once.
    pub max_ejected: f64,
    /// A check that passes ends an ejection.
    pub end_by_check: bool,
}

impl Default for Passive {
    /// What holds where a pool's file says nothing.
    fn default() -> Self {
        Self {
            consecutive: 5,
            ratio: 0.5,
            min_requests: 20,
            window: Duration::from_secs(10),
            latency_factor: 0.0,
            eject_for: Duration::from_secs(10),
            max_ejected: 0.5,
            end_by_check: true,
        }
    }
}

/// Why a backend is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    Ratio,
    /// Much slower than the others.
    Latency,
    /// It came back, and failed at once.
    Trial,
}

impl Cause {
    /// Every cause; a cause's place here is its number.
    pub const ALL: [Self; 4] = [Self::Consecutive, Self::Ratio, Self::Latency, Self::Trial];

    /// The cause of this number.
    pub fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Consecutive)
    }
}

impl Passive {
    /// Whether a backend is to be ejected after a failure: so many in a row, and so many failures among the
    /// requests of the window.
    pub fn judge(&self, row: u32, requests: u64, failures: u64) -> Option<Cause> {
        if row >= self.consecutive {
            return Some(Cause::Consecutive);
        }
        let enough = requests >= self.min_requests;
        (enough && failures as f64 >= self.ratio * requests as f64).then_some(Cause::Ratio)
    }

    /// How long the ejection lasts of a backend that was ejected `level` times before.
    pub fn sentence(&self, level: u8) -> Duration {
        let doubled = 1u32.checked_shl(u32::from(level)).and_then(|times| self.eject_for.checked_mul(times));
        doubled.unwrap_or(SENTENCE_MAX).min(SENTENCE_MAX)
    }

    /// How many earlier ejections still count after the backend has been in for so long: each time that it
    /// was in for as long as its last ejection lasted, one is forgotten.
    pub fn level_left(&self, mut level: u8, mut been_in: Duration) -> u8 {
        while level > 0 {
            let Some(rest) = been_in.checked_sub(self.sentence(level - 1)) else { break };
            been_in = rest;
            level -= 1;
        }
        level
    }

    /// How many of the pool's backends may be out at once.
    pub fn room(&self, backends: usize) -> usize {
        let share = (self.max_ejected * backends as f64) as usize;
        if backends >= 2 { share.max(1) } else { share }
    }

    /// What operators read.
    pub fn explain(&self, cause: Cause) -> String {
        match cause {
            Cause::Consecutive => format!("{} failures in a row", self.consecutive),
            Cause::Ratio => {
                format!("{} % of its requests within {:?} failed", self.ratio * 100.0, self.window)
            }
            Cause::Latency => format!("slower than {} x the pool's median", self.latency_factor),
            Cause::Trial => "failed again as soon as it was back".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_contracts_numbers() {
        let passive = Passive::default();
        assert_eq!(passive.judge(4, 4, 4), None);
        assert_eq!(passive.judge(5, 5, 5), Some(Cause::Consecutive));
        assert_eq!(passive.judge(1, 19, 19), None);
        assert_eq!(passive.judge(1, 20, 9), None);
        assert_eq!(passive.judge(1, 20, 10), Some(Cause::Ratio));
        assert_eq!(passive.judge(1, 21, 10), None);
        let all = Passive { ratio: 1.0, ..passive };
        assert_eq!((all.judge(1, 20, 19), all.judge(1, 20, 20)), (None, Some(Cause::Ratio)));
    }

    #[test]
    fn half_of_the_pool_rounded_down_but_one_of_two() {
        let passive = Passive::default();
        assert_eq!([0, 1, 2, 3, 4, 5, 9].map(|n| passive.room(n)), [0, 0, 1, 1, 2, 2, 4]);
        let few = Passive { max_ejected: 0.1, ..Passive::default() };
        assert_eq!([1, 2, 9, 10, 25].map(|n| few.room(n)), [0, 1, 1, 1, 2]);
        let all = Passive { max_ejected: 1.0, ..Passive::default() };
        assert_eq!([1, 2, 3].map(|n| all.room(n)), [1, 2, 3]);
    }

    #[test]
    fn ejections_double_up_to_five_minutes_and_decay() {
        let (passive, second) = (Passive::default(), Duration::from_secs(1));
        let lengths = [0, 1, 2, 3, 4, 5, 6, 31, 32, 255].map(|level| passive.sentence(level).as_secs());
        assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300, 300, 300, 300]);
        // Ejected three times, the last time for 40 s.
        let left = [0, 39, 40, 59, 60, 69, 70, 900].map(|been_in| passive.level_left(3, second * been_in));
        assert_eq!(left, [3, 3, 2, 2, 1, 1, 0, 0]);
    }

    #[test]
    fn causes_have_their_numbers() {
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(Cause::of(number as u8), cause);
            assert!(cause as usize == number && !Passive::default().explain(cause).is_empty());
        }
    }

    proptest! {
        #[test]
        fn longer_in_never_means_longer_out(level in 0u8..40, a in 0u64..5_000, b in 0u64..5_000) {
            let left = |seconds| Passive::default().level_left(level, Duration::from_secs(seconds));
            prop_assert!(left(a.max(b)) <= left(a.min(b)) && left(a) <= level);
        }
    }
}
