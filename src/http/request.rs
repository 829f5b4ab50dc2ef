//! The head of a request.

use super::Refusal;
use super::field::Known;
use super::fields::Fields;
use super::framing::Body;
use super::hop::{self, Upgrade};
use super::method::Method;
use super::parse::{self, HeadLimits, Parsed, Place, RequestLine, Stop};
use super::policy::{HeadPolicy, Underscores, Verdict};

mod judge;

/// What a message was sent in. HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names are the versions
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

impl Version {
    /// As it stands in a request line, or would.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
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
    /// Whether it is to be answered here and passed on to nobody: an OPTIONS whose Max-Forwards has been
    /// used up (RFC 9110 7.6.2).
    pub ends_here: bool,
    /// Bytes of the head as it came.
    pub length: usize,
    method_len: usize,
    /// Connection lines may name fields.
    may_name: bool,
    target: (usize, usize),
    host: (usize, usize),
    /// The last Host that was found to be one: the next is most often the same.
    usual_host: Vec<u8>,
    /// How far an unfinished head was read, and its first line.
    place: Place,
    line: RequestLine,
    /// How much of it was there at the last look, and at the last reading.
    seen: usize,
    read: usize,
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
            ends_here: false,
            length: 0,
            method_len: 0,
            may_name: false,
            target: (0, 0),
            host: (0, 0),
            usual_host: Vec::new(),
            place: Place::default(),
            line: RequestLine::default(),
            seen: 0,
            read: 0,
        }
    }

    /// Reads a head from the start of `buf`.
    ///
    /// # Errors
    /// The status to answer with, when no valid request can begin with these bytes. A head that is not
    /// complete is refused as early as it is known to be wrong.
    pub fn parse(&mut self, buf: &[u8], limits: HeadLimits, policy: HeadPolicy) -> Result<Parsed, Refusal> {
        let skip = parse::leading_blank(buf);
        if skip > limits.max_size {
            return Err(Refusal::bad("nothing but empty lines"));
        }
        let bytes = &buf[skip..];
        if self.seen == 0 || bytes.len() < self.seen {
            self.begin();
        } else if !self.is_due(bytes) {
            return self.wait(bytes, limits);
        } else {
            self.fields.set_aside();
        }
        let end = match self.read_lines(bytes, limits, policy.underscores) {
            Ok(end) => end,
            Err(Stop::More) => {
                self.fields.set_aside();
                return self.wait(bytes, limits);
            }
            Err(Stop::Flaw(flaw)) => {
                self.begin();
                return Err(flaw.into());
            }
        };
        self.seen = 0;
        if end > limits.max_size {
            return Err(too_large(bytes, limits));
        }
        self.judge(policy)?;
        Ok(Parsed::Complete(skip + end))
    }

    /// Notes that it came in HTTP/2, and was only written as HTTP/1.1 to be read by the same rules.
    pub fn came_in_http2(&mut self) {
        self.version = Version::Http2;
    }

    /// The method as sent.
    pub fn method_token(&self) -> &[u8] {
        slice(&self.fields, (0, self.method_len))
    }

    /// The target to send to the backend, as the client wrote it: path and query, or `*`; of a CONNECT the
    /// authority.
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

    /// Where [`Self::host`] stands in the bytes of the fields.
    pub(super) fn host_place(&self) -> (usize, usize) {
        self.host
    }

    /// Sets the Host that the backend gets, in the place of the client's. [`Self::host`] stays the client's.
    pub fn set_host(&mut self, host: &[u8]) {
        self.fields.replace(Known::Host, "Host", &[host]);
    }

    /// Strips what belongs to the client's connection (RFC 9110 7.6.1), keeping the upgrade that is asked
    /// for, and that the client takes trailers: of TE that alone holds for whoever stands behind us
    /// (RFC 9110 10.1.4).
    pub fn strip_hop_by_hop(&mut self) {
        let trailers = self.version != Version::Http10 && hop::takes_trailers(&self.fields);
        hop::strip(&mut self.fields, true, self.may_name);
        hop::write_own(&mut self.fields, self.upgrade.as_ref(), trailers);
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

    /// Forgets the head before this one.
    fn begin(&mut self) {
        self.fields.clear();
        (self.method, self.method_len) = (Method::Other, 0);
        (self.target, self.host) = ((0, 0), (0, 0));
        (self.place, self.seen, self.read) = (Place::default(), 0, 0);
    }

    /// Whether what has come since the last reading may end a line, or is so much that the unfinished line is
    /// worth another look: one that comes byte by byte must not cost its square.
    fn is_due(&self, bytes: &[u8]) -> bool {
        bytes.len() >= self.read.saturating_mul(2) || memchr::memchr(b'\n', &bytes[self.seen..]).is_some()
    }

    /// Notes how much is there of a head that is not complete.
    fn wait(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Parsed, Refusal> {
        self.seen = bytes.len();
        if bytes.len() < limits.max_size { Ok(Parsed::Partial) } else { Err(too_large(bytes, limits)) }
    }

    /// Reads on from the first line that was not complete; gives the head's length where it is now.
    fn read_lines(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
        underscores: Underscores,
    ) -> Result<usize, Stop> {
        self.read = bytes.len();
        if matches!(bytes, [b'\r']) {
            return Err(Stop::More); // the beginning of an empty line, perhaps
        }
        if self.place.at == 0 {
            self.line = parse::request_line(bytes)?;
            self.place.at = self.line.end;
        }
        let fields = &mut self.fields;
        let end = parse::field_lines(bytes, &mut self.place, limits.max_fields, |line| {
            if !line.known.is_spelt_out() {
                match underscores.judge(&bytes[line.start..line.start + line.name_len]) {
                    Verdict::Pass => {}
                    Verdict::Drop => return Ok(()),
                    Verdict::Refuse => return Err(parse::Flaw::Underscore),
                }
            }
            fields.push(line);
            Ok(())
        })?;
        self.fields.hold(&bytes[..end]);
        self.length = end;
        let line = self.line;
        self.method = Method::from_token(&bytes[..line.method]);
        (self.method_len, self.target, self.version) = (line.method, line.target, line.version);
        Ok(end)
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
