//! What RFC 9110 and 9112 ask of a whole request head, beyond its lines. docs/http.md holds every rule with
//! its reason.

use super::super::Refusal;
use super::super::field::{Kinds, Known};
use super::super::framing::{Body, Declared, FramingError, declared};
use super::super::hop::{self, Upgrade};
use super::super::method::Method;
use super::super::policy::HeadPolicy;
use super::super::target::{self, Form};
use super::{RequestHead, Version, slice};

/// Octets of the longest Host that is remembered: longer ones are rare.
const USUAL_HOST_MAX: usize = 64;

/// Fields of which a request may have one line. Who reads the first of two and who reads the last would read
/// two requests: of another length, for another host, of another form, or from somebody else.
const SINGLE: Kinds = Kinds::of(&[
    Known::Authorization,
    Known::ContentLength,
    Known::ContentType,
    Known::Host,
    Known::MaxForwards,
    Known::ProxyAuthorization,
]);

impl RequestHead {
    /// Judges the head that was read, and fills in what follows from it.
    pub(super) fn judge(&mut self, policy: HeadPolicy) -> Result<(), Refusal> {
        match self.method {
            Method::Connect if !policy.allow_connect => {
                return Err(Refusal { status: 501, reason: "CONNECT is not allowed" });
            }
            Method::Trace => return Err(Refusal { status: 405, reason: "TRACE is not allowed" }),
            _ => {}
        }
        if self.fields.repeats(SINGLE) {
            return Err(Refusal::bad("a field that may stand once stands twice"));
        }
        self.judge_target()?;
        self.judge_framing()?;
        let is_10 = self.version == Version::Http10;
        let options = hop::connection_options(&self.fields);
        if options.too_many {
            return Err(Refusal::bad("too many connection options"));
        }
        self.may_name = options.may_name;
        // What a client sends behind a CONNECT is for the tunnel. Where there is none, it is not a request.
        let ends = options.close || self.method == Method::Connect;
        self.keep_alive = !ends && (!is_10 || options.keep_alive);
        let may_upgrade = options.upgrade && !is_10 && self.method != Method::Connect;
        self.upgrade = if may_upgrade { Upgrade::requested(&self.fields) } else { None };
        self.judge_expectations()?;
        self.judge_hops()
    }

    /// Where the body ends. What says so is spelt as plainly as can be: a backend that reads `chunked` only in
    /// lower case, or a number with zeros in front in another base, must not find another end.
    fn judge_framing(&mut self) -> Result<(), Refusal> {
        self.body = match declared(&self.fields, self.version == Version::Http10) {
            Ok(Declared::Nothing) => Body::None,
            Ok(Declared::Length(length)) => {
                self.fields.spell_number(Known::ContentLength, length);
                if length == 0 { Body::None } else { Body::Length(length) }
            }
            Ok(Declared::Chunked) => {
                self.fields.spell_plainly(Known::TransferEncoding, b"chunked");
                Body::Chunked
            }
            Err(FramingError::Bad(reason)) => return Err(Refusal::bad(reason)),
            Err(FramingError::UnknownCoding) => {
                return Err(Refusal { status: 501, reason: "unknown transfer coding" });
            }
        };
        if self.method == Method::Connect && self.body != Body::None {
            return Err(Refusal::bad("CONNECT with a body")); // RFC 9110 9.3.6
        }
        Ok(())
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

    /// Max-Forwards counts down on OPTIONS (RFC 9110 7.6.2; TRACE goes nowhere from here); on other methods
    /// it means nothing, and passes.
    fn judge_hops(&mut self) -> Result<(), Refusal> {
        self.ends_here = false;
        if self.method != Method::Options {
            return Ok(());
        }
        let Some(value) = self.fields.first(Known::MaxForwards) else { return Ok(()) };
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::bad("malformed Max-Forwards"));
        }
        // A number beyond ours counts as the greatest that we know.
        let left = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX);
        match left.checked_sub(1) {
            None => self.ends_here = true,
            Some(less) => self.fields.spell_plainly(Known::MaxForwards, less.to_string().as_bytes()),
        }
        Ok(())
    }

    /// Target form and Host (RFC 9112 3.2). After this the target is in origin or asterisk form, or the
    /// authority of a CONNECT.
    fn judge_target(&mut self) -> Result<(), Refusal> {
        let host = self.judge_host()?;
        let bytes = self.fields.bytes();
        let base = self.target.0;
        let raw = &bytes[base..base + self.target.1];
        let authority = match target::classify(raw, self.method)? {
            Form::Origin | Form::Asterisk => {
                self.host = host.unwrap_or((0, 0));
                return Ok(());
            }
            Form::Authority => self.target,
            Form::Absolute { authority, path } => {
                let rest = raw.len() - path;
                let rootless = rest == 0 || raw[path] == b'?';
                self.target = (base + path, rest);
                if rootless {
                    self.root_target();
                }
                (base + authority.0, authority.1)
            }
        };
        self.host = authority;
        let text = self.host().to_vec();
        if host.is_none_or(|place| slice(&self.fields, place) != text) {
            self.fields.replace(Known::Host, "Host", &[&text]);
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

    fn judge_host(&mut self) -> Result<Option<(usize, usize)>, Refusal> {
        let Some(place) = self.fields.place(Known::Host) else {
            return match self.version {
                Version::Http10 => Ok(None),
                _ => Err(Refusal::bad("missing Host")),
            };
        };
        let host = slice(&self.fields, place);
        // It is empty at first, which no Host may be.
        if host.is_empty() || *host != *self.usual_host {
            if !target::is_authority(host) {
                return Err(Refusal::bad("malformed Host"));
            }
            if host.len() <= USUAL_HOST_MAX {
                self.usual_host.clear();
                self.usual_host.extend_from_slice(host);
            }
        }
        Ok(Some(place))
    }
}
