//! A probe's request in HTTP/2.

use std::pin::pin;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use hyper::header::HeaderMap;
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::probe::{BODY_MAX, Failure, HEAD_MAX};

/// What a backend answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Response<()>,
    /// Its first 16 KiB at most.
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

/// A request without fields; `None` where HTTP/2 cannot carry its target or host.
pub(super) fn request(method: &Method, path: &str, host: &[u8], secure: bool) -> Option<Request<()>> {
    let mut uri = hyper::http::uri::Parts::default();
    uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(Authority::try_from(host).ok()?);
    uri.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = hyper::Version::HTTP_2;
    Some(request)
}

/// Asks, and reads the answer to its end, or as far as it is looked at.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<()>,
    payload: Bytes,
) -> Result<Answer, Failure> {
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(HEAD_MAX as u32);
    let (sender, connection) = builder.handshake(stream).await.map_err(|error| Failure::of_http2(&error))?;
    let (mut exchange, mut connection) = (pin!(exchange(sender, request, payload)), pin!(connection));
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may end first; what it read is still to be judged.
        _ = &mut connection => exchange.await,
    };
    answer.map_err(|error| Failure::of_http2(&error))
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    payload: Bytes,
) -> Result<Answer, h2::Error> {
    let mut sender = sender.ready().await?;
    let (response, mut sending) = sender.send_request(request, payload.is_empty())?;
    if !payload.is_empty() {
        sending.send_data(payload, true)?;
    }
    let (parts, mut coming) = response.await?.into_parts();
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        let Some(data) = coming.data().await else {
            trailers.extend(coming.trailers().await?.unwrap_or_default());
            break;
        };
        let data = data?;
        let room = BODY_MAX - body.len();
        body.extend_from_slice(data.get(..room).unwrap_or(&data));
        if body.len() == BODY_MAX {
            break;
        }
        coming.flow_control().release_capacity(data.len())?;
    }
    Ok(Answer { head: Response::from_parts(parts, ()), body, trailers })
}
