//! The names in use and the loops that keep them current.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::resolver::{Resolver, SystemResolver};
use crate::backend::Backend;

/// How often a name is looked up again; ±10 %, so that names loaded together drift apart.
const REFRESH: Duration = Duration::from_secs(30);

/// The same for a name that has never resolved.
const REFRESH_UNRESOLVED: Duration = Duration::from_secs(5);

/// How long an answer is waited for. At load the names wait side by side, so this bounds the load too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who hears that a backend's address or up and down changed. Called on the control thread.
pub type Listener = Arc<dyn Fn(&Arc<Backend>) + Send + Sync>;

/// The loops that run, one per backend with a host name. Dropping it stops them.
pub struct Names {
    resolver: Arc<dyn Resolver>,
    on_change: Listener,
    running: HashMap<u64, JoinSet<()>>,
}

impl Names {
    /// Keeps no name yet; asks the system's resolver.
    pub fn new(on_change: Listener) -> Self {
        Self::with_resolver(Arc::new(SystemResolver::default()), on_change)
    }

    /// As [`Self::new`], asking `resolver`.
    pub fn with_resolver(resolver: Arc<dyn Resolver>, on_change: Listener) -> Self {
        Self { resolver, on_change, running: HashMap::new() }
    }

    /// Gives each of these backends its address now, if it has none: what is written as an IP address at
    /// once, names side by side, within 5 s in all. One that does not resolve is down with the reason.
    /// Changes are not told to the listener: at load there is nobody yet to tell.
    pub fn resolve_now(&self, backends: &[Arc<Backend>]) -> impl Future<Output = ()> + Send + 'static {
        let mut lookups = JoinSet::new();
        for backend in backends.iter().filter(|backend| backend.address().is_none()) {
            match literal(backend) {
                Some(address) => drop(backend.set_address(Some(address))),
                None => {
                    let (resolver, backend) = (Arc::clone(&self.resolver), Arc::clone(backend));
                    let mut name = Name { resolver, backend, missed: false };
                    lookups.spawn(async move { name.refresh().await });
                }
            }
        }
        async move { while lookups.join_next().await.is_some() {} }
    }

    /// Keeps the names of these backends current and of no others; those kept already go on undisturbed.
    ///
    /// Must be called inside the control thread's runtime.
    pub fn reconcile(&mut self, backends: Vec<Arc<Backend>>) {
        let mut before = std::mem::take(&mut self.running);
        for backend in backends {
            if let Some(address) = literal(&backend) {
                if backend.address().is_none() {
                    backend.set_address(Some(address));
                }
                continue;
            }
            let id = backend.id();
            let running = before.remove(&id).unwrap_or_else(|| self.start(backend));
            self.running.insert(id, running);
        }
    }

    fn start(&self, backend: Arc<Backend>) -> JoinSet<()> {
        let on_change = Arc::clone(&self.on_change);
        let mut name = Name { resolver: Arc::clone(&self.resolver), backend, missed: false };
        let mut random = fastrand::Rng::new();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let pause = if name.backend.address().is_some() { REFRESH } else { REFRESH_UNRESOLVED };
                sleep(pause.mul_f64(0.9 + 0.2 * random.f64())).await;
                if name.refresh().await {
                    on_change(&name.backend);
                }
            }
        });
        task
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

/// The address where none has to be looked up.
fn literal(backend: &Backend) -> Option<SocketAddr> {
    backend.identity().address.parse().ok()
}

/// One backend's name.
struct Name {
    resolver: Arc<dyn Resolver>,
    backend: Arc<Backend>,
    /// Whether the last lookup failed: told once, not every 30 s.
    missed: bool,
}

impl Name {
    /// Looks it up once. Gives back whether the backend's address or up and down changed.
    async fn refresh(&mut self) -> bool {
        let lookup = self.resolver.lookup(&self.backend.identity().address);
        let answer = match timeout(PATIENCE, lookup).await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(io::Error::other("no address")),
            Ok(answer) => answer,
            Err(_) => Err(io::Error::other(format!("no answer within {PATIENCE:?}"))),
        };
        match answer {
            Ok(addresses) => self.take(&addresses),
            Err(error) => self.miss(&error),
        }
    }

    fn take(&mut self, addresses: &[SocketAddr]) -> bool {
        self.missed = false;
        let backend = &self.backend;
        let held = backend.address();
        if held.is_some_and(|held| addresses.contains(&held)) {
            return false;
        }
        let Some(next) = addresses.first() else { return false };
        backend.set_address(Some(*next));
        if held.is_none() && !backend.condition().passes() {
            // Back to what it counted as before anything was known; with probes their first result decides.
            backend.condition().set(backend.starts_up(), "name resolves", Instant::now());
        }
        // Whatever probes found was another machine.
        backend.want_probe();
        let identity = backend.identity();
        tracing::info!(
            target: "equipoise::discovery", pool = &*identity.pool, backend = &*identity.name, address = %next,
            "name resolves"
        );
        true
    }

    fn miss(&mut self, error: &io::Error) -> bool {
        let identity = self.backend.identity();
        let (pool, backend) = (&*identity.pool, &*identity.name);
        let again = std::mem::replace(&mut self.missed, true);
        if let Some(kept) = self.backend.address() {
            if !again {
                tracing::warn!(
                    target: "equipoise::discovery", pool, backend, address = %kept, %error,
                    "name does not resolve any more; its last address stays in use"
                );
            }
            return false;
        }
        let reason = format!("name does not resolve: {error}");
        let known = *self.backend.condition().reason() == *reason;
        if !known {
            tracing::warn!(target: "equipoise::discovery", pool, backend, reason, "backend is down");
        }
        self.backend.condition().set(false, &reason, Instant::now())
    }
}
