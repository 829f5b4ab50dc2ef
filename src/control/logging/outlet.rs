//! Standard error, written by a thread of its own.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::observe::LogSeries;

/// Bytes of lines that may wait for standard error; lines beyond are dropped.
const MAX_WAITING: usize = 1 << 20;

enum Message {
    Line(Vec<u8>),
    /// Tells when all before it has been written.
    Finish(SyncSender<()>),
}

/// Takes lines without a wait.
#[derive(Clone)]
pub(super) struct Outlet {
    /// Its bound is `waiting`, for lines differ in length. `None`: there was no thread to be had.
    sender: Option<Sender<Message>>,
    waiting: Arc<AtomicUsize>,
    series: Arc<LogSeries>,
}

impl Outlet {
    /// Starts the thread.
    pub(super) fn open(series: Arc<LogSeries>) -> Self {
        let (sender, receiver) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let written = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("event-log".into());
        let started = thread.spawn(move || run(&receiver, &written));
        Self { sender: started.is_ok().then_some(sender), waiting, series }
    }

    /// Waits until all is written, but no longer than `most`.
    pub(super) fn finish(&self, most: Duration) {
        let (done, wait) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Finish(done)).is_ok()
        {
            let _ = wait.recv_timeout(most);
        }
    }

    fn take(&self, line: &[u8]) {
        let Some(sender) = &self.sender else {
            let _ = io::stderr().write_all(line); // better late than never
            return;
        };
        let waiting = self.waiting.fetch_add(line.len(), Ordering::AcqRel);
        let room = waiting + line.len() <= MAX_WAITING;
        if !room || sender.send(Message::Line(line.to_vec())).is_err() {
            self.waiting.fetch_sub(line.len(), Ordering::AcqRel);
            self.series.dropped(1);
        }
    }
}

fn run(receiver: &Receiver<Message>, waiting: &AtomicUsize) {
    for message in receiver {
        match message {
            Message::Line(line) => {
                // Where standard error is closed nobody can be told.
                let _ = io::stderr().write_all(&line);
                waiting.fetch_sub(line.len(), Ordering::AcqRel);
            }
            Message::Finish(done) => drop(done.try_send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for Outlet {
    type Writer = Taker<'a>;

    fn make_writer(&'a self) -> Taker<'a> {
        Taker(self)
    }
}

/// Takes one line, which the subscriber gives in one piece.
pub(super) struct Taker<'a>(&'a Outlet);

impl Write for Taker<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_counted() {
        let (sender, receiver) = channel();
        let series = Arc::<LogSeries>::default();
        let outlet = Outlet { sender: Some(sender), waiting: Arc::default(), series: Arc::clone(&series) };
        let line = vec![b'x'; MAX_WAITING / 4];
        for _ in 0..6 {
            outlet.make_writer().write_all(&line).unwrap();
        }
        assert_eq!(series.drops(), 2);
        assert_eq!(receiver.try_iter().count(), 4);
    }
}
