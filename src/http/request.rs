//! The head of a request.

use super::Refusal;
use super::field::Known;
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

/// A checked request head. Made once per connection and refilled, so that its memory is reused.
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
}

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
        let Some(end) = parse::head_end(bytes, self.scanned) else {
            self.scanned = bytes.len();
            return self.check_partial(bytes, limits).map(|()| Parsed::Partial);
        };
        self.scanned = 0;
        self.checked = 0;
        if end > limits.max_size {
            return Err(too_large(bytes, limits));
        }
        let head = &bytes[..end];
        if head[0] == b'\r' {
            return Err(Refusal::bad("empty lines before the request line"));
        }
        if !parse::lines_are_clean(head) {
            return Err(Refusal::bad("bare CR or LF"));
        }
        match self.read_lines(head, limits) {
            Err(refusal) if refusal.reason == "malformed protocol version" => {
                self.read_other_version(head, limits)?
            }
            other => other?,
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

    /// Checks what has come of a head that is not complete. Repeated only when twice as much is there,
    /// or a first line has ended: a head that comes byte by byte must not cost its square.
    fn check_partial(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<(), Refusal> {
        if bytes.len() >= limits.max_size {
            return Err(too_large(bytes, limits));
        }
        if bytes.is_empty() || bytes.len() < self.checked.saturating_mul(2) {
            return Ok(());
        }
        self.checked = bytes.len();
        // A CR at the very end may yet get its LF.
        let settled = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if !parse::lines_are_clean(settled) {
            return Err(Refusal::bad("bare CR or LF"));
        }
        parse::with_header_room(limits.max_fields, |room| {
            match httparse::Request::new(&mut []).parse_with_uninit_headers(bytes, room) {
                Err(httparse::Error::Version) => Ok(()), // judged when the line has ended
                Err(error) => Err(parse::refusal(error)),
                Ok(_) => Ok(()),
            }
        })
    }

    fn read_lines(&mut self, head: &[u8], limits: HeadLimits) -> Result<(), Refusal> {
        parse::with_header_room(limits.max_fields, |room| {
            let mut request = httparse::Request::new(&mut []);
            match request.parse_with_uninit_headers(head, room) {
                Err(error) => return Err(parse::refusal(error)),
                Ok(httparse::Status::Complete(n)) if n == head.len() => {}
                Ok(_) => return Err(Refusal::bad("malformed head")),
            }
            let (Some(method), Some(path)) = (request.method, request.path) else {
                return Err(Refusal::bad("malformed request line"));
            };
            self.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
            self.method = Method::from_token(method.as_bytes());
            self.method_token = (0, method.len());
            self.target = (method.len() + 1, path.len());
            parse::fill(&mut self.fields, head, request.headers, |name| {
                Known::underscore_twin(name).is_some()
            });
            Ok(())
        })
    }

    /// HTTP/1.2 to 1.9 are read as 1.1; another major version gets 505, everything else is garbage.
    fn read_other_version(&mut self, head: &[u8], limits: HeadLimits) -> Result<(), Refusal> {
        let line = memchr::memchr(b'\r', head).unwrap_or(head.len());
        match head[..line] {
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
                let mut patched = head.to_vec();
                patched[line - 1] = b'1';
                self.read_lines(&patched, limits)
            }
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', b'.', b'0'..=b'9'] => {
                Err(Refusal { status: 505, reason: "HTTP version not supported" })
            }
            _ => Err(Refusal::bad("malformed request line")),
        }
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
        let mut expectations = self.fields.values(Known::Expect);
        self.expects_continue = match (expectations.next(), is_10) {
            (Some(value), false) if value.eq_ignore_ascii_case(b"100-continue") => true,
            (Some(_), false) => return Err(Refusal { status: 417, reason: "unknown expectation" }),
            _ => false,
        };
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
                self.target = (base + path, rest);
                let text = bytes[authority.0..authority.0 + authority.1].to_vec();
                if rest == 0 || raw[path] == b'?' {
                    self.root_target(path);
                }
                self.fields.replace(Known::Host, "Host", &[&text]);
            }
        }
        Ok(())
    }

    /// An absolute form without a path: `/` stands before the query, or `*` for OPTIONS (RFC 9112 3.2.4).
    fn root_target(&mut self, path: usize) {
        let (start, len) = self.target;
        debug_assert!(path > 0);
        let query = self.fields.bytes()[start..start + len].to_vec();
        let root: &[u8] = if self.method == Method::Options && query.is_empty() { b"*" } else { b"/" };
        self.target = self.fields.stash(&[root, &query]);
    }

    fn judge_host(&self) -> Result<Option<(usize, usize)>, Refusal> {
        let mut hosts = self.fields.values(Known::Host);
        let first = hosts.next();
        if hosts.next().is_some() {
            return Err(Refusal::bad("repeated Host"));
        }
        match first {
            None if self.version == Version::Http10 => Ok(None),
            None => Err(Refusal::bad("missing Host")),
            Some(value) if target::is_authority(value) => {
                Ok(Some((value.as_ptr() as usize - self.fields.bytes().as_ptr() as usize, value.len())))
            }
            Some(_) => Err(Refusal::bad("malformed Host")),
        }
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
