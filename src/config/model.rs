//! The checked description: what a configuration file says, with every default filled in.
//!
//! Values here are right by construction: ranges were checked, references resolve, names are unique.
//! Nothing here knows a runtime room; `snapshot` turns it into running objects.

mod health;
mod log;
mod retry;
mod slo;
mod sticky;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::files::NamedFile;

pub use health::{Agent, Health, HealthKind, Passive};
pub use log::{AccessForm, AccessLog, Log, LogFormat, LogLevel, MaskQuery, OwnField, TemplatePiece, Tracing};
pub use retry::{PoolTimeouts, Retry, RetryOn};
pub use slo::Slo;
pub use sticky::Sticky;
pub use tls::{CertificateFiles, ListenerTls, PoolTls, Secret, TlsFlaw, TlsKey};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[tracing]`; `None`: what requests say of their traces is passed on as it is.
    pub tracing: Option<Tracing>,
    /// `[[listener]]`, in the order of the file; at least one.
    pub listeners: Vec<Listener>,
    /// `[[route]]`, in the order of the file: the first that matches takes the request.
    pub routes: Vec<Route>,
    /// `[pool.NAME]`, in the order of the file.
    pub pools: Vec<Pool>,
    /// SHA-256 of the file's bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// The file's text.
    pub text: Arc<str>,
    /// The files that it names and that were read with it.
    pub files: Vec<NamedFile>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads; at least 1. Default: one per CPU the process may run on.
    pub workers: usize,
    /// How long open requests may go on after a stop. Default 30 s.
    pub drain_timeout: Duration,
    /// After TERM: not ready but still accepting for so long. Default 0.
    pub shutdown_delay: Duration,
    /// Whether `Via` is added both ways. Default true.
    pub via: bool,
    /// Default 64 MiB: what all buffers may hold beyond what each may always hold.
    pub buffer_memory: u64,
    /// Where the availability ledger is kept; `None`: nowhere.
    pub state_file: Option<PathBuf>,
    /// How often the files that the configuration names are looked at; `None`: never.
    pub watch_files: Option<Duration>,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where metrics, health and API are served. Default 127.0.0.1:9900.
    pub bind: SocketAddr,
    /// The bearer token read from `token_file`, trimmed; never empty.
    pub token: Option<String>,
    /// Of how many requests that ended last it is kept what was decided; 0: of none. Default 1000.
    pub recent_requests: usize,
}

/// `[[listener]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Unique. Default: the first bind address.
    pub name: String,
    /// At least one; no address stands in two listeners. Port 0 is allowed (the kernel chooses).
    pub bind: Vec<SocketAddr>,
    /// Index into [`Config::pools`]: where requests go that no route takes.
    pub pool: Option<usize>,
    /// What clients may speak.
    pub protocols: Protocols,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections begin with a PROXY header; not off only with `trusted_proxies`. Default off.
    pub proxy_protocol: AcceptProxy,
    /// What becomes of field names with underscores. Default safe.
    pub underscores: Underscores,
    /// Whether CONNECT is passed on. Default false: it gets 501.
    pub allow_connect: bool,
    /// Whether a client's FIN after a complete request aborts the exchange. Default false.
    pub abort_on_close: bool,
    /// What stands in place of the text of our own answers; a status stands once.
    pub error_pages: Vec<ErrorPage>,
    /// `[listener.tls]`; `None`: cleartext.
    pub tls: Option<ListenerTls>,
    /// Whether cleartext requests are answered with the https:// form. Default false.
    pub https_redirect: bool,
    /// `[listener.limits]`
    pub limits: Limits,
    /// `[listener.timeouts]`
    pub timeouts: ListenerTimeouts,
}

/// `proxy_protocol` of a listener
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptProxy {
    /// They do not.
    Off,
    /// Those of trusted peers may.
    Optional,
    /// All must, and come from trusted peers.
    Require,
}

/// One element of `error_pages`, its file read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// The status that it goes with.
    pub status: u16,
    /// What it is.
    pub content_type: &'static str,
    /// What the file holds.
    pub body: Vec<u8>,
}

/// `protocols`; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.1 and 1.0.
    pub h1: bool,
    /// HTTP/2.
    pub h2: bool,
}

/// `underscores`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// Dropped where the name, `_` read as `-`, is one that we set, strip or frame by.
    Safe,
    /// Passed on.
    Allow,
    /// Dropped.
    Drop,
    /// The request is refused.
    Reject,
}

/// `[listener.limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// `None`: the default, shared by the listeners that give none; computed from the file limit.
    pub max_connections: Option<u32>,
    /// 0: no limit. Default 0.
    pub max_connections_per_ip: u32,
    /// Bytes of request line and fields. Default 64 KiB.
    pub max_head_size: u32,
    /// Default 128.
    pub max_headers: u16,
    /// Bytes; 0: no limit. Default 0.
    pub max_body_size: u64,
    /// Bytes a second, averaged over 10 s; 0: off. Default 256.
    pub min_rate: u64,
}

/// `[listener.timeouts]`
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request to the end of its head. Default 10 s.
    pub head: Duration,
    /// Without progress while we wait for the client's body. Default 30 s.
    pub body: Duration,
    /// An idle client connection. Default 75 s.
    pub keep_alive: Duration,
    /// Without progress while the client does not read. Default 30 s.
    pub write: Duration,
    /// The handshake of TLS. Default 10 s.
    pub tls: Duration,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Unique. Default `route-1`, `route-2`, …
    pub name: String,
    /// Indexes into [`Config::listeners`]; `None`: all.
    pub listeners: Option<Vec<usize>>,
    /// Every condition that is given must hold.
    pub matches: Match,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// The whole request, queue and retries included; `None`: no bound.
    pub timeout: Option<Duration>,
    /// Whether its requests stand in the access log. Default true.
    pub access_log: bool,
    /// `slo`
    pub slo: Option<Slo>,
    /// Default normal.
    pub priority: Priority,
}

/// `priority` of a route
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the values
pub enum Priority {
    Low,
    Normal,
    High,
}

/// `match.*` of a route
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Empty: any. Lower case, without port or trailing dot.
    pub host: Vec<HostPattern>,
    /// Empty: any. Exact paths in normal form.
    pub path: Vec<String>,
    /// Empty: any. Prefixes on whole segments, in normal form.
    pub path_prefix: Vec<String>,
}

/// One element of `match.host`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// The host itself.
    Exact(String),
    /// `*.x`: holds `x`; one or more labels before it, never `x` itself.
    Suffix(String),
}

/// `[pool.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// A name of the balancer registry. Default `round-robin`.
    pub balance: String,
    /// For `balance = "hash"`. Default client-ip.
    pub hash_key: HashKey,
    /// For the algorithms that hash: how many times its share of the load a backend takes at most.
    pub hash_balance_factor: Option<f64>,
    /// Default for its backends.
    pub max_connections: MaxConnections,
    /// Where requests wait while all are full.
    pub queue: Queue,
    /// What Host the backends see.
    pub pass_host: PassHost,
    /// Where backends report their load; lower case.
    pub load_header: Option<String>,
    /// Whether slow first tries get a second beside them. Default false.
    pub hedge: bool,
    /// How long the share of a backend grows that comes up; 0: it has it at once.
    pub slow_start: Duration,
    /// Below this share of healthy backends, health is ignored; 0.0: never.
    pub panic_threshold: f64,
    /// At least one; names unique within the pool.
    pub backends: Vec<Backend>,
    /// What is spoken to the backends. Default h1.
    pub protocol: Protocol,
    /// Whether the backends are sent a PROXY header. Default off.
    pub proxy_protocol: SendProxy,
    /// `[pool.NAME.tls]`; `None`: plain TCP.
    pub tls: Option<PoolTls>,
    /// `[pool.NAME.health]`; `None`: no active checks.
    pub health: Option<Health>,
    /// `[pool.NAME.passive]`; `None`: not enabled.
    pub passive: Option<Passive>,
    /// `[pool.NAME.timeouts]`
    pub timeouts: PoolTimeouts,
    /// `[pool.NAME.retry]`
    pub retry: Retry,
    /// `[pool.NAME.sticky]`; `None`: off.
    pub sticky: Option<Sticky>,
    /// `slo`
    pub slo: Option<Slo>,
}

/// `max_connections` of a pool and its backends
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxConnections {
    /// So many; 0: no limit.
    AtMost(u32),
    /// As many as it takes before they only wait there.
    Adaptive,
}

/// `queue`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait; 0: none. Default 1024.
    pub max: u32,
    /// How long. Default 5 s.
    pub timeout: Duration,
}

/// `hash_key`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// The path without the query.
    Path,
    /// Path and query.
    Uri,
    /// The value of a field (lower-case name).
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a query parameter.
    Query(String),
}

/// `pass_host`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassHost {
    /// The client's Host.
    Client,
    /// The backend's configured address.
    Backend,
    /// A fixed one.
    Fixed(String),
}

/// `protocol` of a pool
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, by prior knowledge or ALPN.
    H2,
    /// What the backend chooses by ALPN; in clear HTTP/1.1.
    Auto,
}

/// `proxy_protocol` of a pool
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendProxy {
    /// None.
    Off,
    /// The line of text.
    V1,
    /// The packet.
    V2,
}

/// One element of `backends`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Default: the address.
    pub name: String,
    /// `host:port` as written; IPv6 in brackets.
    pub address: String,
    /// 0 to 65535; 0: no new traffic. Default 1.
    pub weight: u16,
    /// Used only when nobody of a lower one is usable; `backup = true` is 1. Default 0.
    pub priority: u8,
    /// Its own or the pool's.
    pub max_connections: MaxConnections,
}
