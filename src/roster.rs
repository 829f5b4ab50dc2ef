//! Who of a pool may be picked now, and with what share.
//!
//! Probes, names and live traffic say how each backend is; [`Squad`] makes of it the list of candidates that
//! a balancer is compiled from: who is down or ejected is left out, who comes up gets a growing share, and
//! where too few are well all are taken. It also takes the verdicts of live traffic and ejects by them.
//!
//! The daemon's pools and the simulator's are made of this. Nothing here reads a clock.

use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::backend::{Backend, Footing, Moment, Standing, Window};
use crate::resilience::{Cause, Passive};

mod latency;
mod select;
#[cfg(test)]
mod tests;
mod tier;
mod trial;

pub use select::{PAUSED, Seen, Selection};
pub use trial::Trial;

/// A backend that asks for a longer pause has this one: «in an hour» is said of a machine that is out of service, and
/// that it may be back earlier is worth one 503 now and then.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A backend as its pool's file describes it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its share by the file; see [`Self::share`].
    pub weight: u16,
    /// Used only when nobody of a lower one is usable.
    pub priority: u8,
    /// Most requests in flight; 0: no limit; [`crate::backend::ADAPTIVE`]: it is found while it runs.
    pub limit: u32,
}

impl Member {
    /// Its share by the file, an operator's order and its agent; 0: no new traffic.
    pub fn share(&self) -> u16 {
        let share = self.backend.order().share(self.weight);
        if self.backend.agent().advice().percent == 0 { 0 } else { share }
    }
}

/// What a pool's file says of who is usable.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long the share of a backend grows that comes up; 0: it has it at once.
    pub slow_start: Duration,
    /// Below this share of usable backends all are used; 0.0: never.
    pub panic_threshold: f64,
    /// What live traffic says; `None`: nothing.
    pub passive: Option<Passive>,
    /// Whether active checks run.
    pub checked: bool,
    /// Whether the backends report their load.
    pub loads: bool,
}

/// What outlives a reload: one per pool.
#[derive(Debug)]
pub struct Keeper {
    /// One ejection at a time, so that two workers cannot both take the last place among those out.
    ejecting: Mutex<()>,
    changed: Arc<Notify>,
    /// The priority that got traffic last, or [`tier::NOBODY`]. Written by whoever selects.
    tier: AtomicU16,
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Keeper {
    /// A keeper that rings `changed` when somebody may be picked who might not, or the reverse.
    pub fn new(changed: Arc<Notify>) -> Self {
        Self { ejecting: Mutex::new(()), changed, tier: AtomicU16::new(tier::NOBODY) }
    }
}

/// The backends of one pool under its rules. A backend is named by its place among the members.
#[derive(Debug)]
pub struct Squad {
    members: Vec<Member>,
    rules: Rules,
    window: Window,
    keeper: Arc<Keeper>,
    /// Some of its members stand behind others.
    tiered: bool,
}

impl Squad {
    /// These backends under these rules.
    pub fn new(members: Vec<Member>, rules: Rules, keeper: Arc<Keeper>) -> Self {
        let window = Window::new(rules.passive.as_ref().map_or(Duration::ZERO, |passive| passive.window));
        let tiered =
            members.iter().any(|member| Some(member.priority) != members.first().map(|it| it.priority));
        Self { members, rules, window, keeper, tiered }
    }

    /// Its backends.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Its rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What outlives it.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// A request has been answered, well or not, or will not be.
    pub fn count(&self, place: usize, now: Moment) {
        if let (Some(_), Some(member)) = (&self.rules.passive, self.members.get(place)) {
            member.backend.conduct().count(self.window, now);
        }
    }

    /// A request that `began` then, and was counted, has ended well. When it began matters next to never, and
    /// is asked for only then.
    pub fn went_well(&self, place: usize, began: impl FnOnce() -> Moment) {
        let (Some(_), Some(member)) = (&self.rules.passive, self.members.get(place)) else { return };
        let conduct = member.backend.conduct();
        conduct.went_well();
        let standing = conduct.standing();
        let proves = standing.footing == Footing::Back && began() >= standing.since;
        if proves && conduct.change(standing, Standing { footing: Footing::In, ..standing }) {
            self.keeper.changed.notify_one();
        }
    }

    /// A request that `began` then, and was counted, has failed by the backend's fault. Gives why the backend is ejected for
    /// it, if it is.
    pub fn went_badly(&self, place: usize, began: Moment, now: Moment) -> Option<Cause> {
        let (passive, member) = (self.rules.passive.as_ref()?, self.members.get(place)?);
        let conduct = member.backend.conduct();
        let standing = conduct.standing();
        if standing.is_out() || began < standing.since {
            // It says how the backend was before it was ejected, which is known.
            return None;
        }
        let row = conduct.went_badly(self.window, now);
        let cause = match standing.footing {
            Footing::Back => Cause::Trial,
            _ => {
                let tally = conduct.tally(self.window, now);
                passive.judge(row, tally.requests, tally.failures)?
            }
        };
        self.eject(member, standing, cause, now)
    }

    /// A backend has asked for no new traffic for so long: it answered 503 with Retry-After.
    pub fn pause(&self, place: usize, time: Duration, now: Moment) {
        let (Some(_), Some(member)) = (&self.rules.passive, self.members.get(place)) else { return };
        if !time.is_zero() && member.backend.pause().ask(time.min(PAUSE_MAX), now) {
            self.keeper.changed.notify_one();
        }
    }

    /// Whether live traffic is kept from it.
    pub fn is_out(&self, place: usize) -> bool {
        let is_out = |member: &Member| member.backend.conduct().is_out();
        self.rules.passive.is_some() && self.members.get(place).is_some_and(is_out)
    }

    /// An active check that `began` then has passed. Gives whether it ends an ejection.
    pub fn check_passed(&self, place: usize, began: Moment, now: Moment) -> bool {
        let Some(member) = self.members.get(place).filter(|_| self.is_tried_by_checks()) else {
            return false;
        };
        let conduct = member.backend.conduct();
        let standing = conduct.standing();
        if !standing.is_out() || began < standing.since {
            return false;
        }
        conduct.forget();
        conduct.change(standing, Standing { footing: Footing::Back, since: now, ..standing })
    }

    /// Whether it is checks that end ejections.
    fn is_tried_by_checks(&self) -> bool {
        self.rules.checked && self.rules.passive.as_ref().is_some_and(|passive| passive.end_by_check)
    }

    /// Those that are to get new traffic when they are well.
    fn serving(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.share() > 0)
    }

    /// How many are down or ejected, and how many may be ejected at once.
    fn out_and_room(&self, passive: &Passive) -> (usize, usize) {
        let is_out = |member: &&Member| {
            !member.backend.condition().is_up() || member.backend.conduct().standing().is_out()
        };
        (self.serving().filter(is_out).count(), passive.room(self.serving().count()))
    }

    fn eject(&self, member: &Member, standing: Standing, cause: Cause, now: Moment) -> Option<Cause> {
        let passive = self.rules.passive.as_ref()?;
        // Who finds it taken leaves: the next failure comes soon enough, and no worker waits here.
        let _alone = match self.keeper.ejecting.try_lock() {
            Err(TryLockError::WouldBlock) => return None,
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
        };
        let (out, room) = self.out_and_room(passive);
        if member.share() == 0 || !member.backend.condition().is_up() || out >= room {
            return None;
        }
        let before = passive.level_left(standing.level, now.since(standing.since));
        let level = before.saturating_add(1);
        let next = Standing { footing: Footing::Out, level, cause: cause as u8, since: now };
        if !member.backend.conduct().change(standing, next) {
            return None;
        }
        self.keeper.changed.notify_one();
        Some(cause)
    }
}
