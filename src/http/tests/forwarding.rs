//! Every sentence of the contract on what the backend is told about the client.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::{Forwarding, Origin, RequestHead, client_address, request_id};
use super::{emitted, request, with_fields};

const ID: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const ID_TEXT: &str = "0123456789abcdef0123456789abcdef";

fn origin(trusted: bool) -> Origin {
    Origin::new("192.0.2.7:5000".parse().unwrap(), 8080, false, trusted)
}

fn applied(origin: &Origin, head: &mut RequestHead, via: bool) -> String {
    let mut forwarding = Forwarding::default();
    forwarding.apply(head, origin, ID, via);
    let id = String::from_utf8(forwarding.request_id().to_vec()).unwrap();
    assert_eq!(head.fields.by_name("x-request-id"), Some(id.as_bytes()));
    emitted(head)
}

/// The field lines that a backend gets after Host.
fn told(origin: &Origin, lines: &str) -> Vec<String> {
    let mut head = request(with_fields(lines)).unwrap();
    let text = applied(origin, &mut head, true);
    text.trim_end().split("\r\n").skip(2).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn an_id_of_ours_is_a_number_in_hexadecimal(number: u128) {
        let digits = format!("{number:032x}");
        prop_assert_eq!(&request_id(number)[..], digits.as_bytes());
    }
}

#[test]
fn a_stranger_is_not_believed() {
    let lines = "X-Forwarded-For: 1.1.1.1\r\nA: 1\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: evil\r\n\
                 X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\
                 X-Request-Id: mine\r\ntraceparent: 00-a\r\ntracestate: b\r\n";
    assert_eq!(
        told(&origin(false), lines),
        [
            "A: 1",
            "traceparent: 00-a",
            "tracestate: b",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Port: 8080",
            "X-Forwarded-Host: a",
            &format!("X-Request-Id: {ID_TEXT}"),
            "Via: 1.1 equipoise",
        ]
    );
}

#[test]
fn a_trusted_peer_is_believed_where_it_is_valid() {
    let lines = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Host: shop.example:444\r\nX-Forwarded-Port: 444\r\nX-Forwarded-Prefix: /x\r\n\
                 Forwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nX-Request-Id: A-z_0.9\r\nVia: 1.0 edge\r\n";
    assert_eq!(
        told(&origin(true), lines),
        [
            "X-Forwarded-Prefix: /x",
            "X-Real-IP: 1.1.1.1",
            "Via: 1.0 edge",
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Port: 444",
            "X-Forwarded-Host: shop.example:444",
            "Forwarded: for=1.1.1.1, for=192.0.2.7;host=\"a\";proto=http",
            "X-Request-Id: A-z_0.9",
            "Via: 1.1 equipoise",
        ]
    );
}

#[test]
fn what_a_trusted_peer_says_wrongly_is_made_anew() {
    let long = "x".repeat(129);
    let own = ["http", "8080", "a", ID_TEXT];
    for (proto, host, port, id) in [
        ("", "", "", ""),
        ("gopher", "a b", "0", "a b"),
        ("http, https", "u@h", "65536", "a/b"),
        ("https\r\nX-Forwarded-Proto: https", "a\r\nX-Forwarded-Host: a", "+80", &long),
    ] {
        let told = told(
            &origin(true),
            &format!(
                "X-Forwarded-Proto: {proto}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Port: {port}\r\nX-Request-Id: {id}\r\n"
            ),
        );
        let values: Vec<_> = told.iter().map(|line| line.split_once(": ").unwrap().1).collect();
        assert_eq!(values[1..5], own, "{proto} {host} {port} {id}");
    }
    let kept = "x".repeat(128);
    let told = told(&origin(true), &format!("X-Request-Id: {kept}\r\n"));
    assert!(told.contains(&format!("X-Request-Id: {kept}")));
}

#[test]
fn forwarded_is_continued_only() {
    assert!(!told(&origin(true), "").iter().any(|line| line.starts_with("Forwarded")));
    let six = Origin::new("[2001:db8::1]:5000".parse().unwrap(), 443, true, true);
    let lines = told(&six, "Forwarded: for=x\r\nForwarded: for=y\r\n");
    let expected = "Forwarded: for=x, for=y, for=\"[2001:db8::1]\";host=\"a\";proto=https";
    assert!(lines.iter().any(|line| line == expected), "{lines:?}");
    assert!(lines.contains(&"X-Forwarded-For: 2001:db8::1".to_owned()));
    assert!(lines.contains(&"X-Forwarded-Proto: https".to_owned()));
}

#[test]
fn via_and_host_depend_on_what_came() {
    let mut head = request("GET / HTTP/1.0\r\n\r\n").unwrap();
    let text = applied(&origin(false), &mut head, true);
    assert!(!text.contains("X-Forwarded-Host"), "no Host, nothing to tell");
    assert!(text.contains("Via: 1.0 equipoise\r\n"), "the version received (RFC 9110 7.6.3)");
    let mut head = request(with_fields("")).unwrap();
    assert!(!applied(&origin(false), &mut head, false).contains("Via"));
    let mut head = request("GET http://b:81/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(applied(&origin(false), &mut head, false).contains("X-Forwarded-Host: b:81\r\n"));
}

#[test]
fn mapped_peers_are_told_as_ipv4() {
    let mapped = Origin::new("[::ffff:192.0.2.7]:5000".parse().unwrap(), 80, false, false);
    assert!(told(&mapped, "").contains(&"X-Forwarded-For: 192.0.2.7".to_owned()));
}

#[test]
fn connection_cannot_hide_the_client() {
    let mut head =
        request(with_fields("Connection: X-Forwarded-For\r\nX-Forwarded-For: 1.1.1.1\r\n")).unwrap();
    head.strip_hop_by_hop();
    let text = applied(&origin(true), &mut head, false);
    assert!(text.contains("X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\n"));
}

#[test]
fn the_client_is_the_first_stranger_from_the_right() {
    let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
    let found = |trusted, lines: &str| {
        let head = request(with_fields(lines)).unwrap();
        let peer = Origin::new("10.0.0.1:1".parse().unwrap(), 80, false, trusted);
        client_address(&head.fields, &peer, is_trusted).to_string()
    };
    let table: &[(&str, &str)] = &[
        ("", "10.0.0.1"),
        ("X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"),
        ("X-Forwarded-For: 9.9.9.9, 1.1.1.1\r\n", "1.1.1.1"),
        ("X-Forwarded-For: 9.9.9.9, 1.1.1.1, 10.0.0.2\r\n", "1.1.1.1"),
        ("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"),
        ("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 10.0.0.2\r\n", "9.9.9.9"),
        ("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3"),
        ("X-Forwarded-For: 1.1.1.1, junk, 10.0.0.2\r\n", "10.0.0.2"),
        ("X-Forwarded-For: 1.1.1.1, junk\r\n", "10.0.0.1"),
        ("X-Forwarded-For: 1.1.1.1,\r\n", "10.0.0.1"),
        ("X-Forwarded-For: unknown\r\n", "10.0.0.1"),
        ("X-Forwarded-For: 1.1.1.1:99\r\n", "1.1.1.1"),
        ("X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1"),
        ("X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 1.1.1.1, ::ffff:10.0.0.2\r\n", "1.1.1.1"),
    ];
    for (lines, expected) in table {
        assert_eq!(found(true, lines), *expected, "{lines}");
        assert_eq!(found(false, lines), "10.0.0.1", "{lines}");
    }
}
