//! What a client's certificate says, as text.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::der::{self, SEQUENCE, element, expect};

const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// Octets of a name as text; one that is longer is left empty. It goes with every request.
const MAX_NAME: usize = 4096;

/// Kinds of names that have a short one (RFC 4514 3, and emailAddress, which is common).
const SHORT: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// The parts of a certificate that tell whose it is. All are visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whom it names (RFC 4514).
    pub subject: String,
    /// Who has signed it (RFC 4514).
    pub issuer: String,
    /// Its number, in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of it, in lower-case hexadecimal.
    pub fingerprint: String,
}

/// Reads a certificate that was found good; `None` where it is none after all.
pub fn holder(certificate: &CertificateDer<'_>) -> Option<Holder> {
    let fields = der::certificate(certificate)?;
    let (issuer, subject) = der::names(certificate)?;
    let bounded = |name: String| if name.len() <= MAX_NAME { name } else { String::new() };
    let serial: Vec<u8> = fields.serial.iter().copied().skip_while(|octet| *octet == 0).collect();
    Some(Holder {
        subject: bounded(name(subject)?),
        issuer: bounded(name(issuer)?),
        serial: hex(&serial),
        fingerprint: hex(&Sha256::digest(certificate)),
    })
}

/// A name, its last part first, as RFC 4514 writes it.
fn name(mut der: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    while !der.is_empty() {
        let (set, rest) = expect(der, SET)?;
        parts.push(part(set)?);
        der = rest;
    }
    parts.reverse();
    Some(parts.join(","))
}

/// One part, of one or several attributes.
fn part(mut set: &[u8]) -> Option<String> {
    let mut attributes = Vec::new();
    while !set.is_empty() {
        let (attribute, rest) = expect(set, SEQUENCE)?;
        let (oid, value) = expect(attribute, OID)?;
        let (kind, text, _) = element(value)?;
        let short = SHORT.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
        let readable = matches!(kind, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
        attributes.push(match short {
            Some(short) if readable => format!("{short}={}", escaped(text)),
            // What we cannot read is shown as it stands.
            Some(short) => format!("{short}=#{}", hex(value)),
            None => format!("{}=#{}", dotted(oid), hex(value)),
        });
        set = rest;
    }
    Some(attributes.join("+"))
}

fn escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, octet) in text.iter().copied().enumerate() {
        let edge = octet == b' ' && (at == 0 || at + 1 == text.len()) || octet == b'#' && at == 0;
        match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(octet)]),
            _ if edge => out.extend(['\\', char::from(octet)]),
            b' '..=b'~' => out.push(char::from(octet)),
            // So that it is a field's value whatever it holds.
            _ => drop(write!(out, "\\{octet:02X}")),
        }
    }
    out
}

fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number = 0u64;
    for octet in oid {
        number = number.wrapping_shl(7) | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(std::mem::take(&mut number));
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn a_certificate_says_whose_it_is() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff]));
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, "Müller, Söhne + Co");
        name.push(DnType::CommonName, DnValue::Utf8String("#anna ".into()));
        name.push(DnType::CustomDnType(vec![1, 2, 840, 1]), "x");
        let issued = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let holder = holder(issued.der()).unwrap();
        let told = r"1.2.840.1=#0c0178,CN=\#anna\ ,O=M\C3\BCller\, S\C3\B6hne \+ Co,C=DE";
        assert_eq!((holder.subject.as_str(), holder.issuer.as_str()), (told, told));
        assert_eq!((holder.serial.as_str(), holder.fingerprint.len()), ("0aff", 64));
        for len in 0..issued.der().len().min(200) {
            assert_eq!(super::holder(&issued.der()[..len].into()), None);
        }
    }
}
