//! Who the client is, and the fields that tell it to the backend (`shared` contract, Headers).

use std::net::{IpAddr, SocketAddr};

use super::field::Known;
use super::fields::Fields;
use super::request::{RequestHead, Version};
use super::target;

/// What is known of a client connection; made once when it is accepted.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who is at the other end, with an IPv4-mapped address as the IPv4 one.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether the peer is in the listener's trusted_proxies.
    pub trusted: bool,
    peer_text: Box<str>,
    port_text: Box<str>,
}

impl Origin {
    /// For a connection from `peer` to `local_port` of ours.
    pub fn new(peer: SocketAddr, local_port: u16, secure: bool, trusted: bool) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (peer_text, port_text) = (peer.ip().to_string().into(), local_port.to_string().into());
        Self { peer, secure, trusted, peer_text, port_text }
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// The client's address: the peer's, or, where the peer is trusted, the first address in X-Forwarded-For,
/// read from the right, that is not. An unreadable entry ends the reading; if all are trusted it is the
/// leftmost.
pub fn client_address(fields: &Fields, origin: &Origin, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = origin.peer.ip();
    if !origin.trusted {
        return client;
    }
    let lines: Vec<&[u8]> = fields.values(Known::XForwardedFor).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(|b| *b == b',')) {
        let Some(address) = parse_entry(entry) else { return client };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, with a port or not, IPv6 in brackets or not.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| bare?.parse().ok())
        .map(|address| address.to_canonical())
}

/// The request id in effect, and what was decided on the way.
#[derive(Debug, Clone, Default)]
pub struct Forwarding {
    request_id: Vec<u8>,
}

/// Longest request id that is kept from a trusted peer.
const MAX_REQUEST_ID: usize = 128;

impl Forwarding {
    /// The id of this request, for the response and the logs.
    pub fn request_id(&self) -> &[u8] {
        &self.request_id
    }

    /// Writes the forwarding fields of a request that goes to a backend. `fresh_id` is used where no
    /// trusted peer gave a valid id.
    pub fn apply(&mut self, head: &mut RequestHead, origin: &Origin, fresh_id: u128, via: bool) {
        let inherited = self.take_inherited(head, origin, fresh_id);
        let host = head.host_place();
        let version = head.version;
        let fields = &mut head.fields;
        fields.append(
            Known::XForwardedFor,
            "X-Forwarded-For",
            &inherited.chain(&inherited.addresses, origin),
        );
        fields.append(
            Known::XForwardedProto,
            "X-Forwarded-Proto",
            &[or(&inherited.proto, origin.scheme().as_bytes())],
        );
        if !inherited.host.is_empty() {
            fields.append(Known::XForwardedHost, "X-Forwarded-Host", &[&inherited.host]);
        } else if host.1 > 0 {
            fields.append_place(Known::XForwardedHost, "X-Forwarded-Host", host);
        }
        fields.append(
            Known::XForwardedPort,
            "X-Forwarded-Port",
            &[or(&inherited.port, origin.port_text.as_bytes())],
        );
        if !inherited.forwarded.is_empty() {
            let element = forwarded_element(origin, &fields.bytes()[host.0..host.0 + host.1]);
            fields.append(Known::Forwarded, "Forwarded", &[&inherited.forwarded, b", ", &element]);
        }
        fields.append(Known::XRequestId, "X-Request-Id", &[&self.request_id]);
        if via {
            let received: &[u8] =
                if version == Version::Http10 { b"1.0 equipoise" } else { b"1.1 equipoise" };
            fields.append(Known::Via, "Via", &[received]);
        }
    }

    /// Reads what a trusted peer says and removes every forwarding field, whoever sent it.
    fn take_inherited(&mut self, head: &mut RequestHead, origin: &Origin, fresh_id: u128) -> Inherited {
        let mut inherited = Inherited::default();
        self.request_id.clear();
        if origin.trusted {
            let fields = &head.fields;
            inherited.addresses = join(fields, Known::XForwardedFor);
            inherited.forwarded = join(fields, Known::Forwarded);
            inherited.proto = only(fields, Known::XForwardedProto, is_scheme);
            inherited.host = only(fields, Known::XForwardedHost, target::is_authority);
            inherited.port = only(fields, Known::XForwardedPort, is_port);
            self.request_id = only(fields, Known::XRequestId, is_request_id);
        }
        if self.request_id.is_empty() {
            self.request_id.extend(
                (0..32).rev().map(|place| b"0123456789abcdef"[(fresh_id >> (place * 4)) as usize & 0xf]),
            );
        }
        head.fields.remove_where(|field| match field.known {
            Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XForwardedProto
            | Known::Forwarded
            | Known::XRequestId => true,
            Known::XForwardedOther | Known::XRealIp => !origin.trusted,
            _ => false,
        });
        inherited
    }
}

/// What a trusted peer said of the client.
#[derive(Debug, Default)]
struct Inherited {
    addresses: Vec<u8>,
    forwarded: Vec<u8>,
    proto: Vec<u8>,
    host: Vec<u8>,
    port: Vec<u8>,
}

impl Inherited {
    fn chain<'a>(&self, before: &'a [u8], origin: &'a Origin) -> [&'a [u8]; 3] {
        let comma: &[u8] = if before.is_empty() { b"" } else { b", " };
        [before, comma, origin.peer_text.as_bytes()]
    }
}

fn or<'a>(value: &'a [u8], fallback: &'a [u8]) -> &'a [u8] {
    if value.is_empty() { fallback } else { value }
}

fn join(fields: &Fields, known: Known) -> Vec<u8> {
    fields.values(known).filter(|v| !v.is_empty()).collect::<Vec<_>>().join(&b", "[..])
}

/// The value of a field that stands once and is valid.
fn only(fields: &Fields, known: Known, valid: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut values = fields.values(known);
    match (values.next(), values.next()) {
        (Some(value), None) if valid(value) => value.to_vec(),
        _ => Vec::new(),
    }
}

fn is_scheme(value: &[u8]) -> bool {
    [&b"http"[..], b"https", b"ws", b"wss"].iter().any(|scheme| value.eq_ignore_ascii_case(scheme))
}

fn is_port(value: &[u8]) -> bool {
    std::str::from_utf8(value)
        .is_ok_and(|t| t.bytes().all(|b| b.is_ascii_digit()) && t.parse::<u16>().is_ok_and(|p| p > 0))
}

fn is_request_id(value: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID).contains(&value.len())
        && value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Our element of Forwarded (RFC 7239 4): what is no token stands in quotes.
fn forwarded_element(origin: &Origin, host: &[u8]) -> Vec<u8> {
    let mut element = Vec::from(&b"for="[..]);
    match origin.peer.ip() {
        IpAddr::V4(_) => element.extend_from_slice(origin.peer_text.as_bytes()),
        IpAddr::V6(_) => {
            element.extend_from_slice(b"\"[");
            element.extend_from_slice(origin.peer_text.as_bytes());
            element.extend_from_slice(b"]\"");
        }
    }
    if !host.is_empty() {
        element.extend_from_slice(b";host=\"");
        element.extend_from_slice(host);
        element.push(b'"');
    }
    element.extend_from_slice(b";proto=");
    element.extend_from_slice(origin.scheme().as_bytes());
    element
}
