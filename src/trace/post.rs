//! One batch on its way to the collector: OTLP over HTTP/1.1 with protobuf.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::Exported;

/// Where OTLP is taken, below the base that is configured.
const PATH: &str = "/v1/traces";
/// How long one try may take, from the name of the collector to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// What a collector may ask for as a pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A collector: `http://HOST:PORT` and a path below which `/v1/traces` stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port, as they stand in Host.
    authority: String,
    path: String,
}

/// Why a URL names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It does not begin with `http://`.
    #[error("not a URL that begins with http://")]
    Scheme,
    /// TLS is not spoken to collectors.
    #[error("https is not spoken to collectors; one on this host takes spans in clear and passes them on")]
    Https,
    /// There is no host, or what is there is none.
    #[error("no host and port")]
    Authority,
    /// A query, a fragment, or octets that no path has.
    #[error("no path")]
    Path,
}

impl Endpoint {
    /// Reads a URL. A port that is missing is 4318, OTLP's own.
    ///
    /// # Errors
    /// It is none that a collector can have.
    pub fn read(url: &str) -> Result<Self, BadEndpoint> {
        if url.starts_with("https://") {
            return Err(BadEndpoint::Https);
        }
        let rest = url.strip_prefix("http://").ok_or(BadEndpoint::Scheme)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let bare = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bare {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_host = !host.is_empty()
            && host.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') || bare.is_some() && b == b':'
            });
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !is_host || !is_port || bare.is_some_and(|(_, rest)| !rest.is_empty() && port.is_none()) {
            return Err(BadEndpoint::Authority);
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(BadEndpoint::Path);
        }
        let authority = if port.is_some() { authority.to_owned() } else { format!("{authority}:4318") };
        Ok(Self { authority, path: format!("{}{PATH}", path.trim_end_matches('/')) })
    }

    /// The URL to which batches go.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It may be taken later; not before this time has passed, where that was said.
    #[error("{0}")]
    Later(String, Option<Duration>),
    /// It will never be.
    #[error("{0}")]
    Never(String),
}

/// Posts one batch. Gives how many of its spans the collector did not want.
pub(super) async fn post(endpoint: &Endpoint, body: Vec<u8>) -> Result<u64, Trouble> {
    let later = |error: &dyn std::fmt::Display| Trouble::Later(error.to_string(), None);
    match timeout(TIMEOUT, exchange(endpoint, body)).await {
        Err(_) => Err(later(&"no answer in time")),
        Ok(Err(error)) => Err(later(&error)),
        Ok(Ok((status, pause, answer))) => judge(status, pause, &answer),
    }
}

fn judge(status: StatusCode, pause: Option<Duration>, answer: &[u8]) -> Result<u64, Trouble> {
    match status.as_u16() {
        200..=299 => {
            // Whatever else a collector says is no reason to send it all again.
            let read = Exported::decode(answer).unwrap_or_default();
            Ok(read.partial_success.map_or(0, |partial| partial.rejected_spans.max(0) as u64))
        }
        // Those that OTLP names.
        429 | 502 | 503 | 504 => Err(Trouble::Later(format!("status {status}"), pause)),
        _ => Err(Trouble::Never(format!("status {status}"))),
    }
}

type Answered = (StatusCode, Option<Duration>, Bytes);

async fn exchange(
    endpoint: &Endpoint,
    body: Vec<u8>,
) -> Result<Answered, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(&endpoint.authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&endpoint.path)
        .header(header::HOST, &endpoint.authority)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::USER_AGENT, concat!("equipoise/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let pause = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = pause.map(|seconds| Duration::from_secs(seconds).min(MAX_PAUSE));
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok((head.status, pause, body))
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        answered = &mut answered => return answered,
        // It may end before its last bytes have been taken.
        _ = connection => {}
    }
    answered.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_collectors_are_read() {
        for (url, whole) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector", "http://collector:4318/v1/traces"),
            ("http://collector.internal:80/", "http://collector.internal:80/v1/traces"),
            ("http://[::1]:4318/otlp/", "http://[::1]:4318/otlp/v1/traces"),
            ("http://[::1]", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(Endpoint::read(url).unwrap().url(), whole);
        }
        for (url, why) in [
            ("https://collector:4318", BadEndpoint::Https),
            ("collector:4318", BadEndpoint::Scheme),
            ("http://", BadEndpoint::Authority),
            ("http://:4318", BadEndpoint::Authority),
            ("http://a:b", BadEndpoint::Authority),
            ("http://a:0", BadEndpoint::Authority),
            ("http://a b:1", BadEndpoint::Authority),
            ("http://user:pass@host:1", BadEndpoint::Authority),
            ("http://[::1]4318", BadEndpoint::Authority),
            ("http://::1:4318", BadEndpoint::Authority),
            ("http://a:1/x?y=1", BadEndpoint::Path),
            ("http://a:1/x y", BadEndpoint::Path),
        ] {
            assert_eq!(Endpoint::read(url), Err(why), "{url}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None, b"");
        assert!(judged(200).is_ok_and(|rejected| rejected == 0) && judged(202).is_ok());
        for later in [429, 502, 503, 504] {
            assert!(matches!(judged(later), Err(Trouble::Later(..))), "{later}");
        }
        for never in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(judged(never), Err(Trouble::Never(_))), "{never}");
        }
        // partial_success { rejected_spans: 3 }
        assert_eq!(judge(StatusCode::OK, None, &[0x0a, 0x02, 0x08, 0x03]).ok(), Some(3));
        assert_eq!(judge(StatusCode::OK, None, b"{}").ok(), Some(0));
    }
}
