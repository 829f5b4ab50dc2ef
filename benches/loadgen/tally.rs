//! What came of the requests.

use crate::histogram::Histogram;
use serde_json::{Map, Value, json};
use std::fs;
use std::time::Duration;

/// Why a request has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection was not made.
    Connect,
    /// It was reset, or writing to it failed.
    Reset,
    /// It ended before the end of the answer.
    Closed,
    /// No whole answer within the time allowed.
    Timeout,
    /// Another status than 200.
    Status,
    /// A body of another length than expected.
    Length,
    /// No readable head or chunk, or bytes that nobody asked for.
    Malformed,
    /// The answer was complete before the request was.
    Early,
    /// It was due, and never sent: no connection became free in time.
    Unsent,
    /// TLS failed, or its handshake was of another kind than asked for.
    Tls,
}

const FAULTS: [(Fault, &str); 10] = [
    (Fault::Connect, "connect"),
    (Fault::Reset, "reset"),
    (Fault::Closed, "closed"),
    (Fault::Timeout, "timeout"),
    (Fault::Status, "status"),
    (Fault::Length, "length"),
    (Fault::Malformed, "malformed"),
    (Fault::Early, "early"),
    (Fault::Unsent, "unsent"),
    (Fault::Tls, "tls"),
];

/// Counts of one run.
pub(crate) struct Tally {
    pub(crate) good: u64,
    /// Of the bodies of good answers.
    pub(crate) bytes: u64,
    /// Kept connections that the other side ended between two requests, as it may.
    pub(crate) ended_idle: u64,
    /// Handshakes of TLS that led to a good answer, and how many of them resumed a session.
    pub(crate) handshakes: u64,
    pub(crate) resumed: u64,
    pub(crate) times: Histogram,
    /// Of the good ones, how many came before time counted.
    before: u64,
    faults: [u64; FAULTS.len()],
    first_fault: Option<String>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            good: 0,
            bytes: 0,
            ended_idle: 0,
            handshakes: 0,
            resumed: 0,
            times: Histogram::new(),
            before: 0,
            faults: [0; FAULTS.len()],
            first_fault: None,
        }
    }

    /// Time counts from here; what came before stays in the number of requests, but not in rate and times.
    pub(crate) fn begin(&mut self) {
        self.before = self.good;
        self.times = Histogram::new();
    }

    pub(crate) fn fault(&mut self, fault: Fault, count: u64, detail: &str) {
        if count == 0 {
            return;
        }
        self.faults[fault as usize] += count;
        self.first_fault.get_or_insert_with(|| format!("{}: {detail}", FAULTS[fault as usize].1));
    }

    pub(crate) fn bad(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// One line for the script that called us.
    pub(crate) fn json(&self, took: Duration, connections: usize) -> Value {
        let mut errors = Map::new();
        for (fault, name) in FAULTS {
            if self.faults[fault as usize] > 0 {
                errors.insert(name.into(), json!(self.faults[fault as usize]));
            }
        }
        let seconds = took.as_secs_f64();
        let us = |share| rounded(self.times.percentile_us(share));
        json!({
            "requests": self.good,
            "failed": self.bad(),
            "errors": errors,
            "first_error": self.first_fault,
            "seconds": rounded(seconds),
            "rate": rounded(if seconds > 0.0 { (self.good - self.before) as f64 / seconds } else { 0.0 }),
            "cpu_us": own_cpu_us(),
            "bytes": self.bytes,
            "connections": connections,
            "ended_idle": self.ended_idle,
            "handshakes": self.handshakes,
            "resumed": self.resumed,
            "p50_us": us(0.5),
            "p90_us": us(0.9),
            "p99_us": us(0.99),
            "p999_us": us(0.999),
            "max_us": rounded(self.times.longest_us()),
        })
    }
}

/// What we ourselves used of the CPU; 0 where the kernel does not tell.
fn own_cpu_us() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let ns: u64 = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
    ns / 1000
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_counted_under_its_own_name() {
        for (place, (fault, name)) in FAULTS.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
            let mut tally = Tally::new();
            tally.fault(fault, 3, "why");
            tally.fault(fault, 0, "never");
            let line = tally.json(Duration::from_secs(1), 1);
            assert_eq!(line["errors"], json!({ name: 3 }));
            assert_eq!(line["first_error"], json!(format!("{name}: why")));
            assert_eq!(line["failed"], json!(3));
        }
    }
}
