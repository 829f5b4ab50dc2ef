//! The running configuration: compiled once, never changed, swapped whole.
//!
//! The only bridge from `config` to the runtime rooms. A request uses the snapshot it began with. What
//! lives on across a reload (backends with their counters and health, turns, retry budgets, open
//! connection counts) is carried over by identity.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::backend::Backend;
use crate::observe::Metrics;
use crate::recent::Names;
use crate::tls::TicketKeys;

mod compile;
mod listener;
mod log;
mod orders;
mod pool;
mod review;
mod routing;
mod rules;
mod tls;

pub use compile::{compile, vocabulary};
pub use listener::{
    AcceptProxy, Beside, Capacity, Counted, Listener, Page, PerAddress, Place, Protocols, Route, Tls,
};
pub use log::settings as log_settings;
pub use pool::{HostPolicy, Key, Member, Pool, Security};
pub use review::{Rehearsal, Roster, ejection};
pub use routing::Routing;
pub use tls::collector;

/// One compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// In the order of the file.
    pub listeners: Vec<Arc<Listener>>,
    /// In the order of the file.
    pub pools: Vec<Arc<Pool>>,
    /// Routes in the order of the file, then the listeners' own pools.
    pub routings: Vec<Routing>,
    /// How long open requests may go on after a stop, or after a reload removed what they use.
    pub drain_timeout: Duration,
    /// After TERM: not ready but still accepting for so long.
    pub shutdown_delay: Duration,
    /// Bytes that relays and heads may hold beyond what each buffer may always hold.
    pub buffer_memory: u64,
    /// Of the file.
    pub sha256: String,
    /// The bearer token of the admin endpoint.
    pub admin_token: Option<String>,
    /// Of how many requests that ended last each worker keeps what was decided.
    pub recent_each: usize,
    /// What the numbers in that stand for.
    pub names: Arc<Names>,
    /// Where series are made.
    pub metrics: Arc<Metrics>,
    shared_capacity: Arc<Capacity>,
    /// Of the process: sessions go on over a reload.
    tickets: Arc<TicketKeys>,
    changed: Arc<Notify>,
}

/// A snapshot in force, for the tests of rooms that know no configuration.
#[cfg(test)]
pub(crate) fn of_text(text: &str, now: Instant) -> Snapshot {
    let reading = crate::config::read("test", text, &vocabulary());
    let Some(config) = reading.config else { panic!("{text}\n{}", reading.report.to_text(false)) };
    let snapshot = compile(&config, None, &Metrics::new(1), 1024, None, None, now);
    snapshot.enter(now);
    snapshot.pools.iter().for_each(|pool| pool.begin(now));
    snapshot
}

impl Snapshot {
    /// The listener of a name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|l| *l.name == *name)
    }

    /// The pool of a name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|p| *p.name == *name)
    }

    /// Rings when somebody may be picked who might not, or the reverse: then the pools are to be reviewed. The
    /// same one for every snapshot of the process.
    pub fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Says to the accounts that it is in force from now on: what it does not hold rests. To be followed by a look
    /// at each pool ([`Pool::begin`]), which the routes that lead there hear of.
    pub fn enter(&self, now: Instant) {
        routing::enter(self, now);
    }

    /// Every backend of every pool.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.pools.iter().flat_map(|pool| pool.members.iter().map(|member| &member.backend))
    }
}
