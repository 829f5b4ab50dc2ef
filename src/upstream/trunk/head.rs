//! A request of HTTP/1.1, as the exchange writes it, as that of HTTP/2; and the head of a response the other way round.

use hyper::header::{self, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::{Method, Request, Response};

use crate::frames::{fields, is_grpc, line};
use crate::http::{Body, EmittedRequest};

/// A request for one stream.
pub(super) struct Outgoing {
    pub(super) request: Request<()>,
    pub(super) body: Body,
    /// Bytes of the head.
    pub(super) len: usize,
}

/// Reads the head at the start of `bytes`; `None` where HTTP/2 cannot carry it.
pub(super) fn read(bytes: &[u8], secure: bool) -> Option<Outgoing> {
    let head = EmittedRequest::read(bytes)?;
    let is_host = |name: &[u8]| name.eq_ignore_ascii_case(b"host");
    let (_, host) = head.fields().find(|(name, _)| is_host(name))?;
    let mut fields = fields(head.fields().filter(|(name, _)| !is_host(name))).ok()?;
    let body = body_of(&head)?;
    if head.fields().any(|(name, value)| name.eq_ignore_ascii_case(b"te") && value == b"trailers") {
        // RFC 9113 8.2.2: the one word that it may say.
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut uri = hyper::http::uri::Parts::default();
    uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(Authority::try_from(host).ok()?);
    uri.path_and_query = Some(PathAndQuery::try_from(head.target).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method).ok()?;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = hyper::Version::HTTP_2;
    *request.headers_mut() = fields;
    Some(Outgoing { request, body, len: head.len })
}

fn body_of(head: &EmittedRequest<'_>) -> Option<Body> {
    let field = |name: &[u8]| head.fields().find(|(found, _)| found.eq_ignore_ascii_case(name));
    if field(b"transfer-encoding").is_some() {
        return Some(Body::Chunked);
    }
    let Some((_, length)) = field(b"content-length") else { return Some(Body::None) };
    Some(match std::str::from_utf8(length).ok()?.parse().ok()? {
        0 => Body::None,
        length => Body::Length(length),
    })
}

/// What is known of a response before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming {
    /// It answers a HEAD.
    pub(super) to_head: bool,
    /// The stream has ended with its head.
    pub(super) is_whole: bool,
}

/// Writes the head of a response; says whether its body is to be written in chunks, because it does not say how long it
/// is, or may end with trailers that matter.
pub(super) fn write(response: &Response<()>, incoming: Incoming, text: &mut Vec<u8>) -> bool {
    let (status, fields) = (response.status().as_u16(), response.headers());
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(response.status().as_str().as_bytes());
    text.extend_from_slice(b" \r\n");
    let bodiless = incoming.to_head || matches!(status, 100..=199 | 204 | 304);
    let sized = fields.contains_key(header::CONTENT_LENGTH);
    let chunked = !bodiless && !incoming.is_whole && (!sized || is_grpc(fields));
    for (name, value) in fields {
        if !(chunked && *name == header::CONTENT_LENGTH) {
            line(text, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if chunked {
        line(text, b"Transfer-Encoding", b"chunked");
    } else if !bodiless && !sized {
        line(text, b"Content-Length", b"0");
    }
    text.extend_from_slice(b"\r\n");
    chunked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_one_of_http2() {
        let bytes = b"POST /a?b=1 HTTP/1.1\r\nHost: c.test:81\r\nConnection: TE\r\nTE: trailers\r\nX-A: 1\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let out = read(bytes, false).unwrap();
        assert_eq!((out.body, &bytes[out.len..]), (Body::Chunked, &b"0\r\n\r\n"[..]));
        assert_eq!(out.request.uri(), "http://c.test:81/a?b=1");
        let fields: Vec<_> = out.request.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(fields, [("x-a", &b"1"[..]), ("cookie", b"a=b"), ("te", b"trailers")]);
        let sized = read(b"PUT / HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\n\r\nhello", true).unwrap();
        assert_eq!((sized.body, sized.request.uri().scheme_str()), (Body::Length(5), Some("https")));
        let star = read(b"OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n", false).unwrap();
        assert_eq!((star.body, star.request.uri().path()), (Body::None, "*"));
    }

    #[test]
    fn what_http2_cannot_carry_is_no_request() {
        assert!(read(b"GET /<> HTTP/1.1\r\nHost: c\r\n\r\n", false).is_none());
        assert!(read(b"GET / HTTP/1.1\r\nHost: c d\r\n\r\n", false).is_none());
        assert!(read(b"GET / HTTP/1.1\r\n\r\n", false).is_none());
    }

    #[test]
    fn a_response_says_where_it_ends() {
        let text = |fields: &[(&'static str, &str)], to_head, is_whole, status: u16| {
            let mut response = Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            let mut text = Vec::new();
            let chunked = write(&response.body(()).unwrap(), Incoming { to_head, is_whole }, &mut text);
            (String::from_utf8(text).unwrap(), chunked)
        };
        let sized = [("content-length", "5")];
        assert_eq!(
            text(&sized, false, false, 200),
            ("HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\n".into(), false)
        );
        let chunked = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(text(&[], false, false, 200), (chunked.into(), true));
        assert_eq!(text(&[], false, true, 200), ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".into(), false));
        assert_eq!(
            text(&sized, true, true, 200),
            ("HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\n".into(), false)
        );
        assert_eq!(text(&[], false, true, 204), ("HTTP/1.1 204 \r\n\r\n".into(), false));
        assert_eq!(text(&[], false, false, 103), ("HTTP/1.1 103 \r\n\r\n".into(), false));
        let grpc = [("content-length", "5"), ("content-type", "application/grpc+proto")];
        assert!(text(&grpc, false, false, 200).1, "its trailers are needed");
    }
}
