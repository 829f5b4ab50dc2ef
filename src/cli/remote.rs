//! The commands that talk to a running balancer: `reload`, `status`, and what is ordered of a backend.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::{BackendView, PoolView};

mod explain;
mod orders;

pub(super) use explain::{ExplainArgs, explain};
pub(super) use orders::{OrderArgs, WeightArgs, order, weigh};

/// How long `status` waits for the whole answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `reload` waits: names are resolved and sockets bound meanwhile.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer; 10,000 backends fit.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Where the running balancer is, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArgs {
    /// The admin endpoint of the running balancer
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900")]
    pub admin: String,
    /// A file that holds the bearer token, as in [admin] token_file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `equipoise reload`
#[derive(Debug, Clone, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub remote: RemoteArgs,
}

/// `equipoise status`
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub remote: RemoteArgs,
    /// Only this pool
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,
}

/// `--format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Asks the running balancer to read its configuration again. Warnings and diagnostics go to standard
/// error; 0 when it is in force, 1 when it was refused or the balancer could not be asked.
pub(super) fn reload(args: &ReloadArgs) -> ExitCode {
    finish(run(&args.remote, &Method::POST, "/-/reload", RELOAD_TIMEOUT).and_then(|answer| {
        let accepted = answer.status == StatusCode::OK;
        if !accepted && answer.status != StatusCode::UNPROCESSABLE_ENTITY {
            return Err(answer.into_failure());
        }
        let outcome: ReloadAnswer = serde_json::from_slice(&answer.body).map_err(Failure::NotOurs)?;
        match args.remote.format {
            Format::Json => print(&String::from_utf8_lossy(&answer.body)),
            Format::Text => {
                let told = if accepted { "reloaded" } else { "refused: nothing changed" };
                let gap = if outcome.text.is_empty() || outcome.text.ends_with('\n') { "" } else { "\n" };
                complain(&format!("{}{gap}{told}\n", outcome.text));
            }
        }
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }))
}

/// Prints pools and backends, their states and why. 0 when the balancer answered, whatever the states.
pub(super) fn status(args: &StatusArgs) -> ExitCode {
    finish(run(&args.remote, &Method::GET, "/api/v1/pools", STATUS_TIMEOUT).and_then(|answer| {
        if answer.status != StatusCode::OK {
            return Err(answer.into_failure());
        }
        let mut pools = serde_json::from_slice::<Pools>(&answer.body).map_err(Failure::NotOurs)?.pools;
        if let Some(name) = &args.pool {
            let known = pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>().join(", ");
            pools.retain(|pool| pool.name == *name);
            if pools.is_empty() {
                return Err(Failure::NoSuchPool { name: name.clone(), known });
            }
        }
        match args.remote.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&Pools { pools }).map_err(Failure::NotOurs)?;
                print(&format!("{text}\n"));
            }
            Format::Text => print(&table(&pools)),
        }
        Ok(ExitCode::SUCCESS)
    }))
}

#[derive(Debug, Deserialize)]
struct ReloadAnswer {
    text: String,
}

#[derive(Debug, serde::Serialize, Deserialize)]
struct Pools {
    pools: Vec<PoolView>,
}

/// Why the balancer could not be asked, or would not do it.
#[derive(Debug, Error)]
enum Failure {
    #[error("cannot read the token file {path}: {cause}")]
    Token { path: String, cause: std::io::Error },
    #[error("the token file {0} holds no token that fits in a header")]
    BadToken(String),
    #[error("cannot reach the admin endpoint {address}: {cause} (is the balancer running? see --admin)")]
    Unreachable { address: String, cause: std::io::Error },
    #[error("the admin endpoint {address} did not answer within {} s", .after.as_secs())]
    Slow { address: String, after: Duration },
    #[error("the exchange with the admin endpoint {address} broke: {cause}")]
    Broken { address: String, cause: Box<dyn std::error::Error + Send + Sync> },
    #[error("the answer is not that of an Equipoise admin endpoint: {0}")]
    NotOurs(serde_json::Error),
    #[error("the balancer answered {status}: {why}")]
    Refused { status: StatusCode, why: String },
    #[error("no pool {name:?}; there are: {known}")]
    NoSuchPool { name: String, known: String },
    #[error("cannot start: {0}")]
    Start(std::io::Error),
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    fn into_failure(self) -> Failure {
        #[derive(Deserialize)]
        struct Error {
            error: String,
        }
        let why = serde_json::from_slice::<Error>(&self.body)
            .map_or_else(|_| "(no explanation)".to_owned(), |told| told.error);
        Failure::Refused { status: self.status, why }
    }
}

fn run(args: &RemoteArgs, method: &Method, path: &str, within: Duration) -> Result<Answer, Failure> {
    send(args, method, path, String::new(), within)
}

fn send(
    args: &RemoteArgs,
    method: &Method,
    path: &str,
    body: String,
    within: Duration,
) -> Result<Answer, Failure> {
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)?;
    let slow = || Failure::Slow { address: args.admin.clone(), after: within };
    runtime.block_on(async {
        timeout(within, exchange(&args.admin, token.as_deref(), (method, path), body))
            .await
            .unwrap_or_else(|_| Err(slow()))
    })
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|cause| Failure::Token { path: shown(), cause })?;
    let token = text.trim();
    if token.is_empty() || header::HeaderValue::from_str(token).is_err() {
        return Err(Failure::BadToken(shown()));
    }
    Ok(token.to_owned())
}

async fn exchange(
    address: &str,
    token: Option<&str>,
    (method, path): (&Method, &str),
    body: String,
) -> Result<Answer, Failure> {
    let broken = |cause| Failure::Broken { address: address.to_owned(), cause };
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| Failure::Unreachable { address: address.to_owned(), cause })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken(cause.into()))?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .header(header::USER_AGENT, concat!("equipoise/", env!("CARGO_PKG_VERSION")))
        .header("x-equipoise", "cli");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::<Bytes>::from(body)).map_err(|cause| broken(cause.into()))?;
    let asking = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok(Answer { status, body })
    };
    // The connection is driven here and not in a task: when it ends first, the error it ended with
    // reaches the one who asks through `asking` all the same.
    let (answer, _) = tokio::join!(asking, connection);
    answer.map_err(broken)
}

fn finish(result: Result<ExitCode, Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| {
        complain(&format!("equipoise: {failure}\n"));
        ExitCode::FAILURE
    })
}

/// A reader that has gone (`| head`) is no reason to panic, as `println!` would.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// How many columns there are before the last, which says why.
const COLUMNS: usize = 13;

const HEADINGS: [&str; COLUMNS] = [
    "BACKEND",
    "ADDRESS",
    "STATE",
    "FOR",
    "WEIGHT",
    "IN FLIGHT",
    "CONNS",
    "REQUESTS",
    "SUCCESS",
    "P50",
    "P99",
    "FAILS",
    "AVAIL",
];

/// All pools as tables that share their columns, so that they can be compared at a glance.
fn table(pools: &[PoolView]) -> String {
    let rows = |pool: &PoolView| pool.backends.iter().map(row).collect::<Vec<_>>();
    let pools = pools.iter().map(|pool| (pool, rows(pool))).collect::<Vec<_>>();
    let mut widths = HEADINGS.map(str::len);
    for cells in pools.iter().flat_map(|(_, rows)| rows) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (pool, rows) in &pools {
        if !text.is_empty() {
            text.push('\n');
        }
        heading(&mut text, pool);
        line(&mut text, &widths, HEADINGS, "WHY");
        for (backend, cells) in pool.backends.iter().zip(rows) {
            line(&mut text, &widths, cells.each_ref().map(String::as_str), &printable(&backend.reason));
        }
    }
    text
}

fn heading(text: &mut String, pool: &PoolView) {
    let _ = write!(text, "pool {} ({})", printable(&pool.name), printable(&pool.balance));
    if let Some(figures) = &pool.availability {
        let word = if figures.up { "up" } else { "DOWN" };
        let _ = write!(text, ": {word} for {}", span(figures.for_seconds));
        let available = percent(figures.availability_ratio);
        let _ = write!(
            text,
            ", {}, available {available}, failures {}",
            printable(&figures.cause),
            figures.failures
        );
        for (name, mean) in [("MTBF", figures.mtbf_seconds), ("MTTR", figures.mttr_seconds)] {
            if let Some(mean) = mean {
                let _ = write!(text, ", {name} {}", span(mean));
            }
        }
    }
    if let Some(ratio) = pool.traffic.success_ratio {
        let _ = write!(text, "; of its requests {} succeeded", percent(ratio));
    }
    if let Some(priority) = pool.priority.filter(|priority| *priority > 0) {
        let _ = write!(text, "; backends of priority {priority} serve");
    }
    if pool.queue.length > 0 {
        let longest = milliseconds(pool.queue.oldest_seconds);
        let _ = write!(text, "; {} wait for a place, the longest for {longest}", pool.queue.length);
    }
    text.push('\n');
    let Some(slo) = &pool.slo else { return };
    for (name, burn) in [("availability", &slo.availability), ("latency", &slo.latency)] {
        let Some(burn) = burn else { continue };
        let (objective, left) = (burn.objective_ratio * 100.0, percent(burn.budget_remaining_ratio));
        let _ = writeln!(
            text,
            "  {name} {objective:.6} %: {left} of the error budget left; burn rate {:.2} (5m), {:.2} (1h), {:.2} (6h)",
            burn.burn_rate_5m, burn.burn_rate_1h, burn.burn_rate_6h
        );
    }
}

fn line(text: &mut String, widths: &[usize; COLUMNS], cells: [&str; COLUMNS], why: &str) {
    for (cell, width) in cells.into_iter().zip(widths) {
        let _ = write!(text, "  {cell:<width$}");
    }
    let _ = writeln!(text, "  {why}");
}

fn row(backend: &BackendView) -> [String; COLUMNS] {
    let quantile = |pick: fn(&crate::admin::LatencyView) -> f64| {
        backend.latency.as_ref().map_or_else(|| "-".to_owned(), |latency| milliseconds(pick(latency)))
    };
    let behind = match backend.priority {
        // What an older daemon says of it.
        0 | 1 if backend.backup => " (backup)".to_owned(),
        0 => String::new(),
        priority => format!(" (priority {priority})"),
    };
    // The address actually dialled is worth its place only where it is another text.
    let address = match &backend.resolved {
        None => format!("{} (unresolved)", backend.address),
        Some(resolved) if *resolved != backend.address => format!("{} ({resolved})", backend.address),
        Some(_) => backend.address.clone(),
    };
    [
        printable(&format!("{}{behind}", backend.name)),
        printable(&address),
        printable(&backend.state),
        span(backend.availability.for_seconds),
        backend.weight.to_string(),
        backend.load(),
        format!("{} ({} idle)", backend.connections, backend.idle_connections),
        backend.requests.to_string(),
        backend.traffic.success_ratio.map_or_else(|| "-".to_owned(), percent),
        quantile(|latency| latency.p50_seconds),
        quantile(|latency| latency.p99_seconds),
        backend.availability.failures.to_string(),
        percent(backend.availability.availability_ratio),
    ]
}

/// Without control characters: a reason may hold what a backend sent, and must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn percent(ratio: f64) -> String {
    // Rounded down: 100 % is said only where there was no outage, and no failed request, at all.
    format!("{:.2} %", (ratio * 10_000.0).floor() / 100.0)
}

fn milliseconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// The two largest units: `3d4h`, `12m5s`, `7s`.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let parts = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    parts[first..].iter().take(2).fold(String::new(), |mut text, (count, unit)| {
        let _ = write!(text, "{count}{unit}");
        text
    })
}

#[cfg(test)]
mod tests;
