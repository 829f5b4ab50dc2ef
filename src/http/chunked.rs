//! The chunked coding (RFC 9112 7.1), read to the letter.

use super::Invalid;
use super::body::Step;
use super::field::Known;
use super::octets;
use super::parse::{self, Flaw, Line, Place};
use super::policy::{Underscores, Verdict};

/// Bytes of chunk extensions in one message. They are read past and never forwarded.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// Digits of one chunk size. More would be zeros in front, and a size line that never ends.
const MAX_DIGITS: u8 = 16;

/// Bytes of the trailer section of one message.
const MAX_TRAILERS: usize = 16 * 1024;

/// Trailer fields of one message.
const MAX_TRAILER_FIELDS: usize = 64;

/// Reads chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// Of the chunk that is being read: its size, then what is left of its data.
    left: u64,
    digits: u8,
    extensions: usize,
    trailers: Vec<u8>,
    /// What becomes of such names in the trailers.
    pub(super) underscores: Underscores,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Within the digits.
    Digits,
    /// White space after the digits: only `;` may follow.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl Chunks {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.trailers } else { b"" }
    }

    /// Data is handed on at once; everything else is used up byte by byte until data, the end, or the
    /// end of the input.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, Invalid> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => return Ok(Step::Done(at)),
                State::Data => {
                    let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                    self.left -= take as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data { start: at, end: at + take });
                }
                State::Trailers => at += self.read_trailers(&input[at..])?,
                _ => {
                    self.read_framing(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(if self.is_done() { Step::Done(at) } else { Step::More(at) })
    }

    fn read_framing(&mut self, byte: u8) -> Result<(), Invalid> {
        self.state = match (self.state, byte) {
            (State::Size | State::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                if self.digits == MAX_DIGITS {
                    return Err(Invalid("chunk size too large"));
                }
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                State::Digits
            }
            (State::Digits, b' ' | b'\t') | (State::Space, b' ' | b'\t') => {
                self.extension_byte(State::Space)?
            }
            (State::Digits | State::Space, b';') => self.extension_byte(State::Extension)?,
            (State::Extension, byte) if octets::is_text(byte) => self.extension_byte(State::Extension)?,
            (State::Digits | State::Extension, b'\r') => State::SizeLf,
            (State::SizeLf, b'\n') if self.left == 0 => State::Trailers,
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                State::Data
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr | State::DataLf, _) => return Err(Invalid("chunk longer than its size")),
            _ => return Err(Invalid("malformed chunk size")),
        };
        Ok(())
    }

    fn extension_byte(&mut self, next: State) -> Result<State, Invalid> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(Invalid("chunk extensions too long"));
        }
        Ok(next)
    }

    /// Collects the trailer section up to its empty line; gives how many bytes were used.
    fn read_trailers(&mut self, input: &[u8]) -> Result<usize, Invalid> {
        for (index, byte) in input.iter().enumerate() {
            if self.trailers.len() >= MAX_TRAILERS {
                return Err(Invalid("trailers too large"));
            }
            if (*byte == b'\n') != self.trailers.ends_with(b"\r") {
                return Err(Invalid("bare CR or LF in the trailers"));
            }
            self.trailers.push(*byte);
            let ended = self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n");
            if ended {
                self.check_trailers()?;
                self.state = State::Done;
                return Ok(index + 1);
            }
        }
        Ok(input.len())
    }

    /// Checks the lines like those of a head, and drops the fields that a trailer must not carry
    /// (RFC 9110 6.5.1): framing, routing, conditions, authentication, control of the response, the
    /// content's form, and what belongs to one connection.
    fn check_trailers(&mut self) -> Result<(), Invalid> {
        let section = std::mem::take(&mut self.trailers);
        let (kept, underscores) = (&mut self.trailers, self.underscores);
        let read = parse::field_lines(&section, &mut Place::default(), MAX_TRAILER_FIELDS, |line| {
            let name = &section[line.start..line.start + line.name_len];
            match underscores.judge(name) {
                Verdict::Refuse => return Err(Flaw::Underscore),
                Verdict::Pass if !is_forbidden(line, name) => {
                    let (start, len) = line.value;
                    [name, b": ", &section[start..start + len], b"\r\n"]
                        .iter()
                        .for_each(|part| kept.extend_from_slice(part));
                }
                Verdict::Pass | Verdict::Drop => {}
            }
            Ok(())
        });
        match read {
            Ok(end) if end == section.len() => Ok(()),
            _ => Err(Invalid("malformed trailers")),
        }
    }
}

fn is_forbidden(line: &Line, name: &[u8]) -> bool {
    const FORBIDDEN: [&str; 18] = [
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "proxy-authenticate",
        "range",
        "set-cookie",
        "www-authenticate",
        "age",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "pragma",
        "vary",
    ];
    let is_ours = super::certificate::is_of_certificate(name);
    line.known != Known::Other || is_ours || FORBIDDEN.iter().any(|f| name.eq_ignore_ascii_case(f.as_bytes()))
}
