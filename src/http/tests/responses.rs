//! Response heads: which are final, where they end, what is mended and what is refused.

use std::time::Duration;

use super::super::{Body, HeadLimits, Interim, Method, Parsed, ResponseHead, Version};
use super::{LIMITS, emitted_response, response, response_to};

#[test]
fn a_head_is_emitted_as_it_came() {
    for text in [
        "HTTP/1.1 200 OK\r\nServer: x\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\nX:\r\n\r\n",
        "HTTP/1.1 404 Not Found At All\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 Tr\u{e8}s bien\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(emitted_response(&response(text).unwrap()), text);
    }
    let bare = response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(emitted_response(&bare), "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n");
    let old = response("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(emitted_response(&old), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn unusable_heads_are_refused() {
    for text in [
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 600 x\r\n\r\n",
        "HTTP/1.1 999 x\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 +20 x\r\n\r\n",
        "HTTP/1.1  200 x\r\n\r\n",
        "HTTP/2.0 200 x\r\n\r\n",
        "http/1.1 200 x\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "<html>",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 O\u{0}K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\u{0}\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert!(response(text).is_err(), "{}", text.escape_debug());
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let parse = |size, fields, text: &[u8]| {
        ResponseHead::new().parse(text, HeadLimits { max_size: size, max_fields: fields }, Method::Get, None)
    };
    assert_eq!(parse(text.len(), 1, text), Ok(Parsed::Complete(text.len())));
    assert!(parse(text.len() - 1, 1, text).is_err());
    assert!(parse(text.len(), 0, text).is_err());
    assert!(parse(20, 1, &text[..20]).is_err());
    assert_eq!(parse(21, 1, &text[..20]), Ok(Parsed::Partial));
}

#[test]
fn interim_switching_and_final_are_told_apart() {
    let kind = |status: u16, asked: bool| {
        let lines = if status == 101 { "Upgrade: x\r\nConnection: upgrade\r\n" } else { "Link: </a>\r\n" };
        let head =
            response_to(Method::Get, asked.then_some("x"), format!("HTTP/1.1 {status} x\r\n{lines}\r\n"));
        head.map(|head| (head.interim, head.body)).ok()
    };
    assert_eq!(kind(100, false), Some((Interim::Yes, Body::None)));
    assert_eq!(kind(103, true), Some((Interim::Yes, Body::None)));
    assert_eq!(kind(199, false), Some((Interim::Yes, Body::None)));
    assert_eq!(kind(101, true), Some((Interim::Switching, Body::None)));
    assert_eq!(kind(101, false), None);
    assert_eq!(kind(200, true), Some((Interim::No, Body::UntilClose)));
    let switching = |text| response_to(Method::Get, Some("a/1, X"), text).is_ok();
    assert!(switching("HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n"));
    assert!(switching("HTTP/1.1 101 x\r\nUpgrade: A/1\r\n\r\n"));
    assert!(!switching("HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n"), "never offered");
    assert!(!switching("HTTP/1.1 101 x\r\nUpgrade: x, y\r\n\r\n"));
    assert!(!switching("HTTP/1.0 101 x\r\nUpgrade: x\r\n\r\n"));
    assert!(!switching("HTTP/1.1 101 x\r\n\r\n"));
    assert!(!switching("HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"));
}

#[test]
fn bodiless_responses_have_no_body_whatever_they_say() {
    for lines in ["Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        for (status, method) in
            [(204, Method::Get), (304, Method::Get), (200, Method::Head), (103, Method::Get)]
        {
            let head = response_to(method, None, format!("HTTP/1.1 {status} x\r\n{lines}\r\n")).unwrap();
            assert_eq!(head.body, Body::None, "{status} {lines}");
            let kept = matches!(status, 200 | 304);
            if kept || lines.is_empty() {
                assert!(head.keep_alive, "{status} {lines}");
            }
            let expected = format!("HTTP/1.1 {status} x\r\n{}\r\n", if kept { lines } else { "" });
            assert_eq!(emitted_response(&head), expected);
        }
    }
}

#[test]
fn the_client_gets_a_framing_that_it_knows() {
    let framed = |version, method, lines: &str| {
        let mut head = response_to(method, None, format!("HTTP/1.1 200 x\r\n{lines}\r\n")).unwrap();
        let body = head.frame_for(version);
        (body, emitted_response(&head).replace("HTTP/1.1 200 x\r\n", ""))
    };
    let (old, new, get) = (Version::Http10, Version::Http11, Method::Get);
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(framed(new, get, ""), (Body::Chunked, format!("{chunked}\r\n")));
    assert_eq!(framed(old, get, ""), (Body::UntilClose, "\r\n".into()));
    assert_eq!(framed(new, get, chunked), (Body::Chunked, format!("{chunked}\r\n")));
    assert_eq!(framed(old, get, &format!("Trailer: x\r\n{chunked}")), (Body::UntilClose, "\r\n".into()));
    assert_eq!(framed(old, Method::Head, chunked), (Body::None, "\r\n".into()));
    assert_eq!(framed(new, Method::Head, chunked), (Body::None, format!("{chunked}\r\n")));
    assert_eq!(framed(new, Method::Head, ""), (Body::None, "\r\n".into()));
    for version in [old, new] {
        let length = "Content-Length: 4\r\n";
        assert_eq!(framed(version, get, length), (Body::Length(4), format!("{length}\r\n")));
    }
}

#[test]
fn the_backends_connection_is_kept_only_where_it_may() {
    let keeps =
        |minor: u8, lines: &str| response(format!("HTTP/1.{minor} 200 x\r\n{lines}\r\n")).unwrap().keep_alive;
    assert!(keeps(1, "Content-Length: 1\r\n"));
    assert!(!keeps(1, ""));
    assert!(!keeps(1, "Content-Length: 1\r\nConnection: close\r\n"));
    assert!(!keeps(0, "Content-Length: 1\r\n"));
    assert!(keeps(0, "Content-Length: 1\r\nConnection: keep-alive\r\n"));
}

#[test]
fn keep_alive_timeouts_are_read() {
    let told = |line: &str| {
        response(format!("HTTP/1.1 200 x\r\nContent-Length: 0\r\n{line}\r\n")).unwrap().keep_alive_timeout
    };
    assert_eq!(told("Keep-Alive: timeout=5, max=100\r\n"), Some(Duration::from_secs(5)));
    assert_eq!(told("keep-alive: max=1,Timeout = \"7\"\r\n"), Some(Duration::from_secs(7)));
    assert_eq!(told("Keep-Alive: timeout=0\r\n"), Some(Duration::ZERO));
    assert_eq!(told("Keep-Alive: timeout=99999999999999999999999\r\n"), None);
    assert_eq!(told("Keep-Alive: timeout=-1\r\n"), None);
    assert_eq!(told("Keep-Alive: x\r\n"), None);
    assert_eq!(told(""), None);
}

#[test]
fn one_head_serves_many_responses() {
    let mut head = ResponseHead::new();
    let first = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n";
    let second = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(head.parse(first, LIMITS, Method::Get, None), Ok(Parsed::Complete(first.len())));
    assert_eq!(head.parse(&second[..20], LIMITS, Method::Get, None), Ok(Parsed::Partial));
    // Another connection, a shorter answer: nothing of the unfinished one is remembered.
    let third = b"HTTP/1.1 204 \r\n\r\n";
    assert_eq!(head.parse(third, LIMITS, Method::Get, None), Ok(Parsed::Complete(third.len())));
    assert_eq!((head.status, head.fields.len()), (204, 0));
}

#[test]
fn later_minor_versions_are_read_as_1_1() {
    let head = response("HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!((head.version, head.keep_alive), (Version::Http11, true));
    assert_eq!(emitted_response(&head), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn via_tells_the_version_that_was_received() {
    for (minor, via) in [(0, "1.0"), (1, "1.1"), (9, "1.1")] {
        let mut head = response(format!("HTTP/1.{minor} 200 OK\r\nVia: 1.1 b\r\n\r\n")).unwrap();
        head.add_via();
        let expected = format!("HTTP/1.1 200 OK\r\nVia: 1.1 b\r\nVia: {via} equipoise\r\n\r\n");
        assert_eq!(emitted_response(&head), expected);
    }
}

#[test]
fn a_malformed_head_is_refused_before_its_end() {
    for text in
        ["HTTP/1.1 2x", "HTTP/2", "<", "HTTP/1.1 200 OK\nA", "HTTP/1.1 200 OK\r\nA b", "HTTP/1.1 200X"]
    {
        assert!(ResponseHead::new().parse(text.as_bytes(), LIMITS, Method::Get, None).is_err(), "{text}");
    }
    let text = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for end in 0..text.len() {
        let parsed = ResponseHead::new().parse(&text.as_bytes()[..end], LIMITS, Method::Get, None);
        assert_eq!(parsed, Ok(Parsed::Partial), "{end}");
    }
}
