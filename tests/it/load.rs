//! Many GETs over many kept connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client;
use crate::daemon::pause;
use crate::message::Wire;

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// GETs that were answered 200.
    pub(crate) served: u64,
    /// Those that were not, and why.
    pub(crate) failures: Vec<String>,
    /// The longest that a GET took.
    pub(crate) slowest: Duration,
}

/// As fast as they are answered: `total` GETs over `connections` connections.
pub(crate) fn closed(address: SocketAddr, connections: usize, total: u64) -> Report {
    let left = Arc::new(AtomicU64::new(total));
    let next = move || {
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.is_ok().then(Instant::now)
    };
    Running::begin(address, connections, Arc::new(next)).report()
}

/// `rate` GETs a second whatever becomes of them, until [`Open::end`].
pub(crate) fn open(address: SocketAddr, connections: usize, rate: u32) -> Open {
    let (begun, number) = (Instant::now(), AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&ended);
    let next = move || {
        let nth = u32::try_from(number.fetch_add(1, Ordering::SeqCst)).unwrap();
        let due = begun + Duration::from_secs(1) * nth / rate;
        pause(due.saturating_duration_since(Instant::now()));
        (!stop.load(Ordering::SeqCst)).then_some(due)
    };
    Open { running: Running::begin(address, connections, Arc::new(next)), ended }
}

/// A load that goes on.
pub(crate) struct Open {
    running: Running,
    ended: Arc<AtomicBool>,
}

impl Open {
    /// Ends it.
    pub(crate) fn end(self) -> Report {
        self.ended.store(true, Ordering::SeqCst);
        self.running.report()
    }
}

struct Running {
    threads: Vec<JoinHandle<()>>,
    report: Arc<Mutex<Report>>,
}

/// Gives the time at which the next GET is due, once it has come; `None` at the end.
type Next = Arc<dyn Fn() -> Option<Instant> + Send + Sync>;

impl Running {
    fn begin(address: SocketAddr, connections: usize, next: Next) -> Self {
        let report = Arc::new(Mutex::new(Report::default()));
        let worker = |_| {
            let (next, report) = (Arc::clone(&next), Arc::clone(&report));
            std::thread::spawn(move || work(address, &*next, &report))
        };
        Self { threads: (0..connections).map(worker).collect(), report }
    }

    fn report(self) -> Report {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut *self.report.lock().unwrap())
    }
}

fn work(address: SocketAddr, next: &dyn Fn() -> Option<Instant>, report: &Mutex<Report>) {
    let mut kept: Option<Wire> = None;
    while let Some(due) = next() {
        let wire = kept.get_or_insert_with(|| client::connect(address));
        let answer = wire.get("/");
        let took = due.elapsed();
        let mut report = report.lock().unwrap();
        report.slowest = report.slowest.max(took);
        let closes = match answer {
            Ok(message) if message.status() == 200 => {
                report.served += 1;
                message.head.field("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"))
            }
            Ok(message) => {
                report.failures.push(format!("{} after {took:?}", message.head.start));
                true
            }
            Err(error) => {
                report.failures.push(format!("{error} after {took:?}"));
                true
            }
        };
        if closes {
            kept = None;
        }
    }
}
