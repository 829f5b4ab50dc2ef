//! Which backends are watched: loops are started, kept and stopped as the configuration changes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::agent::{self, Asking};
use super::check::Check;
use super::watch::{Watch, tell};
use crate::announce::Version;
use crate::backend::{Advice, Backend};
use crate::tls::Secure;

/// The first probes of backends that appear together are spread over this time at most: all at once they
/// would hit one machine that carries several of them, and stay in step from then on.
const START_SPREAD: Duration = Duration::from_secs(1);

/// A backend and how it is checked.
#[derive(Debug, Clone)]
pub struct Target {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its pool's check.
    pub check: Arc<Check>,
    /// How a connection to it begins.
    pub opening: Opening,
}

/// How a connection to a backend begins, before the first byte of HTTP.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opening {
    /// By a PROXY header of this form, which says that the connection is our own; `None`: without.
    pub announce: Option<Version>,
    /// By a handshake of TLS; `None`: in clear.
    pub secure: Option<Arc<Secure>>,
    /// HTTP/2 is spoken in clear; in TLS that is agreed upon.
    pub http2: bool,
}

/// Something a loop learnt.
#[derive(Debug, Clone)]
pub struct Event {
    /// Of whom.
    pub backend: Arc<Backend>,
    /// What.
    pub what: What,
}

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A probe ended. Comes before the change it may bring.
    Probed {
        /// `passed`, or [`super::Failure::result`].
        result: &'static str,
        /// From connect to verdict.
        elapsed: Duration,
    },
    /// Its agent has said something new, or there is none any more; the backend says so already.
    Advised,
    /// The backend went up or down; its condition says so already.
    Changed {
        /// What it is now.
        up: bool,
        /// Why: `check passed`, `status 503`, `connect refused`, …
        reason: Arc<str>,
    },
}

/// Who hears of events. Called on the control thread, between two probes: it must not block.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// The loops that run. Dropping it stops them; a probe cut short so counts nothing.
pub struct Monitor {
    on_event: Listener,
    running: HashMap<u64, Running>,
}

struct Running {
    target: Target,
    /// Whether a result has been had; outlives the loop when its check changes.
    decided: Arc<AtomicBool>,
    /// Holds its tasks and aborts them on drop.
    _tasks: JoinSet<()>,
}

impl Monitor {
    /// Watches nobody yet.
    pub fn new(on_event: Listener) -> Self {
        Self { on_event, running: HashMap::new() }
    }

    /// Watches these and no others. A target that is watched already with an equal check goes on
    /// undisturbed; one whose check changed starts over with the new check but keeps its up or down until
    /// the new one has its rise or fall; one that is gone stops, and if its backend stays in use without a
    /// check, it is up again: nothing says otherwise any more.
    ///
    /// Must be called inside the control thread's runtime.
    pub fn reconcile(&mut self, targets: Vec<Target>) {
        let mut before = std::mem::take(&mut self.running);
        let mut fresh = Vec::new();
        for target in targets {
            let id = target.backend.id();
            match before.remove(&id) {
                Some(running)
                    if running.target.check == target.check && running.target.opening == target.opening =>
                {
                    self.running.insert(id, running);
                }
                Some(changed) => fresh.push((target, changed.decided)),
                None => fresh.push((target, Arc::new(AtomicBool::new(false)))),
            }
        }
        let count = fresh.len().max(1) as u32;
        for (place, (target, decided)) in (0..).zip(fresh) {
            let delay = START_SPREAD.min(target.check.interval) * place / count;
            self.start(target, decided, delay);
        }
        for gone in before.into_values() {
            self.release(&gone.target.backend);
        }
    }

    fn start(&mut self, target: Target, decided: Arc<AtomicBool>, delay: Duration) {
        let watch = Watch::new(target.clone(), Arc::clone(&decided), Arc::clone(&self.on_event));
        let mut tasks = JoinSet::new();
        tasks.spawn(watch.run(delay));
        match target.check.agent {
            Some(agent) => {
                tasks.spawn(Asking::new(target.clone(), agent, Arc::clone(&self.on_event)).run(delay));
            }
            None => self.forget_agent(&target.backend),
        }
        self.running.insert(target.backend.id(), Running { target, decided, _tasks: tasks });
    }

    fn forget_agent(&self, backend: &Arc<Backend>) {
        if !backend.is_retired() && agent::heed(backend, Advice::default(), None, Instant::now()) {
            (self.on_event)(Event { backend: Arc::clone(backend), what: What::Advised });
        }
    }

    fn release(&self, backend: &Arc<Backend>) {
        self.forget_agent(backend);
        let reason = "not checked any more";
        let resolved = backend.address().is_some();
        if resolved && !backend.is_retired() && backend.condition().set(true, reason, Instant::now()) {
            tell(backend, true, reason);
            let what = What::Changed { up: true, reason: Arc::from(reason) };
            (self.on_event)(Event { backend: Arc::clone(backend), what });
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = self.running.values().map(|running| running.target.backend.identity());
        f.debug_list().entries(watched).finish()
    }
}
