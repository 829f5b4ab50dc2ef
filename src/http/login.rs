//! Logins that hold for a connection and not for a request: NTLM and Negotiate (RFC 4559 6).

use super::field::{Kinds, Known};
use super::fields::Fields;

/// The fields in which a response offers logins.
const OFFERS: [&[u8]; 2] = [b"www-authenticate", b"proxy-authenticate"];

/// Whether a request carries such a login.
pub fn carries_login(fields: &Fields) -> bool {
    const CARRIERS: [Known; 2] = [Known::Authorization, Known::ProxyAuthorization];
    fields.may_have(Kinds::of(&CARRIERS))
        && CARRIERS.iter().any(|known| fields.values(*known).any(is_of_the_connection))
}

/// Whether a response offers such a login. To be asked of 401 and 407 alone: it looks at every field.
///
/// A comma within a quoted parameter is taken for the end of a challenge like any other. What is then
/// mistaken for an offer costs a connection; one that was missed would hand a user's session to another.
pub fn offers_login(fields: &Fields) -> bool {
    fields
        .iter()
        .filter(|field| OFFERS.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
        .any(|field| field.value.split(|octet| *octet == b',').any(is_of_the_connection))
}

/// Whether a challenge, or credentials, begin with the name of such a scheme.
fn is_of_the_connection(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let scheme = text.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, Method, RequestHead, ResponseHead, Underscores};

    const LIMITS: HeadLimits = HeadLimits { max_size: 4096, max_fields: 16 };

    fn offered(lines: &str) -> bool {
        let mut head = ResponseHead::new();
        let text = format!("HTTP/1.1 401 Unauthorized\r\n{lines}\r\nContent-Length: 0\r\n\r\n");
        head.parse(text.as_bytes(), LIMITS, Method::Get, None).unwrap();
        offers_login(&head.fields)
    }

    fn carried(line: &str) -> bool {
        let mut head = RequestHead::new();
        let policy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
        head.parse(text.as_bytes(), LIMITS, policy).unwrap();
        carries_login(&head.fields)
    }

    #[test]
    fn offers_are_found_wherever_they_stand() {
        for lines in [
            "WWW-Authenticate: NTLM",
            "www-authenticate: negotiate",
            "WWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Negotiate",
            "WWW-Authenticate: Basic realm=\"a, b\", charset=\"UTF-8\",NTLM",
            "WWW-Authenticate: Digest nonce=\"n\",\tNeGoTiAtE YIIJvw==",
            "Proxy-Authenticate: , ntlm TlRMTVNTUAAC",
        ] {
            assert!(offered(lines), "{lines}");
        }
        for lines in [
            "WWW-Authenticate: Basic realm=\"NTLM\"",
            "WWW-Authenticate: Bearer scope=negotiate",
            "WWW-Authenticate: NTLM2",
            "X-Authenticate: NTLM",
        ] {
            assert!(!offered(lines), "{lines}");
        }
    }

    #[test]
    fn credentials_tell_their_scheme() {
        assert!(carried("Authorization: NTLM TlRMTVNTUAAB"));
        assert!(carried("proxy-authorization: negotiate YIIJvw=="));
        assert!(!carried("Authorization: Basic bnRsbQ=="));
        assert!(!carried("X-Note: NTLM"));
    }
}
