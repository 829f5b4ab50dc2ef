//! The demo's users: they click, and what they see is printed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How many there are.
const USERS: usize = 8;

/// How long each looks at a page.
const THINKS: Duration = Duration::from_millis(200);

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(2);

/// What they click on: the report seldom.
const PAGES: [&str; 10] = [
    "/customers",
    "/orders",
    "/customers",
    "/orders",
    "/customers",
    "/customers",
    "/orders",
    "/customers",
    "/orders",
    "/report",
];

/// What was seen since the last line.
#[derive(Default)]
struct Seen {
    by_server: BTreeMap<String, u32>,
    by_status: BTreeMap<u16, u32>,
    broken: u32,
    times: Vec<Duration>,
}

/// Sends them to the balancer.
pub(super) fn start(web: SocketAddr) {
    if let Err(error) = super::thread("users", move || click(web)) {
        eprintln!("error: demo: {error}");
    }
}

async fn click(web: SocketAddr) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    for user in 0..USERS {
        tokio::task::spawn_local(use_crm(web, user, Rc::clone(&seen)));
    }
    let mut lines = tokio::time::interval(EVERY);
    lines.tick().await;
    loop {
        lines.tick().await;
        println!("{}", std::mem::take(&mut *seen.borrow_mut()).line());
    }
}

/// One user, reconnecting as a browser would.
async fn use_crm(web: SocketAddr, user: usize, seen: Rc<RefCell<Seen>>) {
    let mut page = user;
    loop {
        if session(web, &mut page, &seen).await.is_err() {
            seen.borrow_mut().broken += 1;
        }
        tokio::time::sleep(THINKS).await;
    }
}

async fn session(web: SocketAddr, page: &mut usize, seen: &RefCell<Seen>) -> anyhow::Result<()> {
    let stream = TcpStream::connect(web).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    loop {
        let path = PAGES[*page % PAGES.len()];
        *page += 1;
        let started = Instant::now();
        let request = Request::get(path).header("host", web.to_string()).body(Empty::<Bytes>::new())?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let server =
            response.headers().get("x-served-by").and_then(|v| v.to_str().ok()).unwrap_or("balancer");
        let server = server.to_owned();
        response.into_body().collect().await?;
        seen.borrow_mut().note(server, status, started.elapsed());
        tokio::time::sleep(THINKS).await;
    }
}

impl Seen {
    fn note(&mut self, server: String, status: u16, took: Duration) {
        *self.by_server.entry(server).or_default() += 1;
        *self.by_status.entry(status).or_default() += 1;
        self.times.push(took);
    }

    fn line(mut self) -> String {
        self.times.sort_unstable();
        let share = |counts: Vec<String>| counts.join(" ");
        let statuses = share(self.by_status.iter().map(|(status, n)| format!("{status}×{n}")).collect());
        let servers = share(self.by_server.iter().map(|(name, n)| format!("{name} {n}")).collect());
        let quantile =
            |share: usize| self.times.get(self.times.len() * share / 100).copied().unwrap_or_default();
        format!(
            "{:>4} requests  {statuses}  broken {}  p50 {:>5.1} ms  p95 {:>5.1} ms  served by: {servers}",
            self.times.len(),
            self.broken,
            quantile(50).as_secs_f64() * 1e3,
            quantile(95).as_secs_f64() * 1e3,
        )
    }
}
