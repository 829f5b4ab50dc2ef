//! The head of a request.

use super::Refusal;
use super::field::Known;
use super::fields::Fields;
use super::framing::Body;
use super::hop::{self, Upgrade};
use super::method::Method;
use super::parse::{self, HeadLimits, Parsed, Stop};
use super::policy::{HeadPolicy, Underscores, Verdict};

mod judge;

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
    /// Whether it is to be answered here and passed on to nobody: an OPTIONS whose Max-Forwards has been
    /// used up (RFC 9110 7.6.2).
    pub ends_here: bool,
    method_len: usize,
    target: (usize, usize),
    host: (usize, usize),
    /// Where an unfinished head was scanned up to, and how long it was at the last early check.
    scanned: usize,
    checked: usize,
    /// Whether the first line of an unfinished head has ended, and was checked after that.
    line_ended: bool,
    line_checked: bool,
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
            method_len: 0,
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
    pub fn parse(&mut self, buf: &[u8], limits: HeadLimits, policy: HeadPolicy) -> Result<Parsed, Refusal> {
        let skip = parse::leading_blank(buf);
        if skip > limits.max_size {
            return Err(Refusal::bad("nothing but empty lines"));
        }
        let bytes = &buf[skip..];
        // The ordinary head comes whole, and is read without a search for its end first.
        if self.scanned > 0 && !self.has_ended(bytes)? {
            return self.check_partial(bytes, limits, policy).map(|()| Parsed::Partial);
        }
        let Some(end) = self.read(bytes, limits, policy)? else {
            self.has_ended(bytes)?;
            return self.check_partial(bytes, limits, policy).map(|()| Parsed::Partial);
        };
        (self.scanned, self.checked) = (0, 0);
        (self.line_ended, self.line_checked) = (false, false);
        if end > limits.max_size {
            return Err(too_large(bytes, limits));
        }
        self.judge(policy)?;
        Ok(Parsed::Complete(skip + end))
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
        let trailers = self.version == Version::Http11 && hop::takes_trailers(&self.fields);
        hop::strip(&mut self.fields, true);
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

    /// Looks for the end of the head in what has come since the last look.
    fn has_ended(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        let fresh = bytes.get(self.scanned..).unwrap_or_default();
        self.line_ended |= memchr::memchr(b'\n', fresh).is_some();
        let end = parse::head_end(bytes, self.scanned).map_err(|_| Refusal::bad("bare LF"))?;
        self.scanned = bytes.len();
        Ok(end.is_some())
    }

    /// Checks what has come of a head that is not complete. Repeated only when twice as much is there,
    /// or the first line has ended: a head that comes byte by byte must not cost its square.
    fn check_partial(&mut self, bytes: &[u8], limits: HeadLimits, policy: HeadPolicy) -> Result<(), Refusal> {
        if bytes.len() >= limits.max_size {
            return Err(too_large(bytes, limits));
        }
        let first_line = self.line_ended && !self.line_checked;
        if bytes.len() < self.checked.saturating_mul(2) && !first_line {
            return Ok(());
        }
        self.checked = bytes.len().max(1);
        self.line_checked |= self.line_ended;
        self.read(bytes, limits, policy).map(|_| ())
    }

    /// Reads the lines of the head that `bytes` begin with, where it is complete; gives its length.
    fn read(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
        policy: HeadPolicy,
    ) -> Result<Option<usize>, Refusal> {
        self.fields.clear();
        self.host = (0, 0);
        let stop = match self.read_lines(bytes, limits, policy.underscores) {
            Ok(end) => {
                self.fields.hold(&bytes[..end]);
                return Ok(Some(end));
            }
            Err(stop) => stop,
        };
        // Nothing may be left that points into bytes which were not taken.
        self.fields.clear();
        (self.method, self.method_len, self.target) = (Method::Other, 0, (0, 0));
        match stop {
            Stop::More => Ok(None),
            Stop::Flaw(flaw) => Err(flaw.into()),
        }
    }

    fn read_lines(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
        underscores: Underscores,
    ) -> Result<usize, Stop> {
        if matches!(bytes, [b'\r']) {
            return Err(Stop::More); // the beginning of an empty line, perhaps
        }
        let line = parse::request_line(bytes)?;
        self.method = Method::from_token(&bytes[..line.method]);
        (self.method_len, self.target, self.version) = (line.method, line.target, line.version);
        let fields = &mut self.fields;
        parse::field_lines(bytes, line.end, limits.max_fields, |line| {
            if !line.known.is_spelt_out() {
                match underscores.judge(&bytes[line.start..line.start + line.name_len]) {
                    Verdict::Pass => {}
                    Verdict::Drop => return Ok(()),
                    Verdict::Refuse => return Err(parse::Flaw::Underscore),
                }
            }
            fields.push(line);
            Ok(())
        })
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
