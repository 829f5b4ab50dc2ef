//! A backend that speaks HTTP/2 by the library h2, on a thread of its own.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

type Served = Pin<Box<dyn Future<Output = Option<()>>>>;

/// A backend; ends when dropped, and with it every connection.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    /// Streams that were reset by the other side before their end.
    canceled: AtomicU64,
    in_flight: AtomicU64,
}

/// How it is.
#[derive(Clone, Default)]
pub(crate) struct Kind {
    /// Streams that it allows on one connection.
    pub(crate) streams: Option<u32>,
    /// Bytes of one stream that it takes before it reads.
    pub(crate) window: Option<u32>,
    /// It speaks TLS.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

/// One request, in the hands of a script.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Backend {
    /// Runs `script` for every request.
    pub(crate) fn new<F: Future<Output = Option<()>> + 'static>(
        kind: Kind,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::new(Counts::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (script, shared) = (Arc::new(script), Arc::clone(&counts));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        let script = Arc::clone(&script);
                        let script = Rc::new(move |call| Box::pin(script(call)) as Served);
                        tokio::task::spawn_local(visit(stream, kind.clone(), Arc::clone(&shared), script));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, counts, _stop: stop }
    }

    /// Answers every request with 200 and `body`.
    pub(crate) fn answering(body: &'static str) -> Self {
        Self::new(Kind::default(), move |mut call| async move { call.answer(200, &[], body) })
    }

    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> u64 {
        self.counts.open.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn canceled(&self) -> u64 {
        self.counts.canceled.load(Ordering::SeqCst)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.counts.in_flight.load(Ordering::SeqCst)
    }
}

async fn visit(
    stream: TcpStream,
    kind: Kind,
    counts: Arc<Counts>,
    script: Rc<impl Fn(Call) -> Served + 'static>,
) {
    match kind.tls.clone() {
        None => serve(stream, kind, counts, script).await,
        Some(config) => {
            let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            serve(stream, kind, counts, script).await;
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    kind: Kind,
    counts: Arc<Counts>,
    script: Rc<impl Fn(Call) -> Served + 'static>,
) {
    counts.connections.fetch_add(1, Ordering::SeqCst);
    let mut builder = Builder::new();
    kind.streams.map(|most| builder.max_concurrent_streams(most));
    kind.window.map(|bytes| builder.initial_window_size(bytes));
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    counts.open.fetch_add(1, Ordering::SeqCst);
    while let Some(Ok((request, respond))) = connection.accept().await {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        counts.in_flight.fetch_add(1, Ordering::SeqCst);
        let (parts, body) = Request::into_parts(request);
        let call = Call { parts, body, respond };
        let (script, counts) = (Rc::clone(&script), Arc::clone(&counts));
        tokio::task::spawn_local(async move {
            let served = script(call).await;
            counts.canceled.fetch_add(u64::from(served.is_none()), Ordering::SeqCst);
            counts.in_flight.fetch_sub(1, Ordering::SeqCst);
        });
    }
    counts.open.fetch_sub(1, Ordering::SeqCst);
}

impl Call {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Sends a whole response.
    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &str) -> Option<()> {
        let mut stream = self.respond.send_response(response(status, fields), body.is_empty()).ok()?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).ok()?;
        }
        Some(())
    }

    /// Reads the request to its end; `None` where it was broken off.
    pub(crate) async fn read(&mut self) -> Option<(Vec<u8>, HeaderMap)> {
        let mut body = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data.ok()?;
            self.body.flow_control().release_capacity(data.len()).ok()?;
            body.extend_from_slice(&data);
        }
        Some((body, self.body.trailers().await.ok()?.unwrap_or_default()))
    }

    /// Waits until the stream is reset.
    pub(crate) async fn canceled(&mut self) -> Reason {
        std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await.unwrap_or(Reason::INTERNAL_ERROR)
    }
}

pub(crate) fn response(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let response = fields
        .iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
    response.body(()).unwrap()
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// How often this was asked on a backend's thread before.
pub(crate) fn count() -> u64 {
    COUNT.replace(COUNT.get() + 1)
}
