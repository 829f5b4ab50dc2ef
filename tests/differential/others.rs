//! hyper's reading of a message, from memory.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::strict::Field;

/// Room for what one side has written and the other not read: more than any message here.
const ROOM: usize = 256 * 1024;

/// A request as hyper's server saw it.
#[derive(Debug)]
pub(super) enum Seen {
    Whole {
        method: Vec<u8>,
        target: Vec<u8>,
        fields: Vec<Field>,
        body: Vec<u8>,
        trailers: Vec<Field>,
    },
    /// Its body broke off, or broke a rule.
    Broken,
}

/// A response as hyper's client saw it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<Field>,
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Every request that hyper sees in these bytes.
pub(super) fn requests(runtime: &Runtime, wire: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    LocalSet::new().block_on(runtime, async {
        let (mut client, server) = duplex(ROOM);
        let service = service_fn(|request: Request<Incoming>| {
            let seen = Rc::clone(&seen);
            async move {
                let read = see(request).await;
                seen.borrow_mut().push(read);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(server), service);
        let talk = async {
            client.write_all(wire).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answers = Vec::new();
            let _ = client.read_to_end(&mut answers).await;
        };
        let _ = tokio::join!(connection, talk);
    });
    Rc::try_unwrap(seen).unwrap().into_inner()
}

async fn see(request: Request<Incoming>) -> Seen {
    let (parts, body) = request.into_parts();
    let Ok(collected) = body.collect().await else { return Seen::Broken };
    Seen::Whole {
        method: parts.method.as_str().into(),
        target: parts.uri.to_string().into(),
        fields: fields(&parts.headers),
        trailers: collected.trailers().map(fields).unwrap_or_default(),
        body: collected.to_bytes().to_vec(),
    }
}

/// The final response that hyper sees in these bytes, which are all that comes; `None` where it refuses it.
pub(super) fn response(runtime: &Runtime, wire: &[u8], to_head: bool) -> Option<Answer> {
    LocalSet::new().block_on(runtime, async {
        let (client, mut server) = duplex(ROOM);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(client)).await.ok()?;
        let method = if to_head { Method::HEAD } else { Method::GET };
        let request = Request::builder().method(method).uri("/").header("host", "a");
        let request = request.body(Empty::new()).unwrap();
        let ask = async {
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            let collected = body.collect().await.ok()?;
            Some(Answer {
                status: parts.status.as_u16(),
                fields: fields(&parts.headers),
                trailers: collected.trailers().map(fields).unwrap_or_default(),
                body: collected.to_bytes().to_vec(),
            })
        };
        let serve = async {
            // It answers a request that has been sent, and nothing before.
            let mut asked = [0; 1024];
            let _ = server.read(&mut asked).await;
            let _ = server.write_all(wire).await;
            let _ = server.shutdown().await;
            drop(server);
        };
        tokio::join!(ask, serve, async { drop(connection.await) }).0
    })
}

/// Sorted, for hyper keeps the order of one name only.
fn fields(map: &HeaderMap) -> Vec<Field> {
    let mut fields: Vec<Field> = map
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    fields.sort();
    fields
}
