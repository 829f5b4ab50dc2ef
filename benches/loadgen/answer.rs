//! One answer, read as its bytes arrive: status, framing and length, and nothing kept of the body. Written apart from
//! the codec of the balancer on purpose: what is measured must not be its own judge.

use crate::tally::Fault;
use memchr::{memchr, memmem};

/// A head longer than this is no answer of our origin.
const MAX_HEAD: usize = 16 * 1024;

/// What the bytes so far amount to.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    More,
    /// Complete; `keep` tells whether the connection may be used again.
    Done {
        keep: bool,
    },
    Bad(Fault, String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Head,
    Fixed(u64),
    UntilClose,
    ChunkSize {
        size: u64,
        digits: bool,
        extension: bool,
    },
    ChunkData(u64),
    /// The line end after a chunk's data.
    ChunkEnd,
    Trailer {
        empty: bool,
    },
}

/// The state of one answer. Reused for the next one on the same connection.
pub(crate) struct Answer {
    part: Part,
    /// The beginning of a head whose end has not come yet; empty but for heads cut in two.
    head: Vec<u8>,
    body: u64,
    keep: bool,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { part: Part::Head, head: Vec::new(), body: 0, keep: true }
    }

    pub(crate) fn reset(&mut self) {
        self.part = Part::Head;
        self.head.clear();
        self.body = 0;
        self.keep = true;
    }

    /// How many bytes of body came so far.
    pub(crate) fn body(&self) -> u64 {
        self.body
    }

    /// How many bytes are certain to be body and nothing else: these need not even be copied out of the kernel.
    pub(crate) fn skippable(&self) -> u64 {
        if let Part::Fixed(left) = self.part { left } else { 0 }
    }

    /// Takes bytes of body that were thrown away unread, at most as many as were `skippable`.
    pub(crate) fn skip(&mut self, count: u64, expected: Option<u64>) -> Step {
        let left = self.skippable().saturating_sub(count);
        self.body += count;
        self.part = Part::Fixed(left);
        if left == 0 { self.finish(0, expected) } else { Step::More }
    }

    /// Takes the next bytes. After `Done` or `Bad` it must be reset.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], expected: Option<u64>) -> Step {
        loop {
            let taken = match self.take(bytes, expected) {
                Ok(taken) => taken,
                Err((fault, detail)) => return Step::Bad(fault, detail),
            };
            let Some((taken, done)) = taken else { return Step::More };
            bytes = &bytes[taken..];
            if done {
                return self.finish(bytes.len(), expected);
            }
            if bytes.is_empty() {
                return Step::More;
            }
        }
    }

    /// The connection ended.
    pub(crate) fn end(&mut self, expected: Option<u64>) -> Step {
        if self.part == Part::UntilClose {
            self.keep = false;
            return self.finish(0, expected);
        }
        let where_ = if self.part == Part::Head { "before" } else { "within" };
        Step::Bad(
            Fault::Closed,
            format!("the connection ended {where_} the answer, {} bytes of body", self.body),
        )
    }

    fn finish(&self, left_over: usize, expected: Option<u64>) -> Step {
        if left_over > 0 {
            return Step::Bad(Fault::Malformed, format!("{left_over} bytes follow the answer"));
        }
        match expected {
            Some(wanted) if wanted != self.body => {
                Step::Bad(Fault::Length, format!("{} bytes of body instead of {wanted}", self.body))
            }
            _ => Step::Done { keep: self.keep },
        }
    }

    /// Takes what belongs to the current part: how many bytes, and whether the answer is complete; None when more
    /// bytes are needed and all were kept.
    fn take(
        &mut self,
        bytes: &[u8],
        expected: Option<u64>,
    ) -> Result<Option<(usize, bool)>, (Fault, String)> {
        match self.part {
            Part::Head => self.take_head(bytes, expected),
            Part::Fixed(left) => {
                let taken = left.min(bytes.len() as u64);
                self.body += taken;
                self.part = Part::Fixed(left - taken);
                Ok(Some((taken as usize, left == taken)))
            }
            Part::UntilClose => {
                self.body += bytes.len() as u64;
                Ok(Some((bytes.len(), false)))
            }
            Part::ChunkData(left) => {
                let taken = left.min(bytes.len() as u64);
                self.body += taken;
                self.part = if left == taken { Part::ChunkEnd } else { Part::ChunkData(left - taken) };
                Ok(Some((taken as usize, false)))
            }
            Part::ChunkSize { .. } | Part::ChunkEnd | Part::Trailer { .. } => {
                let Some(byte) = bytes.first() else { return Ok(None) };
                self.take_chunk_byte(*byte).map(|done| Some((1, done)))
            }
        }
    }

    fn take_head(
        &mut self,
        bytes: &[u8],
        expected: Option<u64>,
    ) -> Result<Option<(usize, bool)>, (Fault, String)> {
        if self.head.is_empty()
            && let Some(end) = memmem::find(bytes, b"\r\n\r\n")
        {
            return self.read_head(&bytes[..end + 2], expected).map(|done| Some((end + 4, done)));
        }
        let before = self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD + 4 - before)]);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
            if self.head.len() > MAX_HEAD {
                return Err((Fault::Malformed, format!("a head of more than {MAX_HEAD} bytes")));
            }
            return Ok(None);
        };
        let head = std::mem::take(&mut self.head);
        self.read_head(&head[..end + 2], expected).map(|done| Some((end + 4 - before, done)))
    }

    /// Reads a whole head, each line with its end. True when nothing follows it.
    fn read_head(&mut self, head: &[u8], expected: Option<u64>) -> Result<bool, (Fault, String)> {
        let unreadable = || (Fault::Malformed, format!("unreadable head {:?}", excerpt(head)));
        let status = status(head).ok_or_else(unreadable)?;
        if (100..200).contains(&status) && status != 101 {
            return Ok(false); // an interim head: the final one follows
        }
        if status != 200 {
            return Err((Fault::Status, excerpt(head)));
        }
        let mut length = None;
        let mut chunked = false;
        let mut rest = head;
        while let Some(end) = memchr(b'\n', rest) {
            let line = rest[..end].trim_ascii();
            rest = &rest[end + 1..];
            if let Some(value) = field(line, b"content-length") {
                length = Some(decimal(value).ok_or_else(unreadable)?);
            } else if let Some(value) = field(line, b"transfer-encoding") {
                chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if let Some(value) = field(line, b"connection") {
                self.keep &= !value.eq_ignore_ascii_case(b"close");
            }
        }
        self.part = match length {
            _ if chunked => Part::ChunkSize { size: 0, digits: false, extension: false },
            Some(length) if expected.is_some_and(|wanted| wanted != length) => {
                return Err((Fault::Length, format!("Content-Length {length}")));
            }
            Some(length) => Part::Fixed(length),
            None => Part::UntilClose,
        };
        Ok(self.part == Part::Fixed(0))
    }

    /// One byte of the framing between chunks. True at the end of the last line.
    fn take_chunk_byte(&mut self, byte: u8) -> Result<bool, (Fault, String)> {
        let bad = || (Fault::Malformed, format!("byte {byte:#04x} in the chunked framing"));
        self.part = match (self.part, byte) {
            (Part::ChunkSize { size: 0, digits: true, .. }, b'\n') => Part::Trailer { empty: true },
            (Part::ChunkSize { size, digits: true, .. }, b'\n') => Part::ChunkData(size),
            (same @ Part::ChunkSize { digits: true, .. }, b'\r') => same,
            (Part::ChunkSize { size, digits: true, .. }, b';') => {
                Part::ChunkSize { size, digits: true, extension: true }
            }
            (same @ Part::ChunkSize { extension: true, .. }, _) => same,
            (Part::ChunkSize { size, .. }, digit) => {
                let digit = (digit as char).to_digit(16).ok_or_else(bad)?;
                let size = size.checked_mul(16).ok_or_else(bad)? + u64::from(digit);
                Part::ChunkSize { size, digits: true, extension: false }
            }
            (Part::ChunkEnd, b'\r') => Part::ChunkEnd,
            (Part::ChunkEnd, b'\n') => Part::ChunkSize { size: 0, digits: false, extension: false },
            (Part::Trailer { empty: true }, b'\n') => return Ok(true),
            (Part::Trailer { empty }, b'\r') => Part::Trailer { empty },
            (Part::Trailer { .. }, b'\n') => Part::Trailer { empty: true },
            (Part::Trailer { .. }, _) => Part::Trailer { empty: false },
            _ => return Err(bad()),
        };
        Ok(false)
    }
}

/// The status of «HTTP/1.1 200 OK».
fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    u16::try_from(decimal(digits)?).ok()
}

/// The value of a line if it is the field of that name (in lower case).
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn excerpt(head: &[u8]) -> String {
    let line = &head[..memchr(b'\r', head).unwrap_or(head.len()).min(80)];
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the answer in pieces of every size; all must come to the same, which is returned.
    fn read(text: &str, expected: Option<u64>) -> Step {
        let whole = Answer::new().feed(text.as_bytes(), expected);
        for size in 1..text.len() {
            let mut answer = Answer::new();
            let mut last = Step::More;
            for piece in text.as_bytes().chunks(size) {
                last = answer.feed(piece, expected);
                if last != Step::More {
                    break;
                }
            }
            let same = match (&last, &whole) {
                // What is left over is seen only if it comes with the end.
                (Step::Done { .. }, Step::Bad(Fault::Malformed, _)) => true,
                (Step::Bad(one, _), Step::Bad(other, _)) => one == other,
                (one, other) => one == other,
            };
            assert!(same, "in pieces of {size}: {last:?} instead of {whole:?}");
        }
        whole
    }

    fn fault(step: Step) -> Fault {
        match step {
            Step::Bad(fault, _) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fixed_length_ends_where_it_says() {
        let ok = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 5\r\n\r\nhello";
        assert_eq!(read(ok, Some(5)), Step::Done { keep: true });
        assert_eq!(read(ok, None), Step::Done { keep: true });
        assert_eq!(read(&ok[..ok.len() - 1], Some(5)), Step::More);
        assert_eq!(fault(read(&format!("{ok}!"), Some(5))), Fault::Malformed);
        assert_eq!(fault(read(ok, Some(6))), Fault::Length);
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(0)), Step::Done { keep: true });
    }

    #[test]
    fn a_skipped_body_counts_as_if_it_were_read() {
        let mut answer = Answer::new();
        assert_eq!(answer.skippable(), 0);
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", Some(9)), Step::More);
        assert_eq!(answer.skippable(), 6);
        assert_eq!(answer.skip(4, Some(9)), Step::More);
        assert_eq!((answer.skippable(), answer.body()), (2, 7));
        assert_eq!(answer.skip(2, Some(9)), Step::Done { keep: true });
        assert_eq!(answer.body(), 9);
    }

    #[test]
    fn chunks_are_added_up() {
        let ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(read(ok, Some(15)), Step::Done { keep: true });
        assert_eq!(fault(read(ok, Some(14))), Fault::Length);
        let bad = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX";
        assert_eq!(fault(read(bad, None)), Fault::Malformed);
    }

    #[test]
    fn close_and_interim_heads_are_understood() {
        let close = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        assert_eq!(read(close, Some(2)), Step::Done { keep: false });
        let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{close}");
        assert_eq!(read(&interim, Some(2)), Step::Done { keep: false });
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut answer = Answer::new();
        assert_eq!(answer.feed(b"HTTP/1.0 200 OK\r\n\r\nhello", Some(5)), Step::More);
        assert_eq!(answer.end(Some(5)), Step::Done { keep: false });
        answer.reset();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", Some(9)), Step::More);
        assert_eq!(fault(answer.end(Some(9))), Fault::Closed);
    }

    #[test]
    fn what_is_no_good_answer_is_told_by_kind() {
        assert_eq!(fault(read("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Some(0))), Fault::Status);
        assert_eq!(fault(read("SSH-2.0-x\r\n\r\n", None)), Fault::Malformed);
        assert_eq!(fault(Answer::new().feed(&vec![b'x'; MAX_HEAD + 1], None)), Fault::Malformed);
    }
}
