//! What the balancer tells, as `top` reads it.
//!
//! Every value may be missing: the balancer may be older or younger than this command.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::cli::remote::steers;

/// Words of the balancer's. They may hold what a backend sent, and so anything at all: shown, they are without what could
/// steer a terminal or turn a line around.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub(super) struct Words(String);

/// One snapshot of the stream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Snapshot {
    /// Seconds since the epoch, by the balancer's clock.
    pub(super) time: f64,
    pub(super) version: Words,
    pub(super) uptime_seconds: f64,
    pub(super) ready: bool,
    pub(super) reloaded: Option<f64>,
    pub(super) reload_result: Option<Words>,
    pub(super) last_event: u64,
    pub(super) connections: u64,
    pub(super) workers: Option<u64>,
    #[serde(flatten)]
    pub(super) pace: Pace,
    pub(super) pools: Vec<Pool>,
    /// Absent from a balancer that does not tell of them.
    pub(super) routes: Option<Vec<Route>>,
    pub(super) routes_cut: bool,
}

/// One pool of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) name: Words,
    pub(super) balance: Words,
    #[serde(flatten)]
    pub(super) record: Record,
    pub(super) in_flight: u32,
    pub(super) waiting: u64,
    #[serde(flatten)]
    pub(super) pace: Pace,
    pub(super) backends: Vec<Backend>,
}

/// One backend of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Backend {
    pub(super) name: Words,
    pub(super) address: Words,
    pub(super) state: Words,
    pub(super) reason: Words,
    pub(super) backup: bool,
    pub(super) weight: u16,
    pub(super) configured_weight: u16,
    pub(super) in_flight: u32,
    pub(super) connections: u32,
    pub(super) ejections: u64,
    pub(super) for_seconds: f64,
    pub(super) availability_ratio: f64,
    pub(super) failures: u64,
    pub(super) share: Option<f64>,
    #[serde(flatten)]
    pub(super) pace: Pace,
}

/// One route of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    pub(super) name: Words,
    pub(super) listeners: Vec<Words>,
    pub(super) pool: Words,
    #[serde(flatten)]
    pub(super) record: Record,
    #[serde(flatten)]
    pub(super) pace: Pace,
}

/// How well a pool or a route has served.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) up: Option<bool>,
    pub(super) cause: Option<Words>,
    pub(super) for_seconds: Option<f64>,
    pub(super) availability_ratio: Option<f64>,
    pub(super) failures: u64,
    pub(super) mtbf_seconds: Option<f64>,
    pub(super) mttr_seconds: Option<f64>,
    pub(super) success_ratio: Option<f64>,
    pub(super) budget_remaining_ratio: Option<f64>,
    pub(super) slo: Option<Slo>,
}

/// Its objectives.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Slo {
    pub(super) availability: Option<Burn>,
    pub(super) latency: Option<Burn>,
}

/// How one of them stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Burn {
    pub(super) budget_remaining_ratio: f64,
    pub(super) burn_rate_5m: f64,
    pub(super) burn_rate_1h: f64,
    pub(super) burn_rate_6h: f64,
}

/// How many, how well, how fast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Pace {
    pub(super) rate: Option<f64>,
    pub(super) failed_rate: Option<f64>,
    pub(super) failed_ratio: Option<f64>,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) time: f64,
    pub(super) level: Words,
    pub(super) message: Words,
    pub(super) fields: BTreeMap<Words, Words>,
}

/// The answer of /api/v1/events.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Events {
    pub(super) events: Vec<Event>,
}

impl Words {
    /// As the balancer wrote them: to send them back to it, and to compare.
    pub(super) fn raw(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Words {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            if steers(letter) {
                write!(f, "{}", letter.escape_default())?
            } else {
                fmt::Write::write_char(f, letter)?
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_written_out() {
        for (raw, shown) in [
            ("status 503", "status 503"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}abc\u{200b}\u{feff}", "\\u{202e}abc\\u{200b}\\u{feff}"),
            ("é 日本 ü", "é 日本 ü"),
        ] {
            let words = Words::from(raw);
            assert_eq!((words.to_string().as_str(), words.raw()), (shown, raw));
        }
    }

    #[test]
    fn what_is_missing_or_new_is_no_error() {
        let read: Snapshot = serde_json::from_str(
            r#"{"version":"9.0","rate":2.5,"new":{"a":[1]},"pools":[{"name":"crm","p99_seconds":null,"backends":[{"name":"a"}]}]}"#,
        )
        .unwrap();
        assert_eq!((read.pace.rate, read.workers), (Some(2.5), None));
        assert_eq!(read.pools[0].backends[0].name.raw(), "a");
    }
}
