//! The candidates of one moment.

use std::time::Duration;

use super::{Member, Squad};
use crate::backend::{ADAPTIVE, Duty, Footing, Moment, Order, State};
use crate::balance::Candidate;
use crate::resilience::Cause;

/// In how many steps a share grows. Where a weight is smaller, all are multiplied for as long as one grows.
const STEPS: u8 = 100;

/// The whole of a share, as [`Seen::parts`] counts it.
const WHOLE: u32 = 10_000;

/// Growing shares are worked out anew at least and at most so often.
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A backend that a check has brought back gets one request at a time until one has ended well, for so long
/// at most: the first answer may be a long one.
const PROBATION: Duration = Duration::from_secs(1);

/// Why a backend drains or is in maintenance.
const ORDERED: &str = "by an operator";

/// Why a backend is paused.
pub const PAUSED: &str = "answered 503 with Retry-After";

/// How one member looks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Not down.
    pub up: bool,
    /// Ejected, for the how manieth time in a row.
    pub out: Option<u8>,
    /// It is back from an ejection and has still to prove itself.
    pub proving: bool,
    /// It has asked for a pause.
    pub paused: bool,
    /// It has been usable for long enough to have its traffic back from spares.
    pub settled: bool,
    /// How much of its share it has, in percent.
    pub percent: u8,
    /// What an operator or its agent ordered of it.
    pub order: Order,
    /// How much of its weight it is to have by its own word, in percent: of its agent, and of the load that it reports.
    pub scale: u32,
    /// The most requests in flight that its agent allows; 0: as many as the file.
    pub limit: u32,
}

impl Seen {
    pub(super) fn is_usable(self) -> bool {
        self.up && self.out.is_none()
    }

    /// What is left of the file's weight, before its own word of how much it can do; 0: no new traffic.
    pub(super) fn share(self, weight: u16) -> u16 {
        if self.scale == 0 { 0 } else { self.order.share(weight) }
    }

    /// How much of its share it has, in ten-thousandths.
    fn parts(self, panics: bool) -> u32 {
        // In panic nobody is spared for having come up only now.
        let percent = if panics { STEPS } else { self.percent };
        self.scale * u32::from(percent)
    }
}

/// Who may be picked.
#[derive(Debug)]
pub struct Selection {
    /// What it was made from, by place. While this is the same, so is all the rest.
    pub seen: Vec<Seen>,
    /// The places of the candidates.
    pub places: Vec<usize>,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// The places of the ejected that wait for a request to try them.
    pub trials: Vec<usize>,
    /// So few are well that all are used.
    pub panics: bool,
    /// The priority that serves.
    pub priority: u8,
}

impl Squad {
    /// How each member looks now.
    pub fn look(&self, now: Moment) -> Vec<Seen> {
        self.members.iter().map(|member| self.see(member, now)).collect()
    }

    fn see(&self, member: &Member, now: Moment) -> Seen {
        let condition = member.backend.condition();
        let standing = self.rules.passive.as_ref().map(|_| member.backend.conduct().standing());
        let out = standing.filter(|standing| standing.is_out()).map(|standing| standing.level);
        let back = standing.filter(|standing| !standing.is_out());
        let proving = back.is_some_and(|standing| {
            standing.footing == Footing::Back && now.since(standing.since) < PROBATION
        });
        let start = self.usable_since(member);
        let percent = match start.filter(|_| !self.rules.slow_start.is_zero()) {
            None => STEPS,
            Some(start) => {
                let done = now.since(start).as_secs_f64() / self.rules.slow_start.as_secs_f64();
                ((done * f64::from(STEPS)) as u8).clamp(1, STEPS)
            }
        };
        let paused = self.rules.passive.is_some() && member.backend.pause().left(now).is_some();
        let settled = start.is_none_or(|start| now.since(start) >= self.settle_time());
        let (up, order, advice) =
            (condition.is_up(), member.backend.order(), member.backend.agent().advice());
        let left = if self.rules.loads { member.backend.load().leaves(now) } else { 100 };
        let scale = u32::from(advice.percent) * u32::from(left) / 100;
        // Rounding makes nobody drain who did not ask for it.
        let scale = if advice.percent > 0 { scale.max(1) } else { 0 };
        Seen { up, out, proving, paused, settled, percent, order, scale, limit: advice.limit }
    }

    /// Since when it is usable, if it was not at some time and is now.
    fn usable_since(&self, member: &Member) -> Option<Moment> {
        let standing = self.rules.passive.as_ref().map(|_| member.backend.conduct().standing());
        let back = standing.filter(|standing| standing.level > 0 && !standing.is_out());
        member.backend.condition().joined().max(back.map(|standing| standing.since))
    }

    /// Whether a client that was with a backend may stay there, though new ones do not go there: it is neither down,
    /// ejected nor in maintenance.
    pub fn may_stay(&self, place: usize) -> bool {
        let Some(backend) = self.members.get(place).map(|member| &member.backend) else { return false };
        backend.condition().is_up() && !backend.is_maintenance() && !self.is_out(place)
    }

    /// The candidates of what was seen.
    pub fn select(&self, seen: Vec<Seen>) -> Selection {
        let of = |priority: u8, usable: &dyn Fn(Seen) -> bool| {
            let all = self.members.iter().zip(&seen).enumerate();
            let serves = |member: &Member, seen: &Seen| seen.share(member.weight) > 0;
            all.filter(|(_, (member, seen))| serves(member, seen))
                .filter(|(_, (member, seen))| member.priority == priority && usable(**seen))
                .map(|(place, _)| place)
                .collect::<Vec<usize>>()
        };
        let mut priority = self.choose_tier(&seen);
        let (mut places, all) = (of(priority, &Seen::is_usable), of(priority, &|_| true));
        let panics = (places.len() as f64) < self.rules.panic_threshold * all.len() as f64;
        if panics {
            places = all.into_iter().filter(|place| self.is_reachable(*place)).collect();
        } else if places.is_empty()
            && self.rules.passive.as_ref().is_some_and(|passive| {
                let (out, room) = self.out_and_room(passive);
                out > room
            })
        {
            // More are out than may be ejected, because others went down: a bad backend is better than none.
            priority = self.first_of(&seen, |_, seen| seen.up).unwrap_or(0);
            places = of(priority, &|seen: Seen| seen.up);
        }
        if !panics && places.iter().any(|place| !seen[*place].paused) {
            // Where all have asked for a pause, nobody gets one.
            places.retain(|place| !seen[*place].paused);
        }
        let candidates = self.candidates(&places, &seen, panics);
        // A trial is new traffic.
        let serves = |place: &usize| seen[*place].share(self.members[*place].weight) > 0;
        let waits = |place: &usize| seen[*place].out.is_some() && serves(place);
        let trials = match self.is_tried_by_checks() {
            true => Vec::new(),
            false => (0..seen.len()).filter(waits).collect(),
        };
        Selection { seen, places, candidates, trials, panics, priority }
    }

    /// Whether there is an address to send to: where all are used, a name that never resolved is not.
    fn is_reachable(&self, place: usize) -> bool {
        let backend = &self.members[place].backend;
        backend.condition().is_up() || backend.address().is_some()
    }

    fn candidates(&self, places: &[usize], seen: &[Seen], panics: bool) -> Vec<Candidate> {
        let percent = |place: usize| if panics { STEPS } else { seen[place].percent };
        let proving = |place: usize| seen[place].proving && !panics;
        let share = |place: usize| seen[place].share(self.members[place].weight);
        let heaviest = places.iter().map(|place| share(*place)).max().unwrap_or(1).max(1);
        let parts = |place: usize| seen[place].parts(panics);
        let differs = places.iter().any(|place| parts(*place) != WHOLE);
        let times = if differs { (u16::from(STEPS) / heaviest).max(1) } else { 1 };
        let some_proved = places.iter().any(|place| !proving(*place));
        let candidate = |place: &usize| {
            let (member, percent) = (&self.members[*place], percent(*place));
            let whole = u64::from(share(*place)) * u64::from(times);
            let limit = match (member.limit, seen[*place].limit) {
                (0, limit) | (limit, 0) => limit,
                (file, agent) => file.min(agent),
            };
            let limit = match proving(*place) && some_proved {
                true => 1,
                // What is found while it runs grows by itself.
                false if matches!(limit, 0 | ADAPTIVE) => limit,
                false => part(limit, percent).max(1),
            };
            let weight = whole * u64::from(parts(*place)) / u64::from(WHOLE);
            let weight = u16::try_from(weight.max(1)).unwrap_or(u16::MAX);
            Candidate { backend: member.backend.clone(), weight, limit }
        };
        places.iter().map(candidate).collect()
    }

    /// When what is seen may have changed by the passing of time alone; `None`: not before something happens.
    pub fn look_again(&self, seen: &[Seen], now: Moment) -> Option<Duration> {
        let slow_start = (self.rules.slow_start / u32::from(STEPS)).clamp(LOOK_MIN, LOOK_MAX);
        let passive = self.rules.passive.as_ref();
        let of = |(member, seen): (&Member, &Seen)| {
            let standing = member.backend.conduct().standing();
            let growing = (seen.is_usable() && seen.percent < STEPS).then_some(slow_start);
            let proving = seen.proving.then(|| PROBATION.saturating_sub(now.since(standing.since)));
            let due = self.sentence_left(member, now).filter(|left| !left.is_zero());
            let pause = member.backend.pause().left(now).filter(|_| seen.paused);
            [growing, proving, pause, self.settling_left(member, *seen, now), due].into_iter().flatten().min()
        };
        let soonest = self.members.iter().zip(seen).filter_map(of).min();
        let latency = passive.is_some_and(|passive| passive.latency_factor > 0.0);
        let changes = (latency || self.rules.loads).then_some(LOOK_MAX);
        // A moment late rather than a moment early: early, it would be looked at twice.
        [soonest, changes].into_iter().flatten().min().map(|left| left + Duration::from_millis(1))
    }

    /// How long it takes until a usable backend has settled.
    fn settling_left(&self, member: &Member, seen: Seen, now: Moment) -> Option<Duration> {
        let start = self.usable_since(member).filter(|_| seen.is_usable() && !seen.settled)?;
        Some(self.settle_time().saturating_sub(now.since(start)))
    }

    /// How much is left of an ejection that a check will end; zero: a check is due.
    pub fn sentence_left(&self, member: &Member, now: Moment) -> Option<Duration> {
        let passive = self.rules.passive.as_ref().filter(|_| self.is_tried_by_checks())?;
        let standing = member.backend.conduct().standing();
        let whole = passive.sentence(standing.level.saturating_sub(1));
        standing.is_out().then(|| whole.saturating_sub(now.since(standing.since)))
    }

    /// What is shown of a member beside up and down, and why.
    pub fn aside(&self, place: usize, seen: Seen) -> Option<(State, String)> {
        let (passive, member) = (self.rules.passive.as_ref(), self.members.get(place)?);
        let by_agent = || format!("agent: {}", member.backend.agent().said().as_deref().unwrap_or_default());
        let is_operators = member.backend.orders().order().duty == seen.order.duty;
        let ordered = || if is_operators { ORDERED.to_owned() } else { by_agent() };
        match seen.order.duty {
            Duty::Ready if seen.scale == 0 => return Some((State::Drain, by_agent())),
            Duty::Ready => {}
            Duty::Drain => return Some((State::Drain, ordered())),
            Duty::Maintenance => return Some((State::Maintenance, ordered())),
        }
        match (seen.out, passive) {
            (Some(_), Some(passive)) => {
                let standing = member.backend.conduct().standing();
                let length = passive.sentence(standing.level.saturating_sub(1));
                let why = passive.explain(Cause::of(standing.cause));
                Some((State::Ejected, format!("{why}; for {length:?}")))
            }
            _ if seen.paused => Some((State::Paused, PAUSED.to_owned())),
            _ if self.settles(member, seen) => {
                let why =
                    format!("comes back: spares serve until it has been up for {:?}", self.settle_time());
                Some((State::Up, why))
            }
            _ if seen.percent < STEPS => {
                Some((State::SlowStart, format!("comes up: {} % of its share", seen.percent)))
            }
            _ if member.backend.agent().advice().percent != 100 => Some((State::Up, by_agent())),
            _ => None,
        }
    }
}

/// `percent` of a number, rounded down.
fn part(whole: u32, percent: u8) -> u32 {
    (u64::from(whole) * u64::from(percent) / u64::from(STEPS)) as u32
}
