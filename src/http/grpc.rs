//! What gRPC says in the fields of HTTP/2 (the protocol's own page, «gRPC over HTTP2»).

use std::time::Duration;

use super::field::{Kinds, Known};
use super::fields::Fields;

/// Digits of a timeout.
const MAX_DIGITS: usize = 8;

/// Whether a message is one of gRPC, by its type.
pub fn is_grpc(fields: &Fields) -> bool {
    const BEGINNING: &[u8] = b"application/grpc";
    fields.may_have(Kinds::of(&[Known::ContentType]))
        && fields.first(Known::ContentType).is_some_and(|kind| {
            kind.get(..BEGINNING.len()).is_some_and(|k| k.eq_ignore_ascii_case(BEGINNING))
        })
}

/// How long the client will wait (`grpc-timeout`); `None` where it does not say, or not in the form that is asked for.
pub fn grpc_timeout(fields: &Fields) -> Option<Duration> {
    let (unit, digits) = fields.by_name("grpc-timeout")?.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// A text as `grpc-message` carries it: what is not visible ASCII, and the percent sign, as octets in hexadecimal.
pub fn grpc_message(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, octet| {
        match octet {
            b' '..=b'~' if octet != b'%' => out.push(char::from(octet)),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, Parsed, RequestHead, Underscores};

    fn head(line: &str) -> RequestHead {
        let limits = HeadLimits { max_size: 4096, max_fields: 16 };
        let policy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };
        let mut head = RequestHead::new();
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        assert_eq!(head.parse(bytes.as_bytes(), limits, policy), Ok(Parsed::Complete(bytes.len())));
        head
    }

    #[test]
    fn calls_are_known_by_their_type() {
        for (line, is_one) in [
            ("Content-Type: application/grpc", true),
            ("content-type: Application/gRPC+proto", true),
            ("content-type: application/grp", false),
            ("content-type: text/plain", false),
            ("x: application/grpc", false),
        ] {
            assert_eq!(is_grpc(&head(line).fields), is_one, "{line}");
        }
    }

    #[test]
    fn timeouts_are_read_to_the_letter() {
        for (value, nanos) in [
            ("1H", Some(3_600_000_000_000)),
            ("2M", Some(120_000_000_000)),
            ("3S", Some(3_000_000_000)),
            ("45m", Some(45_000_000)),
            ("6u", Some(6000)),
            ("99999999n", Some(99_999_999)),
            ("0S", Some(0)),
            ("100000000n", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
            ("", None),
        ] {
            let told = grpc_timeout(&head(&format!("Grpc-Timeout: {value}")).fields);
            assert_eq!(told, nanos.map(Duration::from_nanos), "{value}");
        }
    }

    #[test]
    fn messages_are_encoded() {
        assert_eq!(grpc_message("50 % of Zürich\n"), "50 %25 of Z%C3%BCrich%0A");
    }
}
