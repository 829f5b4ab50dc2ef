//! The body of a message of HTTP/1.1 on its way out as data of one stream.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::SendStream;
use hyper::header::HeaderMap;

use super::fields::fields;
use super::piece::{Backlog, Piece};
use crate::http::{Body, Decoder, Step, Underscores, lines_of};
use crate::wire::Blocks;

/// What follows a head. Takes only what the peer's windows and the backlog have room for.
#[derive(Debug)]
pub struct Outflow {
    phase: Phase,
    /// Bytes that come next and are data: the decoder has passed them.
    pending: usize,
    /// Data that leaves as one piece.
    gathered: Vec<u8>,
    /// How much more may be gathered in this call, once that has been asked.
    room: Option<usize>,
    backlog: Rc<Backlog>,
    /// Frames that were handed on since this was last asked.
    said: u32,
}

#[derive(Debug)]
enum Phase {
    Head,
    Body { decoder: Decoder, chunked: bool },
    Raw,
    Done,
}

/// Hands the bytes of a write piece by piece to whoever takes them: `take` is given what is left, of which there is
/// some, and how much that is in all, and gives how much it took; `None`: no more for now. Gives what was taken, and what
/// stopped it.
pub fn feed(
    head: &[u8],
    tail: &[u8],
    mut take: impl FnMut(&[u8], usize) -> io::Result<Option<usize>>,
) -> (usize, io::Result<()>) {
    let ahead = head.len() + tail.len();
    let mut taken = 0usize;
    loop {
        let rest = match taken.checked_sub(head.len()) {
            None => &head[taken..],
            Some(of_tail) => &tail[of_tail..],
        };
        if rest.is_empty() {
            return (taken, Ok(()));
        }
        match take(rest, ahead - taken) {
            Ok(Some(n)) => taken += n,
            Ok(None) => return (taken, Ok(())),
            Err(error) => return (taken, Err(error)),
        }
    }
}

impl Outflow {
    /// Before the head has been sent.
    pub fn new(blocks: &Blocks) -> Self {
        Self {
            phase: Phase::Head,
            pending: 0,
            gathered: Vec::new(),
            room: None,
            backlog: Backlog::new(blocks),
            said: 0,
        }
    }

    /// The head has been sent, and with it the end of the stream where there is no body.
    pub fn begin(&mut self, body: Body) {
        self.phase = match body {
            Body::None => Phase::Done,
            Body::UntilClose => Phase::Raw,
            Body::Length(_) | Body::Chunked => {
                let mut decoder = Decoder::new(body);
                // They were judged when they came.
                decoder.set_underscores(Underscores::Allow);
                Phase::Body { decoder, chunked: body == Body::Chunked }
            }
        };
    }

    /// Nothing more is to be sent.
    pub fn end(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether the head is still to come.
    pub fn is_ahead(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    /// Whether what is sent are bytes of another protocol.
    pub fn is_raw(&self) -> bool {
        matches!(self.phase, Phase::Raw)
    }

    /// Whether all has been handed on.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Begins a write: room is asked for anew.
    pub fn open(&mut self) {
        self.room = None;
    }

    /// How many frames were handed on since this was last asked.
    pub fn take_said(&mut self) -> u32 {
        std::mem::take(&mut self.said)
    }

    /// Takes from `rest`, which is not empty, of `ahead` bytes in all; `None` where the peer is to take something first.
    ///
    /// # Errors
    /// The stream has been broken off, or the bytes are no body.
    pub fn take(
        &mut self,
        rest: &[u8],
        ahead: usize,
        stream: &mut SendStream<Piece>,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<usize>> {
        match &mut self.phase {
            Phase::Head => Err(io::ErrorKind::InvalidData.into()),
            Phase::Body { .. } if self.pending > 0 => {
                let Some(n) = self.gather(&rest[..rest.len().min(self.pending)], ahead, stream, cx)? else {
                    return Ok(None);
                };
                self.pending -= n;
                if self.pending == 0
                    && matches!(&self.phase, Phase::Body { decoder, chunked: false } if decoder.is_done())
                {
                    self.finish(None, stream)?;
                }
                Ok(Some(n))
            }
            Phase::Body { decoder, .. } => {
                match decoder.step(rest).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))? {
                    Step::Data { start, end } => {
                        self.pending = end - start;
                        Ok(Some(start))
                    }
                    // Framing of ours is never cut within.
                    Step::More(0) => Err(io::ErrorKind::InvalidData.into()),
                    Step::More(used) => Ok(Some(used)),
                    Step::Done(used) => {
                        let trailers = fields(lines_of(decoder.trailers())).map_err(io::Error::other)?;
                        self.finish((!trailers.is_empty()).then_some(trailers), stream)?;
                        Ok(Some(used))
                    }
                }
            }
            Phase::Raw => self.gather(rest, ahead, stream, cx),
            // The body of an answer of ours to a HEAD that was refused before it was known for one.
            Phase::Done => Ok(Some(rest.len())),
        }
    }

    /// Copies of `data` what the peer's windows and the backlog have room for.
    fn gather(
        &mut self,
        data: &[u8],
        ahead: usize,
        stream: &mut SendStream<Piece>,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<usize>> {
        let room = match self.room {
            Some(room) => room,
            None => self.ask_for_room(ahead, stream, cx)?,
        };
        let n = room.min(data.len());
        self.gathered.extend_from_slice(&data[..n]);
        self.room = Some(room - n);
        Ok((n > 0).then_some(n))
    }

    fn ask_for_room(
        &mut self,
        wanted: usize,
        stream: &mut SendStream<Piece>,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let wanted = wanted.min(self.backlog.room(cx));
        if wanted == 0 {
            return Ok(0);
        }
        stream.reserve_capacity(wanted);
        loop {
            let granted = stream.capacity().min(wanted);
            if granted > 0 {
                self.gathered.reserve_exact(granted);
                return Ok(granted);
            }
            match stream.poll_capacity(cx) {
                Poll::Pending => return Ok(0),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(None) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Hands on what was gathered.
    ///
    /// # Errors
    /// The stream has been broken off.
    pub fn push(&mut self, stream: &mut SendStream<Piece>) -> io::Result<()> {
        match self.gathered.is_empty() {
            true => Ok(()),
            false => self.send(false, stream),
        }
    }

    /// Ends the stream, and what was gathered before with it.
    ///
    /// # Errors
    /// The stream has been broken off.
    pub fn finish(&mut self, trailers: Option<HeaderMap>, stream: &mut SendStream<Piece>) -> io::Result<()> {
        self.phase = Phase::Done;
        let Some(trailers) = trailers else { return self.send(true, stream) };
        self.push(stream)?;
        stream.send_trailers(trailers).map_err(io::Error::other)
    }

    fn send(&mut self, last: bool, stream: &mut SendStream<Piece>) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.gathered);
        self.said += 1;
        let piece = if bytes.is_empty() { Piece::none() } else { self.backlog.piece(bytes) };
        stream.send_data(piece, last).map_err(io::Error::other)
    }
}
