//! Fields from one version of HTTP to the other.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields of a message for which room is made at once.
const USUAL_FIELDS: usize = 16;

/// Lines that cannot be fields of HTTP/2.
#[derive(Debug, thiserror::Error)]
#[error("fields that HTTP/2 cannot carry")]
pub struct NotFields;

/// The fields of a message, without those that are of one connection (RFC 9113 8.2.2).
///
/// # Errors
/// A name or value is none there, or they are more than anybody could mean.
pub fn fields<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<HeaderMap, NotFields> {
    let mut fields = HeaderMap::with_capacity(USUAL_FIELDS);
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name).map_err(|_| NotFields)?;
        if !is_of_connection(&name) {
            let mut value = HeaderValue::from_bytes(value).map_err(|_| NotFields)?;
            // Never the same twice: in the table of HPACK it would only drive out what comes again.
            value.set_sensitive(name.as_str() == "x-request-id");
            fields.try_append(name, value).map_err(|_| NotFields)?;
        }
    }
    Ok(fields)
}

/// Writes trailers as the lines behind a last chunk; what may not stand there is dropped by whoever reads them.
pub fn write_trailers(trailers: &HeaderMap, text: &mut Vec<u8>) {
    for (name, value) in trailers {
        line(text, name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Writes one line of a head.
pub fn line(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for piece in [name, b": ", value, b"\r\n"] {
        text.extend_from_slice(piece);
    }
}

/// Whether a message is one of gRPC, which says in its trailers how a call went.
pub fn is_grpc(fields: &HeaderMap) -> bool {
    fields.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn is_of_connection(name: &HeaderName) -> bool {
    const OTHERS: [&str; 3] = ["keep-alive", "proxy-connection", "http2-settings"];
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE].contains(name)
        || OTHERS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_a_connection_stays_there() {
        let lines = [
            (&b"Connection"[..], &b"close"[..]),
            (b"Keep-Alive", b"timeout=5"),
            (b"TE", b"trailers"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Upgrade", b"websocket"),
            (b"X-A", b"1"),
            (b"x-a", b"\xff"),
        ];
        let fields = fields(lines.into_iter()).unwrap();
        let left: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(left, [("x-a", &b"1"[..]), ("x-a", b"\xff")]);
    }

    #[test]
    fn what_cannot_be_a_field_is_refused() {
        assert!(fields([(&b"a b"[..], &b"1"[..])].into_iter()).is_err());
        assert!(fields([(&b"a"[..], &b"1\n2"[..])].into_iter()).is_err());
    }
}
