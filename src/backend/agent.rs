//! What a backend says of itself, beside its answers: by the words of its agent, and by the load that it reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::clock::Moment;
use super::condition::held;
use super::fading::Fading;
use super::latency::{faded, share};
use super::orders::Duty;

/// The whole of a weight, in percent.
const WHOLE: u16 = 100;

/// What all that an agent has said so far comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Whether it is to serve.
    pub duty: Duty,
    /// It calls itself down.
    pub down: bool,
    /// How much of its weight it is to have, in percent.
    pub percent: u16,
    /// Most requests in flight; 0: it has named no number.
    pub limit: u32,
}

impl Default for Advice {
    fn default() -> Self {
        Self { duty: Duty::Ready, down: false, percent: WHOLE, limit: 0 }
    }
}

/// The advice in force, and the line that it was given by last. Written by the control thread alone, and read by all.
#[derive(Debug)]
pub struct Agent {
    advice: AtomicU64,
    said: Mutex<Option<Arc<str>>>,
}

/// Where the parts of an advice stand in the number; below them is the limit.
const PERCENT: u32 = 32;
const DUTY: u32 = 48;
const DOWN: u64 = 1 << 50;

impl Agent {
    pub(super) fn new() -> Self {
        Self { advice: AtomicU64::new(pack(Advice::default())), said: Mutex::new(None) }
    }

    /// What it comes to.
    pub fn advice(&self) -> Advice {
        let bits = self.advice.load(Ordering::Acquire);
        let duty = match bits >> DUTY & 3 {
            0 => Duty::Ready,
            1 => Duty::Drain,
            _ => Duty::Maintenance,
        };
        Advice { duty, down: bits & DOWN != 0, percent: (bits >> PERCENT) as u16, limit: bits as u32 }
    }

    /// What the agent said last; `None`: nothing yet.
    pub fn said(&self) -> Option<Arc<str>> {
        held(&self.said).clone()
    }

    /// Puts another advice into force. Gives the one before.
    pub(super) fn advise(&self, advice: Advice, said: Option<Arc<str>>) -> Advice {
        let before = self.advice();
        self.advice.store(pack(advice), Ordering::Release);
        *held(&self.said) = said;
        before
    }
}

fn pack(advice: Advice) -> u64 {
    let down = if advice.down { DOWN } else { 0 };
    down | (advice.duty as u64) << DUTY | u64::from(advice.percent) << PERCENT | u64::from(advice.limit)
}

/// The share of the average that one report gets at least, and at most; between them, by the time since the last one.
const REPORT_MIN: f32 = 1.0 / 32.0;
const REPORT_MAX: f32 = 1.0 / 2.0;

/// The least load that is kept: 0.0 would be «nothing reported», and the next report would count for all.
const LOAD_MIN: f32 = 1e-3;

/// However loaded a backend says it is, so much of its weight is left, in percent: only what it answers can bring better
/// news.
const LEFT_MIN: u16 = 10;

/// In steps of so many percent: for each change the pool is compiled anew.
const LEFT_STEP: f32 = 5.0;

/// The load that a backend reports with its responses.
#[derive(Debug)]
pub struct Load(Fading);

impl Load {
    pub(super) fn new() -> Self {
        Self(Fading::new())
    }

    /// It reports a load from 0.0 to 1.0.
    pub fn report(&self, load: f32, now: Moment) {
        self.0.change(now, |before| {
            let next = before.map_or(load, |before| {
                let left = before.value * faded(before.age(now));
                left + (load - left) * share(before.age(now), REPORT_MIN, REPORT_MAX)
            });
            next.max(LOAD_MIN)
        });
    }

    /// The average of its reports, which fades while no new ones come: one that gets no requests can report nothing.
    /// `None` before the first.
    pub fn average(&self, now: Moment) -> Option<f32> {
        self.0.get().map(|held| held.value * faded(held.age(now)))
    }

    /// How much of its weight the load leaves it, in percent.
    pub fn leaves(&self, now: Moment) -> u16 {
        let left = 100.0 * (1.0 - self.average(now).unwrap_or(0.0));
        ((left / LEFT_STEP).round() * LEFT_STEP).clamp(f32::from(LEFT_MIN), 100.0) as u16
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::epoch;

    fn at(ms: u64) -> Moment {
        Moment::of(epoch() + Duration::from_millis(ms))
    }

    #[test]
    fn an_advice_is_kept_whole() {
        let agent = Agent::new();
        assert_eq!((agent.advice(), agent.said()), (Advice::default(), None));
        for duty in Duty::ALL {
            for (down, percent, limit) in [(false, 0, 0), (true, 75, 7), (false, u16::MAX, u32::MAX)] {
                let (advice, before) = (Advice { duty, down, percent, limit }, agent.advice());
                assert_eq!(agent.advise(advice, Some("so".into())), before);
                assert_eq!((agent.advice(), agent.said().as_deref()), (advice, Some("so")));
            }
        }
    }

    #[test]
    fn a_load_is_an_average_that_leaves_some_weight_and_fades() {
        let load = Load::new();
        assert_eq!((load.average(at(0)), load.leaves(at(0))), (None, 100));
        load.report(0.5, at(0));
        assert_eq!(load.leaves(at(0)), 50);
        load.report(1.0, at(1));
        assert_eq!(load.leaves(at(1)), 50, "one report among many");
        for ms in 2..300 {
            load.report(1.0, at(ms));
        }
        assert_eq!(load.leaves(at(300)), 10, "never nothing");
        assert!(
            (30..=70).contains(&load.leaves(at(10_300))),
            "half of it is forgotten: {}",
            load.leaves(at(10_300))
        );
        assert_eq!(load.leaves(at(60_300)), 100);
        // It is idle, says it; the next peak counts as one report.
        for ms in 60_300..60_600 {
            load.report(0.0, at(ms));
        }
        load.report(1.0, at(60_600));
        assert!(load.leaves(at(60_600)) >= 95);
    }
}
