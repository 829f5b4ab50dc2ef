//! Standard error, written by a thread of its own.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::observe::LogSeries;

/// Bytes of lines that may wait for standard error; lines beyond are dropped.
const MAX_WAITING: usize = 1 << 20;

/// How often one that takes nothing, and lets nobody wait, is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
        let (written, lost) = (Arc::clone(&waiting), Arc::clone(&series));
        let thread = std::thread::Builder::new().name("event-log".into());
        let started = thread.spawn(move || run(&receiver, &written, &lost, Whole::new(io::stderr())));
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
            // Better late than never.
            if io::stderr().write_all(line).is_err() {
                self.series.dropped(1);
            }
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

fn run(receiver: &Receiver<Message>, waiting: &AtomicUsize, series: &LogSeries, mut out: Whole<impl Write>) {
    for message in receiver {
        match message {
            Message::Line(line) => {
                // It may be a file on a disk that is full. Nobody can be told there; the metrics tell.
                if !out.put(&line) {
                    series.dropped(1);
                }
                waiting.fetch_sub(line.len(), Ordering::AcqRel);
            }
            Message::Finish(done) => drop(done.try_send(())),
        }
    }
}

/// Writes lines so that each begins one, whatever became of the one before it.
struct Whole<W> {
    out: W,
    /// The half of a line stands at the end.
    torn: bool,
}

impl<W: Write> Whole<W> {
    fn new(out: W) -> Self {
        Self { out, torn: false }
    }

    /// Writes a line with its end. Says whether all of it has been written.
    fn put(&mut self, line: &[u8]) -> bool {
        if self.torn && self.write(b"\n") == 0 {
            return false;
        }
        let written = self.write(line);
        self.torn = written > 0 && written < line.len();
        written == line.len()
    }

    /// Writes as much as there is room for.
    #[expect(clippy::disallowed_methods, reason = "runs on the log's own thread, which serves nobody")]
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(more) if more > 0 => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever shares it with us does not want to wait; we do.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK_EVERY),
                Ok(_) | Err(_) => break,
            }
        }
        written
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

    /// A disk with so much room that does not let anybody wait.
    struct Disk<'d> {
        room: usize,
        kept: &'d mut Vec<u8>,
        busy: bool,
    }

    impl Write for Disk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.busy, false) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.kept.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_that_are_counted_and_leaves_whole_ones() {
        let (sender, receiver) = channel();
        let (series, waiting) = (LogSeries::default(), AtomicUsize::default());
        let mut kept = Vec::new();
        let send = |lines: &[&str]| {
            for line in lines {
                sender.send(Message::Line(line.as_bytes().to_vec())).unwrap();
            }
        };
        send(&["first\n", "second\n", "third\n"]);
        let mut whole = Whole::new(Disk { room: 9, kept: &mut kept, busy: true });
        while let Ok(Message::Line(line)) = receiver.try_recv() {
            if !whole.put(&line) {
                series.dropped(1);
            }
        }
        assert_eq!(series.drops(), 2, "the half of one, and the next");
        whole.out.room = 100;
        send(&["fourth\n"]);
        drop(sender);
        waiting.store(7, Ordering::SeqCst);
        run(&receiver, &waiting, &series, whole);
        assert_eq!(String::from_utf8_lossy(&kept), "first\nsec\nfourth\n");
        assert_eq!((series.drops(), waiting.load(Ordering::SeqCst)), (2, 0));
    }

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
