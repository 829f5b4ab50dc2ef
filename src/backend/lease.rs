//! The right to be in flight.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Backend, Moment};

/// The right of one request (or tunnel) to be in flight at one backend; given back on drop.
#[derive(Debug)]
pub struct Lease {
    backend: Arc<Backend>,
    began: Instant,
    /// Since when it waits for the head of a response; `None` once it has ended, or where nobody measured
    /// the backend when it began. A wait that was not counted must not be taken off the count.
    waits_since: Cell<Option<Moment>>,
}

impl Lease {
    /// Takes a lease unless `limit` requests are in flight already (0: no limit). The check and the
    /// count are one step, so that workers racing for the last place cannot both have it. One that is
    /// refused never counts, not even for a moment: another could be refused for it, and wait for a place
    /// that is free already.
    pub fn take(backend: &Arc<Backend>, limit: u32, now: Instant) -> Option<Self> {
        if limit == 0 {
            backend.in_flight.fetch_add(1, Ordering::AcqRel);
        } else {
            let limit = backend.limit(limit);
            let one_more = |before| (before < limit).then_some(before + 1);
            backend.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        }
        let waits_since = backend.latency.is_measured().then(|| Moment::of(now));
        if let Some(since) = waits_since {
            backend.latency.waiting.begin(since);
        }
        Some(Self { backend: Arc::clone(backend), began: now, waits_since: Cell::new(waits_since) })
    }

    /// Whose lease it is.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// When it was taken.
    pub fn began(&self) -> Moment {
        Moment::of(self.began)
    }

    /// The head of a good response has come, `took` after the request was sent.
    pub fn answered(&self, took: Duration, now: impl Into<Moment>) {
        self.wait_no_more();
        let is_measured = self.backend.latency.is_measured();
        let adaptive = self.backend.adaptive.get();
        if !is_measured && adaptive.is_none() {
            return;
        }
        let now = now.into();
        if is_measured {
            self.backend.latency.record(took, now);
        }
        if adaptive.is_some_and(|limit| limit.answered(took, self.began(), self.backend.in_flight(), now)) {
            self.backend.has_more_room();
        }
    }

    /// It failed after `elapsed`: no usable response, or one that says that the server failed.
    pub fn failed(&self, elapsed: Duration, now: impl Into<Moment>) {
        self.wait_no_more();
        let now = now.into();
        if self.backend.latency.is_measured() {
            self.backend.latency.record_failure(elapsed, now);
        }
        let adaptive = self.backend.adaptive.get();
        if adaptive.is_some_and(|limit| limit.failed(elapsed, self.began(), self.backend.in_flight(), now)) {
            self.backend.has_more_room();
        }
    }

    fn wait_no_more(&self) {
        if let Some(began) = self.waits_since.take() {
            self.backend.latency.waiting.end(began);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.wait_no_more();
        // Before the look at the queue, in an order that whoever joins it relies on: it sees the free place,
        // or is seen here.
        self.backend.in_flight.fetch_sub(1, Ordering::SeqCst);
        if let Some(queue) = self.backend.queue.get() {
            queue.freed(self.backend.id);
        }
    }
}
