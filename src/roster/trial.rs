//! The one request that finds out whether an ejected backend is well again.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Squad;
use crate::backend::{Backend, Footing, Moment, Standing};
use crate::resilience::Cause;

/// The right to send one request to an ejected backend. Whoever drops it without a verdict, because the
/// client left, say, leaves the trial to the next request.
#[derive(Debug)]
pub struct Trial {
    backend: Arc<Backend>,
    before: Standing,
    tried: Standing,
    changed: Arc<Notify>,
}

impl Squad {
    /// The right to try an ejected backend whose time is over, if nobody else does. Where checks end
    /// ejections there is none.
    pub fn trial(&self, place: usize, now: Moment) -> Option<Trial> {
        let (member, before) = (self.members.get(place)?, self.trial_due(place, now)?);
        let tried = Standing { footing: Footing::Tried, since: now, ..before };
        let backend = Arc::clone(&member.backend);
        let changed = Arc::clone(&self.keeper.changed);
        backend.conduct().change(before, tried).then_some(Trial { backend, before, tried, changed })
    }
}

impl Squad {
    /// Whether an ejected backend's time is over and nobody tries it: how it stands then.
    pub fn trial_due(&self, place: usize, now: Moment) -> Option<Standing> {
        let (passive, member) = (self.rules.passive.as_ref()?, self.members.get(place)?);
        let standing = member.backend.conduct().standing();
        let over = now.since(standing.since) >= passive.sentence(standing.level.saturating_sub(1));
        let due = !self.is_tried_by_checks() && standing.footing == Footing::Out && over;
        due.then_some(standing)
    }
}

impl Trial {
    /// The request ended well: the backend is in again.
    pub fn passed(self, now: Moment) {
        self.backend.conduct().forget();
        let next = Standing { footing: Footing::In, since: now, ..self.tried };
        self.end(next);
    }

    /// It failed: the backend is out for twice as long.
    pub fn failed(self, now: Moment) {
        let level = self.tried.level.saturating_add(1);
        self.end(Standing { footing: Footing::Out, level, cause: Cause::Trial as u8, since: now });
    }

    fn end(self, next: Standing) {
        // Something else may have ended the ejection meanwhile.
        if self.backend.conduct().change(self.tried, next) {
            self.changed.notify_one();
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.backend.conduct().change(self.tried, self.before);
    }
}
