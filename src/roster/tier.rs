//! Which priority serves: spares step in when nobody before them is usable, and step back without haste.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::select::Seen;
use super::{Keeper, Member, Squad};

/// So long at least must a backend have been usable again before traffic leaves the spares for it. One that comes and
/// goes would otherwise take every client along each time.
const SETTLED: Duration = Duration::from_secs(2);

/// No priority has served yet.
pub(super) const NOBODY: u16 = u16::MAX;

impl Keeper {
    /// The priority that got traffic last; `None` before the first.
    pub fn tier(&self) -> Option<u8> {
        u8::try_from(self.tier.load(Ordering::Relaxed)).ok()
    }
}

impl Squad {
    /// How long a backend must have been usable again: with `slow_start`, for as long as that takes.
    pub(super) fn settle_time(&self) -> Duration {
        if self.tiered { SETTLED.max(self.rules.slow_start) } else { Duration::ZERO }
    }

    /// The priority that is to get traffic, which is noted as the one that does. A better one that is usable again has
    /// it back when one of its backends has settled, or when nobody of the present one is usable.
    pub(super) fn choose_tier(&self, seen: &[Seen]) -> u8 {
        let Some(best) = self.first_of(seen, |_, seen| seen.is_usable()) else {
            return self.first_of(seen, |_, _| true).unwrap_or(0);
        };
        let present = self.keeper.tier();
        let goes_on =
            self.first_of(seen, |member, seen| Some(member.priority) == present && seen.is_usable());
        let tier = match goes_on {
            Some(present) if best < present => {
                let settled = |member: &Member, seen: &Seen| {
                    member.priority < present && seen.is_usable() && seen.settled
                };
                self.first_of(seen, settled).unwrap_or(present)
            }
            _ => best,
        };
        self.keeper.tier.store(u16::from(tier), Ordering::Relaxed);
        tier
    }

    /// The lowest priority that has somebody who is to serve and whom this fits.
    pub(super) fn first_of(&self, seen: &[Seen], fits: impl Fn(&Member, &Seen) -> bool) -> Option<u8> {
        let all = self.members.iter().zip(seen).filter(|(member, seen)| seen.share(member.weight) > 0);
        all.filter(|(member, seen)| fits(member, seen)).map(|(member, _)| member.priority).min()
    }

    /// Whether a usable backend waits until it has been so for long enough, while others serve in its place.
    pub(super) fn settles(&self, member: &Member, seen: Seen) -> bool {
        let serves_later = self.keeper.tier().is_some_and(|tier| member.priority < tier);
        serves_later && seen.is_usable() && !seen.settled
    }
}
