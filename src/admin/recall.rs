//! What was decided for requests that have ended: how it is said.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecallView {
    /// The id.
    pub request_id: String,
    /// Requests that are kept, of any id.
    pub kept: usize,
    /// All that ended since then are among them: seconds since the epoch.
    pub since: f64,
    /// Requests of this id that are kept.
    pub matches: usize,
    /// The newest of them, the newest first.
    pub requests: Vec<DecidedView>,
}

/// What was decided for one request, and what came of it. What it did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecidedView {
    /// When it began: seconds since the epoch.
    pub time: f64,
    /// The same as `2026-11-21T16:20:42.123Z`.
    pub time_utc: String,
    /// First byte of the request to the end of all.
    pub duration_seconds: f64,
    /// The client, as `trusted_proxies` give it.
    pub client: IpAddr,
    /// The listener.
    pub listener: String,
    /// The method; absent where the head could not be read.
    pub method: Option<String>,
    /// The host that was asked for.
    pub host: Option<String>,
    /// Path and query; masked as in the access log, and the query whole where there is no access log.
    pub target: Option<String>,
    /// The version of HTTP, as `HTTP/1.1`.
    pub protocol: Option<String>,
    /// The route that took it; `default` for the listener's own pool.
    pub route: Option<String>,
    /// Its pool.
    pub pool: Option<String>,
    /// The balancing algorithm of the pool.
    pub balance: Option<String>,
    /// Every try, the first one first.
    pub tries: Vec<TryView>,
    /// Tries before the last one that are not told, for there were too many.
    pub tries_left_out: u32,
    /// Further tries, of which a failed connection from before that was replaced is none.
    pub retries: u32,
    /// Which of two tries beside each other gave the answer, `first` or `second`.
    pub hedge: Option<String>,
    /// What the client got; 499: it had left. Absent: nothing.
    pub status: Option<u16>,
    /// Why, in one word, where the balancer answered itself or broke off; else empty.
    pub reason: String,
    /// How long its phases took.
    pub phases: PhasesView,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TryView {
    /// The backend's name.
    pub backend: String,
    /// Why this one: `sticky`, `login`, `trial` or `algorithm`.
    pub why: String,
    /// The priority that served; above 0 it is a spare.
    pub priority: u8,
    /// Health was ignored: too few were usable.
    pub panic: bool,
    /// From the first byte of the request to its pick.
    pub after_seconds: f64,
    /// From its pick to its end; of the last one to the end of all.
    pub seconds: f64,
    /// The status of the backend's answer; absent: there was none.
    pub status: Option<u16>,
    /// Why there was none, in one word; beside a status `cut`: its response broke off.
    pub failed: Option<String>,
}

/// How long the phases took, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhasesView {
    /// First byte of the request to the end of its head.
    pub receive_seconds: Option<f64>,
    /// In the pool's queue.
    pub queue_seconds: Option<f64>,
    /// To the connection of the last try, earlier tries included.
    pub connect_seconds: Option<f64>,
    /// From there to the head of the response.
    pub first_byte_seconds: Option<f64>,
    /// From there to the end.
    pub transfer_seconds: Option<f64>,
}

/// Why nothing can be told of an id, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTold {
    /// Nothing is known of it.
    Unknown(String),
    /// It could not be asked.
    Unanswered(String),
}

/// Reads an id out of a query; `None`: it asks for something else.
pub(super) fn read(query: &str) -> Option<Result<String, String>> {
    let id = query.split('&').find_map(|pair| pair.strip_prefix("request_id="))?;
    if query.len() != "request_id=".len() + id.len() {
        return Some(Err("`request_id` goes with nothing else".to_owned()));
    }
    let decoded = super::answer::percent_decoded(id).ok_or("`request_id` is not well encoded");
    let filled = decoded.and_then(|id| if id.is_empty() { Err("`request_id` is empty") } else { Ok(id) });
    Some(filled.map_err(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_alone() {
        assert_eq!(read("url=http://a/"), None);
        assert_eq!(read("request_id=a%2Db"), Some(Ok("a-b".to_owned())));
        for (query, named) in [
            ("request_id=", "empty"),
            ("request_id=%zz", "encoded"),
            ("request_id=%ff", "encoded"),
            ("url=x&request_id=a", "nothing else"),
            ("request_id=a&request_id=b", "nothing else"),
        ] {
            assert!(read(query).unwrap().unwrap_err().contains(named), "{query}");
        }
    }
}
