//! What is known of an exchange at its end.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::http::{Fields, RequestHead};

/// The facts that a line is made of. Absent where the exchange did not get so far.
#[derive(Debug)]
pub struct Record<'a> {
    /// When the first byte of the request was there.
    pub began: Instant,
    /// When all was over.
    pub ended: Instant,
    /// The client, as `trusted_proxies` give it.
    pub client: IpAddr,
    /// Who is at the other end of the connection.
    pub peer: SocketAddr,
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The pool's name.
    pub pool: Option<&'a str>,
    /// The name of the backend of the last try.
    pub backend: Option<&'a str>,
    /// The request's head; `None`: it was refused before it could be read.
    pub request: Option<&'a RequestHead>,
    /// The beginning of a head that was refused.
    pub unread: &'a [u8],
    /// The fields of the response that a backend gave and the client got.
    pub response: Option<&'a Fields>,
    /// TLS with the client.
    pub secure: Option<Secure<'a>>,
    /// X-Request-Id.
    pub request_id: &'a [u8],
    /// The trace that it is part of, and our span in it.
    pub trace: Option<(u128, Option<u64>)>,
    /// What the client got; 499: it had left.
    pub code: u16,
    /// Why, in one word, where we answered ourselves or broke off; else empty.
    pub reason: &'a str,
    /// Bytes of the request, head and body.
    pub bytes_in: u64,
    /// Bytes of the response, heads and body.
    pub bytes_out: u64,
    /// Of these, the bytes of heads.
    pub head_out: u64,
    /// Further tries.
    pub retries: u32,
    /// Which of two tries beside each other gave the answer, `first` or `second`; empty where there was one.
    pub hedge: &'a str,
    /// How long the phases took.
    pub times: Times,
    /// Who ended it and in which phase, in the letters of HAProxy.
    pub termination: [u8; 2],
    /// How much goes on beside it; looked up only where the format shows it.
    pub load: Load,
}

/// How long the phases took, one after the other: they add up to the whole. `None`: it did not get so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// First byte of the request to the end of its head.
    pub receive: Option<Duration>,
    /// In the pool's queue.
    pub queue: Option<Duration>,
    /// To the connection on which the last try was made, earlier tries included.
    pub connect: Option<Duration>,
    /// From there to the head of the response; the request's body is sent meanwhile.
    pub response: Option<Duration>,
    /// From there to the end.
    pub transfer: Option<Duration>,
    /// First byte of the request to the head of the response.
    pub first_byte: Option<Duration>,
}

/// When a request came. The clock is read once a phase and no more: a reading costs as much as a whole header
/// field.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its first byte.
    pub began: Instant,
    /// The end of its head.
    pub complete: Instant,
}

/// When it came to which phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    /// Since when it waits in the pool's queue; `None`: it does not.
    pub queued: Option<Instant>,
    /// How long it was there before.
    pub waited: Duration,
    /// When the backend of the last try was reached.
    pub connected: Option<Instant>,
    /// When the head of its response was there.
    pub heard: Option<Instant>,
}

impl Marks {
    /// What the marks say of a request that has `ended`. `placed`: a backend was picked for it.
    pub fn times(&self, arrival: Arrival, ended: Instant, placed: bool) -> Times {
        let Arrival { began, complete } = arrival;
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let waited = self.waited + self.queued.map_or(Duration::ZERO, |since| between(since, ended));
        Times {
            receive: Some(between(began, complete)),
            queue: (placed || self.queued.is_some()).then_some(waited),
            connect: self.connected.map(|connected| between(complete, connected).saturating_sub(waited)),
            response: self.connected.zip(self.heard).map(|(connected, heard)| between(connected, heard)),
            transfer: self.heard.map(|heard| between(heard, ended)),
            first_byte: self.heard.map(|heard| between(began, heard)),
        }
    }
}

/// TLS with the client.
#[derive(Debug, Clone, Copy)]
pub struct Secure<'a> {
    /// The version, as `TLSv1.3`.
    pub version: &'static str,
    /// The name that the client asked for.
    pub sni: Option<&'a str>,
}

/// How much goes on at the end of an exchange, itself included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Client connections of the process.
    pub process: u64,
    /// Client connections of the listener.
    pub listener: u64,
    /// Requests in flight in the pool.
    pub pool: u64,
    /// Requests in flight at the backend.
    pub backend: u64,
}
