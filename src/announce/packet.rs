//! Version 2: a packet of octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tlv::Tlvs;
use super::{Addresses, Flaw, Header, Version, crc32c};

/// How it begins.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, command, family and length.
pub(super) const FIXED: usize = 16;

/// What is said where the connection is our own: no family, and nothing more.
pub(super) const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The addresses of two Unix sockets.
const UNIX: usize = 2 * 108;

/// The type of the element that holds a checksum.
const CRC32C: u8 = 0x03;

/// How long the packet is in all, by its fixed part.
pub(super) fn length(fixed: &[u8; FIXED]) -> usize {
    FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))
}

/// Reads a whole packet.
pub(super) fn parse(packet: &[u8]) -> Result<Header, Flaw> {
    let Some(([.., command, family, _, _], rest)) = packet.split_first_chunk::<FIXED>() else {
        return Err(Flaw::Short);
    };
    match command {
        0x21 => {}
        // All that it says of addresses is to be passed over.
        0x20 => return Ok(header(None, &[])),
        _ => return Err(Flaw::Kind),
    }
    let (addresses, extra) = match family {
        0x00 => (None, rest),
        0x11 | 0x12 => inet::<4, 12, Ipv4Addr>(rest)?,
        0x21 | 0x22 => inet::<16, 36, Ipv6Addr>(rest)?,
        0x31 | 0x32 => (None, rest.get(UNIX..).ok_or(Flaw::Short)?),
        _ => return Err(Flaw::Kind),
    };
    check(packet, extra)?;
    Ok(header(addresses, extra))
}

fn header(addresses: Option<Addresses>, extra: &[u8]) -> Header {
    Header { version: Version::V2, addresses, extra: extra.into() }
}

/// Two addresses of `N` octets and two ports, `ALL` octets together; and what follows them.
fn inet<const N: usize, const ALL: usize, A: From<[u8; N]> + Into<IpAddr>>(
    rest: &[u8],
) -> Result<(Option<Addresses>, &[u8]), Flaw> {
    let (block, extra) = rest.split_first_chunk::<ALL>().ok_or(Flaw::Short)?;
    let (source, block) = block.split_first_chunk::<N>().ok_or(Flaw::Short)?;
    let (destination, block) = block.split_first_chunk::<N>().ok_or(Flaw::Short)?;
    let [a, b, c, d] = *block else { return Err(Flaw::Short) };
    let source = SocketAddr::new(A::from(*source).into(), u16::from_be_bytes([a, b]));
    let destination = SocketAddr::new(A::from(*destination).into(), u16::from_be_bytes([c, d]));
    Ok((Some(Addresses::new(source, destination)), extra))
}

/// Whether the elements end within the packet, and the checksum, if there is one, is that of the packet.
fn check(packet: &[u8], extra: &[u8]) -> Result<(), Flaw> {
    let elements = Tlvs::new(extra);
    let sum = elements.clone().find(|element| element.kind == CRC32C);
    if elements.end() != extra.len() {
        return Err(Flaw::Element);
    }
    let Some(sum) = sum else { return Ok(()) };
    let told: [u8; 4] = sum.value.try_into().map_err(|_| Flaw::Checksum)?;
    let at = packet.len() - extra.len() + sum.at;
    let parts = [&packet[..at], &[0; 4], &packet[at + told.len()..]];
    if crc32c::of(parts.into_iter().flatten()) == u32::from_be_bytes(told) {
        Ok(())
    } else {
        Err(Flaw::Checksum)
    }
}

/// Writes a packet.
pub(super) fn write(addresses: &Addresses) -> Vec<u8> {
    let mut packet = Vec::with_capacity(FIXED + 36);
    packet.extend_from_slice(SIGNATURE);
    packet.push(0x21);
    match addresses.matched() {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend_from_slice(&[0x11, 0, 12]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            packet.extend_from_slice(&[0x21, 0, 36]);
            packet.extend_from_slice(&in_v6(source));
            packet.extend_from_slice(&in_v6(destination));
        }
    }
    packet.extend_from_slice(&addresses.source.port().to_be_bytes());
    packet.extend_from_slice(&addresses.destination.port().to_be_bytes());
    packet
}

fn in_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
