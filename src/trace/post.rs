//! One batch on its way to the collector: OTLP over HTTP/1.1 with protobuf.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use super::message::Exported;
use crate::observe::ExportFailure;
use crate::tls::Secure;

/// How long one try may take, from the name of the collector to the end of its answer, the handshake of TLS included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// What a collector may ask for as a pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct Trouble {
    /// In one word.
    pub(super) failure: ExportFailure,
    /// In a sentence.
    pub(super) why: String,
    pub(super) again: Again,
}

/// Whether it may be taken later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Not before this time has passed, where that was said.
    Later(Option<Duration>),
    Never,
}

impl Trouble {
    fn later(failure: ExportFailure, why: &dyn std::fmt::Display) -> Self {
        Self { failure, why: why.to_string(), again: Again::Later(None) }
    }
}

/// Posts one batch, over TLS where that is given. Gives how many of its spans the collector did not want.
pub(super) async fn post(endpoint: &Endpoint, secure: Option<&Secure>, body: Bytes) -> Result<u64, Trouble> {
    let late = |_| Trouble::later(ExportFailure::Timeout, &"no answer in time");
    let (status, pause, answer) =
        timeout(TIMEOUT, exchange(endpoint, secure, body)).await.map_err(late)??;
    judge(status, pause, &answer)
}

fn judge(status: StatusCode, pause: Option<Duration>, answer: &[u8]) -> Result<u64, Trouble> {
    let again = match status.as_u16() {
        200..=299 => {
            // Whatever else a collector says is no reason to send it all again.
            let read = Exported::decode(answer).unwrap_or_default();
            return Ok(read.partial_success.map_or(0, |partial| partial.rejected_spans.max(0) as u64));
        }
        // Those that OTLP names.
        429 | 502 | 503 | 504 => Again::Later(pause),
        _ => Again::Never,
    };
    Err(Trouble { failure: ExportFailure::Status, why: format!("status {status}"), again })
}

type Answered = (StatusCode, Option<Duration>, Bytes);

async fn exchange(endpoint: &Endpoint, secure: Option<&Secure>, body: Bytes) -> Result<Answered, Trouble> {
    let unreached = |error| Trouble::later(ExportFailure::Connect, &error);
    let stream = TcpStream::connect(endpoint.authority()).await.map_err(unreached)?;
    let answered = match secure {
        None => ask(endpoint, stream, body).await,
        Some(Secure { config, name }) => {
            let unproved = |error| Trouble::later(ExportFailure::Tls, &error);
            let connecting = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream);
            ask(endpoint, connecting.await.map_err(unproved)?, body).await
        }
    };
    answered.map_err(|error| Trouble::later(ExportFailure::Broken, &error))
}

async fn ask(
    endpoint: &Endpoint,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    body: Bytes,
) -> Result<Answered, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::post(endpoint.path())
        .header(header::HOST, endpoint.authority())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::USER_AGENT, concat!("equipoise/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    request.headers_mut().extend(endpoint.fields().iter().cloned());
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
    fn only_what_may_pass_is_tried_again() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None, b"");
        assert!(judged(200).is_ok_and(|rejected| rejected == 0) && judged(202).is_ok());
        for later in [429, 502, 503, 504] {
            assert_eq!(judged(later).unwrap_err().again, Again::Later(None), "{later}");
        }
        for never in [301, 400, 401, 404, 413, 500] {
            assert_eq!(judged(never).unwrap_err().again, Again::Never, "{never}");
        }
        // partial_success { rejected_spans: 3 }
        assert_eq!(judge(StatusCode::OK, None, &[0x0a, 0x02, 0x08, 0x03]).ok(), Some(3));
        assert_eq!(judge(StatusCode::OK, None, b"{}").ok(), Some(0));
    }
}
