//! The demo's application servers.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// What the servers are called.
pub(super) const NAMES: [&str; 3] = ["ada", "grace", "linus"];

/// Which of them fails now and then.
pub(super) const UNSTEADY: usize = 2;

/// How much slower than the first each is.
const SLOWNESS: [u32; 3] = [1, 2, 4];

/// How long the unsteady one works, then fails.
const WORKS: Duration = Duration::from_secs(15);
const FAILS: Duration = Duration::from_secs(5);

/// One application server.
struct Server {
    name: &'static str,
    slowness: u32,
    unsteady: bool,
    started: Instant,
    served: Cell<u64>,
}

/// Starts them; gives where they listen.
pub(super) fn start() -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for (index, (name, slowness)) in NAMES.into_iter().zip(SLOWNESS).enumerate() {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        addresses.push(socket.local_addr()?);
        let unsteady = index == UNSTEADY;
        super::thread(name, move || serve(socket, name, slowness, unsteady))?;
    }
    Ok(addresses)
}

async fn serve(socket: std::net::TcpListener, name: &'static str, slowness: u32, unsteady: bool) {
    let server = Rc::new(Server { name, slowness, unsteady, started: Instant::now(), served: Cell::new(0) });
    let Ok(socket) = TcpListener::from_std(socket) else { return };
    loop {
        let Ok((stream, _)) = socket.accept().await else { continue };
        let server = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| server.answer(request));
            // A client that leaves is no matter here.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let number = self.served.get() + 1;
        self.served.set(number);
        if self.fails() {
            return Ok(self.reply(503, "{\"error\":\"database is locked\"}"));
        }
        let (base_ms, body) = match request.uri().path() {
            "/healthz" => (0, "{\"ok\":true}"),
            "/" | "/customers" => {
                (5, "{\"customers\":[{\"id\":1,\"name\":\"Ines Moreau\"},{\"id\":2,\"name\":\"Jun Sato\"}]}")
            }
            "/orders" => (15, "{\"orders\":[{\"id\":71,\"customer\":1,\"total\":\"129.00\"}]}"),
            "/report" => (250, "{\"report\":\"revenue by month\",\"rows\":12}"),
            _ => return Ok(self.reply(404, "{\"error\":\"no such page\"}")),
        };
        let jitter = fastrand::u64(0..=base_ms / 2);
        tokio::time::sleep(Duration::from_millis(base_ms + jitter) * self.slowness).await;
        Ok(self.reply(200, body))
    }

    fn fails(&self) -> bool {
        let cycle = (WORKS + FAILS).as_millis();
        self.unsteady && self.started.elapsed().as_millis() % cycle >= WORKS.as_millis()
    }

    fn reply(&self, status: u16, body: &'static str) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        if let Ok(status) = hyper::StatusCode::from_u16(status) {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        headers.insert("x-served-by", hyper::header::HeaderValue::from_static(self.name));
        response
    }
}
