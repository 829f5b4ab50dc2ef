//! Keeps the accounts: counts into the error budgets once a second, and has the state file written by a thread of its
//! own, for a slow disk must hold up neither workers nor probes.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::MissedTickBehavior;

use super::state::{StateError, StateFile};
use crate::observe::Metrics;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How long the end waits for a disk that does not answer.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Keeps the accounts.
#[derive(Debug)]
pub struct Keeper {
    metrics: Arc<Metrics>,
    /// `None`: there is no file, or it has been written for the last time.
    book: RefCell<Option<Book>>,
}

/// The way to the thread that writes.
#[derive(Debug)]
struct Book {
    /// One piece at most waits; while it does, what happens is gathered into the next.
    pieces: SyncSender<Piece>,
    ended: Receiver<()>,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Piece {
    text: Vec<u8>,
    /// It stands for itself.
    whole: bool,
    /// When it was put together.
    at: SystemTime,
}

/// What the thread says of itself.
#[derive(Debug, Default)]
struct Writer {
    busy: AtomicBool,
    /// What is behind the last whole piece cannot be relied on, or there is too much of it.
    wants_whole: AtomicBool,
}

impl Keeper {
    /// Takes the state file, if there is to be one, and goes on with what it says. To be called before anything is
    /// compiled.
    ///
    /// # Errors
    /// The file cannot be read or written, is none of ours, or another process holds it.
    pub fn open(path: Option<&Path>, metrics: &Arc<Metrics>) -> Result<Self, StateError> {
        let book = path.map(|path| Book::open(path, metrics)).transpose()?;
        Ok(Self { metrics: Arc::clone(metrics), book: RefCell::new(book) })
    }

    /// Keeps them from now on.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn tick(&self) {
        let (now, wall) = (Instant::now(), SystemTime::now());
        self.metrics.tick(now, wall);
        if let Some(book) = &*self.book.borrow() {
            book.hand_over(&self.metrics, now, wall);
        }
    }

    /// Writes all for the last time, and waits for it; not for ever.
    pub async fn end(&self) {
        let Some(Book { pieces, ended, .. }) = self.book.borrow_mut().take() else { return };
        let (now, wall) = (Instant::now(), SystemTime::now());
        self.metrics.tick(now, wall);
        // Whole, for whether the piece that may still be being written arrives is not known.
        let last = Piece { text: self.metrics.journal(now, wall, true), whole: true, at: wall };
        let written = tokio::task::spawn_blocking(move || {
            let sent = pieces.send(last).is_ok();
            drop(pieces);
            sent && ended.recv_timeout(LAST_WRITE).is_ok()
        });
        if !written.await.unwrap_or(false) {
            tracing::warn!(target: "equipoise::control",
                "the state file may lack the last seconds: the disk does not answer");
        }
    }
}

impl Book {
    fn open(path: &Path, metrics: &Arc<Metrics>) -> Result<Self, StateError> {
        let (mut file, journal) = StateFile::take(path)?;
        let shown = path.display();
        if journal.cut > 0 {
            tracing::warn!(target: "equipoise::control", path = %shown, bytes = journal.cut,
                "the end of the state file cannot be read and is left out: the last process was stopped while it wrote");
        }
        tracing::info!(target: "equipoise::control", path = %shown, accounts = journal.accounts(),
            "state file taken");
        let (now, wall, written) = (Instant::now(), SystemTime::now(), journal.written());
        metrics.restore(journal, now, wall);
        let writer = Arc::new(Writer::default());
        let mut failing = false;
        // Whether it can be written shows at the start, not in the night in which it is needed.
        match file.replace(&metrics.journal(now, wall, true)) {
            Ok(()) => metrics.state_synced(wall),
            // That is no reason not to serve: what the file says is known, and stays there until there is room.
            Err(error) if error.is_full() => {
                tracing::warn!(target: "equipoise::control", "{error}; it is tried again each second");
                metrics.state_synced(written);
                metrics.state_failed();
                writer.wants_whole.store(true, Ordering::Release);
                failing = true;
            }
            Err(error) => return Err(error),
        }
        let (pieces, taken) = sync_channel(1);
        let (ending, ended) = sync_channel(1);
        let (told, metrics) = (Arc::clone(&writer), Arc::clone(metrics));
        let started = std::thread::Builder::new().name("state-file".into()).spawn(move || {
            write_all(file, &taken, (&told, failing), &metrics);
            let _ = ending.send(());
        });
        started.map_err(|error| StateError::Io {
            path: path.to_owned(),
            what: "served by a thread",
            error,
        })?;
        Ok(Self { pieces, ended, writer })
    }

    /// Hands over what happened, unless the thread still writes: then the next time it is a little more.
    fn hand_over(&self, metrics: &Metrics, now: Instant, wall: SystemTime) {
        if self.writer.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let whole = self.writer.wants_whole.swap(false, Ordering::AcqRel);
        let piece = Piece { text: metrics.journal(now, wall, whole), whole, at: wall };
        // There is room, for the thread is not busy; it is gone only with the process.
        let _ = self.pieces.try_send(piece);
    }
}

fn write_all(
    mut file: StateFile,
    pieces: &Receiver<Piece>,
    (writer, mut failing): (&Writer, bool),
    metrics: &Metrics,
) {
    for piece in pieces {
        let written = if piece.whole { file.replace(&piece.text) } else { file.append(&piece.text) };
        match written {
            Ok(()) => {
                if failing {
                    tracing::info!(target: "equipoise::control", "the state file is written again");
                }
                failing = false;
                metrics.state_synced(piece.at);
                writer.wants_whole.fetch_or(file.has_grown(), Ordering::AcqRel);
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(target: "equipoise::control", "{error}; it is tried again each second");
                }
                failing = true;
                metrics.state_failed();
                // Half a line may stand there: only a new file can be gone on with.
                writer.wants_whole.store(true, Ordering::Release);
            }
        }
        writer.busy.store(false, Ordering::Release);
    }
}
