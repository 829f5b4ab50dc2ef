//! What holds, once a second, to all who look (server-sent events).
//!
//! One task looks, once a second for all of them, and only while there is anybody. Each gets the latest snapshot when it has
//! taken the one before: who reads slowly misses some, and holds nothing up.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at};

use super::Desk;
use super::live::{Live, LivePool, LiveRoute, Look, Pace};

/// How many may look at one time; further ones get 503.
pub(super) const MAX_STREAMS: usize = 16;
/// How often they hear of it. It is the heartbeat too: who hears nothing for some seconds has lost the connection.
const EVERY: Duration = Duration::from_secs(1);
/// Routes that are told of. Files with more of them, made by a program as a rule, would cost the control thread a good part of
/// each second.
const MAX_ROUTES: usize = 500;
/// What a stream begins with: after how many milliseconds a browser comes back when it has ended.
const PREFACE: &[u8] = b"retry: 1000\n\n";

/// The stream of an endpoint.
#[derive(Debug)]
pub(super) struct Stream {
    began: Instant,
    shown: watch::Sender<Bytes>,
    live: RefCell<Live>,
    /// The task that looks is there.
    runs: Cell<bool>,
}

impl Default for Stream {
    fn default() -> Self {
        let shown = watch::Sender::new(Bytes::new());
        Self { began: Instant::now(), shown, live: RefCell::default(), runs: Cell::new(false) }
    }
}

/// What holds at a moment.
#[derive(Serialize)]
struct Snapshot {
    /// Seconds since the epoch.
    time: f64,
    version: &'static str,
    uptime_seconds: f64,
    ready: bool,
    /// Since when the configuration is in force, and what it is.
    loaded: f64,
    sha256: String,
    /// When and how the last reload ended; absent before the first.
    reloaded: Option<f64>,
    reload_result: Option<&'static str>,
    /// The number of the last event: /api/v1/events has it.
    last_event: u64,
    connections: u64,
    /// Threads that carry traffic.
    workers: usize,
    /// Of all pools together.
    #[serde(flatten)]
    pace: Pace,
    pools: Vec<LivePool>,
    routes: Vec<LiveRoute>,
    /// There are more of them: /api/v1/routes has all.
    routes_cut: bool,
}

/// Joins those who look, until `ending` says that the connection is to end; `None` where there are too many.
pub(super) fn follow(desk: &Rc<Desk>, ending: watch::Receiver<bool>) -> Option<Frames> {
    let stream = &desk.stream;
    if stream.shown.receiver_count() >= MAX_STREAMS {
        return None;
    }
    let mut shown = stream.shown.subscribe();
    if !stream.runs.replace(true) {
        stream.shown.send_replace(snapshot(desk, Instant::now()));
        tokio::task::spawn_local(keep_looking(Rc::clone(desk)));
    }
    // The latest is at most a second old.
    shown.mark_changed();
    let listener = Listener { shown, ending, greeted: false };
    Some(Frames { next: Some(Box::pin(listener.next())) })
}

/// Ends when nobody looks any more.
async fn keep_looking(desk: Rc<Desk>) {
    let stream = &desk.stream;
    let mut ticks = interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if stream.shown.receiver_count() == 0 {
            break;
        }
        stream.shown.send_replace(snapshot(&desk, Instant::now()));
    }
    stream.live.borrow_mut().forget();
    stream.shown.send_replace(Bytes::new());
    stream.runs.set(false);
}

fn snapshot(desk: &Desk, now: Instant) -> Bytes {
    let (house, config) = (&desk.house, desk.house.config());
    let last_reload = config.last_reload.as_ref();
    let mut routes = house.routes(MAX_ROUTES + 1);
    let routes_cut = routes.len() > MAX_ROUTES;
    routes.truncate(MAX_ROUTES);
    let Look { pace, pools, routes } = desk.stream.live.borrow_mut().look(house.pools(), routes, now);
    let snapshot = Snapshot {
        time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: now.saturating_duration_since(desk.stream.began).as_secs() as f64,
        ready: house.metrics().is_ready(),
        loaded: config.loaded,
        reloaded: last_reload.map(|last| last.time),
        reload_result: last_reload.map(|last| last.result),
        last_event: house.happenings().last(),
        connections: house.listeners().iter().map(|listener| listener.connections).sum(),
        workers: config.workers,
        pace,
        pools,
        routes,
        routes_cut,
        sha256: config.sha256,
    };
    let mut frame = b"data: ".to_vec();
    // JSON has no line end of its own within it, and of these values none that cannot be written.
    if serde_json::to_writer(&mut frame, &snapshot).is_err() {
        return Bytes::new();
    }
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// One who looks.
struct Listener {
    shown: watch::Receiver<Bytes>,
    ending: watch::Receiver<bool>,
    greeted: bool,
}

impl Listener {
    /// The next that it is to hear; `None` at the end.
    async fn next(mut self) -> (Option<Bytes>, Self) {
        let heard = tokio::select! {
            biased;
            _ = self.ending.wait_for(|ending| *ending) => None,
            changed = self.shown.changed() => changed.ok(),
        };
        if heard.is_none() {
            return (None, self);
        }
        let latest = self.shown.borrow_and_update().clone();
        if std::mem::replace(&mut self.greeted, true) {
            return (Some(latest), self);
        }
        (Some([PREFACE, &latest].concat().into()), self)
    }
}

type Next = Pin<Box<dyn Future<Output = (Option<Bytes>, Listener)>>>;

/// The body of a stream.
pub(super) struct Frames {
    /// `None`: it has ended.
    next: Option<Next>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (heard, listener) = ready!(next.as_mut().poll(context));
        self.next = heard.is_some().then(|| Box::pin(listener.next()) as Next);
        Poll::Ready(heard.map(|bytes| Ok(Frame::data(bytes))))
    }
}
