//! What `[pool.NAME.health]` and `[pool.NAME.passive]` say.

use std::time::Duration;

/// `[pool.NAME.health]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Default http.
    pub kind: HealthKind,
    /// Default `/`.
    pub path: String,
    /// `None`: the backend's address.
    pub host: Option<String>,
    /// Default `GET`.
    pub method: String,
    /// Of gRPC; empty, by default: the whole server.
    pub service: String,
    /// Inclusive ranges. Default 200–399.
    pub expect_status: Vec<(u16, u16)>,
    /// A substring within the first 16 KiB.
    pub expect_body: Option<String>,
    /// `None`: the backend's own.
    pub port: Option<u16>,
    /// Default 2 s.
    pub interval: Duration,
    /// Default interval / 4.
    pub fast_interval: Duration,
    /// Default: interval.
    pub down_interval: Duration,
    /// Default 1 s.
    pub timeout: Duration,
    /// Default 2; at least 1.
    pub rise: u32,
    /// Default 3; at least 1.
    pub fall: u32,
    /// Default true.
    pub initial_up: bool,
    /// `None`: none is asked.
    pub agent: Option<Agent>,
}

/// `health.agent`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// On the backend's own address.
    pub port: u16,
    /// Default 5 s.
    pub interval: Duration,
}

/// `health.type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthKind {
    /// A request and its status.
    Http,
    /// A connection that opens.
    Tcp,
    /// What a server of gRPC says of itself.
    Grpc,
}

/// `[pool.NAME.passive]`
#[derive(Debug, Clone, PartialEq)]
pub struct Passive {
    /// So many failures in a row eject. Default 5; at least 1.
    pub consecutive_failures: u32,
    /// This share of the requests of a window ejects; above 0.0. Default 0.5.
    pub failure_ratio: f64,
    /// Below so many requests in the window the ratio says nothing. Default 20; at least 1.
    pub min_requests: u32,
    /// Default 10 s; at most a day.
    pub window: Duration,
    /// 0.0: off; otherwise above 1.0. Default 0.0.
    pub latency_factor: f64,
    /// How long the first ejection lasts. Default 10 s; at most 5 minutes.
    pub eject_for: Duration,
    /// Share of the pool that may be out at once; above 0.0. Default 0.5.
    pub max_ejected: f64,
    /// A check that passes ends an ejection. Default true.
    pub end_by_check: bool,
}
