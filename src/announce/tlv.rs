//! What version 2 says besides the addresses: elements of a type, a length and a value.

use std::fmt;

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Its type.
    pub kind: u8,
    /// Its value.
    pub value: &'a [u8],
    /// Where the value stands.
    pub(super) at: usize,
}

/// Elements one after the other, up to the first that is not whole. Displayed as text for logs: what is known by
/// its name, everything escaped and cut.
#[derive(Debug, Clone)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Bytes of a value that are shown.
const MAX_SHOWN: usize = 128;

/// Elements that are shown.
const MAX_ELEMENTS: usize = 16;

/// Client flags and the result of the verification, before the elements that a «ssl» holds.
const SSL_FIXED: usize = 5;

impl<'a> Tlvs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the first element begins that is not whole, or all the bytes end.
    pub(super) fn end(mut self) -> usize {
        self.by_ref().for_each(drop);
        self.at
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let ([kind, high, low], rest) = self.bytes.get(self.at..)?.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length)?;
        let at = self.at + 3;
        self.at = at + length;
        Some(Tlv { kind: *kind, value, at })
    }
}

impl fmt::Display for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        // NOOP says nothing, and the checksum has been looked at.
        for element in self.clone().filter(|element| !matches!(element.kind, 0x03 | 0x04)).take(MAX_ELEMENTS)
        {
            write!(f, "{gap}{element}")?;
            gap = " ";
        }
        Ok(())
    }
}

impl fmt::Display for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |f: &mut fmt::Formatter<'_>, name: &str| {
            write!(f, "{name}=\"{}\"", self.value[..self.value.len().min(MAX_SHOWN)].escape_ascii())
        };
        match self.kind {
            0x01 => text(f, "alpn"),
            0x02 => text(f, "authority"),
            0x05 => text(f, "unique_id"),
            0x20 => match self.value.get(SSL_FIXED..) {
                Some(inner) => write!(f, "ssl({})", Inner(Tlvs::new(inner))),
                None => f.write_str("ssl()"),
            },
            0x30 => text(f, "netns"),
            kind => text(f, &format!("{kind:#04x}")),
        }
    }
}

/// The elements within a «ssl», whose types are others than outside of it.
struct Inner<'a>(Tlvs<'a>);

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for element in self.0.clone().take(MAX_ELEMENTS) {
            let name = match element.kind {
                0x21 => "version",
                0x22 => "cn",
                0x23 => "cipher",
                0x24 => "sig_alg",
                0x25 => "key_alg",
                _ => continue,
            };
            let value = &element.value[..element.value.len().min(MAX_SHOWN)];
            write!(f, "{gap}{name}=\"{}\"", value.escape_ascii())?;
            gap = " ";
        }
        Ok(())
    }
}
