//! Where lines go: a queue without a wait, and the thread behind it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use super::file::{File, Flags, Settings};
use super::pen::MAX_OUT;
use crate::observe::LogSeries;

/// Messages to the writer that are no lines: the end, and that it should look around.
const MAX_WORDS: usize = 16;

/// A place to which lines go. The thread that writes them ends when nobody holds it any more.
#[derive(Debug)]
pub struct Sink {
    settings: Settings,
    sender: SyncSender<Message>,
    flags: Arc<Flags>,
    series: Arc<LogSeries>,
    trouble: Arc<AtomicBool>,
}

/// Whole lines of one worker.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Takes the buffer back.
    pub(super) back: SyncSender<Vec<u8>>,
}

enum Message {
    Chunk(Chunk),
    /// A flag has been set.
    Look,
    /// Tells when all before it has been written.
    Finish(SyncSender<()>),
}

impl Sink {
    /// Opens the place and starts its thread. `workers` worker threads may write there.
    ///
    /// # Errors
    /// The place cannot be opened, or there can be no further thread.
    pub fn open(settings: Settings, workers: usize, series: Arc<LogSeries>) -> io::Result<Arc<Self>> {
        let flags = Arc::new(Flags::default());
        let file = File::open(settings.clone(), Arc::clone(&flags))?;
        let (sender, receiver) = sync_channel(workers * MAX_OUT + MAX_WORDS);
        let trouble = Arc::<AtomicBool>::default();
        let writer = Writer {
            file,
            lost: series.drops(),
            series: Arc::clone(&series),
            trouble: Arc::clone(&trouble),
            well: true,
        };
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&receiver))?;
        Ok(Arc::new(Self { settings, sender, flags, series, trouble }))
    }

    /// Where it writes, and how.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Has the file opened anew: it was moved away. What was handed over before may still go to the old one.
    /// Gives false where there is no file that could be.
    pub fn reopen(&self) -> bool {
        let is_file = self.settings.path.is_some();
        if is_file {
            self.flags.reopen.store(true, Ordering::Release);
            // Where the queue is full the writer sees the flag with the next chunk.
            let _ = self.sender.try_send(Message::Look);
        }
        is_file
    }

    /// Waits until all that was handed over is written, but no longer than `most`. Says whether it is. A place that
    /// takes nothing is waited for no more from now on.
    pub fn finish(&self, most: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        self.flags.closing.store(true, Ordering::Release);
        self.sender.try_send(Message::Finish(done)).is_ok() && wait.recv_timeout(most).is_ok()
    }

    /// Counts lines that are lost, and says so once a trouble.
    pub(super) fn dropped(&self, lines: u64) {
        lose(&self.series, &self.trouble, &self.settings, lines, "the writer cannot keep up");
    }

    pub(super) fn send(&self, chunk: Chunk) -> bool {
        match self.sender.try_send(Message::Chunk(chunk)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flags.closing.store(true, Ordering::Release);
    }
}

fn lose(series: &LogSeries, trouble: &AtomicBool, settings: &Settings, lines: u64, why: &str) {
    series.dropped(lines);
    if !trouble.swap(true, Ordering::AcqRel) {
        tracing::error!(target: "equipoise::access", path = settings.name(), why, "access log: lines are dropped");
    }
}

/// The thread.
struct Writer {
    file: File,
    series: Arc<LogSeries>,
    trouble: Arc<AtomicBool>,
    /// What had been lost before this trouble.
    lost: u64,
    /// The last write was a good one.
    well: bool,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = match receiver.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.recover();
                    match receiver.recv() {
                        Ok(message) => message,
                        Err(_) => return,
                    }
                }
            };
            self.file.follow_flags();
            match message {
                Message::Chunk(chunk) => self.write(chunk),
                Message::Look => {}
                Message::Finish(done) => drop(done.try_send(())),
            }
        }
    }

    fn write(&mut self, chunk: Chunk) {
        let Chunk { bytes, lines, back } = chunk;
        let written = self.file.write(&bytes);
        let _ = back.try_send(bytes); // a worker that is gone needs none
        self.well = written.is_ok();
        if let Err((whole, error)) = written {
            let why = error.to_string();
            lose(&self.series, &self.trouble, self.file.settings(), lines.saturating_sub(whole), &why);
        }
    }

    /// Says that lines are written again, once all that waited is.
    fn recover(&mut self) {
        if self.well && self.trouble.swap(false, Ordering::AcqRel) {
            let all = self.series.drops();
            let lines = all - std::mem::replace(&mut self.lost, all);
            let path = self.file.settings().name();
            tracing::warn!(target: "equipoise::access", path, lines, "access log: lines are written again; some were dropped");
        }
    }
}
