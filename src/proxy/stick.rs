//! Who stays at a backend: what a client's cookie says, and which it is given.

use std::time::{SystemTime, UNIX_EPOCH};

use super::exchange::Exchange;
use super::pick::Attempt;
use crate::http::{self, Known, Origin, RequestHead};
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

impl Stuck {
    /// The place of the backend that the client was with.
    pub(super) fn place(self) -> Option<usize> {
        self.found.map(|found| found.place as usize)
    }
}

/// Reads the pool's cookie, and takes it out of the request. Of several the first good one counts.
pub(super) fn read_cookie(sticky: &Sticky, request: &mut RequestHead, origin: &Origin) -> Stuck {
    let secure = http::came_by_https(request, origin);
    let (mut found, mut opened) = (None, 0);
    request.fields.take_cookie(sticky.cookie().as_bytes(), |value| {
        if found.is_none() && opened < MAX_OPENED && sticky.is_likely(value) {
            opened += 1;
            found = sticky.read(value, now_s());
        }
    });
    Stuck { found, secure }
}

/// The limit within which a client may stay at the backend of this place, if it may.
///
/// One that is full now is left, with a new cookie for another: waiting is the queue's business.
pub(super) fn limit_to_stay(pool: &Pool, roster: &Roster, place: usize) -> Option<u32> {
    let member = pool.members.get(place)?;
    let backend = &member.backend;
    if backend.is_maintenance() {
        return None;
    }
    match roster.places.iter().position(|candidate| *candidate == place) {
        Some(_) if roster.heeds_ejections && backend.conduct().is_out() => None,
        Some(index) => roster.candidates.get(index).map(|candidate| candidate.limit),
        // New clients do not go there: its weight is 0, or it is a backup that the others have come back from.
        None if pool.squad.may_stay(place) => Some(member.limit),
        None => None,
    }
}

impl Exchange<'_> {
    /// Reads the pool's cookie, and hides it from the backend. Of several the first good one counts.
    #[inline(never)]
    pub(super) fn take_cookie(&mut self, sticky: &Sticky) {
        self.stuck = read_cookie(sticky, self.request, &self.client.origin);
    }

    /// The backend that the client was with has another place in the pool that a reload has made of `before`.
    pub(super) fn stay_true(&mut self, before: &Pool, now: &Pool) {
        self.stuck.found = self.stuck.found.and_then(|found| {
            let name = &before.members.get(found.place as usize)?.backend.identity().name;
            let place = now.members.iter().position(|member| member.backend.identity().name == *name)?;
            Some(Found { place: u32::try_from(place).ok()?, ..found })
        });
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
