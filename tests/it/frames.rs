//! Raw frames of HTTP/2: written octet by octet, so that they can be wrong, and read by a reader of our own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::client::connect;
use crate::message::Wire;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// END_STREAM, and of SETTINGS and PING the acknowledgement.
pub(crate) const END: u8 = 1;
/// END_HEADERS.
pub(crate) const WHOLE: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered to its end.
    Answer { status: u16, body: Vec<u8>, interim: Vec<u16>, trailers: bool },
    /// Reset, with this code.
    Reset(u32),
    /// The connection ended, with this code in the last GOAWAY; `None`: without one.
    Gone(Option<u32>),
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A block of fields, each a literal that is not indexed and not compressed.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        string(name.as_ref(), &mut bytes);
        string(value.as_ref(), &mut bytes);
    }
    bytes
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        short @ ..127 => out.push(short as u8),
        long => {
            out.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                out.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text);
}

/// A head in as many frames as it takes.
pub(crate) fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    const LARGEST: usize = 16_384;
    let (first, rest) = block.split_at(block.len().min(LARGEST));
    let whole = |left: usize| if left == 0 { WHOLE } else { 0 };
    let mut bytes = frame(HEADERS, flags | whole(rest.len()), stream, first);
    let mut left = rest.len();
    for piece in rest.chunks(LARGEST) {
        left -= piece.len();
        bytes.extend(frame(CONTINUATION, whole(left), stream, piece));
    }
    bytes
}

/// The fields that every request has.
pub(crate) fn asking<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

/// A whole GET.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END | WHOLE, stream, &block(&asking("GET", path)))
}

/// One SETTINGS frame.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A client that speaks in frames.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) wire: Wire,
    /// What the last GOAWAY said.
    gone: Option<u32>,
}

impl Frames {
    /// Says the preface and SETTINGS that forbid compression with memory, which this reader does not have.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut frames = Self::over(connect(address));
        frames.wire.send([PREFACE, &settings(&[(1, 0)])].concat()).unwrap();
        frames
    }

    /// Nothing is said yet.
    pub(crate) fn over(wire: Wire) -> Self {
        Self { wire, gone: None }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// The next frame; settings and pings are acknowledged on the way.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        let head = self.wire.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.wire.take(length)?;
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        match (frame.kind, frame.flags & END) {
            // The other side may be gone by now: that is for the next read to find.
            (SETTINGS, 0) => drop(self.wire.send(self::frame(SETTINGS, END, 0, &[]))),
            (PING, 0) => drop(self.wire.send(self::frame(PING, END, 0, &frame.payload))),
            (GOAWAY, _) => self.gone = frame.payload[4..8].try_into().ok().map(u32::from_be_bytes),
            _ => {}
        }
        Ok(frame)
    }

    /// Reads on until a stream has ended, or the connection has. Windows are opened as data comes.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body, mut interim, mut trailers) = (0, Vec::new(), Vec::new(), false);
        loop {
            let Some(frame) = self.next_or_end() else { return Outcome::Gone(self.gone) };
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                RST_STREAM => return Outcome::Reset(u32::from_be_bytes(frame.payload.try_into().unwrap())),
                HEADERS if status == 0 => match status_of(&frame.payload) {
                    early @ 100..200 => interim.push(early),
                    last => status = last,
                },
                HEADERS => trailers = true,
                DATA => {
                    body.extend_from_slice(&frame.payload);
                    if !frame.payload.is_empty() {
                        let more = (frame.payload.len() as u32).to_be_bytes();
                        let _ = self.send(self::frame(WINDOW_UPDATE, 0, 0, &more));
                        let _ = self.send(self::frame(WINDOW_UPDATE, 0, stream, &more));
                    }
                }
                _ => continue,
            }
            if frame.flags & END != 0 && matches!(frame.kind, HEADERS | DATA) {
                return Outcome::Answer { status, body, interim, trailers };
            }
        }
    }

    /// Reads to the end of the connection; gives what the last GOAWAY said.
    pub(crate) fn end(&mut self) -> Option<u32> {
        while self.next_or_end().is_some() {}
        self.gone
    }

    /// The next frame; `None` at the end of the connection. One that goes on in silence is neither.
    fn next_or_end(&mut self) -> Option<Frame> {
        match self.next() {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("neither a frame nor the end: {error}")
            }
            other => other.ok(),
        }
    }
}

/// The status in a block of fields that was compressed without memory.
fn status_of(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut at = 0;
    while block[at] & 0xe0 == 0x20 {
        at += 1; // another size of the memory: small, as we asked for
    }
    match block[at] {
        indexed @ 0x88..=0x8e => INDEXED[usize::from(indexed - 0x88)],
        literal if literal & 0x0f == 8 || literal & 0x3f == 8 => {
            let length = usize::from(block[at + 1] & 0x7f);
            let text = &block[at + 2..at + 2 + length];
            let text = if block[at + 1] & 0x80 == 0 { text.to_vec() } else { digits(text) };
            String::from_utf8(text).unwrap().parse().unwrap()
        }
        _ => panic!("no status at the beginning of {block:x?}"),
    }
}

/// Digits in Huffman's code of RFC 7541: «0» to «2» have five bits, the others six.
fn digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0u8, |sum, bit| sum << 1 | bit);
    let (mut text, mut rest) = (Vec::new(), &bits[..]);
    while text.len() < 3 {
        match number(&rest[..5]) {
            short @ 0..=2 => (text.push(b'0' + short), rest = &rest[5..]).1,
            _ => (text.push(b'3' + number(&rest[..6]) - 0b01_1001), rest = &rest[6..]).1,
        }
    }
    text
}

#[test]
fn digits_are_read() {
    // 501: 011011 00000 00001
    assert_eq!(digits(&[0b0110_1100, 0b0000_0001]), b"501");
    assert_eq!(status_of(&[0x20, 0x08, 0x82, 0b0110_1100, 0b0000_0001]), 501);
    assert_eq!(status_of(&[0x8d]), 404);
}
