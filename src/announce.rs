//! The PROXY header: who a connection comes from, said before its first byte (HAProxy's proxy-protocol.txt).
//!
//! Pure: bytes and addresses. [`Reader`] reads a header of version 1 or 2 to its last byte and not one further,
//! however it is cut; [`Announcement`] writes one. The crates for it want the whole buffer and say too late what is none:
//! ppp takes ports with a sign and holds a line that lacks a word for one that is not whole; proxy-header takes
//! `PROXY UNKNOWNx`; both refuse LOCAL of an unknown family; proxy-protocol stops the program on a cut header.
//!
//! Absent on purpose: addresses of Unix sockets, for a client that has one has no address that anything here could
//! use. Such a connection comes from whoever sent the header.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

mod crc32c;
mod line;
mod packet;
mod read;
mod tlv;

pub use read::{Progress, Reader};
pub use tlv::{Tlv, Tlvs};

/// The longest header that is read, as in nginx. A line of version 1 has 107 bytes at most; a packet of version 2
/// with both addresses, the names of the client and of its certificate and the like some hundred.
pub const MAX_HEADER: usize = 4096;

/// Which of the two forms a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// A packet of octets.
    V2,
}

/// What a header said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its form.
    pub version: Version,
    /// Where the connection comes from and where it went to; `None`: from and to those who hold its ends (LOCAL,
    /// UNKNOWN, families without IP addresses).
    pub addresses: Option<Addresses>,
    /// What version 2 says besides: whole elements only.
    extra: Box<[u8]>,
}

/// The ends of a connection, IPv4 addresses as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// Whose it is.
    pub source: SocketAddr,
    /// Whom it was made to.
    pub destination: SocketAddr,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A line that is not as version 1 has it.
    #[error("not a line of version 1")]
    Line,
    /// A version, a command or a family that version 2 does not know.
    #[error("an unknown version, command or family")]
    Kind,
    /// Less than the addresses take.
    #[error("too short for its addresses")]
    Short,
    /// Longer than [`MAX_HEADER`].
    #[error("longer than {MAX_HEADER} bytes")]
    Long,
    /// An element that ends beyond the header.
    #[error("an element does not end within it")]
    Element,
    /// It was changed on the way.
    #[error("its checksum is wrong")]
    Checksum,
}

/// What we say of a client, in one of the two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The form.
    pub version: Version,
    /// What is said; each connection that said it holds it.
    pub addresses: Rc<Addresses>,
}

impl Header {
    /// What version 2 says besides the addresses.
    pub fn extra(&self) -> Tlvs<'_> {
        Tlvs::new(&self.extra)
    }
}

impl Addresses {
    /// The ends of a connection; IPv4 addresses in the clothes of IPv6 are undressed.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { source: plain(source), destination: plain(destination) }
    }

    /// Both in one family: the forms have room for no other. An odd pair is written as IPv6.
    fn matched(&self) -> (IpAddr, IpAddr) {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), destination @ IpAddr::V6(_)) => {
                (source.to_ipv6_mapped().into(), destination)
            }
            (source @ IpAddr::V6(_), IpAddr::V4(destination)) => {
                (source, destination.to_ipv6_mapped().into())
            }
            same => same,
        }
    }
}

impl Announcement {
    /// The header.
    pub fn header(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => line::write(&self.addresses),
            Version::V2 => packet::write(&self.addresses),
        }
    }
}

impl Version {
    /// The header of a connection that is made for nobody: LOCAL, UNKNOWN.
    pub fn own_header(self) -> &'static [u8] {
        match self {
            Self::V1 => line::UNKNOWN,
            Self::V2 => packet::LOCAL,
        }
    }
}

#[cfg(test)]
mod tests;
