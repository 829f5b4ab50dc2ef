//! A request of HTTP/2, written as HTTP/1.1, so that the codec reads it by the same rules as any other.

use h2::ext::Protocol;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;

use crate::frames::line;
use crate::http::Refusal;

/// Which tunnel a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// CONNECT (RFC 9113 8.5).
    Connect,
    /// A WebSocket, by extended CONNECT (RFC 8441): to the backend it is an upgrade.
    WebSocket,
}

/// How the request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Its body is written in chunks: its length is not known.
    pub(super) chunked: bool,
    /// What follows its answer, if that is well.
    pub(super) tunnel: Option<Tunnel>,
}

/// What is known of a request before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming {
    /// Bytes of a head.
    pub(super) max_size: usize,
    /// Nothing follows its head.
    pub(super) is_whole: bool,
    /// Makes the key of a WebSocket, which HTTP/2 has no need of.
    pub(super) random: u128,
}

impl Form {
    /// What a request asks for, as far as its head can be told from others.
    pub(super) fn of(parts: &Parts, is_whole: bool) -> Self {
        let tunnel = match (parts.method.as_str(), parts.extensions.get::<Protocol>()) {
            ("CONNECT", None) => Some(Tunnel::Connect),
            ("CONNECT", Some(_)) => Some(Tunnel::WebSocket),
            _ => None,
        };
        let sized = parts.headers.contains_key(header::CONTENT_LENGTH);
        Self { chunked: tunnel.is_none() && !is_whole && !sized, tunnel }
    }
}

/// Writes the request. What is left to be judged by the codec is left to it; here is what only HTTP/2 has.
///
/// # Errors
/// The request could be read in two ways, or is none that is served.
pub(super) fn write(parts: &Parts, form: Form, incoming: Incoming) -> Result<Vec<u8>, Refusal> {
    if let Some(protocol) = parts.extensions.get::<Protocol>()
        && protocol.as_str() != "websocket"
    {
        return Err(Refusal { status: 501, reason: "extended CONNECT to an unknown protocol" });
    }
    if parts.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Refusal::bad("unknown scheme"));
    }
    let host = host(parts)?;
    if size_of(&parts.headers) > incoming.max_size {
        // The codec would say so too: after all of it had been copied, which a few octets can ask for.
        return Err(Refusal { status: 431, reason: "head too large" });
    }
    let mut text = Vec::with_capacity(512);
    let target = match form.tunnel {
        Some(Tunnel::Connect) => host,
        _ => parts.uri.path_and_query().map_or(&b"/"[..], |path| path.as_str().as_bytes()),
    };
    let method = if form.tunnel == Some(Tunnel::WebSocket) { "GET" } else { parts.method.as_str() };
    for piece in [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        text.extend_from_slice(piece);
    }
    line(&mut text, b"Host", host);
    fields(&mut text, &parts.headers, form)?;
    if form.chunked {
        line(&mut text, b"Transfer-Encoding", b"chunked");
    }
    if form.tunnel == Some(Tunnel::WebSocket) {
        if !incoming.is_whole && parts.headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Refusal::bad("a WebSocket with a length"));
        }
        line(&mut text, b"Connection", b"Upgrade");
        line(&mut text, b"Upgrade", b"websocket");
        line(&mut text, b"Sec-WebSocket-Key", &key(incoming.random));
    }
    text.extend_from_slice(b"\r\n");
    Ok(text)
}

/// The one host that `:authority` and Host agree on (RFC 9113 8.3.1).
fn host(parts: &Parts) -> Result<&[u8], Refusal> {
    let mut told = parts.headers.get_all(header::HOST).iter().map(|value| value.as_bytes());
    match (parts.uri.authority(), told.next(), told.next()) {
        (_, _, Some(_)) => Err(Refusal::bad("a field that may stand once stands twice")),
        (None, None, _) => Err(Refusal::bad("missing Host")),
        (None, Some(host), None) => Ok(host),
        (Some(authority), None, _) => Ok(authority.as_str().as_bytes()),
        (Some(authority), Some(host), None) => match authority.as_str().as_bytes() {
            authority if authority.eq_ignore_ascii_case(host) => Ok(authority),
            _ => Err(Refusal::bad("another Host than :authority")),
        },
    }
}

/// Bytes that the fields take at least where they are written.
fn size_of(all: &HeaderMap) -> usize {
    let each = all.iter().map(|(name, value)| match *name == header::COOKIE {
        true => value.len(),
        false => name.as_str().len() + value.len(),
    });
    each.sum()
}

fn fields(text: &mut Vec<u8>, all: &HeaderMap, form: Form) -> Result<(), Refusal> {
    for (name, value) in all {
        let value = value.as_bytes();
        if value.trim_ascii().len() != value.len() {
            // RFC 9113 8.2.1: malformed, and trimmed by some who come after.
            return Err(Refusal::bad("white space around a field value"));
        }
        let ours = form.tunnel == Some(Tunnel::WebSocket) && *name == header::SEC_WEBSOCKET_KEY;
        if *name != header::HOST && *name != header::COOKIE && !ours {
            line(text, name.as_str().as_bytes(), value);
        }
    }
    let crumbs: Vec<&[u8]> = all.get_all(header::COOKIE).iter().map(|crumb| crumb.as_bytes()).collect();
    if !crumbs.is_empty() {
        // RFC 9113 8.2.3: split for the sake of compression, and one field everywhere else.
        line(text, b"Cookie", &crumbs.join(&b"; "[..]));
    }
    Ok(())
}

/// 16 octets in Base64 (RFC 6455 4.1).
fn key(random: u128) -> [u8; 24] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; 24];
    let octets = random.to_be_bytes();
    for (group, out) in octets.chunks(3).zip(text.chunks_mut(4)) {
        let bits =
            group.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - group.len()));
        for (place, digit) in out.iter_mut().take(group.len() + 1).enumerate() {
            *digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
        }
    }
    text
}

#[cfg(test)]
mod tests;
