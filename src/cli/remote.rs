//! The commands that talk to a running balancer: `reload`, `status`, `top`, and what is ordered of a backend.

use std::io::Read as _;
use std::net::Ipv6Addr;
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

use super::output::{self, complain, printable, steers};
use crate::admin::PoolView;

mod explain;
mod orders;
mod recall;
mod table;
mod top;

pub(super) use explain::{ExplainArgs, explain};
pub(super) use orders::{OrderArgs, WeightArgs, order, weigh};
pub(super) use top::{TopArgs, top};

/// How long `status` waits for the whole answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `reload` waits: names are resolved and sockets bound meanwhile.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer; 10,000 backends fit.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Bytes of a token file that are read.
const MAX_TOKEN: u64 = 8 * 1024;

/// Where the running balancer is, and what opens it.
#[derive(Debug, Clone, Args)]
pub(super) struct Endpoint {
    /// The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900", value_parser = address)]
    pub admin: String,
    /// A file that holds the bearer token, as in [admin] token_file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Where the running balancer is, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub endpoint: Endpoint,
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
            Format::Json => print(&String::from_utf8_lossy(&answer.body))?,
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
                print(&format!("{text}\n"))?;
            }
            Format::Text => print(&table::table(&pools, &table::Paper::of_stdout()))?,
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
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
    #[error("the terminal cannot be used: {0}")]
    Terminal(std::io::Error),
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
    send(&args.endpoint, method, path, String::new(), within)
}

fn send(
    endpoint: &Endpoint,
    method: &Method,
    path: &str,
    body: String,
    within: Duration,
) -> Result<Answer, Failure> {
    runtime()?.block_on(ask(endpoint, (method, path), body, within))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)
}

async fn ask(
    endpoint: &Endpoint,
    (method, path): (&Method, &str),
    body: String,
    within: Duration,
) -> Result<Answer, Failure> {
    let request = request(endpoint, (method, path), body)?;
    let slow = || Failure::Slow { address: endpoint.admin.clone(), after: within };
    timeout(within, exchange(&endpoint.admin, request)).await.unwrap_or_else(|_| Err(slow()))
}

fn request(
    endpoint: &Endpoint,
    (method, path): (&Method, &str),
    body: String,
) -> Result<Request<Full<Bytes>>, Failure> {
    let address = &endpoint.admin;
    let token = endpoint.token_file.as_deref().map(read_token).transpose()?;
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
    request.body(Full::from(body)).map_err(|cause| broken(address, cause))
}

/// `HOST:PORT`, of which `http://HOST:PORT/` is the form that a browser shows.
fn address(text: &str) -> Result<String, String> {
    const FORM: &str = "expected HOST:PORT, as in [admin] bind";
    if text.starts_with("https://") {
        return Err(format!("the admin endpoint does not speak TLS; {FORM}"));
    }
    let address = text.strip_prefix("http://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
    let (host, port) = address.rsplit_once(':').ok_or(FORM)?;
    let known = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    let reachable =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    // With a scope too, as in [fe80::1%2]:9900.
    let known = known || address.parse::<std::net::SocketAddrV6>().is_ok();
    if known && reachable { Ok(address.to_owned()) } else { Err(FORM.to_owned()) }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let shown = || path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(MAX_TOKEN + 1).read_to_string(&mut text));
    let read = file.map_err(|cause| Failure::Token { path: shown(), cause })?;
    let token = text.trim();
    if read as u64 > MAX_TOKEN || token.is_empty() || header::HeaderValue::from_str(token).is_err() {
        return Err(Failure::BadToken(shown()));
    }
    Ok(token.to_owned())
}

async fn exchange(address: &str, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let (mut sender, connection) = open(address).await?;
    let asking = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok(Answer { status, body })
    };
    // The connection is driven here and not in a task: when it ends first, the error it ended with
    // reaches the one who asks through `asking` all the same.
    let (answer, _) = tokio::join!(asking, connection);
    answer.map_err(|cause: Box<dyn std::error::Error + Send + Sync>| broken(address, cause))
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

async fn open(address: &str) -> Result<(Sender, Connection), Failure> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| Failure::Unreachable { address: address.to_owned(), cause })?;
    http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken(address, cause))
}

fn broken(address: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Broken { address: address.to_owned(), cause: cause.into() }
}

fn finish(result: Result<ExitCode, Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| {
        complain(&format!("equipoise: {failure}\n"));
        ExitCode::FAILURE
    })
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    output::write(text).map_err(Failure::Output)
}

#[cfg(test)]
mod tests;
