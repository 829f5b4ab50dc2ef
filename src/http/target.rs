//! Request targets and hosts: their forms (RFC 9112 3.2), and the normal form that rules match on.

use std::borrow::Cow;

use super::Refusal;
use super::method::Method;

/// The form of a target. Positions are within the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `/path?query`
    Origin,
    /// `*`
    Asterisk,
    /// `http://authority/path?query`
    Absolute {
        /// Start and length.
        authority: (usize, usize),
        /// Where path or query begin; the end where there is neither.
        path: usize,
    },
    /// `authority`, of CONNECT alone
    Authority,
}

/// Decides the form of a target and refuses what fits none. Its octets were judged when it was read.
pub(super) fn classify(target: &[u8], method: Method) -> Result<Form, Refusal> {
    match target {
        _ if method == Method::Connect => match split_port(target) {
            // Without a port there is nothing to connect to (RFC 9112 3.2.3).
            (_, Some([_, ..])) if is_authority(target) => Ok(Form::Authority),
            _ => Err(Refusal::bad("CONNECT to no authority")),
        },
        [b'/', ..] => Ok(Form::Origin),
        [b'*'] if method == Method::Options => Ok(Form::Asterisk),
        _ => absolute(target),
    }
}

fn absolute(target: &[u8]) -> Result<Form, Refusal> {
    const BAD: Refusal = Refusal::bad("malformed target");
    let colon = memchr::memchr(b':', target).ok_or(BAD)?;
    let scheme = &target[..colon];
    if !(scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https"))
        || !target[colon..].starts_with(b"://")
    {
        return Err(BAD);
    }
    let start = colon + 3;
    let len = target[start..].iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(target.len() - start);
    if !is_authority(&target[start..start + len]) {
        return Err(Refusal::bad("malformed authority in the target"));
    }
    Ok(Form::Absolute { authority: (start, len), path: start + len })
}

/// `host [":" port]` without userinfo; the host is a registered name, an IPv4 address or an IPv6 one in
/// brackets; the port, if any digits stand there, is at most 65535 (RFC 3986 3.2, RFC 9110 4.2.1).
pub(super) fn is_authority(text: &[u8]) -> bool {
    // Nearly every Host is a plain name, with digits after a colon or not.
    let tail = text.len().saturating_sub(PORT_MAX + 1);
    let name = text[tail..].iter().position(|b| *b == b':').map_or(text.len(), |colon| tail + colon);
    let classes = text[..name].iter().fold(PLAIN_NAME, |all, b| all & CLASSES[usize::from(*b)]);
    if classes != 0 && name > 0 {
        return name == text.len() || is_port(&text[name + 1..]);
    }
    let (host, port) = split_port(text);
    if port.is_some_and(|p| !is_port(p)) {
        return false;
    }
    match host {
        [b'[', inner @ .., b']'] => {
            std::str::from_utf8(inner).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        }
        [] => false,
        _ => host.iter().all(|b| is(*b, NAME)) && escapes_are_whole(host),
    }
}

/// Every percent sign has its two digits (RFC 3986 2.1).
fn escapes_are_whole(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text)
        .all(|at| matches!(text[at + 1..], [a, b, ..] if hex(a).is_some() && hex(b).is_some()))
}

/// Splits at the colon of the port; `Some` also where no digit follows it.
fn split_port(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memrchr(b':', text) {
        Some(at) if !text.ends_with(b"]") => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    }
}

/// Digits of the largest port.
const PORT_MAX: usize = 5;

fn is_port(digits: &[u8]) -> bool {
    let add = |sum: u32, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'));
    // Five digits at most, so no sum is too large for its type.
    digits.len() <= PORT_MAX && digits.iter().try_fold(0, add).is_some_and(|port| port <= 65_535)
}

/// May stand in a registered name: unreserved, sub-delims and percent (RFC 3986 3.2.2).
const NAME: u8 = 1;
/// Is unreserved (RFC 3986 2.3), and so may stand in a name without another look.
const PLAIN_NAME: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = b'!';
    while octet <= b'~' {
        let mut class = 0;
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            class |= NAME | PLAIN_NAME;
        }
        if matches!(octet, b'!' | b'$' | b'%' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        {
            class |= NAME;
        }
        classes[octet as usize] = class;
        octet += 1;
    }
    classes
};

fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// The host that rules compare: without port, without a trailing dot, in lower case.
pub fn host_for_matching(host: &[u8]) -> Cow<'_, [u8]> {
    let (name, _) = split_port(host);
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The path that rules compare (RFC 3986 6.2.2): unreserved octets decoded, dot segments removed. `%2F`,
/// `%5C` and `//` stay: backends disagree on them, and a rule must not decide for them. A percent sign
/// without its two digits reads as `%25`, or else it could become an escape with what is decoded after it.
///
/// # Errors
/// 400 for dot segments that climb above the root and for `%00`.
pub fn normal_path(path: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let plain = memchr::memchr(b'%', path).is_none();
    if plain && !has_dot_segment(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = if plain { path.to_vec() } else { decode_unreserved(path)? };
    remove_dot_segments(&decoded).map(Cow::Owned)
}

fn has_dot_segment(path: &[u8]) -> bool {
    memchr::memmem::find(path, b"/.").is_some()
}

fn decode_unreserved(path: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match (byte, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(0) => return Err(Refusal::bad("%00 in the path")),
            Some(octet) if is(octet, PLAIN_NAME) => {
                out.push(octet);
                rest = &tail[2..];
            }
            Some(_) => {
                // Case of the hex digits does not matter: one normal form (RFC 3986 6.2.2.1).
                out.extend_from_slice(&[b'%', tail[0].to_ascii_uppercase(), tail[1].to_ascii_uppercase()]);
                rest = &tail[2..];
            }
            None if byte == b'%' => {
                out.extend_from_slice(b"%25");
                rest = tail;
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Ok(out)
}

/// RFC 3986 5.2.4 on an absolute path, but climbing above the root is refused instead of ignored.
fn remove_dot_segments(path: &[u8]) -> Result<Vec<u8>, Refusal> {
    let Some(path) = path.strip_prefix(b"/") else { return Ok(path.to_vec()) };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => {
                kept.pop().ok_or(Refusal::bad("dot segments above the root"))?;
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push(b"");
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    Ok(out)
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}
