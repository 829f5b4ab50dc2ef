//! Moves one body from one socket to another, with back-pressure and within fixed buffers.

use std::task::{Context, Poll};

use crate::http::{Body, Decoder, Invalid, Step, Underscores, write_chunk_head, write_last_chunk};
use crate::wire::{Blocks, Buffer, Charge, Conduit, Outgoing, Queued, Stream, Then};

/// What stands around the data of a chunk of ours: its size in hexadecimal and two line ends.
const MAX_CHUNK_FRAMING: usize = 16 + 4;

/// From this size on, data whose framing does not change is written from where it was read.
const DIRECT: usize = 8 * 1024;

/// So much of a body must lie ahead for it to pass through the kernel alone: below it the two further calls
/// and the empty pipe cost more than the copy.
const SPLICE_FROM: u64 = 128 * 1024;

/// A body of unknown length passes so once so much of it has come: most are small, tunnels' messages too.
const SPLICE_UNKNOWN_AFTER: u64 = 1024 * 1024;

/// Why a body stopped short.
#[derive(Debug)]
pub(super) enum PipeError {
    /// The source ended before the body did.
    Truncated,
    /// Reading failed.
    Source,
    /// Writing failed.
    Sink,
    /// The source's framing is broken.
    Invalid(Invalid),
    /// More data than allowed.
    TooLarge,
}

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The source has sent nothing more yet.
    Source,
    /// The sink does not take more.
    Sink,
}

/// Bytes as sent to a sink, kept for another try.
#[derive(Debug)]
pub(super) enum Replay {
    /// All of it so far, up to a bound.
    Held {
        /// What was sent.
        bytes: Vec<u8>,
        /// The most that is held.
        max: usize,
        /// What the budget of buffers counts for it.
        charge: Charge,
    },
    /// Too much, or not wanted.
    Gone,
}

impl Replay {
    fn keep(&mut self, piece: &[u8], blocks: &Blocks) {
        let Self::Held { bytes, max, charge } = self else { return };
        if piece.is_empty() {
            return;
        }
        let len = bytes.len() + piece.len();
        if len > *max {
            *self = Self::Gone;
            return;
        }
        if len > bytes.capacity() {
            bytes.reserve_exact(len.next_power_of_two().min(*max) - bytes.len());
        }
        if blocks.charge_replay(charge, bytes.capacity()) {
            bytes.extend_from_slice(piece);
        } else {
            *self = Self::Gone;
        }
    }
}

/// The two sockets of a pipe and what lies between them.
pub(super) struct Ends<'a> {
    pub(super) source: &'a mut Stream,
    pub(super) buffer: &'a mut Buffer,
    pub(super) sink: &'a mut Stream,
    pub(super) out: &'a mut Outgoing,
    pub(super) blocks: &'a Blocks,
    /// Bytes read from the source.
    pub(super) read: &'a mut u64,
    /// Bytes written to the sink.
    pub(super) wrote: &'a mut u64,
}

/// One body on its way.
#[derive(Debug)]
pub(super) struct Pipe {
    decoder: Decoder,
    chunked: bool,
    /// Data bytes at the front of the source's buffer that are still to go.
    pending: usize,
    /// The end has been gathered.
    ended: bool,
    /// Some byte of the body has been taken from the source's buffer.
    touched: bool,
    /// Data bytes seen.
    pub(super) data: u64,
    max_data: u64,
    /// Who is waited for, after a `Pending`.
    pub(super) waiting: Waiting,
    /// What is kept for another try.
    pub(super) replay: Replay,
    /// The kernel's own way from source to sink, while it is used.
    conduit: Option<Conduit>,
    /// There was no such way, or it was refused.
    copies: bool,
    /// What follows on the sink once the whole body has been written.
    then: Then,
    /// It could go on, and waits for its turn.
    queued: Option<Queued>,
}

impl Pipe {
    /// A body framed as `from`, to be sent framed as `to`, of at most `max_data` bytes (0: no limit).
    pub(super) fn new(from: Body, to: Body, max_data: u64, replay: Replay) -> Self {
        Self {
            decoder: Decoder::new(from),
            chunked: to == Body::Chunked,
            pending: 0,
            ended: from == Body::None,
            touched: false,
            data: 0,
            max_data,
            waiting: Waiting::Source,
            replay,
            conduit: None,
            copies: to == Body::Chunked,
            then: Then::More,
            queued: None,
        }
    }

    /// The sink is closed as soon as the body has been written.
    pub(super) fn close_after(&mut self) {
        self.then = Then::Close;
    }

    /// Judges the names in the trailers so.
    pub(super) fn judge(&mut self, underscores: Underscores) {
        self.decoder.set_underscores(underscores);
    }

    /// Whether nothing of the body has been taken yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Whether the whole body has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there has never been a body, so that nothing is to be done but to write what stands before it.
    pub(super) fn is_void(&self) -> bool {
        self.ended && !self.touched
    }

    /// Moves what can be moved; ready when the whole body, and whatever stood before it in the sink's
    /// outgoing bytes, has been written.
    pub(super) fn poll(&mut self, ends: &mut Ends<'_>, cx: &mut Context<'_>) -> Poll<Result<(), PipeError>> {
        self.queued = None;
        let turn_ends = *ends.wrote + ends.blocks.turns().length();
        loop {
            if *ends.wrote >= turn_ends {
                return self.take_turns(ends, cx);
            }
            if self.conduit.is_some() && self.poll_splice(ends, turn_ends, cx)?.is_pending() {
                // The decoder is ahead of what has been written: only an empty conduit may end the body.
                return Poll::Pending;
            }
            if self.gather(ends)? {
                continue;
            }
            if !ends.out.is_empty() || self.pending > 0 {
                if self.send(ends, cx)?.is_pending() {
                    return self.wait(ends, Waiting::Sink);
                }
                continue;
            }
            match ends.sink.poll_flush(ends.wrote, cx) {
                Poll::Pending => return self.wait(ends, Waiting::Sink),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(PipeError::Sink)),
                Poll::Ready(Ok(())) => {}
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.may_splice(ends) {
                continue;
            }
            match ends.buffer.poll_fill(ends.source, ends.blocks, cx) {
                Poll::Pending => return self.wait(ends, Waiting::Source),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(PipeError::Source)),
                Poll::Ready(Ok(0)) if self.decoder.may_end_by_close() => self.end(ends),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(PipeError::Truncated)),
                Poll::Ready(Ok(n)) => *ends.read += n as u64,
            }
        }
    }

    /// Whether what follows goes through the kernel alone. Nothing is buffered when this is asked.
    fn may_splice(&mut self, ends: &mut Ends<'_>) -> bool {
        let ahead = self.decoder.raw_ahead();
        let pays = match self.decoder.may_end_by_close() {
            true => self.data >= SPLICE_UNKNOWN_AFTER,
            false => ahead >= SPLICE_FROM,
        };
        if ends.source.bare().is_none() || ends.sink.bare().is_none() {
            self.copies = true;
        }
        if self.copies || !pays || matches!(self.replay, Replay::Held { .. }) || !ends.buffer.is_empty() {
            return false;
        }
        self.conduit = ends.blocks.conduit();
        self.copies = self.conduit.is_none();
        if !self.copies {
            ends.buffer.release(ends.blocks);
            ends.out.release(ends.blocks);
        }
        !self.copies
    }

    /// Moves the body on through the kernel. Ready when it has ended, or must go on by copies.
    fn poll_splice(
        &mut self,
        ends: &mut Ends<'_>,
        turn_ends: u64,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, PipeError> {
        while let Some(conduit) = &mut self.conduit {
            let left = turn_ends.saturating_sub(*ends.wrote);
            if left == 0 {
                let _ = self.take_turns(ends, cx);
                return Ok(Poll::Pending);
            }
            if conduit.held() > 0 {
                match conduit.poll_drain(ends.sink.bare(), cx) {
                    Poll::Pending => {
                        self.waiting = Waiting::Sink;
                        return Ok(Poll::Pending);
                    }
                    Poll::Ready(drained) => *ends.wrote += drained.map_err(|_| PipeError::Sink)? as u64,
                }
                continue;
            }
            let ahead = self.decoder.raw_ahead();
            if ahead == 0 {
                self.ended = true;
                self.conduit = None;
                break;
            }
            match conduit.poll_fill(ends.source.bare(), ahead.min(left), cx) {
                Poll::Pending => {
                    self.waiting = Waiting::Source;
                    return Ok(Poll::Pending);
                }
                Poll::Ready(Ok(0)) if self.decoder.may_end_by_close() => {
                    self.conduit = None;
                    self.end(ends);
                }
                Poll::Ready(Ok(0)) => return Err(PipeError::Truncated),
                Poll::Ready(Ok(n)) => {
                    self.touched = true;
                    *ends.read += n as u64;
                    self.decoder.passed(n as u64);
                    self.count_data(n as u64)?;
                }
                // The kernel does not splice here: nothing has been taken.
                Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    self.conduit = None;
                    self.copies = true;
                }
                Poll::Ready(Err(_)) => return Err(PipeError::Source),
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Lets the others go on first.
    fn take_turns(&mut self, ends: &Ends<'_>, cx: &Context<'_>) -> Poll<Result<(), PipeError>> {
        self.queued = Some(ends.blocks.turns().queue());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn count_data(&mut self, n: u64) -> Result<(), PipeError> {
        self.data += n;
        if self.max_data != 0 && self.data > self.max_data {
            return Err(PipeError::TooLarge);
        }
        Ok(())
    }

    fn wait(&mut self, ends: &mut Ends<'_>, waiting: Waiting) -> Poll<Result<(), PipeError>> {
        ends.buffer.park(ends.blocks);
        ends.out.park(ends.blocks);
        self.waiting = waiting;
        Poll::Pending
    }

    /// Takes what lies in the source's buffer as far as there is room. Says whether to call it again.
    fn gather(&mut self, ends: &mut Ends<'_>) -> Result<bool, PipeError> {
        if self.pending > 0 {
            return Ok(self.move_data(ends));
        }
        if self.ended {
            return Ok(false);
        }
        match self.decoder.step(ends.buffer.filled()).map_err(PipeError::Invalid)? {
            Step::Data { start, end } => {
                self.touched = true;
                ends.buffer.consume(start);
                self.pending = end - start;
                self.count_data(self.pending as u64)?;
                Ok(true)
            }
            Step::More(used) => {
                self.touched |= used > 0;
                ends.buffer.consume(used);
                Ok(false)
            }
            Step::Done(used) => {
                self.touched |= used > 0;
                ends.buffer.consume(used);
                self.end(ends);
                Ok(false)
            }
        }
    }

    /// Copies data that is to go with what has been gathered. Says whether any was copied.
    fn move_data(&mut self, ends: &mut Ends<'_>) -> bool {
        let framing = if self.chunked { MAX_CHUNK_FRAMING } else { 0 };
        let room = ends.out.bound(ends.blocks).saturating_sub(ends.out.len() + framing);
        if room == 0 || (!self.chunked && self.pending >= DIRECT) {
            return false;
        }
        let take = room.min(self.pending);
        let out = ends.out.writer(ends.blocks);
        let from = out.len();
        if self.chunked {
            write_chunk_head(take, out);
        }
        out.extend_from_slice(&ends.buffer.filled()[..take]);
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
        self.replay.keep(&out[from..], ends.blocks);
        self.used(ends.buffer, take);
        true
    }

    /// Writes once: what has been gathered, and data that needs no framing from where it was read.
    fn send(&mut self, ends: &mut Ends<'_>, cx: &mut Context<'_>) -> Result<Poll<()>, PipeError> {
        let direct = if self.chunked { &[] } else { &ends.buffer.filled()[..self.pending] };
        let is_last = self.ended || (!self.chunked && self.decoder.is_done());
        let then = if is_last { self.then } else { Then::More };
        match ends.out.poll_send(ends.sink, direct, then, ends.wrote, cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(_)) => Err(PipeError::Sink),
            Poll::Ready(Ok(n)) => {
                self.replay.keep(&ends.buffer.filled()[..n], ends.blocks);
                self.used(ends.buffer, n);
                Ok(Poll::Ready(()))
            }
        }
    }

    fn used(&mut self, buffer: &mut Buffer, n: usize) {
        buffer.consume(n);
        self.pending -= n;
        // Data that ends a body of known length needs no further look to be the end.
        self.ended |= self.pending == 0 && !self.chunked && self.decoder.is_done();
    }

    fn end(&mut self, ends: &mut Ends<'_>) {
        self.ended = true;
        if self.chunked {
            let out = ends.out.writer(ends.blocks);
            let from = out.len();
            write_last_chunk(self.decoder.trailers(), out);
            self.replay.keep(&out[from..], ends.blocks);
        }
    }
}

#[cfg(test)]
mod tests;
