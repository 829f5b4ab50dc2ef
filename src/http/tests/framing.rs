//! Where a request's body ends, and what is refused because two parties could differ on it.

use super::super::Body;
use super::{refused, request, response};

#[test]
fn every_combination_has_one_reading() {
    use Body::{Chunked, Length};
    let table: &[(&str, &str, Result<Body, u16>)] = &[
        ("1", "", Ok(Body::None)),
        ("1", "Content-Length: 0\r\n", Ok(Body::None)),
        ("1", "Content-Length: 5\r\n", Ok(Length(5))),
        ("0", "Content-Length: 5\r\n", Ok(Length(5))),
        ("1", "Content-Length:5\t\r\n", Ok(Length(5))),
        ("1", "Content-Length: 0005\r\n", Ok(Length(5))),
        ("1", "Content-Length: 18446744073709551615\r\n", Ok(Length(u64::MAX))),
        ("1", "Content-Length: 18446744073709551616\r\n", Err(400)),
        ("1", "Content-Length: 99999999999999999999999\r\n", Err(400)),
        ("1", "Content-Length:\r\n", Err(400)),
        ("1", "Content-Length: +5\r\n", Err(400)),
        ("1", "Content-Length: -5\r\n", Err(400)),
        ("1", "Content-Length: 5 5\r\n", Err(400)),
        ("1", "Content-Length: 5, 5\r\n", Err(400)),
        ("1", "Content-Length: 5,\r\n", Err(400)),
        ("1", "Content-Length: 0x5\r\n", Err(400)),
        ("1", "Content-Length: 5.0\r\n", Err(400)),
        ("1", "Content-Length: 5e0\r\n", Err(400)),
        ("1", "Content-Length: \u{ff15}\r\n", Err(400)),
        ("1", "Content-Length: 5\r\nContent-Length: 5\r\n", Err(400)),
        ("1", "Content-Length: 5\r\ncontent-length: 6\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked\r\n", Ok(Chunked)),
        ("1", "transfer-encoding: CHUNKED\r\n", Ok(Chunked)),
        ("1", "Transfer-Encoding:\tchunked \r\n", Ok(Chunked)),
        ("0", "Transfer-Encoding: chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding:\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked, chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Err(501)),
        ("1", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(501)),
        ("1", "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked,\r\n", Err(400)),
        ("1", "Transfer-Encoding: ,chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked;q=1\r\n", Err(400)),
        ("1", "Transfer-Encoding: \"chunked\"\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked\u{b}\r\n", Err(400)),
        ("1", "Transfer-Encoding: x chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding: gzip\r\n", Err(501)),
        ("1", "Transfer-Encoding: gzip, chunked\r\n", Err(501)),
        ("1", "Transfer-Encoding: chunked, gzip\r\n", Err(501)),
        ("1", "Transfer-Encoding: identity\r\n", Err(501)),
        ("1", "Transfer-Encoding: xchunked\r\n", Err(501)),
        ("1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(400)),
        ("1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
        ("1", "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", Err(400)),
        ("0", "Transfer-Encoding: gzip\r\n", Err(400)),
    ];
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        for (version, lines, expected) in table {
            let text = format!("{method} / HTTP/1.{version}\r\nHost: a\r\n{lines}\r\n");
            let read = request(&text).map(|head| head.body).map_err(|refusal| refusal.status);
            assert_eq!(read, *expected, "{}", text.escape_debug());
        }
    }
}

#[test]
fn framing_fields_reach_the_backend_once_and_as_sent() {
    let mut head =
        request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: Content-Length\r\n\r\n")
            .unwrap();
    head.strip_hop_by_hop();
    assert_eq!(super::emitted(&head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let mut head = request(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n\r\n",
    )
    .unwrap();
    head.strip_hop_by_hop();
    assert_eq!(super::emitted(&head), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn names_that_only_look_like_framing_do_not_frame() {
    for lines in [
        "Content-Lengt: 5\r\n",
        "X-Content-Length: 5\r\n",
        "Content-Length-X: 5\r\n",
        "Content_Length: 5\r\n",
    ] {
        assert_eq!(request(super::with_fields(lines)).map(|head| head.body), Ok(Body::None), "{lines}");
    }
    assert_eq!(refused(super::with_fields("Content-Length : 5\r\n")), Some(400));
}

#[test]
fn responses_are_framed_as_strictly() {
    let framed = |lines: &str| response(format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).map(|head| head.body).ok();
    assert_eq!(framed(""), Some(Body::UntilClose));
    assert_eq!(framed("Content-Length: 0\r\n"), Some(Body::None));
    assert_eq!(framed("Content-Length: 9\r\n"), Some(Body::Length(9)));
    assert_eq!(framed("Transfer-Encoding: chunked\r\n"), Some(Body::Chunked));
    for bad in [
        "Content-Length: 9\r\nContent-Length: 9\r\n",
        "Content-Length: 9, 9\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(framed(bad), None, "{}", bad.escape_debug());
    }
}
