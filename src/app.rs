//! Builds the daemon from a configuration and runs it to its end. The one file that knows everyone.

use std::future::Future;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};

use crate::admin::{
    self, BackendView, Change, ConfigView, ExplainView, Findings, House, ListenerView, Missing, NotTold,
    PoolView, Question, QueueView, RecallView, RouteView,
};
use crate::config::{Config, nearest};
pub use crate::control::Source;
use crate::control::{self, Control, Keeper, Logging, Received, Reloaded, Signals, StartError};
use crate::drain::{self, Phase};
use crate::listen::{self, Command, MAX_COMMANDS};
use crate::observe::{Happenings, Metrics};
use crate::proxy::Worker;
use crate::snapshot::{Member, Pool};
use crate::upstream::{self, Fleet};
use crate::wire::Budget;

mod explain;
mod recall;
mod show;

/// EX_CONFIG of sysexits.h: the configuration is wrong.
pub const EXIT_CONFIG: u8 = 78;

/// How long the workers may take to put down what was ended.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// Where the daemon can be reached.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Listener names and real addresses.
    pub listeners: Vec<(Arc<str>, SocketAddr)>,
    /// The admin endpoint.
    pub admin: SocketAddr,
}

/// Runs the daemon in the foreground until it is told to stop.
pub fn run(source: Source) -> ExitCode {
    run_with(source, |_| {})
}

/// The same; `ready` hears once of the real addresses, when connections are accepted.
pub fn run_with(source: Source, ready: impl FnOnce(&Bound)) -> ExitCode {
    let reading = source.read();
    eprint!("{}", reading.report.to_text(std::io::stderr().is_terminal()));
    let Some(config) = reading.config else { return ExitCode::from(EXIT_CONFIG) };
    let logging = Logging::begin(&config.log);
    let files = raise_file_limit();
    let ended = runtime().context("cannot start the control thread").and_then(|control| {
        let ended = control.block_on(serve(source, config, logging, files, ready));
        // A name look-up may hang in the system's resolver: it must not hold the end up.
        control.shutdown_background();
        ended
    });
    control::flush_events();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref() {
                Some(StartError::AccessLog { .. }) => ExitCode::from(EXIT_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Events that are read at once. Those of one worker that are ready together and do not fit would come with the next look,
/// while [`upstream::events_were_read`] says that all before this one are known.
const MAX_EVENTS: usize = 16 * 1024;

/// Events are looked at after 61 tasks, as tokio has it. With 1,024, who opens and resets streams as fast as it can keeps
/// everybody else waiting for seconds: the full siege of HTTP/2 shows it.
fn runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(upstream::events_were_read)
        .max_io_events_per_tick(MAX_EVENTS)
        .build_local(LocalOptions::default())
}

/// Raises the soft limit on open files to the hard one; gives the limit in force.
fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if raised.is_ok() { limit.maximum } else { limit.current }.unwrap_or(u64::MAX)
}

async fn serve(
    source: Source,
    config: Config,
    logging: Logging,
    files: u64,
    ready: impl FnOnce(&Bound),
) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    // First and exclusively: a second instance stops here instead of taking half of the traffic.
    let admin = TcpListener::bind(config.admin.bind).await.with_context(|| {
        format!("admin: cannot bind {} (is another instance running?)", config.admin.bind)
    })?;
    let workers = config.server.workers;
    let metrics = Metrics::new(workers);
    metrics.show_event_log(logging.series());
    let happenings = logging.happenings();
    let keeper = Rc::new(Keeper::open(config.server.state_file.as_deref(), &metrics)?);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(MAX_COMMANDS)).unzip();
    let control =
        Rc::new(Control::start(source, &config, Arc::clone(&metrics), senders, logging, files).await?);
    let (end, watching) = drain::channel();
    let budget = Budget::new(config.server.buffer_memory, workers);
    start_workers(&control, receivers, &watching, &budget)?;
    drop(watching);
    control.open().await;
    let kept = Rc::clone(&keeper);
    let keeping = tokio::task::spawn_local(async move { kept.run().await });
    let watcher = Rc::clone(&control);
    tokio::task::spawn_local(async move { watcher.watch_files().await });
    metrics.set_ready(true);
    let bound = Bound { listeners: control.addresses(), admin: admin.local_addr()? };
    tracing::info!(target: "equipoise::app", version = env!("CARGO_PKG_VERSION"), workers, admin = %bound.admin, "ready");
    ready(&bound);
    let (stop_admin, stopped) = watch::channel(());
    let house =
        Rc::new(Running { control: Rc::clone(&control), metrics: Arc::clone(&metrics), budget, happenings });
    let serving = tokio::task::spawn_local(admin::serve(admin, house, async move {
        let mut stopped = stopped;
        let _ = stopped.changed().await;
    }));
    until_stopped(&mut signals, &control).await;
    metrics.set_ready(false);
    stop(&mut signals, &control, &end).await;
    drop(stop_admin);
    let _ = tokio::time::timeout(LAST_BREATH, serving).await;
    keeping.abort();
    keeper.end().await;
    Ok(())
}

fn start_workers(
    control: &Control,
    receivers: Vec<mpsc::Receiver<Command>>,
    watching: &drain::Watch,
    budget: &Arc<Budget>,
) -> anyhow::Result<()> {
    let fleet = Fleet::new(receivers.len());
    let neighbours = listen::neighbours(receivers.len());
    for (index, (commands, neighbours)) in receivers.into_iter().zip(neighbours).enumerate() {
        let (shared, fleet, end) = (control.shared(), fleet.clone(), watching.clone());
        let budget = Arc::clone(budget);
        let runtime = move || -> std::io::Result<()> {
            let runtime = runtime()?;
            let worker = Rc::new(Worker::new(index, shared, fleet, budget));
            let until_written = end.clone();
            runtime.block_on(async {
                let logging = Rc::clone(&worker);
                tokio::task::spawn_local(async move { logging.keep_log().await });
                listen::run(worker, neighbours, commands, end).await;
            });
            // With it goes what still runs, and then the worker: both have last lines for the access log.
            drop(runtime);
            drop(until_written);
            Ok(())
        };
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                if let Err(error) = runtime() {
                    // Its sockets would take connections that nobody serves.
                    tracing::error!(target: "equipoise::app", worker = index, "worker cannot start: {error}");
                    control::flush_events();
                    std::process::exit(1);
                }
            })
            .context("cannot start a worker thread")?;
    }
    Ok(())
}

/// Obeys signals up to the one that stops.
async fn until_stopped(signals: &mut Signals, control: &Rc<Control>) {
    loop {
        match signals.next().await {
            Received::Stop => return,
            Received::Reload => {
                let control = Rc::clone(control);
                tokio::task::spawn_local(async move { control.reload().await });
            }
            Received::ReopenLogs if control.reopen_logs() => {}
            Received::ReopenLogs => {
                tracing::info!(target: "equipoise::app", "USR1: there is no log file to reopen");
            }
            Received::Upgrade => {
                tracing::warn!(target: "equipoise::app", "USR2: binary upgrade is not supported yet; nothing has changed");
            }
        }
    }
}

/// Drains: not ready for a while, then no new connections, then the end of what is left. A second signal
/// to stop ends at once.
async fn stop(signals: &mut Signals, control: &Control, end: &drain::Signal) {
    let snapshot = control.snapshot();
    tracing::info!(target: "equipoise::app", delay = ?snapshot.shutdown_delay, drain_timeout = ?snapshot.drain_timeout, "stopping");
    let drained = async {
        tokio::time::sleep(snapshot.shutdown_delay).await;
        end.advance(Phase::Draining);
        tokio::time::timeout(snapshot.drain_timeout, end.finished()).await.is_ok()
    };
    let drained = tokio::select! {
        drained = drained => drained,
        () = second_stop(signals) => false,
    };
    if !drained {
        tracing::warn!(target: "equipoise::app", "ending what is still open");
        end.advance(Phase::Ended);
        let _ = tokio::time::timeout(LAST_BREATH, end.finished()).await;
    }
    control.finish_logs();
    tracing::info!(target: "equipoise::app", "stopped");
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Received::Stop {}
}

/// The running daemon, as the admin endpoint sees it.
struct Running {
    control: Rc<Control>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    happenings: Arc<Happenings>,
}

impl House for Running {
    fn metrics(&self) -> &Arc<Metrics> {
        self.metrics.set_buffers(self.budget.granted(), self.budget.max());
        &self.metrics
    }

    fn pools(&self) -> Vec<PoolView> {
        let now = Instant::now();
        self.control.snapshot().pools.iter().map(|pool| view(pool, now)).collect()
    }

    fn order(&self, pool: &str, backend: &str, change: Change) -> Result<BackendView, Missing> {
        let missing = |what, name: &str, known: &[&str]| {
            let near = nearest(name, known.iter().copied()).map(str::to_owned);
            Missing { what, name: name.to_owned(), near }
        };
        let snapshot = self.control.snapshot();
        let found = snapshot.pool(pool).ok_or_else(|| {
            missing("pool", pool, &snapshot.pools.iter().map(|pool| &*pool.name).collect::<Vec<_>>())
        })?;
        let is_it = |member: &&Member| *member.backend.identity().name == *backend;
        let member = found.members.iter().find(is_it).ok_or_else(|| {
            let known: Vec<_> = found.members.iter().map(|member| &*member.backend.identity().name).collect();
            missing("backend", backend, &known)
        })?;
        self.control.order(found, member, change.amend(member.backend.orders().order()));
        Ok(shown(member, Instant::now()))
    }

    fn routes(&self, most: usize) -> Vec<RouteView> {
        let now = Instant::now();
        let snapshot = self.control.snapshot();
        snapshot.routings.iter().take(most).map(|routing| show::route(routing, now)).collect()
    }

    fn listeners(&self) -> Vec<ListenerView> {
        show::listeners(&self.control.snapshot(), &self.control.addresses())
    }

    fn config(&self) -> ConfigView {
        show::config(&self.control)
    }

    fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    fn explain(&self, question: &Question) -> Result<ExplainView, String> {
        let addresses = self.control.addresses();
        explain::explain(&self.control.snapshot(), &addresses, question, Instant::now())
    }

    fn recall(&self, id: String) -> Pin<Box<dyn Future<Output = Result<RecallView, NotTold>>>> {
        let control = Rc::clone(&self.control);
        Box::pin(async move { recall::recall(&control, &id).await })
    }

    fn token(&self) -> Option<String> {
        self.control.snapshot().admin_token.clone()
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = admin::Reload>>> {
        let control = Rc::clone(&self.control);
        Box::pin(async move { findings(control.reload().await) })
    }
}

fn view(pool: &Pool, now: Instant) -> PoolView {
    let backends = pool.members.iter().map(|member| shown(member, now)).collect();
    let priority = pool.roster().priority;
    let oldest =
        pool.queue.oldest_since().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    let queue = QueueView { length: pool.queue.len(), oldest_seconds: oldest.as_secs_f64() };
    PoolView::of(&pool.series, pool.algorithm.name, priority, queue, backends, now)
}

fn shown(member: &Member, now: Instant) -> BackendView {
    BackendView::of(&member.series, member.weight, member.priority, now)
}

fn findings(reloaded: Reloaded) -> admin::Reload {
    let (applied, text) = (reloaded.is_applied(), reloaded.text());
    let mut items: Vec<serde_json::Value> =
        serde_json::from_str(&reloaded.report.to_json()).unwrap_or_default();
    if let Some(refused) = reloaded.refused {
        items.push(serde_json::json!({
            "severity": "error",
            "code": "bind",
            "message": refused.to_string(),
            "file": reloaded.report.file(),
        }));
    }
    let findings = Findings { items, text };
    if applied {
        admin::Reload::Applied { warnings: findings }
    } else {
        admin::Reload::Rejected { diagnostics: findings }
    }
}
