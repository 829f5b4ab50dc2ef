//! What belongs to one connection, both ways.

use super::{emitted, emitted_response, refused, request, response, response_to, with_fields};
use crate::http::Method;

fn stripped(lines: &str) -> String {
    let mut head = request(with_fields(lines)).unwrap();
    head.strip_hop_by_hop();
    let once = emitted(&head);
    head.strip_hop_by_hop();
    assert_eq!(emitted(&head), once, "stripping twice is stripping once");
    let fields = once.strip_prefix("GET / HTTP/1.1\r\nHost: a\r\n").expect("Host stays");
    fields.strip_suffix("\r\n").unwrap().to_owned()
}

#[test]
fn hop_by_hop_fields_and_named_ones_go() {
    let table: &[(&str, &str)] = &[
        ("", ""),
        ("A: 1\r\nConnection: keep-alive\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n"),
        ("Keep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: x\r\nHTTP2-Settings: x\r\nA: 1\r\n", "A: 1\r\n"),
        ("Connection: a, B ,, c\r\nA: 1\r\nb: 2\r\nC: 3\r\nD: 4\r\na: 5\r\n", "D: 4\r\n"),
        ("A: 1\r\nConnection: x\r\nB: 2\r\nConnection: a\r\nX: 3\r\n", "B: 2\r\n"),
        ("Connection: connection\r\nConnection: a\r\nA: 1\r\n", ""),
        ("Connection: close, host, content-length\r\nContent-Length: 0\r\n", "Content-Length: 0\r\n"),
        (
            "Connection: X-Forwarded-For, x-request-id\r\nX-Forwarded-For: 1.1.1.1\r\n",
            "X-Forwarded-For: 1.1.1.1\r\n",
        ),
        ("Connection: Cookie\r\nCookie: a=b\r\n", ""),
        ("Connection:\r\nA: 1\r\n", "A: 1\r\n"),
        ("Trailer: X\r\nA: 1\r\n", "Trailer: X\r\nA: 1\r\n"),
    ];
    for (lines, left) in table {
        assert_eq!(stripped(lines), *left, "{}", lines.escape_debug());
    }
}

#[test]
fn te_belongs_to_one_connection() {
    let own = "Connection: TE\r\nTE: trailers\r\n";
    assert_eq!(stripped("Connection: TE\r\nTE: trailers\r\n"), own);
    assert_eq!(stripped("TE: gzip\r\nTE: Trailers\r\nA: 1\r\n"), format!("A: 1\r\n{own}"));
    assert_eq!(stripped("TE: deflate;q=0.5 ,trailers\r\n"), own);
    for nothing in ["", "gzip", "trailers;q=1", "xtrailers"] {
        assert_eq!(stripped(&format!("Connection: TE\r\nTE: {nothing}\r\n")), "", "{nothing}");
    }
    let mut old = request("GET / HTTP/1.0\r\nConnection: TE\r\nTE: trailers\r\n\r\n").unwrap();
    old.strip_hop_by_hop();
    assert_eq!(emitted(&old), "GET / HTTP/1.1\r\n\r\n", "who knows no chunks knows no trailers");
}

#[test]
fn an_upgrade_is_kept_where_it_was_asked_for() {
    let websocket = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(stripped("Upgrade: websocket\r\nConnection: Upgrade\r\n"), websocket);
    assert_eq!(
        stripped("Connection: keep-alive, Upgrade\r\nA: 1\r\nUpgrade: websocket\r\n"),
        format!("A: 1\r\n{websocket}")
    );
    assert_eq!(stripped("Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"), websocket);
    assert_eq!(stripped("Connection: upgrade\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMAAABk\r\n"), "");
    assert_eq!(stripped("Connection: upgrade\r\nUpgrade: h2c-14\r\n"), "");
    assert_eq!(
        stripped("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b/1\r\n"),
        "Connection: upgrade\r\nUpgrade: a, b/1\r\n"
    );
    assert_eq!(stripped("Upgrade: websocket\r\n"), "", "not named by Connection");
    assert_eq!(stripped("Connection: upgrade\r\n"), "");
    assert_eq!(
        stripped(&format!("Connection: upgrade\r\nUpgrade: {}\r\n", "x".repeat(200))),
        "",
        "too long to pass on"
    );
    assert_eq!(
        stripped("Connection: upgrade, te\r\nUpgrade: x\r\nTE: trailers\r\n"),
        "Connection: upgrade, TE\r\nUpgrade: x\r\nTE: trailers\r\n"
    );
    assert!(
        request("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").unwrap().upgrade.is_none()
    );
}

#[test]
fn a_flood_of_options_is_refused() {
    let options = |n: usize| format!("Connection: {}\r\n", vec!["a"; n].join(","));
    assert_eq!(refused(with_fields(&options(64))), None);
    assert_eq!(refused(with_fields(&options(65))), Some(400));
    assert_eq!(refused(with_fields(&options(33).repeat(2))), Some(400));
    assert!(response(format!("HTTP/1.1 200 OK\r\n{}\r\n", options(65))).is_err());
}

#[test]
fn responses_are_stripped_too() {
    let mut head = response(
        "HTTP/1.1 200 Fine\r\nConnection: keep-alive, x\r\nKeep-Alive: timeout=5\r\nX: 1\r\nA: 2\r\n\
         Proxy-Connection: y\r\nUpgrade: h3\r\nContent-Length: 3\r\nServer: s\r\n\r\n",
    )
    .unwrap();
    head.strip_hop_by_hop();
    assert_eq!(
        emitted_response(&head),
        "HTTP/1.1 200 Fine\r\nA: 2\r\nContent-Length: 3\r\nServer: s\r\n\r\n"
    );
}

#[test]
fn an_agreed_upgrade_is_confirmed() {
    let text =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-A: b\r\n\r\n";
    let mut head = response_to(Method::Get, Some("websocket"), text).unwrap();
    head.strip_hop_by_hop();
    assert_eq!(
        emitted_response(&head),
        "HTTP/1.1 101 Switching Protocols\r\nSec-A: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    let mut required =
        response("HTTP/1.1 426 No\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n").unwrap();
    required.strip_hop_by_hop();
    assert!(emitted_response(&required).contains("Upgrade: websocket\r\n"));
}
