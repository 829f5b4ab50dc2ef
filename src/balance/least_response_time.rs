//! least-response-time: the shortest expected wait.
//!
//! Cost = time × (requests in flight + 1) / weight; the least is taken, in turn among equals. The time is
//! what this backend usually takes to answer, raised by the share of its requests that fail and by the age
//! of those it has not answered (see [`crate::backend::Latency`]). A time that is not clearly different
//! from the pool's median counts as the median, so that chance does not decide between equal backends, and
//! so does that of a backend which has not answered yet: as nothing it would get every request until its
//! first answer, as slow it would get none.
//!
//! Up to 32 candidates are all looked at, of more the best of a few drawn ones is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::draws::{SCANNED_MAX, best_drawn};
use super::random::Lots;
use super::tied::Tied;
use super::turns::Turns;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings, norm};
use crate::backend::{Latency, Moment};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "least-response-time",
    summary: "least average time to the response head × (requests in flight + 1) / weight",
    key: KeySource::None,
    score: "expected time in µs × (requests in flight + 1) / weight; the least is taken, in turn among equals",
    build,
};

/// The median while no backend of the pool has answered yet, in µs. Its size hardly matters, only that it
/// is the same for all.
const UNKNOWN_US: f32 = 1000.0;

/// A time within this factor of the median counts as the median: averages of equal backends differ so far
/// by chance, and what remains of a true difference shows in the requests in flight.
const ALIKE: f32 = 1.5;

/// How much more a backend costs where every request fails: 1 + this.
const FAILURE_COST: f32 = 9.0;

/// What part of their age unanswered requests count for. All of it would let chance decide: where times are
/// memoryless a third of what is being worked on is older than the mean, one in twenty thrice as old.
const AGE_PART: f32 = 1.0 / 3.0;

/// Unanswered requests count for at most so many times the median: one that is meant to take long, such as
/// a long poll, must not close its backend to all the others.
const AGE_MAX: f32 = 10.0;

/// One pick in so many may go to a backend that has been silent: 0.1 % at most, for each such request may
/// be a slow one.
const TRIAL_EVERY: u32 = 1024;

/// How long a backend has been silent that gets a trial.
const SILENCE: Duration = Duration::from_secs(1);

fn build(candidates: &[Candidate], memory: &Arc<Memory>, _settings: Settings) -> Box<dyn Balancer> {
    for candidate in candidates {
        candidate.backend.latency().measure_by(&memory.norm);
    }
    Box::new(LeastResponseTime {
        lots: Lots::new(candidates),
        turns: Turns::new(candidates),
        memory: Arc::clone(memory),
    })
}

#[derive(Debug)]
struct LeastResponseTime {
    lots: Lots,
    turns: Turns,
    memory: Arc<Memory>,
}

impl Balancer for LeastResponseTime {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let now = Moment::of(pick.now);
        let list = self.lots.choices.list();
        norm::renew(&self.memory.norm, list, pick.random, now);
        let norm_us = self.memory.norm.us().unwrap_or(UNKNOWN_US);
        if pick.random.u32(..).is_multiple_of(TRIAL_EVERY)
            && let Some(index) = self.silent(pick, now)
        {
            return Some(index);
        }
        if list.len() > SCANNED_MAX {
            return best_drawn(&self.lots, pick, |candidate| cost(candidate, norm_us, now));
        }
        self.scan(pick, norm_us, now)
    }

    fn score(&self, index: usize, pick: &Pick<'_>) -> Option<f64> {
        let norm_us = self.memory.norm.us().unwrap_or(UNKNOWN_US);
        let candidate = self.lots.choices.list().get(index)?;
        Some(f64::from(cost(candidate, norm_us, Moment::of(pick.now))))
    }
}

impl LeastResponseTime {
    fn scan(&self, pick: &Pick<'_>, norm_us: f32, now: Moment) -> Option<usize> {
        let (mut least, mut tied) = (f32::INFINITY, Tied::default());
        for (index, candidate) in self.lots.choices.open(pick.tried) {
            let cost = cost(candidate, norm_us, now);
            if cost < least {
                (least, tied) = (cost, Tied::only(index));
            } else if cost == least {
                tied = tied.and(index);
            }
        }
        if !tied.are_several() {
            // Nobody's turn: every write takes the counter from the core that wrote it last.
            return tied.first();
        }
        let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
        let (ahead, index) = tied.next(self.turns.at(turn)?, self.lots.choices.len())?;
        // The turns of the costlier ones are over: left standing, they would all fall to their successor.
        if ahead > 0 {
            self.memory.turn.fetch_add(ahead as u64, Ordering::Relaxed);
        }
        Some(index)
    }

    /// One of the open candidates, if it has nothing to do and has not been heard of for long: however bad
    /// it was, it is tried again.
    fn silent(&self, pick: &mut Pick<'_>, now: Moment) -> Option<usize> {
        let (index, candidate) = self.lots.draw_once(pick)?;
        let backend = &candidate.backend;
        (backend.in_flight() == 0 && backend.latency().is_silent_for(SILENCE, now)).then_some(index)
    }
}

fn cost(candidate: &Candidate, norm_us: f32, now: Moment) -> f32 {
    let time_us = time_us(candidate.backend.latency(), norm_us, now);
    time_us * (candidate.backend.in_flight() as f32 + 1.0) / f32::from(candidate.weight.max(1))
}

fn time_us(latency: &Latency, norm_us: f32, now: Moment) -> f32 {
    let age_us = latency.mean_age_us(now) * AGE_PART;
    // Nearly everybody nearly always: what has been forgotten since the last answer would only bring it nearer.
    if latency.is_within(ALIKE, norm_us) && age_us < norm_us * ALIKE {
        return norm_us;
    }
    let usual_us = latency.average_us(norm_us, now).unwrap_or(norm_us);
    let time_us = usual_us.max(age_us.min(norm_us * AGE_MAX)) * (1.0 + FAILURE_COST * latency.failing(now));
    if time_us < norm_us * ALIKE && time_us * ALIKE > norm_us { norm_us } else { time_us }
}
