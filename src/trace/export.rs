//! The queue of what is to be exported, and the thread behind it.
//!
//! A worker hands a record over without a wait and without waking anybody: the thread looks into the queue now and then. While
//! the collector takes nothing the queue fills, and what is beyond it is dropped and counted. A batch that cannot be posted is
//! tried again after a pause that doubles, a few times; then it is dropped too, so that what comes later is not older than it
//! must be.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::Notify;

use super::endpoint::Endpoint;
use super::post::{Again, Trouble, post};
use super::record::Trace;
use super::span::{Wall, export};
use crate::observe::{ExportFailure, SpanSeries};
use crate::tls::Secure;

/// Requests that wait to be exported: with 1 KiB or two each, some MiB.
const QUEUE: usize = 4096;
/// Requests of one batch: below 4 MiB, which is what collectors take by default, whatever their texts.
const BATCH: usize = 512;
/// How long a record waits for others.
const PATIENCE: Duration = Duration::from_millis(500);
/// Tries to post one batch.
const TRIES: u32 = 4;
/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A trouble that has become another one is told of at most this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Takes records of requests. The thread behind it ends when nobody holds this any more.
#[derive(Debug)]
pub struct Exporter {
    endpoint: Endpoint,
    sender: SyncSender<Message>,
    /// The end has come: look at once, and wait for nobody.
    closing: Arc<Notify>,
    series: Arc<SpanSeries>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are records; a box each would cost more")]
enum Message {
    Trace(Trace),
    /// Tells when all before it has been tried.
    Finish(SyncSender<()>),
}

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can be no further thread, or TLS cannot be spoken: the system's roots have gone.
    pub fn start(endpoint: Endpoint, series: Arc<SpanSeries>) -> io::Result<Arc<Self>> {
        let secure = endpoint.secure(&mut Vec::new()).map_err(|flaw| io::Error::other(flaw.message))?;
        let (sender, receiver) = sync_channel(QUEUE);
        let closing = Arc::<Notify>::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let mut post = Post {
            endpoint: endpoint.clone(),
            secure,
            receiver,
            closing: Arc::clone(&closing),
            series: Arc::clone(&series),
            failures: 0,
            told: None,
            random: fastrand::Rng::new(),
            last: None,
        };
        series.show();
        std::thread::Builder::new().name("traces".into()).spawn(move || runtime.block_on(post.run()))?;
        Ok(Arc::new(Self { endpoint, sender, closing, series }))
    }

    /// Where spans go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Takes a record, or drops it where there is no room. Never waits.
    pub fn take(&self, trace: Trace) {
        let spans = trace.spans();
        if self.sender.try_send(Message::Trace(trace)).is_err() {
            self.series.dropped(spans);
        }
    }

    /// Waits until all that was taken has been posted, or tried once more, but no longer than `most`. Says whether
    /// it has been.
    pub fn finish(&self, most: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        let told = self.sender.try_send(Message::Finish(done)).is_ok();
        self.closing.notify_one();
        told && wait.recv_timeout(most).is_ok()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.closing.notify_one();
    }
}

/// The thread.
struct Post {
    endpoint: Endpoint,
    secure: Option<Secure>,
    receiver: Receiver<Message>,
    closing: Arc<Notify>,
    series: Arc<SpanSeries>,
    /// Posts that failed since the last one that did not.
    failures: u32,
    /// The trouble that the log was told of last, and when.
    told: Option<(ExportFailure, Instant)>,
    random: fastrand::Rng,
    /// Somebody waits for the end.
    last: Option<SyncSender<()>>,
}

impl Post {
    async fn run(&mut self) {
        loop {
            let (batch, over) = self.gather();
            if !batch.is_empty() {
                self.post(&batch).await;
            }
            if over {
                return;
            }
            if batch.len() < BATCH {
                if let Some(done) = self.last.take() {
                    let _ = done.try_send(());
                }
                tokio::select! {
                    () = tokio::time::sleep(PATIENCE) => {}
                    () = self.closing.notified() => {}
                }
            }
        }
    }

    /// What has come, up to a batch; and whether no more will.
    fn gather(&mut self) -> (Vec<Trace>, bool) {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(Message::Trace(trace)) => batch.push(trace),
                Ok(Message::Finish(done)) => self.last = Some(done),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return (batch, true),
            }
        }
        (batch, false)
    }

    async fn post(&mut self, batch: &[Trace]) {
        let random = &mut self.random;
        let spans = batch.iter().map(Trace::spans).sum();
        let body = Bytes::from(export(batch, &Wall::now(), || random.u64(..)).encode_to_vec());
        for nth in 1..=TRIES {
            let trouble = match post(&self.endpoint, self.secure.as_ref(), body.clone()).await {
                Ok(rejected) => return self.went_well(spans, rejected),
                Err(trouble) => trouble,
            };
            let pause = match trouble.again {
                Again::Later(told) => Some(told.unwrap_or_else(|| self.pause())),
                Again::Never => None,
            };
            self.went_wrong(&trouble);
            let Some(pause) = pause.filter(|_| nth < TRIES && self.last.is_none()) else { break };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closing.notified() => break,
            }
        }
        self.series.dropped(spans);
    }

    fn went_well(&mut self, spans: u64, rejected: u64) {
        let rejected = rejected.min(spans);
        self.series.exported(spans - rejected);
        self.series.dropped(rejected);
        if std::mem::take(&mut self.failures) > 0 {
            let dropped = self.series.counts()[1];
            tracing::info!(target: "equipoise::trace", url = self.endpoint.url(), dropped, "traces: the collector takes them again");
        }
    }

    /// Counts a failure. The first one in a row is told, and one of another kind later on; not each.
    fn went_wrong(&mut self, trouble: &Trouble) {
        let Trouble { failure, why, .. } = trouble;
        self.series.failed(*failure);
        self.failures = self.failures.saturating_add(1);
        let now = Instant::now();
        let is_news = self.told.is_none_or(|(told, at)| told != *failure && now - at >= TELL_EVERY);
        if self.failures == 1 || is_news {
            self.told = Some((*failure, now));
            let (url, reason) = (self.endpoint.url(), failure.name());
            tracing::warn!(target: "equipoise::trace", url, reason, why, "traces: the collector does not take them");
        }
    }

    /// How long to wait after a failure: half of it by chance, so that many nodes do not come back at once.
    fn pause(&mut self) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        longest.mul_f64(0.5 + self.random.f64() / 2.0)
    }
}
