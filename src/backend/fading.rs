//! A number that several workers move without a lock, with the moment it was moved last.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::Moment;

/// Other workers may move it at the same time; after so many lost races a change is dropped, which an
/// average does not notice.
const RACES_MAX: usize = 8;

/// One word holds both parts, so that no reader sees a new value with an old time: the value (bits of an
/// `f32`) above, the tick of its last change (wrapping after six days) below. The value 0.0 is «none».
#[derive(Debug)]
pub(super) struct Fading(AtomicU64);

/// What a [`Fading`] held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Above 0.
    pub(super) value: f32,
    at: u32,
}

impl Fading {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn get(&self) -> Option<Held> {
        Held::unpack(self.0.load(Ordering::Relaxed))
    }

    /// Replaces the value by what `next` makes of it; a result that is not above 0 is «none».
    pub(super) fn change(&self, now: Moment, next: impl Fn(Option<Held>) -> f32) {
        let mut word = self.0.load(Ordering::Relaxed);
        for _ in 0..RACES_MAX {
            let held = Held::unpack(word);
            // A worker whose clock reading is a little older does not turn the time back.
            let at = held.filter(|held| held.is_after(now)).map_or(now.ticks() as u32, |held| held.at);
            let value = next(held).max(0.0);
            let packed = u64::from(value.to_bits()) << 32 | u64::from(at);
            match self.0.compare_exchange_weak(word, packed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// Forgets the value, unless it has changed since it was `held`.
    pub(super) fn forget(&self, held: Held) {
        let packed = u64::from(held.value.to_bits()) << 32 | u64::from(held.at);
        let _ = self.0.compare_exchange(packed, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Held {
    fn unpack(word: u64) -> Option<Self> {
        let value = f32::from_bits((word >> 32) as u32);
        (value > 0.0).then_some(Self { value, at: word as u32 })
    }

    fn is_after(&self, now: Moment) -> bool {
        (now.ticks() as u32).wrapping_sub(self.at) > u32::MAX / 2
    }

    /// Ticks since the last change; 0 where `now` is older.
    pub(super) fn age(&self, now: Moment) -> u32 {
        if self.is_after(now) { 0 } else { (now.ticks() as u32).wrapping_sub(self.at) }
    }
}
