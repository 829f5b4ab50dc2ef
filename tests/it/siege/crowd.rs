//! Attackers: many connections that one thread drives.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::Scale;

/// All attackers together open at most so many connections a second once they have begun.
const CONNECTS_PER_SECOND: u32 = 500;

/// The first wave comes faster: what is measured is that it stands, not that it comes.
const FIRST_WAVE_PER_SECOND: u32 = 4_000;

/// All attackers together send at most so much a second.
const BYTES_PER_SECOND: u32 = 20_000_000;

/// What one attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Says nothing, or nothing more after one request.
    Idle,
    /// Sends a head line by line, without end.
    SlowHead,
    /// Sends a body byte by byte, or none of it.
    SlowBody,
    /// Asks for much and takes next to nothing of it.
    SlowReader,
    /// Sends fields as fast as it may, without end.
    HeadBomb,
    /// Asks a backend that answers with nothing but 103.
    InterimFlood,
    /// Sends chunk extensions without end.
    Extensions,
}

impl Attack {
    pub(super) const ALL: [Self; 7] = [
        Self::Idle,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowReader,
        Self::HeadBomb,
        Self::InterimFlood,
        Self::Extensions,
    ];

    /// How many connections it comes with.
    pub(super) fn size(self, scale: &Scale) -> usize {
        let full = match self {
            Self::Idle => 9_000,
            Self::SlowHead => 5_000,
            Self::SlowBody | Self::SlowReader => 500,
            Self::HeadBomb => 200,
            Self::InterimFlood | Self::Extensions => 100,
        };
        full / scale.divisor
    }
}

/// What became of the attackers.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Connections that ended.
    pub(super) cut: u64,
    /// By how much the latest of them outlived the time-out that applies.
    pub(super) latest: Duration,
    /// Whose it was.
    pub(super) which: Option<Attack>,
    /// Connections that were still open at the end.
    pub(super) left: u64,
}

struct Crowd {
    address: SocketAddr,
    scale: Scale,
    stop: Arc<AtomicBool>,
    next_connect: Cell<Instant>,
    between: Cell<Duration>,
    next_send: Cell<Instant>,
    outcome: RefCell<Outcome>,
}

/// Attacks until it is told to stop, then waits until everybody has been cut off.
pub(super) fn assail(
    address: SocketAddr,
    attacks: &[Attack],
    scale: Scale,
    stop: Arc<AtomicBool>,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let now = Instant::now();
    let crowd = Rc::new(Crowd {
        address,
        scale,
        stop: Arc::clone(&stop),
        next_connect: Cell::new(now),
        between: Cell::new(Duration::from_secs(1) / FIRST_WAVE_PER_SECOND),
        next_send: Cell::new(now),
        outcome: RefCell::default(),
    });
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut attackers = JoinSet::new();
        for attack in attacks {
            for number in 0..attack.size(&scale) {
                attackers.spawn_local(Rc::clone(&crowd).attacker(*attack, number));
            }
        }
        while !stop.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(10)).await;
        }
        let longest =
            Attack::ALL.into_iter().map(|attack| scale.allowed(attack, 1)).max().unwrap_or_default();
        let all = async { while attackers.join_next().await.is_some() {} };
        let _ = timeout(longest + scale.grace * 2, all).await;
        crowd.outcome.borrow_mut().left = attackers.len() as u64;
    });
    drop(local);
    crowd.outcome.take()
}

impl Crowd {
    async fn attacker(self: Rc<Self>, attack: Attack, number: usize) {
        let mut first = true;
        while !self.stop.load(Ordering::SeqCst) {
            self.may_connect(first).await;
            first = false;
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(mut stream) = self.connect(attack).await else { continue };
            let begun = self.strike(attack, number, &mut stream).await;
            let over = begun.elapsed().saturating_sub(self.scale.allowed(attack, number));
            let mut outcome = self.outcome.borrow_mut();
            outcome.cut += 1;
            if over > outcome.latest {
                (outcome.latest, outcome.which) = (over, Some(attack));
            }
        }
    }

    async fn may_connect(&self, first: bool) {
        if !first {
            self.between.set(Duration::from_secs(1) / CONNECTS_PER_SECOND);
        }
        let due = self.next_connect.get().max(Instant::now());
        self.next_connect.set(due + self.between.get());
        sleep_until(due.into()).await;
    }

    async fn connect(&self, attack: Attack) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if attack == Attack::SlowReader {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(self.address).await
    }

    /// Sends, no faster than all of them may; an error is the end.
    async fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        let due = self.next_send.get().max(Instant::now());
        let bytes_long = u32::try_from(bytes.len()).unwrap();
        self.next_send.set(due + Duration::from_secs(1) * bytes_long / BYTES_PER_SECOND);
        sleep_until(due.into()).await;
        stream.write_all(bytes).await
    }

    /// Attacks until it is cut off; gives since when the time ran that it is allowed.
    async fn strike(&self, attack: Attack, number: usize, stream: &mut TcpStream) -> Instant {
        let mut begun = Instant::now();
        let _ = self.blow(attack, number, stream, &mut begun).await;
        begun
    }

    async fn blow(
        &self,
        attack: Attack,
        number: usize,
        stream: &mut TcpStream,
        begun: &mut Instant,
    ) -> io::Result<()> {
        let drip = self.scale.drip;
        match attack {
            Attack::Idle => {
                if number % 2 == 1 {
                    self.send(stream, b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n").await?;
                    if stream.read(&mut [0; 1024]).await? == 0 {
                        return Ok(());
                    }
                    *begun = Instant::now();
                }
                until_end(stream).await
            }
            Attack::SlowHead => {
                self.send(stream, b"GET /small HTTP/1.1\r\nHost: x\r\n").await?;
                self.drip(stream, b"X-Slow: abcdefgh\r\n", drip).await
            }
            Attack::SlowBody => {
                self.send(stream, b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
                    .await?;
                let pause = if self.scale.drips_bodies(number) { drip } else { Duration::MAX };
                self.drip(stream, b"x", pause).await
            }
            Attack::SlowReader => {
                self.send(stream, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await?;
                loop {
                    sleep(drip).await;
                    // What has arrived could be read for long after a reset.
                    let reset = stream.take_error()?.is_some();
                    if reset || stream.read(&mut [0; 1]).await? == 0 {
                        return Ok(());
                    }
                }
            }
            Attack::HeadBomb => {
                self.send(stream, b"GET /small HTTP/1.1\r\nHost: x\r\n").await?;
                let fields = format!("X-Bomb: {}\r\n", "b".repeat(8_000));
                self.drip(stream, fields.as_bytes(), Duration::ZERO).await
            }
            Attack::InterimFlood => {
                self.send(stream, b"GET /flood HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
                until_end(stream).await
            }
            Attack::Extensions => {
                self.send(stream, b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1")
                    .await?;
                let extensions = ";name=value".repeat(100);
                self.drip(stream, extensions.as_bytes(), Duration::ZERO).await
            }
        }
    }

    /// Sends the same again and again until the other side ends.
    async fn drip(&self, stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
        let mut answer = [0; 1024];
        loop {
            match timeout(pause, stream.read(&mut answer)).await {
                Ok(read) => match read? {
                    0 => return Ok(()),
                    _ => continue,
                },
                Err(_) => self.send(stream, bytes).await?,
            }
        }
    }
}

async fn until_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut thrown_away = [0; 16 * 1024];
    while stream.read(&mut thrown_away).await? > 0 {}
    Ok(())
}
