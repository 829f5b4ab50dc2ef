//! What is known of a recorded request at its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::context::Context;
use crate::backend::Backend;

/// Bytes of a client's making that one text of a record holds; what is longer is cut.
pub const MAX_TEXT: usize = 1024;
/// Tries, and waits in the queue, of which spans are made; further ones go without.
const MAX_PARTS: usize = 16;

/// The facts that the spans of one request are made of.
#[derive(Debug)]
pub struct Trace {
    /// The trace; `span_id` is that of the request's own span.
    pub context: Context,
    /// The span that the request came from; `None`: the trace begins here.
    pub parent: Option<u64>,
    /// Its tracestate; empty: none.
    pub state: String,
    /// When the first byte of the request was there.
    pub began: Instant,
    /// When all was over.
    pub ended: Instant,
    /// The method; `_OTHER` where it is none that everybody knows.
    pub method: &'static str,
    /// The path, without the query.
    pub path: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host that was asked for, with its port if one was sent.
    pub host: String,
    /// The version of HTTP, as `1.1`.
    pub version: &'static str,
    /// User-Agent; empty: none.
    pub user_agent: String,
    /// The client, as `trusted_proxies` give it.
    pub client: IpAddr,
    /// Who is at the other end of the connection.
    pub peer: SocketAddr,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The route's name.
    pub route: Option<Arc<str>>,
    /// The pool's name.
    pub pool: Option<Arc<str>>,
    /// X-Request-Id.
    pub request_id: String,
    /// What the client got; 0: nothing.
    pub code: u16,
    /// Why, in one word, where we answered ourselves or broke off; else empty.
    pub reason: &'static str,
    /// When it was in the queue.
    pub waits: Vec<(Instant, Instant)>,
    /// The tries, the first one first.
    pub tries: Vec<Try>,
}

/// One try at a backend.
#[derive(Debug)]
pub struct Try {
    /// Its span, which the backend was told.
    pub span_id: u64,
    /// The backend.
    pub backend: Arc<Backend>,
    /// When it began.
    pub began: Instant,
    /// When the backend was reached by a connection that had to be made; `None`: one was at hand, or it was not reached.
    pub connected: Option<Instant>,
    /// When it ended; `None`: with the request.
    pub ended: Option<Instant>,
    /// The status of its response; 0: there was none.
    pub status: u16,
    /// Why it failed, in one word; else empty.
    pub error: &'static str,
    /// Of two at once: `won` where its response was the answer, else `lost`. Empty: it was alone.
    pub hedge: &'static str,
}

impl Trace {
    /// Adds to a list that has a bound.
    /// Says whether there was room.
    pub fn push<T>(list: &mut Vec<T>, one: T) -> bool {
        let room = list.len() < MAX_PARTS;
        if room {
            list.push(one);
        }
        room
    }

    /// How many spans are made of it.
    pub fn spans(&self) -> u64 {
        let connects = self.tries.iter().filter(|one| one.connected.is_some()).count();
        (1 + self.waits.len() + self.tries.len() + connects) as u64
    }

    /// Somebody's bytes as text of bounded length.
    pub fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]).into_owned()
    }
}
