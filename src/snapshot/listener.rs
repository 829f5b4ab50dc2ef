//! Listeners and routes as they run.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;

use super::pool::Pool;
use crate::access::Log;
use crate::http::{HeadLimits, HeadPolicy};
use crate::observe::{ListenerSeries, RouteSeries};
use crate::queue::Class;
use crate::recent;
use crate::route::Table;
use crate::trace::Tracer;

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// Of what no route takes, for records.
    pub place: recent::Place,
    /// Where it listens, as configured.
    pub bind: Vec<SocketAddr>,
    /// The routes that can apply to it.
    pub routes: Table<Arc<Route>>,
    /// Where requests go that no route takes.
    pub default: Option<Arc<Route>>,
    /// Counts requests that no route takes.
    pub unrouted: Arc<RouteSeries>,
    /// Its counters.
    pub series: Arc<ListenerSeries>,
    /// What clients may speak.
    pub protocols: Protocols,
    /// The access log; `None`: off.
    pub access: Option<Arc<Log>>,
    /// Its part in traces; `None`: they pass as they are.
    pub tracer: Option<Tracer>,
    /// How TLS is spoken; `None`: cleartext.
    pub tls: Option<Tls>,
    /// The handshake.
    pub tls_timeout: Duration,
    /// Cleartext requests are answered with the https:// form.
    pub https_redirect: bool,
    /// Whose forwarding fields and PROXY header are believed.
    pub trusted: Vec<IpNet>,
    /// Whether connections begin with a PROXY header.
    pub accept_proxy: AcceptProxy,
    /// What stands in place of the text of our own answers.
    pub pages: Vec<Page>,
    /// Whether Via is added both ways.
    pub via: bool,
    /// Whether backends are told of a client's certificate.
    pub shows_certificates: bool,
    /// Whether a FIN after a complete request aborts the exchange.
    pub abort_on_close: bool,
    /// Bounds of request heads.
    pub head: HeadLimits,
    /// What of request heads is left to us.
    pub policy: HeadPolicy,
    /// Bytes of a request body; 0: no limit.
    pub max_body: u64,
    /// Bytes a second; 0: off.
    pub min_rate: u64,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// Without progress while we wait for the client's body.
    pub body_timeout: Duration,
    /// An idle client connection.
    pub keep_alive: Duration,
    /// Without progress while the client does not read.
    pub write_timeout: Duration,
    /// Room for connections, its own or the one shared by all.
    pub capacity: Arc<Capacity>,
    /// Room per client address.
    pub per_address: Arc<PerAddress>,
    /// Most connections of one address; 0: no limit.
    pub max_per_address: u32,
}

/// What clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.1 and 1.0.
    pub h1: bool,
    /// HTTP/2: with TLS by ALPN, in clear by its preface.
    pub h2: bool,
}

/// What an answer of ours says in place of its short text.
#[derive(Debug)]
pub struct Page {
    /// The status that it goes with.
    pub status: u16,
    /// The value of Content-Type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Whether connections begin with a PROXY header. It is read of trusted peers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptProxy {
    /// They do not.
    Off,
    /// Those of trusted peers may.
    Optional,
    /// All must: others are closed.
    Require,
}

/// TLS at a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// How handshakes are made; `None` where that could not be put together after all: then none succeeds, and
    /// nothing goes in clear.
    pub config: Option<Arc<rustls::ServerConfig>>,
}

impl Listener {
    /// The page for a status.
    pub fn page(&self, status: u16) -> Option<&Page> {
        self.pages.iter().find(|page| page.status == status)
    }

    /// Whether a peer's forwarding fields are believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&address))
    }
}

/// Where a rule leads, for one listener.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Where it leads, for records.
    pub place: recent::Place,
    /// Who serves it.
    pub pool: Arc<Pool>,
    /// The whole request; `None`: no bound.
    pub timeout: Option<Duration>,
    /// Whether its requests stand in the access log.
    pub access_log: bool,
    /// Who of those that wait for the pool goes first.
    pub class: Class,
    /// Its counters.
    pub series: Arc<RouteSeries>,
}

/// Room for client connections, over all workers, and as much for the streams of HTTP/2 on them: each may hold a
/// connection to a backend, as each client of HTTP/1 may.
#[derive(Debug)]
pub struct Capacity {
    open: AtomicU32,
    streams: AtomicU32,
    max: AtomicU32,
    freed: Notify,
    pressed: Notify,
}

impl Capacity {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            max: AtomicU32::new(max),
            freed: Notify::new(),
            pressed: Notify::new(),
        })
    }

    pub(super) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Takes a place, if one is free.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        if before >= self.max.load(Ordering::Relaxed) {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }

    /// Takes room for a stream beside others of its connection, if there is any. What the first of each is served
    /// with is its connection's place: who opens many can so leave others one at a time, but not none.
    pub fn take_stream(self: &Arc<Self>) -> Option<Beside> {
        let before = self.streams.fetch_add(1, Ordering::AcqRel);
        let beside = Beside(Arc::clone(self));
        (before < self.max.load(Ordering::Relaxed)).then_some(beside)
    }

    /// Asks every worker to give up an idle connection.
    pub fn press(&self) {
        self.pressed.notify_waiters();
    }

    /// Waits until somebody needs a place that an idle connection has.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Waits until a place may be free.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// One taken place; given back on drop.
#[derive(Debug)]
pub struct Place(Arc<Capacity>);

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.0.open.fetch_sub(1, Ordering::AcqRel);
        if before >= self.0.max.load(Ordering::Relaxed) {
            self.0.freed.notify_one();
        }
    }
}

/// Room for one stream beside others; given back on drop.
#[derive(Debug)]
pub struct Beside(Arc<Capacity>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Connections per client address. Looked at only where a limit is set: the lock is then taken twice a
/// connection.
#[derive(Debug, Default)]
pub struct PerAddress(Mutex<HashMap<IpAddr, u32>>);

/// One counted connection; given back on drop.
#[derive(Debug)]
pub struct Counted(Arc<PerAddress>, IpAddr);

impl PerAddress {
    /// Counts a connection unless `max` of that address are open.
    pub fn take(self: &Arc<Self>, address: IpAddr, max: u32) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Counted(Arc::clone(self), address))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
