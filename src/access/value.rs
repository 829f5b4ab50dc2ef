//! One value on its way into a line.

use std::net::IpAddr;
use std::time::Duration;

use super::escape::Escape;
use super::format::Mask;
use super::stamp::{self, Stamp};
use crate::http::{self, RequestHead};

/// Bytes of one value of a client's making; what is longer ends in three dots.
pub(super) const VALUE_MAX: usize = 8 * 1024;

/// Bytes of a line. Values get what those before them have left.
pub(super) const LINE_MAX: usize = 32 * 1024;

/// The most bytes that one byte becomes when it is escaped.
const GROWTH: usize = 6;

/// What stands in place of what is masked.
const MASK: &[u8] = b"***";

/// A value, borrowed from the exchange.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Absent,
    Time,
    Epoch,
    /// Anybody's bytes.
    Text(&'a [u8]),
    /// A word of ours that needs no escape.
    Word(&'static str),
    /// A target or a URL: what stands behind its `?` may be masked.
    Target(&'a [u8]),
    /// A query without its `?`.
    Query(&'a [u8]),
    /// Method, target, protocol.
    RequestLine(&'a RequestHead),
    Ip(IpAddr),
    Number(u64),
    /// 32 digits in hexadecimal.
    Trace(u128),
    /// 16 digits in hexadecimal.
    Span(u64),
    /// Microseconds, written as milliseconds.
    Micros(u64),
}

impl<'a> Value<'a> {
    pub(super) fn text(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Absent, Self::Text)
    }

    pub(super) fn millis(time: Option<Duration>) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        time.map_or(Self::Absent, |time| Self::Micros(micros(time)))
    }
}

/// A line in the making.
pub(super) struct Line<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) stamp: &'a mut Stamp,
    /// When the request came, in milliseconds since the epoch.
    pub(super) millis: u64,
    pub(super) mask: &'a Mask,
    pub(super) escape: Escape,
    /// Where the line begins in `out`.
    pub(super) start: usize,
}

impl Line<'_> {
    /// Bytes that the next value may have before they are escaped.
    fn room(&self) -> usize {
        let left = LINE_MAX.saturating_sub(self.out.len() - self.start);
        VALUE_MAX.min(left / GROWTH)
    }

    /// Writes text of ours.
    pub(super) fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Writes anybody's bytes.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.escape.put(bytes, self.room(), self.out);
    }

    pub(super) fn number(&mut self, number: u64) {
        self::number(number, self.out);
    }

    /// Writes a value, without quotes; nothing for one that is absent.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Absent => {}
            Value::Time => self.stamp.sortable(self.millis, self.out),
            Value::Epoch => stamp::epoch(self.millis, self.out),
            Value::Text(bytes) => self.text(bytes),
            Value::Word(word) => self.raw(word.as_bytes()),
            Value::Target(target) => self.target(target),
            Value::Query(query) => self.query(query),
            Value::RequestLine(head) => {
                self.text(head.method_token());
                self.out.push(b' ');
                self.target(head.target());
                self.out.push(b' ');
                self.raw(head.version.name().as_bytes());
            }
            Value::Ip(address) => ip(*address, self.out),
            Value::Number(number) => self.number(*number),
            Value::Trace(id) => self.raw(&http::request_id(*id)),
            Value::Span(id) => self.raw(&http::request_id(u128::from(*id))[16..]),
            Value::Micros(micros) => thousandths(*micros, self.out),
        }
    }

    /// Writes a target: the path as it is, the query as far as it may be shown.
    pub(super) fn target(&mut self, target: &[u8]) {
        if matches!(self.mask, Mask::Nothing) {
            return self.text(target);
        }
        let Some(at) = memchr::memchr(b'?', target) else { return self.text(target) };
        self.text(&target[..=at]);
        self.query(&target[at + 1..]);
    }

    fn query(&mut self, query: &[u8]) {
        let names = match self.mask {
            Mask::Nothing => return self.text(query),
            Mask::Whole => return self.raw(if query.is_empty() { b"" } else { MASK }),
            Mask::Named(names) => names,
        };
        for (nth, (part, masked)) in parts(query, names).enumerate() {
            if nth > 0 {
                self.raw(b"&");
            }
            self.text(part);
            if masked {
                self.raw(b"=");
                self.raw(MASK);
            }
            if self.room() == 0 {
                return;
            }
        }
    }
}

/// The parameters of a query. Of one that is masked only its name, and so it is said.
fn parts<'q>(query: &'q [u8], names: &[Box<str>]) -> impl Iterator<Item = (&'q [u8], bool)> {
    query.split(|byte| *byte == b'&').map(|part| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        let masked = name.len() < part.len() && names.iter().any(|one| decodes_to(name, one.as_bytes()));
        (if masked { name } else { part }, masked)
    })
}

impl Mask {
    /// Puts what of a target may be shown, as it came, piece by piece, until `put` says that there is no more room.
    pub fn apply(&self, target: &[u8], mut put: impl FnMut(&[u8]) -> bool) {
        let query = memchr::memchr(b'?', target).map(|at| at + 1).filter(|_| *self != Self::Nothing);
        let Some((path, query)) = query.and_then(|at| target.split_at_checked(at)) else {
            put(target);
            return;
        };
        if !put(path) || query.is_empty() {
            return;
        }
        let Self::Named(names) = self else {
            put(MASK);
            return;
        };
        for (nth, (part, masked)) in parts(query, names).enumerate() {
            let between: &[u8] = if nth > 0 { b"&" } else { b"" };
            if !(put(between) && put(part)) || masked && !(put(b"=") && put(MASK)) {
                return;
            }
        }
    }
}

/// Whether a name of a query is this one: whoever writes it in another way means the same.
fn decodes_to(name: &[u8], plain: &[u8]) -> bool {
    let mut rest = name;
    let mut wanted = plain.iter();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (first, after),
            },
            (b'+', _) => (b' ', after),
            _ => (first, after),
        };
        rest = after;
        if wanted.next() != Some(&byte) {
            return false;
        }
    }
    wanted.next().is_none()
}

fn digit(letter: u8) -> Option<u8> {
    (letter as char).to_digit(16).map(|digit| digit as u8)
}

/// Writes a number in decimal.
pub(super) fn number(mut number: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&text[at..]);
        }
    }
}

/// Writes a thousandth of a number: `12.345`.
fn thousandths(amount: u64, out: &mut Vec<u8>) {
    number(amount / 1000, out);
    let rest = (amount % 1000) as u16;
    out.extend([b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8]);
}

fn ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (nth, octet) in address.octets().into_iter().enumerate() {
                if nth > 0 {
                    out.push(b'.');
                }
                number(u64::from(octet), out);
            }
        }
        IpAddr::V6(address) => {
            use std::io::Write as _;
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{address}");
        }
    }
}
