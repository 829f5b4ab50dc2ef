//! How this room counts time.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Ticks of one millisecond: fine enough for backends that answer in a fraction of one.
const TICKS_PER_MS: u64 = 8;

/// Nanoseconds of one tick.
const TICK_NS: u32 = 1_000_000 / TICKS_PER_MS as u32;

/// Microseconds of one tick.
pub(super) const TICK_US: f32 = TICK_NS as f32 / 1e3;

/// How late a [`CoarseClock`] may be.
const COARSE: Duration = Duration::from_millis(4);

/// The instant that this process counts time from. A virtual clock that begins here too is counted the
/// same in every run.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A moment, in ticks of 125 µs since [`epoch`]. Worked out once for a pick that looks at many backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment of this instant; one before the epoch counts as the epoch.
    pub fn of(now: Instant) -> Self {
        let since = now.saturating_duration_since(epoch());
        Self(since.as_secs() * 1_000 * TICKS_PER_MS + u64::from(since.subsec_nanos() / TICK_NS))
    }

    /// The time from `earlier` to this; none where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0) * u64::from(TICK_NS))
    }

    /// The moment so long before this; at the earliest the epoch.
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::from(ticks(time))))
    }

    /// The moment so long after this.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::from(ticks(time))))
    }

    /// The lower bits of the number of ticks: the same for all moments of one tick (125 µs), and again after six days.
    pub fn tick_bits(self) -> u32 {
        self.0 as u32
    }

    /// The number of ticks.
    pub(super) fn ticks(self) -> u64 {
        self.0
    }

    pub(super) fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        Self::of(instant)
    }
}

/// Moments to within 4 ms, for one thread that asks for thousands in a second: to work one out costs as much as
/// half a header field.
#[derive(Debug)]
pub struct CoarseClock {
    /// What is told before this instant.
    told: Cell<Moment>,
    until: Cell<Instant>,
}

impl CoarseClock {
    /// A clock that is right at this instant.
    pub fn new(now: Instant) -> Self {
        Self { told: Cell::new(Moment::of(now)), until: Cell::new(now + COARSE) }
    }

    /// The moment of this instant, or one up to 4 ms before it. Of an instant before one that was asked for already, the
    /// moment of that.
    pub fn moment(&self, now: Instant) -> Moment {
        if now >= self.until.get() {
            self.told.set(Moment::of(now));
            self.until.set(now + COARSE);
        }
        self.told.get()
    }
}

/// A length of time in ticks.
pub(super) const fn ticks(time: Duration) -> u32 {
    (time.as_millis() as u64 * TICKS_PER_MS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_clock_is_late_by_less_than_4_ms() {
        let at = |us: u64| epoch() + Duration::from_micros(us);
        let clock = CoarseClock::new(at(1_000));
        let asked = [1_000, 4_999, 5_000, 8_999, 9_001, 50_000_000, 49_000_000];
        let told = asked.map(|us| clock.moment(at(us)));
        let right = [1_000, 1_000, 5_000, 5_000, 9_001, 50_000_000, 50_000_000];
        assert_eq!(told, right.map(|us| Moment::of(at(us))));
    }
}
