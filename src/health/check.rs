//! What is asked of a backend, how often, and which answer is good.

use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Uri};

use super::agent::AgentCheck;

/// How one pool's backends are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub kind: Kind,
    /// The port to ask; `None`: the backend's own.
    pub port: Option<u16>,
    /// From the end of a probe to the start of the next while the backend is steadily up; ±10 %.
    pub interval: Duration,
    /// The same while it is going up or down.
    pub fast_interval: Duration,
    /// The same while it is steadily down; ±10 %.
    pub down_interval: Duration,
    /// From the connect to the last byte read.
    pub timeout: Duration,
    /// Consecutive passes that bring a backend up.
    pub rise: u32,
    /// Consecutive failures that take it down.
    pub fall: u32,
    /// How its agent is asked; `None`: it has none.
    pub agent: Option<AgentCheck>,
}

/// What is asked of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A connection that is accepted passes.
    Tcp,
    /// A request whose answer is as expected passes.
    Http(HttpCheck),
    /// A server of gRPC that says of itself that it serves passes.
    Grpc(GrpcCheck),
}

/// The request of an HTTP check and what its answer must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    pub(super) method: Method,
    pub(super) path: Uri,
    pub(super) host: Option<HeaderValue>,
    pub(super) statuses: Box<[RangeInclusive<u16>]>,
    pub(super) body: Option<Box<str>>,
}

/// What a server of gRPC is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCheck {
    pub(super) service: Box<str>,
    pub(super) host: Option<HeaderValue>,
}

impl GrpcCheck {
    /// About this service; empty: about the whole server. `host` as for [`HttpCheck::new`].
    ///
    /// # Errors
    /// What cannot be sent in a request is refused here, so that no probe can fail for it later.
    pub fn new(service: &str, host: Option<&str>) -> Result<Self, BadCheck> {
        Ok(Self { service: service.into(), host: host_value(host)? })
    }
}

fn host_value(host: Option<&str>) -> Result<Option<HeaderValue>, BadCheck> {
    host.map(|host| HeaderValue::from_str(host).map_err(|_| BadCheck::Host(host.into()))).transpose()
}

/// What makes a check unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCheck {
    /// Not a token (RFC 9110 5.6.2).
    #[error("«{0}» is not a method")]
    Method(String),
    /// Not an origin-form target (RFC 9112 3.2.1).
    #[error("«{0}» is not a path that can be asked for; it starts with / and holds no space")]
    Path(String),
    /// Not a field value (RFC 9110 5.5).
    #[error("«{0}» cannot be sent as Host")]
    Host(String),
}

impl HttpCheck {
    /// A request with this method, path (and query), and Host (`None`: the backend's address as
    /// configured), answered well by a status in `statuses` and, where `body` is given, by a body that
    /// holds it within its first 16 KiB.
    ///
    /// # Errors
    /// What cannot be sent in a request is refused here, so that no probe can fail for it later.
    pub fn new(
        method: &str,
        path: &str,
        host: Option<&str>,
        statuses: &[RangeInclusive<u16>],
        body: Option<&str>,
    ) -> Result<Self, BadCheck> {
        let uri = path.parse::<Uri>().ok().filter(|uri| path.starts_with('/') && uri.authority().is_none());
        Ok(Self {
            method: method.parse().map_err(|_| BadCheck::Method(method.into()))?,
            path: uri.ok_or_else(|| BadCheck::Path(path.into()))?,
            host: host_value(host)?,
            statuses: statuses.into(),
            body: body.map(Into::into),
        })
    }

    pub(super) fn expects(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(&status))
    }
}
