//! Bodies as they stand on the wire: where each piece of data lies and where the message ends.

use super::Invalid;
use super::chunked::Chunks;
use super::framing::Body;
use super::policy::Underscores;

/// What the next bytes of a body are. Positions are within the bytes given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Data stands from `start` to `end`; everything up to `end` is used up.
    Data {
        /// First byte of data.
        start: usize,
        /// Past the last byte of data.
        end: usize,
    },
    /// So many bytes are used up, and more are needed.
    More(usize),
    /// So many bytes are used up, and the message ended there.
    Done(usize),
}

/// Reads one body, whatever its framing.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Box<Chunks>),
    UntilClose,
}

impl Decoder {
    /// A decoder for a body that is framed so.
    pub fn new(body: Body) -> Self {
        Self(match body {
            Body::None => State::Length(0),
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunked(Box::default()),
            Body::UntilClose => State::UntilClose,
        })
    }

    /// Judges the names in the trailers so. Without it by [`Underscores::Safe`].
    pub fn set_underscores(&mut self, underscores: Underscores) {
        if let State::Chunked(chunks) = &mut self.0 {
            chunks.underscores = underscores;
        }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// The framing is broken; the connection can carry nothing more.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Invalid> {
        match &mut self.0 {
            State::Length(0) => Ok(Step::Done(0)),
            State::Length(_) | State::UntilClose if input.is_empty() => Ok(Step::More(0)),
            State::Length(left) => {
                let end = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= end as u64;
                Ok(Step::Data { start: 0, end })
            }
            State::Chunked(chunks) => chunks.step(input),
            State::UntilClose => Ok(Step::Data { start: 0, end: input.len() }),
        }
    }

    /// Whether the end of the stream is a clean end of this body.
    pub fn may_end_by_close(&self) -> bool {
        matches!(self.0, State::UntilClose)
    }

    /// Whether the message has ended.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::Length(left) => *left == 0,
            State::Chunked(chunks) => chunks.is_done(),
            State::UntilClose => false,
        }
    }

    /// How much of what follows is data and nothing else, however it is cut; 0 where framing lies between.
    pub fn raw_ahead(&self) -> u64 {
        match &self.0 {
            State::Length(left) => *left,
            State::Chunked(_) => 0,
            State::UntilClose => u64::MAX,
        }
    }

    /// Notes that `n` bytes of [`Self::raw_ahead`] have gone by another way.
    pub fn passed(&mut self, n: u64) {
        if let State::Length(left) = &mut self.0 {
            *left = left.saturating_sub(n);
        }
    }

    /// Bytes of data still to come, where that is known.
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            State::Length(left) => Some(*left),
            _ => None,
        }
    }

    /// The trailer lines of a chunked body that has ended, each with its CRLF; those that may not stand
    /// in trailers are gone.
    pub fn trailers(&self) -> &[u8] {
        match &self.0 {
            State::Chunked(chunks) => chunks.trailers(),
            _ => b"",
        }
    }
}

/// Writes the size line of a chunk; the data and a CRLF follow it. `len` is at least 1: a chunk of 0
/// would end the body.
pub fn write_chunk_head(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0);
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (place * 4)) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, the trailer lines and the empty line.
pub fn write_last_chunk(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}
