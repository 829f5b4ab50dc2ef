//! A backend that is a process of its own, so that it can be killed and stopped like one: this very binary, run
//! again for [`a_process`] alone.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::message::PATIENCE;

/// The length of every good body.
pub(super) const BODY: usize = 64;

/// How long a slow backend takes.
const SLOW: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted; in a hole they are all taken.
const BACKLOG: u32 = 128;

/// Set in the process of a backend: its address, and the file of the POSTs that it has received.
const ADDRESS: &str = "EQUIPOISE_IT_SERVER";
const RECORD: &str = "EQUIPOISE_IT_RECORD";

/// How a backend behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Well,
    /// Nothing is accepted, read or answered.
    Hole,
    /// Every connection is reset once it is accepted, and every open one at its next request.
    Reset,
    /// A connection serves one request and ends with the second.
    CloseOnReuse,
    Fails,
    Garbage,
    /// Half of the body, then the end.
    Half,
    Slow,
}

const MODES: [(&str, Mode); 8] = [
    ("well", Mode::Well),
    ("hole", Mode::Hole),
    ("reset", Mode::Reset),
    ("close-on-reuse", Mode::CloseOnReuse),
    ("fails", Mode::Fails),
    ("garbage", Mode::Garbage),
    ("half", Mode::Half),
    ("slow", Mode::Slow),
];

/// The handle of a backend's process.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    record: PathBuf,
    child: Child,
    orders: ChildStdin,
    done: mpsc::Receiver<String>,
}

impl Server {
    /// A backend at this address; port 0 is the kernel's choice.
    pub(super) fn start(address: SocketAddr, record: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::server::a_process", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ADDRESS, address.to_string())
            .env(RECORD, record)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (said, done) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The test harness has words of its own.
                if let Some((_, word)) = line.split_once('@') {
                    let _ = said.send(word.to_owned());
                }
            }
        });
        let address = done.recv_timeout(PATIENCE).unwrap().parse().unwrap();
        Self { address, record: record.to_owned(), child, orders, done }
    }

    /// From now on it behaves so.
    pub(super) fn behave(&mut self, mode: Mode) {
        let (name, _) = MODES.iter().find(|(_, known)| *known == mode).unwrap();
        writeln!(self.orders, "{name}").unwrap();
        assert_eq!(self.done.recv_timeout(PATIENCE).unwrap(), *name);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it without a word, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same backend, after it was killed.
    pub(super) fn again(&mut self) {
        *self = Self::start(self.address, &self.record.clone());
    }

    /// The numbers of the POSTs that have ever come to this address.
    pub(super) fn received(&self) -> Vec<u64> {
        let record = std::fs::read_to_string(&self.record).unwrap();
        record.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the process of a backend. Ends with its standard input.
#[test]
#[ignore = "the process of a backend, which the tests of faults run"]
fn a_process() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let record = OpenOptions::new().create(true).append(true).open(std::env::var(RECORD).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(live(address.parse().unwrap(), record));
}

async fn live(address: SocketAddr, record: File) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(BACKLOG).unwrap();
    let address = listener.local_addr().unwrap();
    let (mode, seen) = watch::channel(Mode::Well);
    tokio::task::spawn_local(accept(listener, seen, record));
    println!("\n@{address}");
    let (orders, mut taken) = tokio::sync::mpsc::channel::<String>(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            orders.blocking_send(line).unwrap();
        }
    });
    let mut plugs = Vec::new();
    while let Some(order) = taken.recv().await {
        let (_, ordered) = MODES.iter().find(|(name, _)| *name == order).unwrap();
        mode.send_replace(*ordered);
        plugs.clear();
        // Until one finds no place any more: whoever comes now waits for an answer to its SYN.
        while *ordered == Mode::Hole
            && let Ok(plug) =
                tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await
        {
            plugs.push(plug.unwrap());
        }
        println!("\n@{order}");
    }
}

async fn accept(listener: TcpListener, mut seen: watch::Receiver<Mode>, record: File) {
    loop {
        if *seen.borrow_and_update() == Mode::Hole {
            seen.changed().await.unwrap();
            continue;
        }
        tokio::select! {
            biased;
            changed = seen.changed() => changed.unwrap(),
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let visit = Visit { stream, seen: seen.clone(), record: record.try_clone().unwrap() };
                tokio::task::spawn_local(visit.run());
            }
        }
    }
}

/// One connection.
struct Visit {
    stream: TcpStream,
    seen: watch::Receiver<Mode>,
    record: File,
}

impl Visit {
    async fn run(mut self) {
        if *self.seen.borrow() == Mode::Reset {
            return self.reset();
        }
        let (mut buffer, mut served) = (Vec::new(), 0);
        while let Some(request) = self.request(&mut buffer).await {
            let Ok(mode) = self.seen.wait_for(|mode| *mode != Mode::Hole).await.map(|mode| *mode) else {
                return;
            };
            if let Some(number) = request.strip_prefix("POST /") {
                let number = number.split(' ').next().unwrap();
                self.record.write_all(format!("{number}\n").as_bytes()).unwrap();
            }
            if !self.answer(mode, request.starts_with("GET /healthz "), served).await {
                return;
            }
            served += 1;
        }
    }

    /// Says whether the connection goes on.
    async fn answer(&mut self, mode: Mode, check: bool, served: u32) -> bool {
        match mode {
            Mode::Reset => {
                self.reset();
                false
            }
            Mode::CloseOnReuse if check => self.send(&response(503)).await,
            Mode::CloseOnReuse if served > 0 => false,
            Mode::Fails => self.send(&response(500)).await,
            Mode::Garbage => {
                self.send("\u{15}\u{3}\u{1} this is not HTTP\r\n\r\n").await;
                false
            }
            Mode::Half if !check => {
                let whole = response(200);
                self.send(&whole[..whole.len() - BODY / 2]).await;
                false
            }
            Mode::Slow => {
                tokio::time::sleep(SLOW).await;
                self.send(&response(200)).await
            }
            Mode::Well | Mode::Hole | Mode::CloseOnReuse | Mode::Half => self.send(&response(200)).await,
        }
    }

    async fn send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    fn reset(&mut self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// The next request, whole: its head; `None` at the end.
    async fn request(&mut self, buffer: &mut Vec<u8>) -> Option<String> {
        loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
                let length = head
                    .split("content-length: ")
                    .nth(1)
                    .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
                if buffer.len() >= end + 4 + length {
                    let start = buffer.drain(..end + 4 + length).take(end).collect::<Vec<u8>>();
                    return Some(String::from_utf8(start).unwrap());
                }
            }
            if self.stream.read_buf(buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

fn response(status: u16) -> String {
    let address = std::env::var(ADDRESS).unwrap_or_default();
    let body = format!("{:.<BODY$}", format!("by {}", address.split(':').next().unwrap_or_default()));
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {BODY}\r\n\r\n{body}")
}
