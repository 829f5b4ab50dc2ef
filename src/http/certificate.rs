//! What backends are told of a client's certificate.

use super::field::Known;
use super::request::RequestHead;

/// The fields that say so, in lower case.
const NAMES: [&str; 5] = [
    "x-client-verify",
    "x-client-cert-subject",
    "x-client-cert-issuer",
    "x-client-cert-serial",
    "x-client-cert-fingerprint",
];

/// A certificate that a client has shown and that was found good. Each part is visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whom it names (RFC 4514).
    pub subject: Box<str>,
    /// Who has signed it (RFC 4514).
    pub issuer: Box<str>,
    /// Its number, in lower-case hexadecimal.
    pub serial: Box<str>,
    /// SHA-256 of it, in lower-case hexadecimal.
    pub fingerprint: Box<str>,
}

/// Whether a field is one of these, also where `_` stands for `-`: some applications take the one for the other.
pub(super) fn is_of_certificate(name: &[u8]) -> bool {
    let same = |ours: &str| {
        ours.len() == name.len()
            && ours.bytes().zip(name).all(|(a, b)| a == b.to_ascii_lowercase() || a == b'-' && *b == b'_')
    };
    // Nearly every name is told from these by its beginning.
    name.first().is_some_and(|first| first.eq_ignore_ascii_case(&b'x')) && NAMES.iter().any(|ours| same(ours))
}

/// Says what the client has shown, in place of whatever it says itself.
pub fn show_certificate(request: &mut RequestHead, shown: Option<&Shown>) {
    let fields = &mut request.fields;
    fields.remove_where(is_of_certificate);
    let verdict = if shown.is_some() { "SUCCESS" } else { "NONE" };
    fields.append(Known::Other, "X-Client-Verify", &[verdict.as_bytes()]);
    let Some(shown) = shown else { return };
    for (name, value) in [
        ("X-Client-Cert-Subject", &shown.subject),
        ("X-Client-Cert-Issuer", &shown.issuer),
        ("X-Client-Cert-Serial", &shown.serial),
        ("X-Client-Cert-Fingerprint", &shown.fingerprint),
    ] {
        fields.append(Known::Other, name, &[value.as_bytes()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, Parsed, Underscores};

    fn emitted(shown: Option<&Shown>) -> String {
        let limits = HeadLimits { max_size: 4096, max_fields: 32 };
        let policy = HeadPolicy { underscores: Underscores::Allow, allow_connect: false };
        let bytes =
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Client-Verify: SUCCESS\r\nx_client-cert_SUBJECT: CN=root\r\n\
                      X-Client-Cert-Issuer: a\r\nX-Client-Cert-Serial: 1\r\nX-Client-Cert-Fingerprint: f\r\n\
                      X-Client-Cert-Other: kept\r\nX-Client-Certs: kept\r\n\r\n";
        let mut head = RequestHead::new();
        assert_eq!(head.parse(bytes, limits, policy), Ok(Parsed::Complete(bytes.len())));
        show_certificate(&mut head, shown);
        let mut out = Vec::new();
        head.emit(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_client_says_itself_is_removed() {
        let kept = "GET / HTTP/1.1\r\nHost: a\r\nX-Client-Cert-Other: kept\r\nX-Client-Certs: kept\r\n";
        assert_eq!(emitted(None), format!("{kept}X-Client-Verify: NONE\r\n\r\n"));
        let shown = Shown {
            subject: "CN=anna".into(),
            issuer: "CN=ca".into(),
            serial: "07".into(),
            fingerprint: "ab".into(),
        };
        let told = "X-Client-Verify: SUCCESS\r\nX-Client-Cert-Subject: CN=anna\r\nX-Client-Cert-Issuer: CN=ca\r\n\
                    X-Client-Cert-Serial: 07\r\nX-Client-Cert-Fingerprint: ab\r\n\r\n";
        assert_eq!(emitted(Some(&shown)), format!("{kept}{told}"));
    }
}
