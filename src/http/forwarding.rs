//! Who the client is, and the fields that tell it to the backend.

use std::net::{IpAddr, SocketAddr};

use super::field::{Kinds, Known};
use super::fields::Fields;
use super::request::{RequestHead, Version};
use super::target;

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const PORT: &str = "X-Forwarded-Port";

/// What is known of a client connection; made once when it is accepted.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who is at the other end, with an IPv4-mapped address as the IPv4 one.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether the peer is in the listener's trusted_proxies.
    pub trusted: bool,
    /// The lines that a stranger's requests all get, written once.
    text: Box<[u8]>,
    /// Length of the peer's address, of the scheme and of the port in it.
    lens: [usize; 3],
}

impl Origin {
    /// For a connection from `peer` to `local_port` of ours.
    pub fn new(peer: SocketAddr, local_port: u16, secure: bool, trusted: bool) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let mut text = Vec::with_capacity(LINES_LEN);
        let mut line = |name: &str, value: &dyn Fn(&mut Vec<u8>)| {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            let from = text.len();
            value(&mut text);
            let len = text.len() - from;
            text.extend_from_slice(b"\r\n");
            len
        };
        let lens = [
            line(FOR, &|out| write_address(peer.ip(), out)),
            line(PROTO, &|out| out.extend_from_slice(scheme(secure).as_bytes())),
            line(PORT, &|out| write_number(local_port, out)),
        ];
        Self { peer, secure, trusted, text: text.into(), lens }
    }

    fn peer_text(&self) -> &[u8] {
        &self.text[FOR.len() + 2..][..self.lens[0]]
    }

    fn port_text(&self) -> &[u8] {
        let end = self.text.len() - 2;
        &self.text[end - self.lens[2]..end]
    }

    /// The lines that tell of the connection, and what they are.
    fn lines(&self) -> (&[u8], [(Known, usize, usize); 3]) {
        let lines = [
            (Known::XForwardedFor, FOR.len(), self.lens[0]),
            (Known::XForwardedProto, PROTO.len(), self.lens[1]),
            (Known::XForwardedPort, PORT.len(), self.lens[2]),
        ];
        (&self.text, lines)
    }

    fn scheme(&self) -> &'static str {
        scheme(self.secure)
    }
}

/// Room for the lines of an IPv4 peer; others make it grow once.
const LINES_LEN: usize = 96;

/// As `Display` writes it. Connections come by thousands a second, nearly all from IPv4 addresses, and the
/// formatting machinery costs as much as reading their heads.
fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            write_number(u16::from(first), out);
            for octet in rest {
                out.push(b'.');
                write_number(u16::from(octet), out);
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

fn write_number(number: u16, out: &mut Vec<u8>) {
    let mut place = 10_000;
    while place > 1 && number < place {
        place /= 10;
    }
    while place > 0 {
        out.push(b'0' + (number / place % 10) as u8);
        place /= 10;
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

    /// Settles the id of a request that goes to nobody.
    pub fn identify(&mut self, fields: &Fields, origin: &Origin, fresh_id: u128) {
        self.request_id.clear();
        if origin.trusted {
            self.request_id = only(fields, Known::XRequestId, is_request_id);
        }
        if self.request_id.is_empty() {
            self.request_id.extend_from_slice(&request_id(fresh_id));
        }
    }

    /// Writes the forwarding fields of a request that goes to a backend. `fresh_id` is used where no
    /// trusted peer gave a valid id.
    pub fn apply(&mut self, head: &mut RequestHead, origin: &Origin, fresh_id: u128, via: bool) {
        self.request_id.clear();
        let (host, version) = (head.host_place(), head.version);
        let fields = &mut head.fields;
        let inherited = origin.trusted.then(|| Inherited::read(fields));
        remove_forwarding(fields, origin.trusted);
        match inherited {
            None => {
                let (block, lines) = origin.lines();
                fields.append_block(block, &lines);
                append_host(fields, b"", host);
            }
            Some(inherited) => {
                inherited.write(fields, origin, host);
                self.request_id = inherited.request_id;
            }
        }
        if self.request_id.is_empty() {
            self.request_id.extend_from_slice(&request_id(fresh_id));
        }
        fields.append(Known::XRequestId, "X-Request-Id", &[&self.request_id]);
        if via {
            append_via(fields, version);
        }
    }
}

/// Adds our element of Via, which tells the version that the message came in (RFC 9110 7.6.3).
pub(super) fn append_via(fields: &mut Fields, version: Version) {
    const NAME: usize = "Via".len();
    let line: &[u8] = match version {
        Version::Http10 => b"Via: 1.0 equipoise\r\n",
        Version::Http11 => b"Via: 1.1 equipoise\r\n",
        Version::Http2 => b"Via: 2 equipoise\r\n",
    };
    fields.append_block(line, &[(Known::Via, NAME, line.len() - NAME - ": \r\n".len())]);
}

/// Removes every forwarding field that is written anew, and of a stranger's all.
fn remove_forwarding(fields: &mut Fields, trusted: bool) {
    const REWRITTEN: &[Known] = &[
        Known::XForwardedFor,
        Known::XForwardedHost,
        Known::XForwardedPort,
        Known::XForwardedProto,
        Known::Forwarded,
        Known::XRequestId,
    ];
    fields.remove_kinds(const { Kinds::of(REWRITTEN) });
    if !trusted {
        fields.remove_kinds(const { Kinds::of(&[Known::XForwardedOther, Known::XRealIp]) });
    }
}

/// Tells the inherited host, else the one at `place`, else nothing.
fn append_host(fields: &mut Fields, inherited: &[u8], place: (usize, usize)) {
    const NAME: &str = "X-Forwarded-Host";
    if !inherited.is_empty() {
        fields.append(Known::XForwardedHost, NAME, &[inherited]);
    } else if place.1 > 0 {
        fields.append_place(Known::XForwardedHost, NAME, place);
    }
}

/// What a trusted peer said of the client; empty where it said nothing valid.
#[derive(Debug, Default)]
struct Inherited {
    addresses: Vec<u8>,
    forwarded: Vec<u8>,
    proto: Vec<u8>,
    host: Vec<u8>,
    port: Vec<u8>,
    request_id: Vec<u8>,
}

impl Inherited {
    fn read(fields: &Fields) -> Self {
        Self {
            addresses: join(fields, Known::XForwardedFor),
            forwarded: join(fields, Known::Forwarded),
            proto: only(fields, Known::XForwardedProto, is_scheme),
            host: only(fields, Known::XForwardedHost, target::is_authority),
            port: only(fields, Known::XForwardedPort, is_port),
            request_id: only(fields, Known::XRequestId, is_request_id),
        }
    }

    fn write(&self, fields: &mut Fields, origin: &Origin, host: (usize, usize)) {
        let comma: &[u8] = if self.addresses.is_empty() { b"" } else { b", " };
        let peer = origin.peer_text();
        fields.append(Known::XForwardedFor, FOR, &[&self.addresses, comma, peer]);
        fields.append(Known::XForwardedProto, PROTO, &[or(&self.proto, origin.scheme().as_bytes())]);
        fields.append(Known::XForwardedPort, PORT, &[or(&self.port, origin.port_text())]);
        append_host(fields, &self.host, host);
        if !self.forwarded.is_empty() {
            let element = forwarded_element(origin, &fields.bytes()[host.0..host.0 + host.1]);
            fields.append(Known::Forwarded, "Forwarded", &[&self.forwarded, b", ", &element]);
        }
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// A request id that we make: the number in hexadecimal.
pub fn request_id(number: u128) -> [u8; 32] {
    let mut text = [0; 32];
    let (quarters, _) = text.as_chunks_mut::<8>();
    for (index, quarter) in quarters.iter_mut().enumerate() {
        *quarter = hexadecimal((number >> (96 - 32 * index)) as u32);
    }
    text
}

/// The eight digits of a number, all at once.
fn hexadecimal(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each half goes to half of the room, thrice: then each octet holds one digit.
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & (ONES * 0xf);
    // 1 in each octet that is to be a letter.
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
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
        IpAddr::V4(_) => element.extend_from_slice(origin.peer_text()),
        IpAddr::V6(_) => {
            element.extend_from_slice(b"\"[");
            element.extend_from_slice(origin.peer_text());
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
