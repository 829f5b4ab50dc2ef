//! The head of a request.

use super::Refusal;
use super::field::{Kinds, Known};
use super::fields::Fields;
use super::framing::{Body, Declared, FramingError, declared};
use super::hop::{self, Upgrade};
use super::method::Method;
use super::parse::{self, HeadLimits, Parsed};
use super::target::{self, Form};

/// HTTP/1 minor versions. 1.2 to 1.9 are read as 1.1 (RFC 9110 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names are the versions
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// A checked request head. Made once per client connection and refilled for each of its requests, so that
/// its memory is reused; it remembers how far an unfinished head was read, and so must not be taken from
/// one connection to another in the middle of a head.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Every field line, edits included.
    pub fields: Fields,
    /// The method, by name where it is known.
    pub method: Method,
    /// What the client speaks.
    pub version: Version,
    /// How its body ends.
    pub body: Body,
    /// Whether the client wants the connection kept (RFC 9112 9.3).
    pub keep_alive: bool,
    /// The protocol it asks to change to.
    pub upgrade: Option<Upgrade>,
    /// Whether it waits for 100 before it sends the body (RFC 9110 10.1.1).
    pub expects_continue: bool,
    method_token: (usize, usize),
    target: (usize, usize),
    host: (usize, usize),
    /// Where an unfinished head was scanned up to, and how long it was at the last early check.
    scanned: usize,
    checked: usize,
    /// Whether the first line of an unfinished head has ended, and was checked after that.
    line_ended: bool,
    line_checked: bool,
}

const BARE_LF: Refusal = Refusal::bad("bare LF");

/// Marks the refusal after which other minor versions are tried.
const BAD_VERSION: &str = "malformed protocol version";

impl RequestHead {
    /// An empty head, to be filled by [`Self::parse`].
    pub fn new() -> Self {
        Self {
            fields: Fields::default(),
            method: Method::Other,
            version: Version::Http11,
            body: Body::None,
            keep_alive: false,
            upgrade: None,
            expects_continue: false,
            method_token: (0, 0),
            target: (0, 0),
            host: (0, 0),
            scanned: 0,
            checked: 0,
            line_ended: false,
            line_checked: false,
        }
    }

    /// Reads a head from the start of `buf`.
    ///
    /// # Errors
    /// The status to answer with, when no valid request can begin with these bytes. A head that is not
    /// complete is refused as early as it is known to be wrong.
    pub fn parse(&mut self, buf: &[u8], limits: HeadLimits) -> Result<Parsed, Refusal> {
        let skip = parse::leading_blank(buf);
        let bytes = &buf[skip..];
        // The ordinary head comes whole, and is read without a search for its end first.
        if self.scanned > 0 && !self.has_ended(bytes)? {
            return self.check_partial(bytes, limits).map(|()| Parsed::Partial);
        }
        let read = match self.read_lines(bytes, limits) {
            Err(refusal) if refusal.reason == BAD_VERSION => self.read_other_version(bytes, limits)?,
            other => other?,
        };
        let Some(end) = read else {
            self.has_ended(bytes)?;
            return self.check_partial(bytes, limits).map(|()| Parsed::Partial);
        };
        (self.scanned, self.checked) = (0, 0);
        (self.line_ended, self.line_checked) = (false, false);
        if end > limits.max_size {
            return Err(too_large(bytes, limits));
        }
        self.judge()?;
        Ok(Parsed::Complete(skip + end))
    }

    /// The method as sent.
    pub fn method_token(&self) -> &[u8] {
        slice(&self.fields, self.method_token)
    }

    /// The target to send to the backend, as the client wrote it: path and query, or `*`.
    pub fn target(&self) -> &[u8] {
        slice(&self.fields, self.target)
    }

    /// The path without the query, as the client wrote it.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        &target[..memchr::memchr(b'?', target).unwrap_or(target.len())]
    }

    /// The authority that the client meant (absolute form before Host), with its port; empty where an
    /// HTTP/1.0 client sent none.
    pub fn host(&self) -> &[u8] {
        slice(&self.fields, self.host)
    }

    /// Sets the Host that the backend gets, in the place of the client's. [`Self::host`] stays the client's.
    pub fn set_host(&mut self, host: &[u8]) {
        self.fields.replace(Known::Host, "Host", &[host]);
    }

    /// Strips what belongs to the client's connection (RFC 9110 7.6.1), keeping the upgrade that is
    /// asked for.
    pub fn strip_hop_by_hop(&mut self) {
        hop::strip(&mut self.fields, true);
        if let Some(upgrade) = &self.upgrade {
            hop::write_upgrade(&mut self.fields, upgrade);
        }
    }

    /// Writes the head as an HTTP/1.1 request.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method_token());
        out.push(b' ');
        out.extend_from_slice(self.target());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.fields.emit(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Looks for the end of the head in what has come since the last look.
    fn has_ended(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        let fresh = bytes.get(self.scanned..).unwrap_or_default();
        self.line_ended |= memchr::memchr(b'\n', fresh).is_some();
        let end = parse::head_end(bytes, self.scanned).map_err(|_| BARE_LF)?;
        self.scanned = bytes.len();
        Ok(end.is_some())
    }

    /// Checks what has come of a head that is not complete. Repeated only when twice as much is there,
    /// or the first line has ended: a head that comes byte by byte must not cost its square.
    fn check_partial(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<(), Refusal> {
        if bytes.len() >= limits.max_size {
            return Err(too_large(bytes, limits));
        }
        let first_line = self.line_ended && !self.line_checked;
        if bytes.len() < self.checked.saturating_mul(2) && !first_line {
            return Ok(());
        }
        self.checked = bytes.len().max(1);
        self.line_checked |= self.line_ended;
        match self.read_lines(bytes, limits) {
            Err(refusal) if refusal.reason == BAD_VERSION => match memchr::memchr(b'\r', bytes) {
                Some(end) if end + 1 < bytes.len() => other_version(&bytes[..end]),
                _ => Ok(()), // judged when the line has ended
            },
            other => other.map(|_| ()),
        }
    }

    /// Reads the lines of the head that `bytes` begin with, where it is complete; gives its length.
    fn read_lines(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Refusal> {
        if matches!(bytes, [b'\r', b'\n', ..]) {
            return Err(Refusal::bad("empty lines before the request line"));
        }
        parse::with_header_room(limits.max_fields, |room| {
            let mut request = httparse::Request::new(&mut []);
            let end = match request.parse_with_uninit_headers(bytes, room) {
                Err(error) => return Err(parse::refusal(error)),
                Ok(httparse::Status::Partial) => return Ok(None),
                Ok(httparse::Status::Complete(end)) => end,
            };
            let (Some(method), Some(path)) = (request.method, request.path) else {
                return Err(Refusal::bad("malformed request line"));
            };
            if bytes[0] == b'\n' {
                return Err(BARE_LF); // httparse passes over it, and places would be off
            }
            self.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
            self.method = Method::from_token(method.as_bytes());
            self.method_token = (0, method.len());
            self.target = (method.len() + 1, path.len());
            let twin = |name: &[u8]| Known::underscore_twin(name).is_some();
            parse::fill(&mut self.fields, &bytes[..end], request.headers, twin).map_err(|_| BARE_LF)?;
            Ok(Some(end))
        })
    }

    /// Reads a head of HTTP/1.2 to 1.9 as 1.1 (RFC 9110 2.5).
    fn read_other_version(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Refusal> {
        let line = memchr::memchr(b'\r', bytes).unwrap_or(bytes.len());
        if line + 1 >= bytes.len() {
            return Ok(None); // judged when the line has ended
        }
        other_version(&bytes[..line])?;
        let mut patched = bytes[..bytes.len().min(limits.max_size)].to_vec();
        patched[line - 1] = b'1';
        self.read_lines(&patched, limits)
    }

    /// What RFC 9112 asks of the whole head, beyond its lines.
    fn judge(&mut self) -> Result<(), Refusal> {
        match self.method {
            Method::Connect => return Err(Refusal { status: 501, reason: "CONNECT is not allowed" }),
            Method::Trace => return Err(Refusal { status: 405, reason: "TRACE is not allowed" }),
            _ => {}
        }
        let is_10 = self.version == Version::Http10;
        self.judge_target()?;
        self.body = match declared(&self.fields, is_10) {
            Ok(Declared::Nothing | Declared::Length(0)) => Body::None,
            Ok(Declared::Length(length)) => Body::Length(length),
            Ok(Declared::Chunked) => Body::Chunked,
            Err(FramingError::Bad(reason)) => return Err(Refusal::bad(reason)),
            Err(FramingError::UnknownCoding) => {
                return Err(Refusal { status: 501, reason: "unknown transfer coding" });
            }
        };
        let options = hop::connection_options(&self.fields);
        if options.too_many {
            return Err(Refusal::bad("too many connection options"));
        }
        self.keep_alive = !options.close && (!is_10 || options.keep_alive);
        self.upgrade = if options.upgrade && !is_10 { Upgrade::requested(&self.fields) } else { None };
        self.judge_expectations()
    }

    /// 417 for what we do not know (RFC 9110 10.1.1). From an HTTP/1.0 client the field means nothing, and
    /// must not reach a backend, whose 100 could not be passed on.
    fn judge_expectations(&mut self) -> Result<(), Refusal> {
        self.expects_continue = false;
        if !self.fields.may_have(Kinds::of(&[Known::Expect])) {
            return Ok(());
        }
        if self.version == Version::Http10 {
            self.fields.remove(Known::Expect);
            return Ok(());
        }
        for expectation in self.fields.values(Known::Expect).flat_map(|v| v.split(|b| *b == b',')) {
            match expectation.trim_ascii() {
                b"" => {}
                known if known.eq_ignore_ascii_case(b"100-continue") => {
                    self.expects_continue = self.body != Body::None;
                }
                _ => return Err(Refusal { status: 417, reason: "unknown expectation" }),
            }
        }
        Ok(())
    }

    /// Target form and Host (RFC 9112 3.2). After this the target is in origin or asterisk form.
    fn judge_target(&mut self) -> Result<(), Refusal> {
        let host = self.judge_host()?;
        let bytes = self.fields.bytes();
        let base = self.target.0;
        let raw = &bytes[base..base + self.target.1];
        match target::classify(raw, self.method)? {
            Form::Origin | Form::Asterisk => self.host = host.unwrap_or((0, 0)),
            Form::Absolute { authority, path } => {
                let authority = (base + authority.0, authority.1);
                self.host = authority;
                let rest = raw.len() - path;
                let rootless = rest == 0 || raw[path] == b'?';
                self.target = (base + path, rest);
                let text = bytes[authority.0..authority.0 + authority.1].to_vec();
                if rootless {
                    self.root_target();
                }
                if host.is_none_or(|place| slice(&self.fields, place) != text) {
                    self.fields.replace(Known::Host, "Host", &[&text]);
                }
            }
        }
        Ok(())
    }

    /// An absolute form without a path: `/` stands before the query, or `*` for OPTIONS (RFC 9112 3.2.4).
    fn root_target(&mut self) {
        let (start, len) = self.target;
        let query = self.fields.bytes()[start..start + len].to_vec();
        let root: &[u8] = if self.method == Method::Options && query.is_empty() { b"*" } else { b"/" };
        self.target = self.fields.stash(&[root, &query]);
    }

    fn judge_host(&self) -> Result<Option<(usize, usize)>, Refusal> {
        match self.fields.place(Known::Host) {
            None if self.version == Version::Http10 => Ok(None),
            None => Err(Refusal::bad("missing Host")),
            Some((_, false)) => Err(Refusal::bad("repeated Host")),
            Some((place, true)) if target::is_authority(slice(&self.fields, place)) => Ok(Some(place)),
            Some(_) => Err(Refusal::bad("malformed Host")),
        }
    }

    /// Where in the buffer of the fields [`Self::host`] stands.
    pub(super) fn host_place(&self) -> (usize, usize) {
        self.host
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

fn slice(fields: &Fields, (start, len): (usize, usize)) -> &[u8] {
    &fields.bytes()[start..start + len]
}

/// 414 where the target alone is too long, else 431.
fn too_large(bytes: &[u8], limits: HeadLimits) -> Refusal {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    if line + 1 >= limits.max_size {
        Refusal { status: 414, reason: "target too long" }
    } else {
        Refusal { status: 431, reason: "head too large" }
    }
}

/// Judges a request line whose version httparse does not know: HTTP/1.2 to 1.9 pass, another major version
/// gets 505, everything else is garbage.
fn other_version(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let shaped = method.is_some_and(|m| !m.is_empty() && m.iter().all(|b| parse::is_token_byte(*b)))
        && target.is_some_and(|t| !t.is_empty())
        && words.next().is_none();
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) if shaped => Ok(()),
        Some([b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', b'.', b'0'..=b'9']) if shaped => {
            Err(Refusal { status: 505, reason: "HTTP version not supported" })
        }
        _ => Err(Refusal::bad("malformed request line")),
    }
}
