//! The https:// form of a request that came in clear.

use super::field::Known;
use super::forwarding::Origin;
use super::request::RequestHead;
use super::target::host_for_matching;

/// Whether the client came by https: to us, or to a proxy that we trust and that says so in one clear word.
pub fn came_by_https(request: &RequestHead, origin: &Origin) -> bool {
    let mut told = request.fields.values(Known::XForwardedProto);
    let told =
        matches!((told.next(), told.next()), (Some(told), None) if told.eq_ignore_ascii_case(b"https"));
    origin.secure || (origin.trusted && told)
}

/// The https:// form of what was asked for; `None` where the request names no URL.
pub fn https_form(request: &RequestHead) -> Option<Vec<u8>> {
    let host = host_for_matching(request.host());
    if host.is_empty() || !request.target().starts_with(b"/") {
        return None;
    }
    // At the port that https has by itself: which one ours is mapped to outside is not known here.
    Some([b"https://", &*host, request.target()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, Parsed};

    fn request(head: &str) -> RequestHead {
        let mut request = RequestHead::default();
        let limits = HeadLimits { max_size: 4096, max_fields: 16 };
        let parsed = request.parse(head.as_bytes(), limits, HeadPolicy::default()).unwrap();
        assert!(matches!(parsed, Parsed::Complete(_)));
        request
    }

    #[test]
    fn host_and_target_stay_and_the_port_goes() {
        let of = |head| https_form(&request(head)).map(|form| String::from_utf8(form).unwrap());
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
        let told = |secure, trusted, lines: &str| {
            let request = request(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
            let origin = Origin::new("10.0.0.1:9".parse().unwrap(), 80, secure, trusted);
            came_by_https(&request, &origin)
        };
        let https = "X-Forwarded-Proto: https\r\n";
        assert!(told(false, true, https) && told(true, false, ""));
        assert!(!told(false, false, https), "a stranger may say what he likes");
        assert!(!told(false, true, "X-Forwarded-Proto: http\r\n") && !told(false, true, ""));
        assert!(!told(false, true, &https.repeat(2)), "twice is not one word");
    }
}
