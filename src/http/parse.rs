//! Bytes → lines of a head, in one walk: each octet is looked at once, and judged where it stands.
//!
//! A line ends with CRLF and with nothing else; a field name is a token with its colon right behind it; a
//! value holds no control but the tab. What is wrong is told as soon as it is there, also where the line it
//! stands in has not ended.

use super::field::Known;
use super::octets;
use super::request::Version;
use super::{Invalid, Refusal};

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of start line and fields, with their line ends.
    pub max_size: usize,
    /// Field lines.
    pub max_fields: usize,
}

/// What became of an attempt to read a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head ended after so many bytes.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

/// Why a walk over lines stopped before their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes ended, and nothing is wrong so far.
    More,
    /// No valid head begins so.
    Flaw(Flaw),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    RequestLine,
    Target,
    Version,
    /// HTTP, but not HTTP/1.
    OtherVersion,
    StatusLine,
    Name,
    Value,
    /// A name that the listener does not want.
    Underscore,
    TooMany,
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::RequestLine | Flaw::StatusLine => Self::bad("malformed request line"),
            Flaw::Target => Self::bad("forbidden octet in the target"),
            Flaw::Version => Self::bad("malformed protocol version"),
            Flaw::OtherVersion => Self { status: 505, reason: "HTTP version not supported" },
            Flaw::Name => Self::bad("malformed field name"),
            Flaw::Value => Self::bad("malformed field value or line end"),
            Flaw::Underscore => Self::bad("underscore in a field name"),
            Flaw::TooMany => Self { status: 431, reason: "too many fields" },
        }
    }
}

impl From<Flaw> for Invalid {
    fn from(flaw: Flaw) -> Self {
        Self(match flaw {
            Flaw::TooMany => "too many fields",
            Flaw::Name | Flaw::Underscore => "malformed field name",
            Flaw::Value => "malformed field value or line end",
            _ => "malformed status line",
        })
    }
}

/// The first line of a request: `METHOD SP TARGET SP VERSION CRLF`, with one space each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RequestLine {
    /// Length of the method, which stands at 0.
    pub(super) method: usize,
    /// Start and length.
    pub(super) target: (usize, usize),
    pub(super) version: Version,
    /// Past its CRLF.
    pub(super) end: usize,
}

/// The first line of a response: `VERSION SP STATUS SP REASON CRLF`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    /// Start and length.
    pub(super) reason: (usize, usize),
    /// Past its CRLF.
    pub(super) end: usize,
}

/// One field line. Positions are within the bytes that were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) start: usize,
    pub(super) name_len: usize,
    /// Start and length, without the white space around it.
    pub(super) value: (usize, usize),
    /// Past its CRLF.
    pub(super) end: usize,
    pub(super) known: Known,
}

/// How far the lines of a head were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Where the next line begins.
    pub(super) at: usize,
    /// Field lines before it.
    pub(super) count: usize,
}

impl Place {
    /// Before the first field line, which begins at `at`.
    pub(super) fn at(at: usize) -> Self {
        Self { at, count: 0 }
    }
}

/// Length of `HTTP/1.1`.
const VERSION: usize = 8;

/// Reads the first line of a request.
pub(super) fn request_line(bytes: &[u8]) -> Result<RequestLine, Stop> {
    let method = octets::token_len(bytes);
    match bytes.get(method) {
        Some(b' ') if method > 0 => {}
        None => return Err(Stop::More),
        Some(_) => return Err(Flaw::RequestLine.into()),
    }
    let start = method + 1;
    let len = octets::target_len(&bytes[start..]);
    let stop = start + len;
    match bytes.get(stop) {
        Some(b' ') if len > 0 => {}
        None => return Err(Stop::More),
        // HTTP/0.9 ends here (RFC 9112 2.3); a second space is another's reading of the line.
        Some(b' ' | b'\r' | b'\n') => return Err(Flaw::RequestLine.into()),
        Some(_) => return Err(Flaw::Target.into()),
    }
    let rest = &bytes[stop + 1..];
    let version = match rest {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b'\r', b'\n', ..] => Version::Http11,
        _ => other_version(rest)?,
    };
    Ok(RequestLine { method, target: (start, len), version, end: stop + 1 + VERSION + 2 })
}

/// HTTP/1.0; HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 2.5).
fn other_version(rest: &[u8]) -> Result<Version, Stop> {
    let line = &rest[..rest.len().min(VERSION + 2)];
    let fits = line.iter().zip(b"HTTP/0.0\r\n").all(|(octet, like)| match like {
        b'0' => octet.is_ascii_digit(),
        like => octet == like,
    });
    match line {
        _ if !fits => Err(Flaw::Version.into()),
        [.., b'1', b'.', b'0', b'\r', b'\n'] => Ok(Version::Http10),
        [.., b'1', b'.', _, b'\r', b'\n'] => Ok(Version::Http11),
        [.., b'\r', b'\n'] => Err(Flaw::OtherVersion.into()),
        _ => Err(Stop::More),
    }
}

/// Reads the first line of a response. The space before an empty reason may be missing: some applications
/// forget it, and nobody can read the line another way.
pub(super) fn status_line(bytes: &[u8]) -> Result<StatusLine, Stop> {
    const LIKE: &[u8; 12] = b"HTTP/1.0 000";
    let fits = match bytes {
        // Nearly always all of it is there: settled without a walk.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, ..] => {
            [minor, a, b, c].iter().all(|octet| octet.is_ascii_digit())
        }
        _ => bytes.iter().zip(LIKE).all(|(octet, like)| match like {
            b'0' => octet.is_ascii_digit(),
            like => octet == like,
        }),
    };
    if !fits {
        return Err(Flaw::StatusLine.into());
    }
    let [_, _, _, _, _, _, _, minor, _, a, b, c, rest @ ..] = bytes else { return Err(Stop::More) };
    let version = if *minor == b'0' { Version::Http10 } else { Version::Http11 };
    let status = [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'));
    let start = match rest {
        [] => return Err(Stop::More),
        [b' ', ..] => LIKE.len() + 1,
        [b'\r', ..] => LIKE.len(),
        _ => return Err(Flaw::StatusLine.into()),
    };
    let len = octets::text_len(&bytes[start..]);
    let end = line_end(bytes, start + len, Flaw::StatusLine)?;
    Ok(StatusLine { version, status, reason: (start, len), end })
}

/// Reads field lines up to the empty line, and gives where that ends. `take` gets each line. `place` is moved
/// along, so that more bytes later go on where these have ended.
#[inline(always)]
pub(super) fn field_lines(
    bytes: &[u8],
    place: &mut Place,
    max: usize,
    mut take: impl FnMut(&Line) -> Result<(), Flaw>,
) -> Result<usize, Stop> {
    loop {
        match &bytes[place.at..] {
            [] => return Err(Stop::More),
            [b'\r', ..] => {
                place.at = line_end(bytes, place.at, Flaw::Name)?;
                return Ok(place.at);
            }
            _ => {}
        }
        let line = field_line(bytes, place.at)?;
        if place.count == max {
            return Err(Flaw::TooMany.into());
        }
        take(&line)?;
        *place = Place { at: line.end, count: place.count + 1 };
    }
}

#[inline(always)]
fn field_line(bytes: &[u8], start: usize) -> Result<Line, Stop> {
    let rest = &bytes[start..];
    let name_len = octets::before_colon(rest);
    let name = &rest[..name_len];
    // A name that we know to its last octet is a token: only the others are walked over again.
    let known = Known::from_name(name);
    if !known.is_spelt_out() && octets::token_len(name) < name_len || name.is_empty() {
        return Err(Flaw::Name.into());
    }
    if name_len == rest.len() {
        return Err(Stop::More);
    }
    let mut value = start + name_len + 1;
    while let Some(b' ' | b'\t') = bytes.get(value) {
        value += 1;
    }
    let stop = value + octets::text_len(&bytes[value..]);
    let end = line_end(bytes, stop, Flaw::Value)?;
    let mut len = stop - value;
    while let [.., b' ' | b'\t'] = bytes[value..value + len] {
        len -= 1;
    }
    Ok(Line { start, name_len, value: (value, len), end, known })
}

/// Past the CRLF that must stand at `at`.
fn line_end(bytes: &[u8], at: usize, otherwise: Flaw) -> Result<usize, Stop> {
    match &bytes[at..] {
        [b'\r', b'\n', ..] => Ok(at + 2),
        [] | [b'\r'] => Err(Stop::More),
        _ => Err(otherwise.into()),
    }
}

/// Length of the empty lines that stand before a request line. They begin no request (RFC 9112 2.2): whoever
/// reads the connection throws them away.
pub fn leading_blank(bytes: &[u8]) -> usize {
    let mut len = 0;
    while bytes[len..].starts_with(b"\r\n") {
        len += 2;
    }
    len
}
