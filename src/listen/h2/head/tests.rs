use hyper::Request;

use super::*;

const INCOMING: Incoming = Incoming { max_size: 100, is_whole: true, random: 0 };

fn parts(uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method("GET").uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn written(uri: &str, fields: &[(&str, &str)]) -> Result<String, Refusal> {
    let parts = parts(uri, fields);
    write(&parts, Form::of(&parts, true), INCOMING).map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn a_request_becomes_a_head_of_http_1() {
    let text = written("https://a.test/p?q", &[("accept", "*/*"), ("x-a", "1"), ("x-a", "2")]).unwrap();
    assert_eq!(text, "GET /p?q HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nx-a: 1\r\nx-a: 2\r\n\r\n");
}

#[test]
fn authority_and_host_agree_or_nobody_hears_of_it() {
    let host = |uri, hosts: &[&str]| {
        let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        written(uri, &fields).map_err(|refusal| refusal.status)
    };
    let of = |name| Ok(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    assert_eq!(host("http://a.test/", &["A.TEST"]), of("a.test"));
    assert_eq!(host("/", &["b.test:80"]), of("b.test:80"));
    assert_eq!(host("http://a.test/", &["b.test"]), Err(400));
    assert_eq!(host("http://a.test/", &["a.test", "a.test"]), Err(400));
    assert_eq!(host("http://a.test/", &["a.test:80"]), Err(400));
    assert_eq!(host("/", &[]), Err(400));
}

#[test]
fn crumbs_become_one_cookie() {
    let text = written("http://a.test/", &[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]).unwrap();
    assert!(text.ends_with("\r\nx: y\r\nCookie: a=b; c=d\r\n\r\n"), "{text}");
}

#[test]
fn schemes_and_values_are_judged() {
    assert_eq!(written("ftp://a.test/", &[]).unwrap_err().status, 400);
    assert_eq!(written("http://a.test/", &[("x", " y")]).unwrap_err().status, 400);
    assert_eq!(written("http://a.test/", &[("x", "y\t")]).unwrap_err().status, 400);
}

#[test]
fn what_is_too_large_is_not_written_at_all() {
    let of = |length: usize| written("http://a.test/", &[("a", &"x".repeat(length)), ("cookie", "y")]);
    assert_eq!(of(98).unwrap().matches('x').count(), 98);
    assert_eq!(of(99).unwrap_err().status, 431);
}

#[test]
fn a_body_of_unknown_length_is_chunked() {
    let unsized_parts = parts("http://a.test/", &[]);
    assert!(Form::of(&unsized_parts, false).chunked && !Form::of(&unsized_parts, true).chunked);
    assert!(!Form::of(&parts("http://a.test/", &[("content-length", "3")]), false).chunked);
}

#[test]
fn keys_are_base64() {
    assert_eq!(&key(0), b"AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(&key(u128::from_be_bytes(*b"the sample nonce")), b"dGhlIHNhbXBsZSBub25jZQ==");
}
