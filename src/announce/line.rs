//! Version 1: a line of text.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Addresses, Flaw, Header, Version};

/// How it begins. With the space: a method of HTTP may begin with the word alone.
pub(super) const BEGINNING: &[u8] = b"PROXY ";

/// The longest line, its end included.
pub(super) const MAX_LINE: usize = 107;

/// What is said where nothing is known.
pub(super) const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// Reads a line up to its LF.
pub(super) fn parse(line: &[u8]) -> Result<Header, Flaw> {
    let line = std::str::from_utf8(line).map_err(|_| Flaw::Line)?;
    let line = line.strip_suffix("\r\n").ok_or(Flaw::Line)?;
    let mut words = line.split(' ').skip(1);
    let addresses = match words.next() {
        // Whatever follows it is to be passed over.
        Some("UNKNOWN") => return Ok(header(None)),
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words),
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words),
        _ => None,
    };
    match (addresses, words.next()) {
        (Some(addresses), None) => Ok(header(Some(addresses))),
        _ => Err(Flaw::Line),
    }
}

fn header(addresses: Option<Addresses>) -> Header {
    Header { version: Version::V1, addresses, extra: Box::default() }
}

fn addresses<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Addresses> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination): (IpAddr, IpAddr) = (address()?, address()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let (source, destination) = ((source, source_port), (destination, destination_port));
    Some(Addresses::new(SocketAddr::from(source), SocketAddr::from(destination)))
}

/// Digits without a sign and without a zero before them.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

/// Writes a line.
pub(super) fn write(addresses: &Addresses) -> Vec<u8> {
    let (source, destination) = addresses.matched();
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (addresses.source.port(), addresses.destination.port());
    let mut line = Vec::with_capacity(MAX_LINE);
    // Into memory: it cannot fail.
    let _ = write!(line, "PROXY {family} {source} {destination} {from} {to}\r\n");
    line
}
