//! The admin endpoint: show state, take commands.
//!
//! Served on the control thread over hyper, so that nothing slow here can hold up a worker. What it
//! shows and changes comes through [`House`]; it knows no proxy. Reads are open to whoever reaches the
//! address; what changes something passes `guard`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use crate::observe::{Happenings, Metrics};

mod accept;
mod answer;
mod explain;
mod guard;
mod guests;
mod live;
mod orders;
mod page;
mod recall;
mod reply;
mod scrape;
mod stream;
mod view;

#[cfg(test)]
mod tests;

use guests::{Guests, Rest, Served};
use stream::Stream;

pub use explain::{ChanceView, ChoiceView, ExplainView, JudgedView, OwnAnswerView, Question, TermsView};
pub use orders::{Change, Missing};
pub use recall::{DecidedView, NotTold, PhasesView, RecallView, TryView};
pub use view::{
    AvailabilityView, BackendView, BurnView, CertificateView, ConfigView, EventView, Findings,
    LastReloadView, LatencyView, ListenerView, OutageView, PoolSettingsView, PoolView, QueueView, Reload,
    RouteView, SloView, TrafficView,
};

/// From the wish for a request to the end of its head, idle time on a kept connection included; above
/// Prometheus' usual 15 s between scrapes, so that its connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head that are kept before it is complete.
const MAX_HEAD: usize = 32 * 1024;
/// How long a connection may live; then the answer that runs is its last.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// How long a last answer may take, for a client that does not read it.
const LAST_ANSWER: Duration = Duration::from_secs(30);
/// Between two tries to accept when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the endpoint needs of the running daemon.
pub trait House {
    /// The metrics, readiness among them.
    fn metrics(&self) -> &Arc<Metrics>;

    /// Every pool with its backends, in the order of the configuration.
    fn pools(&self) -> Vec<PoolView>;

    /// The first so many routes, in the order of the configuration, then the listeners' own pools.
    fn routes(&self, most: usize) -> Vec<RouteView>;

    /// Every listener, in the order of the configuration.
    fn listeners(&self) -> Vec<ListenerView>;

    /// The configuration in force, and how the last reload ended.
    fn config(&self) -> ConfigView;

    /// What happened of late.
    fn happenings(&self) -> &Happenings;

    /// Orders something of a backend; gives how it is then.
    ///
    /// # Errors
    /// There is no such pool, or no such backend in it.
    fn order(&self, pool: &str, backend: &str, change: Change) -> Result<BackendView, Missing>;

    /// What would become of a request now. Changes nothing.
    ///
    /// # Errors
    /// It is no request, or comes to no listener; in words.
    fn explain(&self, question: &Question) -> Result<ExplainView, String>;

    /// What was decided for the requests of this id that have ended of late.
    fn recall(&self, id: String) -> Pin<Box<dyn Future<Output = Result<RecallView, NotTold>>>>;

    /// The bearer token in force, which a reload may change.
    fn token(&self) -> Option<String>;

    /// Reads the configuration again and puts it into force, or changes nothing. Runs to its end even if
    /// the client that asked leaves; never twice at once through this endpoint.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Reload>>>;
}

/// Serves the endpoint until `stop` is ready, then lets the running answers end. Must run inside a
/// `LocalRuntime` or `LocalSet`: connections are local tasks.
///
/// # Errors
/// When the listener has no local address. Whether that is a loopback one decides what a changing call
/// must show, so that the endpoint does not open without.
pub async fn serve(
    listener: TcpListener,
    house: Rc<dyn House>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let desk = Rc::new(Desk {
        bind: listener.local_addr()?,
        house,
        reloading: Arc::default(),
        scraping: Arc::default(),
        stream: Stream::default(),
    });
    let (closing, closed) = watch::channel(false);
    let mut guests = Guests::default();
    let mut stop = pin!(stop);
    loop {
        let room = guests.have_room();
        tokio::select! {
            () = &mut stop => break,
            () = guests.moved() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    guests.make_room().await;
                    guests.seat(|rest| converse(stream, Rc::clone(&desk), rest, closed.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "admin endpoint cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    // Every connection has its own deadline from here on, so that this ends.
    let _ = closing.send(true);
    guests.gone().await;
    Ok(())
}

/// What every answer is given from.
struct Desk {
    bind: SocketAddr,
    house: Rc<dyn House>,
    /// Held while a reload runs.
    reloading: Arc<Mutex<()>>,
    /// Held while the page of metrics is written.
    scraping: Arc<Mutex<()>>,
    stream: Stream,
}

async fn converse(stream: TcpStream, desk: Rc<Desk>, rest: Rest, mut closed: watch::Receiver<bool>) {
    let (end, ending) = watch::channel(false);
    let service = service_fn(move |request| {
        let (desk, ending, work) = (Rc::clone(&desk), ending.clone(), rest.disturb());
        async move {
            let answer = answer::answer(&desk, ending, request).await;
            Ok::<_, std::convert::Infallible>(answer.map(|content| Served::new(content, work)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return note(ended),
        () = sleep(CONNECTION_LIFE) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A stream would never be the last answer: it ends here, and whoever looks comes back on another connection.
    let _ = end.send(true);
    if let Ok(ended) = timeout(LAST_ANSWER, connection).await {
        note(ended);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection ended");
    }
}
