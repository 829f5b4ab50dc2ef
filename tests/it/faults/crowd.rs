//! Requests at a fixed rate, whatever becomes of them: four GETs, then a POST.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::BODY;

/// Requests under way at once; with more the clients themselves would be what is measured.
const MAX_OPEN: usize = 6_000;

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// One in so many is a POST.
const POST_EVERY: u64 = 5;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// 200, with the whole body: who served it.
    Served(String),
    /// Another status.
    Status(u16),
    /// The connection ended before the answer did.
    Broken,
    /// 200 and as long as it said, but not what the backend sends.
    Forged,
    /// Nothing came.
    Silent,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) number: u64,
    /// When it was due.
    pub(super) due: Instant,
    /// From then to the end.
    pub(super) took: Duration,
    pub(super) end: End,
}

impl Request {
    pub(super) fn is_post(&self) -> bool {
        self.number.is_multiple_of(POST_EVERY)
    }

    pub(super) fn is_served(&self) -> bool {
        matches!(self.end, End::Served(_))
    }
}

/// A load that goes on.
pub(super) struct Crowd {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Request>>,
}

impl Crowd {
    /// So many requests a second.
    pub(super) fn gather(address: SocketAddr, rate: u32) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
            runtime.unwrap().block_on(send(address, rate, &stop))
        });
        Self { ended, thread }
    }

    /// Ends it, and waits for what is under way.
    pub(super) fn end(self) -> Vec<Request> {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

#[derive(Default)]
struct Shared {
    kept: RefCell<Vec<TcpStream>>,
    open: Cell<usize>,
    done: RefCell<Vec<Request>>,
}

async fn send(address: SocketAddr, rate: u32, stop: &AtomicBool) -> Vec<Request> {
    let (begun, shared) = (Instant::now(), Rc::new(Shared::default()));
    for nth in 0..u32::MAX {
        let due = begun + Duration::from_secs(1) * nth / rate;
        tokio::time::sleep_until(due.into()).await;
        if stop.load(Ordering::SeqCst) {
            break;
        }
        assert!(shared.open.get() < MAX_OPEN, "the clients are too many");
        shared.open.set(shared.open.get() + 1);
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            let number = u64::from(nth);
            let asked = tokio::time::timeout(PATIENCE, ask(address, number, &shared)).await;
            let end = asked.unwrap_or(End::Silent);
            shared.done.borrow_mut().push(Request { number, due, took: due.elapsed(), end });
            shared.open.set(shared.open.get() - 1);
        });
    }
    while shared.open.get() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut done = shared.done.take();
    done.sort_by_key(|request| request.number);
    done
}

async fn ask(address: SocketAddr, number: u64, shared: &Shared) -> End {
    let kept = shared.kept.borrow_mut().pop();
    let mut stream = match kept {
        Some(stream) => stream,
        None => match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(_) => return End::Broken,
        },
    };
    let text = match number.is_multiple_of(POST_EVERY) {
        true => format!("POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
        false => format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    if stream.write_all(text.as_bytes()).await.is_err() {
        return End::Broken;
    }
    let mut answer = Vec::new();
    loop {
        if let Some((end, keep)) = judge(&answer) {
            if keep {
                shared.kept.borrow_mut().push(stream);
            }
            return end;
        }
        if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
            return End::Broken;
        }
    }
}

/// What an answer is, and whether the connection may be kept; `None` while it is not whole.
fn judge(answer: &[u8]) -> Option<(End, bool)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (fields, body) = (String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase(), &answer[head + 4..]);
    let field = |name: &str| {
        let line = fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    // All that stand before the clients send a length.
    let length: usize = field("content-length")?.parse().ok()?;
    if body.len() < length {
        return None;
    }
    let status: u16 = fields.split(' ').nth(1)?.parse().ok()?;
    let text = String::from_utf8_lossy(body);
    let end = match text.strip_prefix("by ") {
        _ if status != 200 => End::Status(status),
        Some(by) if body.len() == BODY => End::Served(by.trim_end_matches('.').to_owned()),
        _ => End::Forged,
    };
    Some((end, field("connection").is_none_or(|connection| connection != "close")))
}
