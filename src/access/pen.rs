//! A worker's own part of the access log.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::Notify;

use super::format::Log;
use super::record::Record;
use super::sink::{Chunk, Sink};
use super::stamp::Stamp;
use super::value::LINE_MAX;

/// Bytes of lines with which a buffer goes to the writer.
pub(super) const CHUNK: usize = 64 * 1024;

/// Buffers of one worker that may be at the writer at one time: 4 MiB of lines, which a worker of one core needs half a
/// second to fill. Lines beyond are dropped.
pub(super) const MAX_OUT: usize = 64;

/// Empty buffers that a worker keeps.
const MAX_SPARE: usize = 4;

/// How long a line waits for others before it is written.
const PATIENCE: Duration = Duration::from_millis(100);

/// Writes the lines of one worker.
#[derive(Debug)]
pub struct Pen {
    stamp: Stamp,
    /// Where the lines in `buffer` go.
    sink: Option<Arc<Sink>>,
    buffer: Vec<u8>,
    lines: u64,
    spare: Vec<Vec<u8>>,
    /// Buffers at the writer.
    out: usize,
    give_back: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    begun: Rc<Notify>,
}

impl Default for Pen {
    fn default() -> Self {
        let (give_back, returned) = sync_channel(MAX_OUT);
        Self {
            stamp: Stamp::new(),
            sink: None,
            buffer: Vec::new(),
            lines: 0,
            spare: Vec::new(),
            out: 0,
            give_back,
            returned,
            begun: Rc::default(),
        }
    }
}

impl Pen {
    /// Writes a line, or drops it where there is no room.
    pub fn write(&mut self, log: &Log, record: &Record<'_>) {
        if !self.sink.as_ref().is_some_and(|sink| Arc::ptr_eq(sink, &log.sink)) {
            self.put_down();
            self.sink = Some(Arc::clone(&log.sink));
        }
        if self.buffer.len() >= CHUNK && !self.hand_over() {
            return log.sink.dropped(1);
        }
        if self.buffer.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK + LINE_MAX));
            }
            self.begun.notify_one();
        }
        log.format.write(record, &log.mask, &mut self.stamp, &mut self.buffer);
        self.lines += 1;
        if self.buffer.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Tells when a buffer has begun to fill; what to wait for after that.
    pub fn begun(&self) -> (Rc<Notify>, Duration) {
        (Rc::clone(&self.begun), PATIENCE)
    }

    /// Hands over what is there. Says whether nothing is left.
    pub fn flush(&mut self) -> bool {
        let empty = self.buffer.is_empty() || self.hand_over();
        if empty {
            // One that a reload has replaced ends when nobody holds it.
            self.sink = None;
        }
        empty
    }

    /// Hands over what is there, or drops it.
    fn put_down(&mut self) {
        if !self.flush() {
            if let Some(sink) = self.sink.take() {
                sink.dropped(self.lines);
            }
            self.buffer.clear();
            self.lines = 0;
        }
    }

    fn hand_over(&mut self) -> bool {
        while let Ok(mut buffer) = self.returned.try_recv() {
            self.out -= 1;
            // One that had to grow for long lines is not kept.
            if self.spare.len() < MAX_SPARE && buffer.capacity() <= CHUNK + LINE_MAX {
                buffer.clear();
                self.spare.push(buffer);
            }
        }
        let Some(sink) = self.sink.as_ref().filter(|_| self.out < MAX_OUT) else { return false };
        let bytes = std::mem::take(&mut self.buffer);
        let lines = std::mem::take(&mut self.lines);
        let chunk = Chunk { bytes, lines, back: self.give_back.clone() };
        if sink.send(chunk) {
            self.out += 1;
        } else {
            sink.dropped(lines);
        }
        true
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.put_down();
    }
}
