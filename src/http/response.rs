//! The head of a response.

use std::time::Duration;

use super::Invalid;
use super::field::Known;
use super::fields::Fields;
use super::forwarding::append_via;
use super::framing::{Body, Declared, FramingError, declared};
use super::hop::{self, Upgrade};
use super::method::Method;
use super::parse::{self, HeadLimits, Parsed, Place, Stop};
use super::request::Version;

const TOO_LARGE: Invalid = Invalid("response head too large");

/// Bytes above which the end of a head is searched for before its tokens are read.
const LONG: usize = 4096;

/// What kind of response a head begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interim {
    /// 1xx but 101: another head follows.
    Yes,
    /// 101, and the client asked for it, or 2xx to CONNECT: raw bytes follow.
    Switching,
    /// The one final response.
    No,
}

/// A checked response head. Refilled for each response of a connection.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// Every field line, edits included.
    pub fields: Fields,
    /// 100 to 599.
    pub status: u16,
    /// What the backend speaks.
    pub version: Version,
    /// Interim, switching or final.
    pub interim: Interim,
    /// How its body ends.
    pub body: Body,
    /// Whether the backend's connection may carry another request after this one.
    pub keep_alive: bool,
    /// `Keep-Alive: timeout=N`.
    pub keep_alive_timeout: Option<Duration>,
    reason: (usize, usize),
    /// Connection lines may name fields.
    may_name: bool,
}

impl ResponseHead {
    /// An empty head, to be filled by [`Self::parse`].
    pub fn new() -> Self {
        Self {
            fields: Fields::default(),
            status: 0,
            version: Version::Http11,
            interim: Interim::No,
            body: Body::None,
            keep_alive: false,
            keep_alive_timeout: None,
            reason: (0, 0),
            may_name: false,
        }
    }

    /// Reads a head from the start of `buf`, as the answer to a request of `method` that `asked` for another
    /// protocol.
    ///
    /// # Errors
    /// What makes the response unusable.
    pub fn parse(
        &mut self,
        buf: &[u8],
        limits: HeadLimits,
        method: Method,
        asked: Option<&Upgrade>,
    ) -> Result<Parsed, Invalid> {
        // Tokens are read anew each time, but not where a long head cannot have ended: a backend that sends
        // it byte by byte must not cost us its square. Nothing is remembered between calls, for a head that
        // stays unfinished on one connection is read again on another.
        if buf.len() > LONG && memchr::memmem::find(buf, b"\r\n\r\n").is_none() {
            return partial(buf, limits);
        }
        let Some(end) = self.read(buf, limits)? else { return partial(buf, limits) };
        if end > limits.max_size {
            return Err(TOO_LARGE);
        }
        self.judge(method, asked)?;
        Ok(Parsed::Complete(end))
    }

    /// Strips what belongs to the backend's connection (RFC 9110 7.6.1); an upgrade that was agreed on
    /// is confirmed to the client, and one that the backend insists on (426, RFC 9110 15.5.22) is named.
    pub fn strip_hop_by_hop(&mut self) {
        let named = matches!(self.status, 101 | 426);
        let upgrade = if named { Upgrade::requested(&self.fields) } else { None };
        hop::strip(&mut self.fields, false, self.may_name);
        hop::write_own(&mut self.fields, upgrade.as_ref(), false);
    }

    /// Adds our element of Via.
    pub fn add_via(&mut self) {
        append_via(&mut self.fields, self.version);
    }

    /// Sets the framing that a client of `version` gets, and says which it is.
    pub fn frame_for(&mut self, version: Version) -> Body {
        match (self.body, version) {
            (Body::UntilClose, Version::Http11 | Version::Http2) => {
                self.fields.append(Known::TransferEncoding, "Transfer-Encoding", &[b"chunked"]);
                Body::Chunked
            }
            (body, Version::Http10) => {
                // Also on the answer to HEAD: such a client knows no coding (RFC 9112 6.1).
                self.fields.remove(Known::TransferEncoding);
                self.fields.remove(Known::Trailer);
                if body == Body::Chunked { Body::UntilClose } else { body }
            }
            (body, Version::Http11 | Version::Http2) => body,
        }
    }

    /// Writes the head as an HTTP/1.1 response.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        let (hundreds, rest) = (self.status / 100, self.status % 100);
        out.extend([hundreds, rest / 10, rest % 10].map(|digit| b'0' + digit as u8));
        out.push(b' ');
        let (start, len) = self.reason;
        out.extend_from_slice(&self.fields.bytes()[start..start + len]);
        out.extend_from_slice(b"\r\n");
        self.fields.emit(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Reads the lines of the head that `bytes` begin with, where it is complete; gives its length.
    fn read(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Invalid> {
        self.fields.clear();
        let stop = match self.read_lines(bytes, limits) {
            Ok(end) => {
                self.fields.hold(&bytes[..end]);
                return Ok(Some(end));
            }
            Err(stop) => stop,
        };
        // Nothing may be left that points into bytes which were not taken.
        self.fields.clear();
        self.reason = (0, 0);
        match stop {
            Stop::More => Ok(None),
            Stop::Flaw(flaw) => Err(flaw.into()),
        }
    }

    fn read_lines(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<usize, Stop> {
        let line = parse::status_line(bytes)?;
        (self.status, self.version, self.reason) = (line.status, line.version, line.reason);
        let fields = &mut self.fields;
        parse::field_lines(bytes, &mut Place::at(line.end), limits.max_fields, |line| {
            fields.push(line);
            Ok(())
        })
    }

    fn judge(&mut self, method: Method, asked: Option<&Upgrade>) -> Result<(), Invalid> {
        let is_10 = self.version == Version::Http10;
        let connected = method == Method::Connect && matches!(self.status, 200..=299);
        self.interim = match (self.status, asked) {
            (101, Some(asked)) if !is_10 => {
                // RFC 9110 7.8: it must say to what, and only what was offered will do.
                let chosen =
                    Upgrade::requested(&self.fields).ok_or(Invalid("101 without a usable Upgrade"))?;
                if !asked.offers(&chosen) {
                    return Err(Invalid("101 to a protocol that nobody offered"));
                }
                Interim::Switching
            }
            (101, _) => return Err(Invalid("101 without being asked")),
            (100..=199, _) => Interim::Yes,
            (200..=599, _) if connected => Interim::Switching,
            (200..=599, _) => Interim::No,
            _ => return Err(Invalid("status outside 100 to 599")),
        };
        let declared = match declared(&self.fields, is_10) {
            Ok(declared) => declared,
            Err(FramingError::Bad(reason)) => return Err(Invalid(reason)),
            Err(FramingError::UnknownCoding) => {
                return Err(Invalid("unknown transfer coding in the response"));
            }
        };
        // RFC 9110 8.6: must not stand here, and some applications send it; harmless once removed.
        let unframed = self.status < 200 || self.status == 204 || connected;
        match declared {
            Declared::Nothing => {}
            _ if unframed => {
                self.fields.remove(Known::ContentLength);
                self.fields.remove(Known::TransferEncoding);
            }
            Declared::Length(length) => self.fields.spell_number(Known::ContentLength, length),
            Declared::Chunked => self.fields.spell_plainly(Known::TransferEncoding, b"chunked"),
        }
        let bodiless = unframed || self.status == 304 || method == Method::Head;
        self.body = match declared {
            _ if bodiless => Body::None,
            Declared::Chunked => Body::Chunked,
            Declared::Length(0) => Body::None,
            Declared::Length(length) => Body::Length(length),
            Declared::Nothing => Body::UntilClose,
        };
        let options = hop::connection_options(&self.fields);
        if options.too_many {
            return Err(Invalid("too many connection options in the response"));
        }
        self.may_name = options.may_name;
        // A body that must not be there may come all the same, and be taken for the next response.
        let strays = unframed && !matches!(declared, Declared::Nothing | Declared::Length(0));
        self.keep_alive =
            !options.close && (!is_10 || options.keep_alive) && self.body != Body::UntilClose && !strays;
        self.keep_alive_timeout = self.fields.first(Known::KeepAlive).and_then(timeout_parameter);
        Ok(())
    }
}

fn partial(buf: &[u8], limits: HeadLimits) -> Result<Parsed, Invalid> {
    if buf.len() >= limits.max_size { Err(TOO_LARGE) } else { Ok(Parsed::Partial) }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

/// The `timeout=N` of a Keep-Alive field, in seconds.
fn timeout_parameter(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    text.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        let seconds = seconds.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| Duration::from_secs(seconds))
    })
}
