//! The https:// form of a request that came in clear.

use super::field::Known;
use super::forwarding::Origin;
use super::request::RequestHead;
use super::target::host_for_matching;

/// Where a client that came in clear is to go; `None` where it did not (a trusted proxy says that it came to
/// it by https), or where the request names no URL.
pub fn https_form(request: &RequestHead, origin: &Origin) -> Option<Vec<u8>> {
    let mut told = request.fields.values(Known::XForwardedProto);
    let told = origin.trusted && told.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"));
    let host = host_for_matching(request.host());
    if origin.secure || told || host.is_empty() || !request.target().starts_with(b"/") {
        return None;
    }
    // At the port that https has by itself: which one ours is mapped to outside is not known here.
    Some([b"https://", &*host, request.target()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, Parsed};

    fn form(secure: bool, trusted: bool, head: &str) -> Option<String> {
        let mut request = RequestHead::default();
        let limits = HeadLimits { max_size: 4096, max_fields: 16 };
        let parsed = request.parse(head.as_bytes(), limits, HeadPolicy::default()).unwrap();
        assert!(matches!(parsed, Parsed::Complete(_)));
        let origin = Origin::new("10.0.0.1:9".parse().unwrap(), 80, secure, trusted);
        https_form(&request, &origin).map(|form| String::from_utf8(form).unwrap())
    }

    #[test]
    fn host_and_target_stay_and_the_port_goes() {
        let of = |head| form(false, false, head);
        assert_eq!(
            of("GET /a/%2f?b=c HTTP/1.1\r\nHost: a.test:8080\r\n\r\n").unwrap(),
            "https://a.test/a/%2f?b=c"
        );
        assert_eq!(of("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").unwrap(), "https://[::1]/");
        assert_eq!(of("GET http://b.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n").unwrap(), "https://b.test/x");
        assert_eq!(of("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"), None);
        assert_eq!(of("GET / HTTP/1.0\r\n\r\n"), None);
    }

    #[test]
    fn who_came_by_https_is_not_sent_away() {
        let head = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n";
        assert_eq!(form(false, true, head), None);
        assert_eq!(form(true, false, head), None);
        assert_eq!(form(false, false, head).unwrap(), "https://a.test/", "a stranger may say what he likes");
    }
}
