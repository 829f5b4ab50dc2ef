//! Forms of the target, and the normal form of path and host.

use proptest::prelude::*;

use super::super::{host_for_matching, normal_path};
use super::{cases, emitted, refused, request};

#[test]
fn absolute_form_decides_target_and_host() {
    let table: &[(&str, &str, &str, &str)] = &[
        ("GET http://b/c?d", "Host: a\r\n", "/c?d", "b"),
        ("GET HTTP://b:81/", "Host: a\r\n", "/", "b:81"),
        ("GET https://b", "Host: a\r\n", "/", "b"),
        ("GET http://b?q=/", "Host: a\r\n", "/?q=/", "b"),
        ("GET http://[::1]:8/x", "Host: a\r\n", "/x", "[::1]:8"),
        ("OPTIONS http://b", "Host: a\r\n", "*", "b"),
        ("OPTIONS http://b/", "Host: a\r\n", "/", "b"),
        ("OPTIONS http://b?x", "Host: a\r\n", "/?x", "b"),
        ("GET http://a/", "Host: a\r\n", "/", "a"),
        ("OPTIONS *", "Host: a\r\n", "*", "a"),
        ("GET //b/c", "Host: a\r\n", "//b/c", "a"),
        ("GET /http://b/", "Host: a\r\n", "/http://b/", "a"),
    ];
    for (line, fields, target, host) in table {
        let head = request(format!("{line} HTTP/1.1\r\nA: 1\r\n{fields}B: 2\r\n\r\n")).unwrap();
        assert_eq!((head.target(), head.host()), (target.as_bytes(), host.as_bytes()), "{line}");
        let method = line.split(' ').next().unwrap();
        let expected = format!("{method} {target} HTTP/1.1\r\nA: 1\r\nHost: {host}\r\nB: 2\r\n\r\n");
        assert_eq!(emitted(&head), expected, "{line}");
    }
}

#[test]
fn absolute_form_needs_a_valid_authority_and_host() {
    for target in [
        "http://",
        "http:///x",
        "http://u@b/",
        "http://u:p@b/",
        "http://b:99999/",
        "ftp://b/",
        "http:/b",
        "http:b",
        "://b/",
        "b/c",
        "http://b\\c/",
        "ws://b/",
        "http://:80/",
        "http://[::1/",
    ] {
        assert_eq!(refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), Some(400), "{target}");
    }
    assert_eq!(refused("GET http://b/ HTTP/1.1\r\n\r\n"), Some(400), "Host is needed even so");
    assert_eq!(refused("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), Some(400));
    let old = request("GET http://b/ HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(emitted(&old), "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
}

#[test]
fn paths_have_a_normal_form() {
    let table: &[(&str, Option<&str>)] = &[
        ("/", Some("/")),
        ("/a/b", Some("/a/b")),
        ("/%61%2d%7E", Some("/a-~")),
        ("/a%2fb%5c", Some("/a%2Fb%5C")),
        ("//a//", Some("//a//")),
        ("/a/./b", Some("/a/b")),
        ("/a/../b", Some("/b")),
        ("/a/..", Some("/")),
        ("/a/.", Some("/a/")),
        ("/a/b/..", Some("/a/")),
        ("/a/%2e%2E/b", Some("/b")),
        ("/a/.b/..c/...", Some("/a/.b/..c/...")),
        ("/a//../b", Some("/a/b")),
        ("/..", None),
        ("/a/../..", None),
        ("/%2e%2e/a", None),
        ("/a%00", None),
        ("/%2500", Some("/%2500")),
        ("/%", Some("/%25")),
        ("/%4", Some("/%254")),
        ("/%zz", Some("/%25zz")),
        ("/%%34%31", Some("/%2541")),
        ("/a\\..\\b", Some("/a\\..\\b")),
        ("/..;/a", Some("/..;/a")),
        ("*", Some("*")),
    ];
    for (path, expected) in table {
        let normal = normal_path(path.as_bytes()).map(|p| String::from_utf8(p.into_owned()).unwrap());
        assert_eq!(normal.ok().as_deref(), *expected, "{path}");
    }
}

#[test]
fn hosts_are_compared_without_case_port_and_dot() {
    let table: &[(&str, &str)] = &[
        ("a", "a"),
        ("A.Example", "a.example"),
        ("a:80", "a"),
        ("a.", "a"),
        ("a.:80", "a"),
        ("a:", "a"),
        ("[::1]", "[::1]"),
        ("[::AB]:80", "[::ab]"),
        ("", ""),
    ];
    for (host, expected) in table {
        assert_eq!(host_for_matching(host.as_bytes()), expected.as_bytes(), "{host}");
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_normal_path_is_normal_and_below_the_root(path in "/(%2[eEfF5]|%[0-9a-f]{2}|%|[a-c]|[0-9]|[./;]){0,24}") {
        if let Ok(normal) = normal_path(path.as_bytes()) {
            prop_assert!(normal.starts_with(b"/"));
            prop_assert!(!normal.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
            prop_assert_eq!(normal_path(&normal).unwrap(), &normal[..]);
        }
    }

    #[test]
    fn encoding_what_needs_none_changes_nothing(path in "/[a-z/.~_-]{0,16}") {
        let encoded: String =
            path.bytes().map(|b| if b == b'/' { "/".into() } else { format!("%{b:02x}") }).collect();
        prop_assert_eq!(normal_path(encoded.as_bytes()), normal_path(path.as_bytes()));
    }

    #[test]
    fn no_bytes_make_it_panic(path in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = normal_path(&path);
        let _ = host_for_matching(&path);
    }
}
