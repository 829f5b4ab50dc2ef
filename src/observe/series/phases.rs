//! Where the requests of a route spent their time.

use std::sync::OnceLock;
use std::time::Duration;

use super::RouteSeries;
use crate::observe::coarse::{CoarseHistogram, Exported};
use crate::observe::label::Phase;

/// The phases of requests at one worker.
#[derive(Debug, Clone, Copy)]
pub struct Phases<'a>(&'a [CoarseHistogram; Phase::COUNT]);

impl Phases<'_> {
    /// A request has been through this one.
    pub fn took(self, phase: Phase, duration: Duration) {
        self.0[phase as usize].record(duration);
    }
}

impl RouteSeries {
    /// What a worker writes the phases of a request into.
    pub fn phases(&self, worker: usize) -> Phases<'_> {
        Phases(self.shards.of(worker).phases.get_or_init(Box::default))
    }

    /// How long requests were in this phase, of those that were in it.
    pub(in crate::observe) fn phase(&self, phase: Phase) -> Exported {
        let shards = self.shards.iter().filter_map(|shard| OnceLock::get(&shard.phases));
        Exported::sum(shards.map(|phases| &phases[phase as usize]))
    }
}
