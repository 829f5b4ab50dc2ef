//! Request lines, fields, limits.

use super::super::{HeadLimits, Method, Parsed, RequestHead, Version};
use super::{LIMITS, POLICY, emitted, refused, request, with_fields};

#[test]
fn a_head_is_emitted_as_it_came() {
    let text = "GET /a?b=%2F&c HTTP/1.1\r\nhOsT: Example.org:8080\r\nAccept:*/*\r\nX-Empty:\r\nX-Space:   \t \r\n\
                X-A: 1\r\nx-a:\t2  \r\nX-Bytes: \u{e9}\r\n\r\n";
    let head = request(text).unwrap();
    assert_eq!(emitted(&head), text);
    assert_eq!((head.method, head.version, head.keep_alive), (Method::Get, Version::Http11, true));
    assert_eq!(head.path(), b"/a");
    assert_eq!(head.host(), b"Example.org:8080");
    assert_eq!(head.fields.by_name("x-empty"), Some(&b""[..]));
    assert_eq!(head.fields.by_name("x-space"), Some(&b""[..]));
    assert_eq!(head.fields.len(), 7);
    let twos: Vec<_> = head.fields.iter().filter(|f| f.name.eq_ignore_ascii_case(b"x-a")).collect();
    assert_eq!((twos[0].value, twos[1].value), (&b"1"[..], &b"2"[..]));
}

#[test]
fn an_empty_last_value_has_a_place() {
    let head = request("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n").unwrap();
    assert_eq!(head.fields.by_name("x"), Some(&b""[..]));
}

#[test]
fn request_lines_are_judged() {
    let fields = "\r\nHost: a\r\n\r\n";
    let table: &[(&str, Option<u16>)] = &[
        ("GET / HTTP/1.1", None),
        ("GET / HTTP/1.0", None),
        ("M-SEARCH / HTTP/1.1", None),
        ("get / HTTP/1.1", None),
        ("GET / HTTP/1.2", None),
        ("GET / HTTP/1.9", None),
        ("OPTIONS * HTTP/1.1", None),
        ("GET / HTTP/1.10", Some(400)),
        ("GET / HTTP/1.", Some(400)),
        ("GET / HTTP/1.a", Some(400)),
        ("GET / http/1.1", Some(400)),
        ("GET / HTTP/2.0", Some(505)),
        ("GET / HTTP/3.0", Some(505)),
        ("GET / HTTP/0.9", Some(505)),
        ("PRI * HTTP/2.0", Some(505)),
        ("GET / HTTP/2", Some(400)),
        ("GET / HTTP/22.0", Some(400)),
        ("GET / x HTTP/2.0", Some(400)),
        ("GET  HTTP/2.0", Some(400)),
        ("G(T / HTTP/2.0", Some(400)),
        ("GET / HTTPS/1.1", Some(400)),
        ("GET /", Some(400)),
        ("GET", Some(400)),
        ("", Some(400)),
        ("GET  / HTTP/1.1", Some(400)),
        ("GET /  HTTP/1.1", Some(400)),
        ("GET / HTTP/1.1 ", Some(400)),
        (" GET / HTTP/1.1", Some(400)),
        ("GET\t/ HTTP/1.1", Some(400)),
        ("GET /a b HTTP/1.1", Some(400)),
        ("GET /a\tb HTTP/1.1", Some(400)),
        ("GET /a#b HTTP/1.1", Some(400)),
        ("GET /a\u{0}b HTTP/1.1", Some(400)),
        ("GET /a\u{7f}b HTTP/1.1", Some(400)),
        ("GET /\u{e9} HTTP/1.1", Some(400)),
        ("GET * HTTP/1.1", Some(400)),
        ("GET a HTTP/1.1", Some(400)),
        ("GET a:80 HTTP/1.1", Some(400)),
        ("GE(T / HTTP/1.1", Some(400)),
        ("CONNECT a:443 HTTP/1.1", Some(501)),
        ("CONNECT / HTTP/1.1", Some(501)),
        ("TRACE / HTTP/1.1", Some(405)),
    ];
    for (line, expected) in table {
        assert_eq!(refused(format!("{line}{fields}")), *expected, "{}", line.escape_debug());
    }
}

#[test]
fn later_minor_versions_are_read_as_1_1() {
    let head = request("GET /x HTTP/1.7\r\nHost: a\r\nA: b\r\n\r\n").unwrap();
    assert_eq!(head.version, Version::Http11);
    assert_eq!(emitted(&head), "GET /x HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
}

#[test]
fn http_0_9_is_refused_without_waiting_for_more() {
    assert_eq!(refused("GET /\r\n"), Some(400));
    let mut head = RequestHead::new();
    let text = b"GET /index.html\r\n";
    let refused_at = (1..=text.len()).find(|end| head.parse(&text[..*end], LIMITS, POLICY).is_err());
    assert!(refused_at.is_some(), "byte by byte");
}

#[test]
fn garbage_is_refused_early() {
    for text in
        [&b"\x16\x03\x01\x02\x00"[..], b"\x00", b"GET / HTTP/1.1\r\nA(: b\r\n", b"\n", b"GET / HTTP/2.0\r\n"]
    {
        assert!(refused(text).is_some(), "{}", text.escape_ascii());
    }
}

#[test]
fn line_ends_and_fields_are_judged() {
    let table: &[(&str, Option<u16>)] = &[
        ("A: b\r\n", None),
        ("A: b\tc\r\n", None),
        ("!#$%&'*+-.^`|~09: b\r\n", None),
        ("A: b\n", Some(400)),
        ("A: b\rC: d\r\n", Some(400)),
        ("A: b\r\r\n", Some(400)),
        ("A: b\r\n c\r\n", Some(400)),
        ("A: b\r\n\tc\r\n", Some(400)),
        ("A : b\r\n", Some(400)),
        ("A\t: b\r\n", Some(400)),
        (" A: b\r\n", Some(400)),
        (": b\r\n", Some(400)),
        ("A\r\n", Some(400)),
        ("A b: c\r\n", Some(400)),
        ("A(: c\r\n", Some(400)),
        ("\u{e9}: c\r\n", Some(400)),
        ("A: b\u{0}\r\n", Some(400)),
        ("A: b\u{1}\r\n", Some(400)),
        ("A: b\u{7f}\r\n", Some(400)),
        ("A\u{0}: b\r\n", Some(400)),
        ("A\r: b\r\n", Some(400)),
        ("X-Forwarded-B c: d\r\n", Some(400)),
        ("X-Forwarded-B\r\nC: d\r\n", Some(400)),
        ("X-Forwarded-\u{0}: d\r\n", Some(400)),
    ];
    for (lines, expected) in table {
        assert_eq!(refused(with_fields(lines)), *expected, "{}", lines.escape_debug());
    }
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), Some(400));
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Some(400));
    assert_eq!(refused("GET / HTTP/1.1\rHost: a\r\n\r\n"), Some(400));
}

#[test]
fn host_must_stand_once_and_be_valid() {
    let with = |version: &str, lines: &str| refused(format!("GET / HTTP/1.{version}\r\n{lines}\r\n"));
    assert_eq!(with("1", ""), Some(400));
    assert_eq!(with("0", ""), None);
    assert_eq!(with("1", "Host: a\r\nHost: a\r\n"), Some(400));
    assert_eq!(with("0", "Host: a\r\nhost: b\r\n"), Some(400));
    for good in ["a", "a.", "a:80", "a:", "A-b_c.~x", "1.2.3.4:65535", "[::1]", "[::1]:443", "a%20b", "caf,e"]
    {
        assert_eq!(with("1", &format!("Host: {good}\r\n")), None, "{good}");
    }
    for bad in [
        "",
        ":80",
        "a:65536",
        "a:80x",
        "a:-1",
        "a:+1",
        "a:000080",
        "a b",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "a,b c",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[g::]",
        "a:80:80",
        "a\\b",
        "a%2",
        "a%zz",
        "http://a",
        "\"a\"",
        "<a>",
        "[fe80::1%25eth0]",
    ] {
        assert_eq!(with("1", &format!("Host: {bad}\r\n")), Some(400), "{bad}");
        assert_eq!(with("0", &format!("Host: {bad}\r\n")), Some(400), "{bad}");
    }
}

#[test]
fn empty_lines_may_come_first() {
    for (blank, expected) in [
        ("\r\n", None),
        ("\r\n\r\n\r\n\r\n", None),
        ("\n", Some(400)),
        ("\r\n\n", Some(400)),
        ("\r", Some(400)),
    ] {
        let text = format!("{blank}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&text), expected, "{}", blank.escape_debug());
        if expected.is_none() {
            assert_eq!(emitted(&request(&text).unwrap()), text[blank.len()..]);
        }
    }
    // Each byte on its own, then the request.
    let text = b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::new();
    for end in 0..text.len() {
        assert_eq!(head.parse(&text[..end], LIMITS, POLICY), Ok(Parsed::Partial), "{end}");
    }
    assert_eq!(head.parse(text, LIMITS, POLICY), Ok(Parsed::Complete(text.len())));
    assert_eq!(refused("\r\n".repeat(3000)), Some(400), "an end to it there must be");
}

#[test]
fn what_follows_a_head_is_left() {
    let mut head = RequestHead::new();
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n";
    assert_eq!(head.parse(text, LIMITS, POLICY), Ok(Parsed::Complete(27)));
    assert_eq!(head.parse(&text[27..], LIMITS, POLICY), Ok(Parsed::Partial));
    let mut second = text[27..].to_vec();
    second.extend_from_slice(b"Host: b\r\n\r\n");
    assert_eq!(head.parse(&second, LIMITS, POLICY), Ok(Parsed::Complete(second.len())));
    assert_eq!((head.target(), head.host()), (&b"/2"[..], &b"b"[..]));
}

#[test]
fn limits_hold_to_the_byte() {
    let text = "GET /0123456789 HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
    let status = |max_size, max_fields, text: &str| {
        let whole = RequestHead::new().parse(text.as_bytes(), HeadLimits { max_size, max_fields }, POLICY);
        whole.err().map(|refusal| refusal.status)
    };
    assert_eq!(status(text.len(), 2, text), None);
    assert_eq!(status(text.len() - 1, 2, text), Some(431));
    assert_eq!(status(text.len(), 1, text), Some(431));
    assert_eq!(status(20, 2, text), Some(414));
    // What is not complete is refused as soon as it cannot fit.
    assert_eq!(status(40, 2, &text[..40]), Some(431));
    assert_eq!(status(20, 2, &text[..20]), Some(414));
    assert_eq!(status(21, 2, &text[..20]), None);
    let many: String = (0..300).map(|n| format!("A{n}: b\r\n")).collect();
    assert_eq!(status(1 << 16, 301, &with_fields(&many)), None);
    assert_eq!(status(1 << 16, 300, &with_fields(&many)), Some(431));
}

#[test]
fn persistence_follows_version_and_connection() {
    let keeps = |version: &str, line: &str| {
        request(format!("GET / HTTP/1.{version}\r\nHost: a\r\n{line}\r\n")).unwrap().keep_alive
    };
    assert!(keeps("1", ""));
    assert!(!keeps("1", "Connection: close\r\n"));
    assert!(!keeps("1", "Connection: x , CLOSE\r\n"));
    assert!(!keeps("1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keeps("0", ""));
    assert!(keeps("0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn expectations_are_known_or_refused() {
    let post = |version: &str, lines: &str| {
        format!("POST / HTTP/1.{version}\r\nHost: a\r\nContent-Length: 3\r\n{lines}\r\n")
    };
    assert!(request(post("1", "Expect: 100-Continue\r\n")).unwrap().expects_continue);
    assert!(!request(post("1", "Expect:\r\n")).unwrap().expects_continue);
    assert!(!request(with_fields("Expect: 100-continue\r\n")).unwrap().expects_continue, "no body");
    assert_eq!(refused(post("1", "Expect: x\r\n")), Some(417));
    assert_eq!(refused(post("1", "Expect: 100-continue, x\r\n")), Some(417));
    assert_eq!(refused(post("1", "Expect: 100-continue\r\nExpect: x\r\n")), Some(417));
    let old = request(post("0", "Expect: 100-continue\r\n")).unwrap();
    assert!(!old.expects_continue && old.fields.by_name("expect").is_none());
}

#[test]
fn a_host_is_judged_whatever_was_the_one_before() {
    let mut head = RequestHead::new();
    let mut ask = |host: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        head.parse(text.as_bytes(), LIMITS, POLICY).map_err(|refusal| refusal.status).map(|_| ())
    };
    for host in ["", "a.test:80", "a.test:80", "", "a.test:80x", "a.test:8", "[::1]", "a.test:80", "a b"] {
        let good = ["a.test:80", "a.test:8", "[::1]"].contains(&host);
        assert_eq!(ask(host), if good { Ok(()) } else { Err(400) }, "{host}");
    }
}
