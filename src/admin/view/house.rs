//! What is said of listeners, of the configuration in force, and of what happened.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::epoch_seconds;
use crate::observe::{CertificateLabel, Happening};

/// One listener.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListenerView {
    /// Its name.
    pub name: String,
    /// Where it listens, the ports that the kernel chose included.
    pub addresses: Vec<String>,
    /// What clients may speak: `h1`, `h2`.
    pub protocols: Vec<&'static str>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Cleartext requests are answered with the https:// form.
    pub https_redirect: bool,
    /// Where requests go that no route takes; absent where they get 404.
    pub pool: Option<String>,
    /// Client connections now.
    pub connections: u64,
    /// Client connections accepted so far.
    pub connections_total: u64,
    /// What clients are shown.
    pub certificates: Vec<CertificateView>,
}

/// A certificate that clients are shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertificateView {
    /// The first name that it is for.
    pub name: String,
    /// In hexadecimal.
    pub serial: String,
    /// When it expires, in seconds since the epoch.
    pub not_after: i64,
}

/// The configuration in force: what it comes to, not its text, which may hold what is nobody's business.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ConfigView {
    /// The file that it was read from.
    pub source: String,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// Since when it is in force, in seconds since the epoch.
    pub loaded: f64,
    /// Reloads that took effect.
    pub reloads_ok: u64,
    /// Reloads that were refused.
    pub reloads_rejected: u64,
    /// The last reload, whatever came of it; absent before the first.
    pub last_reload: Option<LastReloadView>,
    /// Threads that carry traffic.
    pub workers: usize,
    /// How long open requests may go on after a stop.
    pub drain_timeout_seconds: f64,
    /// After TERM: not ready but still accepting for so long.
    pub shutdown_delay_seconds: f64,
    /// What buffers may hold beyond their first 4 KiB.
    pub buffer_memory_bytes: u64,
    /// Whether calls that change something need the bearer token.
    pub token: bool,
    /// The names of the listeners.
    pub listeners: Vec<String>,
    /// The names of the routes, in the order in which they are tried.
    pub routes: Vec<String>,
    /// What holds of each pool.
    pub pools: Vec<PoolSettingsView>,
}

/// What the configuration says of a pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // the names are those of the configuration
pub struct PoolSettingsView {
    pub name: String,
    pub balance: String,
    pub backends: usize,
    /// Whether it is looked at its backends by checks.
    pub health: bool,
    pub sticky: bool,
    pub queue_max: usize,
    pub queue_timeout_seconds: f64,
    pub connect_timeout_seconds: f64,
    pub response_timeout_seconds: f64,
    pub idle_timeout_seconds: f64,
    pub tunnel_timeout_seconds: f64,
    pub keep_alive_seconds: f64,
}

/// How the last reload ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastReloadView {
    /// When, in seconds since the epoch.
    pub time: f64,
    /// `ok` or `rejected`.
    pub result: &'static str,
    /// Errors and warnings, as `equipoise check` prints them.
    pub text: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Which one it is, counted from 1 since the process began.
    pub number: u64,
    /// When, in seconds since the epoch.
    pub time: f64,
    /// `error`, `warn` or `info`.
    pub level: &'static str,
    /// The part of the program that tells it, as in the event log.
    pub target: &'static str,
    /// The sentence.
    pub message: String,
    /// What it is about, by name.
    pub fields: BTreeMap<&'static str, String>,
}

impl From<CertificateLabel> for CertificateView {
    fn from(label: CertificateLabel) -> Self {
        Self { name: label.name.into(), serial: label.serial.into(), not_after: label.not_after }
    }
}

impl From<Happening> for EventView {
    fn from(one: Happening) -> Self {
        Self {
            number: one.number,
            time: epoch_seconds(one.at),
            level: one.level,
            target: one.target,
            message: one.message,
            fields: one.fields.into_iter().collect(),
        }
    }
}
