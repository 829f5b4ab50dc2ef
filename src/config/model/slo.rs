//! What is promised of requests.

use std::time::Duration;

/// `slo` of a route or pool; one of the two objectives at least
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slo {
    /// The share of requests that succeed, between 0 and 1.
    pub availability: Option<f64>,
    /// What counts as fast, and the share of requests that are.
    pub latency: Option<(Duration, f64)>,
    /// Over which time. Default 30 d.
    pub window: Duration,
}
