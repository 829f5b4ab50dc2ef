//! `[pool.NAME.timeouts]` and `[pool.NAME.retry]`

use std::time::Duration;

/// `[pool.NAME.timeouts]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// Default 2 s.
    pub connect: Duration,
    /// From the end of the request to the head of the response. Default 30 s.
    pub response: Duration,
    /// Without progress while we wait for the backend's body. Default 60 s.
    pub idle: Duration,
    /// In place of idle for upgraded connections and event streams. Default 1 h.
    pub tunnel: Duration,
    /// An idle pooled connection. Default 30 s.
    pub keep_alive: Duration,
}

/// `[pool.NAME.retry]`
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Further tries. Default 2.
    pub attempts: u32,
    /// Default connect, reset, invalid.
    pub on: RetryOn,
    /// Upper-case method names. Default the idempotent ones.
    pub methods: Vec<String>,
    /// Share of the requests of the last 10 s. Default 0.2.
    pub budget: f64,
    /// Bytes of request body kept for another try. Default 64 KiB.
    pub buffer: u32,
}

/// `retry.on`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// Refused, unreachable, or not connected in time: nothing of the request was sent.
    pub connect: bool,
    /// The connection ended with no byte of a response.
    pub reset: bool,
    /// An unparsable head.
    pub invalid: bool,
    /// No head within `timeouts.response`.
    pub timeout: bool,
    /// Statuses.
    pub statuses: Vec<u16>,
}
