//! Reload, stop, and what the control thread hears of backends.
//!
//! A reload is read → parse → check → compile against the running snapshot → bind new sockets → swap →
//! reconcile probes → drain what was removed. Whatever fails before the swap leaves everything as it was.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::access::Sink;
use crate::backend::Backend;
use crate::config::{Config, Reading, Report};
use crate::discovery::Names;
use crate::health::{Monitor, Opening, Target};
use crate::listen::Command;
use crate::observe::Metrics;
use crate::snapshot::{self, Security, Snapshot};
use crate::trace::Exporter;
use crate::upstream::Protocol;

mod access;
mod certificates;
mod files;
mod hearing;
mod history;
mod keeper;
mod logging;
mod orders;
mod recall;
mod signals;
mod sockets;
mod source;
mod state;
mod traces;

pub use history::{History, LastReload};
pub use keeper::Keeper;
pub use logging::{Logging, flush_events};
pub use signals::{Received, Signals};
pub use source::Source;
pub use state::StateError;

use files::InForce;
use hearing::{hear, keep_reviewing, renew};
use sockets::Sockets;

/// Governs the running process. Lives on the control thread.
pub struct Control {
    source: Source,
    shared: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    workers: Vec<mpsc::Sender<Command>>,
    logging: Logging,
    fixed: Fixed,
    files: u64,
    parts: RefCell<Parts>,
    history: RefCell<History>,
    /// One reload at a time.
    reloading: Mutex<()>,
    in_force: RefCell<InForce>,
    /// Another configuration is in force.
    replaced: Notify,
}

/// What a reload cannot change.
#[derive(Debug, Clone)]
struct Fixed {
    workers: usize,
    admin: SocketAddr,
    state_file: Option<PathBuf>,
}

struct Parts {
    monitor: Monitor,
    names: Names,
    sockets: Sockets,
    /// Where the access log goes.
    sink: Option<Arc<Sink>>,
    /// Where spans go.
    exporter: Option<Arc<Exporter>>,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("listener {listener}: cannot bind {address}: {error}")]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address.
        address: SocketAddr,
        /// The kernel's word.
        error: std::io::Error,
    },
    /// The access log's file cannot be opened.
    #[error("[log.access] path: cannot open {}: {error}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        error: std::io::Error,
    },
    /// The thread that exports spans cannot be started.
    #[error("[tracing] otlp: cannot be served: {0}")]
    Traces(std::io::Error),
}

/// What a reload came to.
#[derive(Debug)]
pub struct Reloaded {
    /// Everything the file has to be told about: warnings, and errors where it was rejected for them.
    pub report: Report,
    /// Why a file without errors was rejected all the same.
    pub refused: Option<StartError>,
}

impl Reloaded {
    /// Whether the new configuration is in force.
    pub fn is_applied(&self) -> bool {
        self.refused.is_none() && !self.report.has_errors()
    }
}

impl Control {
    /// Compiles the first snapshot, resolves names and binds every listener. Workers get their sockets by
    /// [`Self::open`], once they run.
    ///
    /// # Errors
    /// A listener cannot be bound, or the access log not be opened.
    pub async fn start(
        source: Source,
        config: &Config,
        metrics: Arc<Metrics>,
        workers: Vec<mpsc::Sender<Command>>,
        logging: Logging,
        files: u64,
    ) -> Result<Self, StartError> {
        let sink = access::open(config, None, workers.len(), &metrics)?;
        let exporter = traces::open(config, None, &metrics)?;
        let now = Instant::now();
        let first = snapshot::compile(config, None, &metrics, files, sink.as_ref(), exporter.as_ref(), now);
        let shared = Arc::new(ArcSwap::from_pointee(first));
        let (heard, changed) = (Arc::clone(&shared), Arc::clone(&shared));
        let monitor = Monitor::new(Arc::new(move |event| hear(&heard.load(), &event)));
        let names = Names::new(Arc::new(move |backend| renew(&changed.load(), backend)));
        let mut sockets = Sockets::default();
        sockets.plan(config, workers.len())?.keep(&mut sockets);
        metrics.configured(&config.sha256, SystemTime::now());
        let control = Self {
            source,
            shared,
            metrics,
            workers,
            logging,
            fixed: Fixed {
                workers: config.server.workers,
                admin: config.admin.bind,
                state_file: config.server.state_file.clone(),
            },
            files,
            parts: RefCell::new(Parts { monitor, names, sockets, sink, exporter }),
            history: RefCell::new(History::begin(SystemTime::now())),
            reloading: Mutex::new(()),
            in_force: RefCell::new(InForce::of(config)),
            replaced: Notify::new(),
        };
        let snapshot = control.snapshot();
        control.resolve(&snapshot).await;
        control.watch_backends(&snapshot);
        tokio::task::spawn_local(keep_reviewing(control.shared(), Arc::clone(snapshot.changed())));
        certificates::tell_changes(&Vec::new(), &certificates::shown(&snapshot));
        let (logging, shared) = (control.logging.clone(), control.shared());
        tokio::task::spawn_local(async move { logging.tell_what_was_left_out().await });
        tokio::task::spawn_local(certificates::watch(shared));
        Ok(control)
    }

    /// Opens log files anew: they were moved away. Says whether there is one.
    pub fn reopen_logs(&self) -> bool {
        self.parts.borrow().sink.as_ref().is_some_and(|sink| sink.reopen())
    }

    /// Waits for the last lines of the access log and the last spans, once no worker has any more.
    pub fn finish_logs(&self) {
        let parts = self.parts.borrow();
        if let Some(sink) = &parts.sink {
            access::finish(sink);
        }
        if let Some(exporter) = &parts.exporter {
            traces::finish(exporter);
        }
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.load_full()
    }

    /// What workers follow.
    pub fn shared(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.shared)
    }

    /// The listeners with their real addresses, in the order of the file.
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.parts.borrow().sockets.addresses()
    }

    /// Hands the first sockets to the workers.
    pub async fn open(&self) {
        let commands = self.parts.borrow_mut().sockets.take_commands();
        self.send(commands).await;
    }

    /// Threads that carry traffic.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What the configuration is read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Since when it is in force, and how reloads went.
    pub fn history(&self) -> History {
        self.history.borrow().clone()
    }

    /// Reads the configuration again and puts it into force, or changes nothing.
    pub async fn reload(&self) -> Reloaded {
        let _alone = self.reloading.lock().await;
        self.put_into_force(self.source.read()).await
    }

    /// The same with the text in force: only the files that it names are read again.
    async fn reload_files(&self) {
        let _alone = self.reloading.lock().await;
        let text = Arc::clone(&self.in_force.borrow().text);
        self.put_into_force(self.source.read_text(&text)).await;
    }

    async fn put_into_force(&self, reading: Reading) -> Reloaded {
        let reloaded = self.judge(reading).await;
        self.history.borrow_mut().note(&reloaded, SystemTime::now());
        reloaded
    }

    async fn judge(&self, Reading { config, report }: Reading) -> Reloaded {
        let Some(config) = config else {
            tracing::error!(target: "equipoise::control", errors = report.errors(), "reload rejected, nothing has changed:\n{}", report.to_text(false));
            self.metrics.reload_rejected();
            return Reloaded { report, refused: None };
        };
        let refused = self.apply(&config).await.err();
        match &refused {
            None => {
                self.metrics.reloaded(&config.sha256, SystemTime::now());
                *self.in_force.borrow_mut() = InForce::of(&config);
                self.replaced.notify_one();
                if report.warnings() > 0 {
                    tracing::warn!(target: "equipoise::control", "{}", report.to_text(false));
                }
                tracing::info!(target: "equipoise::control", sha256 = %config.sha256, "reloaded");
            }
            Some(error) => {
                tracing::error!(target: "equipoise::control", "reload rejected, nothing has changed: {error}");
                self.metrics.reload_rejected();
            }
        }
        Reloaded { report, refused }
    }

    async fn apply(&self, config: &Config) -> Result<(), StartError> {
        let plan = self.parts.borrow().sockets.plan(config, self.workers.len())?;
        let sink =
            access::open(config, self.parts.borrow().sink.as_ref(), self.workers.len(), &self.metrics)?;
        let exporter = traces::open(config, self.parts.borrow().exporter.as_ref(), &self.metrics)?;
        self.warn_of_what_stays(config);
        let old = self.snapshot();
        let shown = certificates::shown(&old);
        let (sink_of, spans_to, now) = (sink.as_ref(), exporter.as_ref(), Instant::now());
        let (metrics, files) = (&self.metrics, self.files);
        let new = Arc::new(snapshot::compile(config, Some(&old), metrics, files, sink_of, spans_to, now));
        certificates::tell_changes(&shown, &certificates::shown(&new));
        self.resolve(&new).await;
        self.logging.set(&config.log);
        let removed = hearing::removed(&old, &new);
        removed.iter().for_each(|backend| backend.retire());
        let removed_sockets = {
            let mut parts = self.parts.borrow_mut();
            let removed = plan.removed();
            plan.keep(&mut parts.sockets);
            parts.sink = sink;
            parts.exporter = exporter;
            removed
        };
        self.shared.store(Arc::clone(&new));
        certificates::withdraw(&old, &new);
        self.watch_backends(&new);
        // Who waits for a pool that has gone waits in vain.
        let gone = old.pools.iter().filter(|pool| new.pool(&pool.name).is_none());
        gone.for_each(|pool| pool.queue.look_again());
        let mut commands = self.parts.borrow_mut().sockets.take_commands();
        commands.iter_mut().for_each(|worker| worker.push(Command::Follow));
        self.send(commands).await;
        self.end_later(new.drain_timeout, removed_sockets, removed);
        Ok(())
    }

    fn warn_of_what_stays(&self, config: &Config) {
        if config.server.workers != self.fixed.workers {
            tracing::warn!(target: "equipoise::control", now = self.fixed.workers, asked = config.server.workers,
                "[server] workers changes only with a restart; the rest is applied");
        }
        if config.admin.bind != self.fixed.admin {
            tracing::warn!(target: "equipoise::control", now = %self.fixed.admin, asked = %config.admin.bind,
                "[admin] bind changes only with a restart; the rest is applied");
        }
        if config.server.state_file != self.fixed.state_file {
            tracing::warn!(target: "equipoise::control", now = ?self.fixed.state_file, asked = ?config.server.state_file,
                "[server] state_file changes only with a restart; the rest is applied");
        }
    }

    async fn resolve(&self, snapshot: &Snapshot) {
        let backends: Vec<_> = snapshot.backends().cloned().collect();
        let resolved = self.parts.borrow().names.resolve_now(&backends);
        resolved.await;
    }

    /// Follows the backends of a snapshot that is in force from now on.
    fn watch_backends(&self, snapshot: &Snapshot) {
        let targets = snapshot.pools.iter().flat_map(|pool| {
            pool.check.iter().flat_map(|check| {
                pool.members.iter().filter_map(|member| {
                    let secure = match &member.security {
                        Security::Plain => None,
                        Security::Tls(secure) => Some(Arc::clone(secure)),
                        // Nothing may go there in clear, a check neither.
                        Security::Broken => return None,
                    };
                    let http2 = pool.protocol == Protocol::Http2;
                    let opening = Opening { announce: pool.announce, secure, http2 };
                    Some(Target { backend: Arc::clone(&member.backend), check: Arc::clone(check), opening })
                })
            })
        });
        let mut parts = self.parts.borrow_mut();
        parts.monitor.reconcile(targets.collect());
        parts.names.reconcile(snapshot.backends().cloned().collect());
        let now = Instant::now();
        snapshot.enter(now);
        for pool in &snapshot.pools {
            pool.begin(now);
            // Where nobody looks, nothing is to be waited for.
            if pool.check.is_none() {
                pool.members.iter().for_each(|member| member.series.release(now));
                pool.series.release(now);
            }
        }
        snapshot.changed().notify_one();
    }

    async fn send(&self, commands: Vec<Vec<Command>>) {
        for (worker, commands) in self.workers.iter().zip(commands) {
            for command in commands {
                // A worker that is gone is ending with the process.
                let _ = worker.send(command).await;
            }
        }
    }

    /// Ends, after the drain's time, what still uses what was removed.
    fn end_later(&self, after: Duration, sockets: Vec<u64>, backends: Vec<Arc<Backend>>) {
        if sockets.is_empty() && backends.is_empty() {
            return;
        }
        let workers = self.workers.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            for worker in workers {
                for id in &sockets {
                    let _ = worker.send(Command::End(*id)).await;
                }
                for backend in backends.iter().filter(|backend| backend.in_flight() > 0) {
                    let _ = worker.send(Command::EndBackend(backend.id())).await;
                }
            }
        });
    }
}
