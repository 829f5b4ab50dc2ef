//! Who stays at a backend: what a client's cookie says, and which it is given.

use std::time::{SystemTime, UNIX_EPOCH};

use super::exchange::Exchange;
use super::pick::Attempt;
use crate::backend::Lease;
use crate::http::{self, Known};
use crate::snapshot::{Pool, Roster};
use crate::sticky::{Found, Sticky};

/// Most cookies of one request that are opened: clients have one, and an opening costs as much as a small request.
const MAX_OPENED: u32 = 8;

/// The stickiness of one request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stuck {
    /// What its cookie said.
    found: Option<Found>,
    /// A new one is for TLS alone.
    secure: bool,
}

impl Exchange<'_> {
    /// Reads the pool's cookie, and hides it from the backend. Of several the first good one counts.
    #[inline(never)]
    pub(super) fn take_cookie(&mut self, sticky: &Sticky) {
        let secure = http::came_by_https(self.request, &self.client.origin);
        let (mut found, mut opened) = (None, 0);
        self.request.fields.take_cookie(sticky.cookie().as_bytes(), |value| {
            if found.is_none() && opened < MAX_OPENED && sticky.is_likely(value) {
                opened += 1;
                found = sticky.read(value, now_s());
            }
        });
        self.stuck = Stuck { found, secure };
    }

    /// The backend that the client was with has another place in the pool that a reload has made of `before`.
    pub(super) fn stay_true(&mut self, before: &Pool, now: &Pool) {
        self.stuck.found = self.stuck.found.and_then(|found| {
            let name = &before.members.get(found.place as usize)?.backend.identity().name;
            let place = now.members.iter().position(|member| member.backend.identity().name == *name)?;
            Some(Found { place: u32::try_from(place).ok()?, ..found })
        });
    }

    /// A try at the backend that the client was with, if it may stay there.
    ///
    /// One that is full now is left, with a new cookie for another: waiting is the queue's business.
    pub(super) fn stick<'p>(&self, pool: &'p Pool, roster: &Roster) -> Option<Attempt<'p>> {
        let place = self.stuck.found?.place as usize;
        let member = pool.members.get(place)?;
        let backend = &member.backend;
        if backend.is_maintenance() {
            return None;
        }
        let limit = match roster.places.iter().position(|candidate| *candidate == place) {
            Some(_) if roster.heeds_ejections && backend.conduct().is_out() => return None,
            Some(index) => roster.candidates[index].limit,
            // New clients do not go there: its weight is 0, or it is a backup that the others have come back from.
            None if pool.squad.may_stay(place) => member.limit,
            None => return None,
        };
        Lease::take(backend, limit, self.now).map(|lease| Attempt::new(lease, member, place))
    }

    /// Whether its cookie says where it is to go.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.found.is_some()
    }

    /// Sets the cookie that keeps the client where it was served, unless it has that already. What the backend
    /// set under the same name goes: it would take its place.
    #[inline(never)]
    pub(super) fn set_cookie(&mut self, sticky: &Sticky, attempt: &Attempt<'_>) {
        let fields = &mut self.scratch.response.fields;
        fields.remove_set_cookie(sticky.cookie().as_bytes());
        let Stuck { found, secure } = self.stuck;
        if found.is_some_and(|found| found.place as usize == attempt.place && !found.renew) {
            return;
        }
        if let Some(value) = sticky.write(attempt.place, secure, now_s()) {
            fields.append(Known::Other, "Set-Cookie", &[value.as_bytes()]);
        }
    }
}

/// Seconds since the epoch, as every node counts them.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
