//! One probe: connect, ask, judge the answer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::check::{Check, HttpCheck, Kind};
use super::monitor::Opening;
use super::{grpc, http2};

/// A longer response head is refused. hyper looks before it reads on, so that up to twice as much may have
/// been read by then.
pub(super) const HEAD_MAX: usize = 64 * 1024;

/// The most that is read of a response body.
pub(super) const BODY_MAX: usize = 16 * 1024;

pub(super) const AGENT: &str = concat!("equipoise-health/", env!("CARGO_PKG_VERSION"));

/// Probes one address once. `host` is sent where the check names none.
///
/// # Errors
/// Why the backend did not pass.
pub(super) async fn probe(
    check: &Check,
    opening: &Opening,
    mut address: SocketAddr,
    host: &str,
) -> Result<(), Failure> {
    if let Some(port) = check.port {
        address.set_port(port);
    }
    let deadline = Instant::now() + check.timeout;
    let mut stream = match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| Failure::of_connect(&error))?,
        Err(_) => return Err(Failure::ConnectTimeout),
    };
    let asked = async {
        if let Some(version) = opening.announce {
            stream.write_all(version.own_header()).await.map_err(|_| Failure::Closed)?;
        }
        let Some(secure) = &opening.secure else {
            return tell(&check.kind, stream, host, Speech { http2: opening.http2, secure: false }).await;
        };
        let connector = TlsConnector::from(Arc::clone(&secure.config));
        let stream = Box::pin(connector.connect(secure.name.clone(), stream)).await;
        let stream = stream.map_err(|error| Failure::Tls(error.to_string().into()))?;
        let speech = Speech { http2: stream.get_ref().1.alpn_protocol() == Some(b"h2"), secure: true };
        Box::pin(tell(&check.kind, stream, host, speech)).await // larger than the plain one, for which it would make room
    };
    timeout_at(deadline, asked).await.unwrap_or(Err(Failure::Timeout(check.timeout)))
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy)]
struct Speech {
    http2: bool,
    secure: bool,
}

async fn tell(
    kind: &Kind,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    speech: Speech,
) -> Result<(), Failure> {
    match kind {
        Kind::Tcp => Ok(()),
        Kind::Grpc(check) if speech.http2 => Box::pin(grpc::ask(check, stream, host, speech.secure)).await,
        // HTTP/1.1 was chosen, in which no gRPC is spoken.
        Kind::Grpc(_) => Err(Failure::Invalid),
        Kind::Http(http) if speech.http2 => Box::pin(ask_http2(http, stream, host, speech.secure)).await,
        Kind::Http(http) => ask(http, stream, host).await,
    }
}

/// Why a probe did not pass. Displayed as the reason that operators see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there.
    ConnectRefused,
    /// The connection was not accepted within the time-out.
    ConnectTimeout,
    /// The network gave another error.
    Connect(io::ErrorKind),
    /// Connected, but no TLS came of it.
    Tls(Box<str>),
    /// Connected, but not answered within the time-out.
    Timeout(Duration),
    /// The connection ended before the answer was whole.
    Closed,
    /// The answer is not the HTTP that is spoken, or its head is above 64 KiB.
    Invalid,
    /// A status that is not expected.
    Status(u16),
    /// The first 16 KiB of the body lack this.
    Body(Box<str>),
    /// A status of gRPC that is not OK.
    Grpc(u32),
    /// A state of grpc.health.v1 that is not SERVING.
    NotServing(u64),
}

impl Failure {
    fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            other => Self::Connect(other),
        }
    }

    fn of_exchange(error: &hyper::Error) -> Self {
        // A reset reaches us as an I/O error; anything else that hyper complains of is the answer's form.
        let closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if cause.is::<io::Error>() {
                return Self::Closed;
            }
            source = cause.source();
        }
        if closed { Self::Closed } else { Self::Invalid }
    }

    pub(super) fn of_http2(error: &h2::Error) -> Self {
        if error.is_library() { Self::Invalid } else { Self::Closed }
    }

    /// The value of the label `result` of equipoise_health_checks_total.
    pub fn result(&self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect(_) => "connect_error",
            Self::Tls(_) => "tls_error",
            Self::Timeout(_) => "timeout",
            Self::Closed => "closed",
            Self::Invalid => "invalid",
            Self::Status(_) => "status",
            Self::Body(_) => "body",
            Self::Grpc(_) => "grpc_status",
            Self::NotServing(_) => "not_serving",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectRefused => f.write_str("connect refused"),
            Self::ConnectTimeout => f.write_str("connect timeout"),
            Self::Connect(kind) => write!(f, "connect failed: {kind}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Timeout(after) => write!(f, "timeout after {after:?}"),
            Self::Closed => f.write_str("connection closed before the response"),
            Self::Invalid => f.write_str("invalid response"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body(wanted) => write!(f, "body does not contain {wanted:?}"),
            Self::Grpc(code) => write!(f, "grpc-status {code}"),
            Self::NotServing(0) => f.write_str("UNKNOWN"),
            Self::NotServing(2) => f.write_str("NOT_SERVING"),
            Self::NotServing(3) => f.write_str("SERVICE_UNKNOWN"),
            Self::NotServing(other) => write!(f, "serving status {other}"),
        }
    }
}

async fn ask_http2(
    check: &HttpCheck,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    secure: bool,
) -> Result<(), Failure> {
    let host = check.host.as_ref().map_or(host.as_bytes(), HeaderValue::as_bytes);
    let path = check.path.path_and_query().map_or("/", |path| path.as_str());
    let mut request = http2::request(&check.method, path, host, secure).ok_or(Failure::Invalid)?;
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let answer = http2::ask(stream, request, Bytes::new()).await?;
    let status = answer.head.status().as_u16();
    match &check.body {
        _ if !check.expects(status) => Err(Failure::Status(status)),
        Some(wanted) if memchr::memmem::find(&answer.body, wanted.as_bytes()).is_none() => {
            Err(Failure::Body(wanted.clone()))
        }
        _ => Ok(()),
    }
}

async fn ask(
    check: &HttpCheck,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> Result<(), Failure> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = check.method.clone();
    *request.uri_mut() = check.path.clone();
    let host = check.host.clone().or_else(|| HeaderValue::from_str(host).ok());
    let headers = request.headers_mut();
    headers.insert(HOST, host.unwrap_or_else(|| HeaderValue::from_static("")));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));

    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| Failure::of_exchange(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| Failure::of_exchange(&error))?;
        judge(check, response).await
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection may end first; what it read is still to be judged.
        _ = &mut connection => exchange.await,
    }
}

async fn judge(check: &HttpCheck, response: Response<Incoming>) -> Result<(), Failure> {
    let status = response.status().as_u16();
    if !check.expects(status) {
        return Err(Failure::Status(status));
    }
    let Some(wanted) = &check.body else { return Ok(()) };
    let mut body = response.into_body();
    let mut read = Vec::new();
    while read.len() < BODY_MAX {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| Failure::of_exchange(&error))?;
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data.get(..data.len().min(BODY_MAX - read.len())).unwrap_or(data));
        }
        if memchr::memmem::find(&read, wanted.as_bytes()).is_some() {
            return Ok(());
        }
    }
    if memchr::memmem::find(&read, wanted.as_bytes()).is_some() {
        return Ok(());
    }
    Err(Failure::Body(wanted.clone()))
}
