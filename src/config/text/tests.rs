use super::*;
use crate::config::model::HostPattern;
use proptest::prelude::*;

fn normal(word: &str) -> String {
    match read(Syntax::Path, word) {
        Ok(Value::Text(path)) => path,
        other => format!("{other:?}"),
    }
}

fn bad(syntax: Syntax, word: &str) -> Fault {
    read(syntax, word).err().unwrap_or_else(|| panic!("{word} was taken"))
}

#[test]
fn paths_are_read_into_their_normal_form() {
    assert_eq!(normal("/"), "/");
    assert_eq!(normal("/api/"), "/api/");
    assert_eq!(normal("/%61pi/%7Eme"), "/api/~me");
    assert_eq!(normal("/a/./b/../c"), "/a/c");
    assert_eq!(normal("/a/.."), "/");
    assert_eq!(normal("/a/."), "/a/");
    assert_eq!(normal("/a/%2e%2E/b"), "/b");
    assert_eq!(normal("/a%2Fb//c%5cd"), "/a%2Fb//c%5Cd");
    for wrong in ["", "api", "/..", "/a/../..", "/%00", "/%", "/%4", "/%zz", "/a?b", "/a#b", "/a b", "/ü"] {
        bad(Syntax::Path, wrong);
    }
    assert_eq!(bad(Syntax::Path, "/ü").help.as_deref(), Some("did you mean \"/%C3%BC\"?"));
}

#[test]
fn bind_addresses_are_ip_addresses_with_a_port() {
    for right in ["0.0.0.0:80", "[::]:80", "127.0.0.1:0"] {
        assert!(read(Syntax::Bind, right).is_ok(), "{right}");
    }
    let help = |word| bad(Syntax::Bind, word).help.unwrap_or_default();
    assert_eq!(help("localhost:80"), "did you mean \"127.0.0.1:80\"?");
    assert!(help("*:80").contains("0.0.0.0:80"));
    assert!(help("80").is_empty() || help("80").contains("80"));
    assert!(help("::1").contains("[::1]:80"));
    assert!(help("10.0.0.1").contains("10.0.0.1:80"));
    assert!(help("[::ffff:10.0.0.1]:80").contains("10.0.0.1:80"));
    bad(Syntax::Bind, "0.0.0.0:65536");
}

#[test]
fn backend_addresses_are_host_and_port() {
    for right in ["10.0.0.1:80", "app.internal:8080", "[2001:db8::1]:80", "my_app:1", "localhost:65535"] {
        assert!(read(Syntax::Address, right).is_ok(), "{right}");
    }
    for wrong in
        ["10.0.0.1", "10.0.0.1:0", "app:65536", "app:", ":80", "2001:db8::1", "10.0.0.256:80", "a b:80"]
    {
        bad(Syntax::Address, wrong);
    }
    for wrong in ["-a:80", "a-:80", "a..b:80", "app:+80", "[::1:80", "[::1]80", "bücher.example:80"] {
        bad(Syntax::Address, wrong);
    }
    assert_eq!(bad(Syntax::Address, "http://app:80/").help.as_deref(), Some("did you mean \"app:80\"?"));
    assert_eq!(bad(Syntax::Address, "http://app").help.as_deref(), Some("did you mean \"app:80\"?"));
}

#[test]
fn host_patterns_lose_case_port_and_trailing_dot() {
    let pattern = |word| match read(Syntax::HostPattern, word) {
        Ok(Value::Host(pattern)) => pattern,
        other => panic!("{other:?}"),
    };
    assert_eq!(pattern("CRM.Example.com.:8080"), HostPattern::Exact("crm.example.com".into()));
    assert_eq!(pattern("*.Example.com"), HostPattern::Suffix("example.com".into()));
    assert_eq!(pattern("[::1]:80"), HostPattern::Exact("[::1]".into()));
    for wrong in ["*", "a.*.com", "*a.com", "", ".", "*.", "a b", "http://a", "*.10.0.0.1"] {
        bad(Syntax::HostPattern, wrong);
    }
}

#[test]
fn networks_are_canonical() {
    let net = |word| match read(Syntax::Net, word) {
        Ok(Value::Net(net)) => net.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(net("10.1.2.3/8"), "10.0.0.0/8");
    assert_eq!(net("10.1.2.3"), "10.1.2.3/32");
    assert_eq!(net("::ffff:10.0.0.0/104"), "10.0.0.0/8");
    assert_eq!(net("::ffff:10.0.0.1"), "10.0.0.1/32");
    assert_eq!(net("fe80::/10"), "fe80::/10");
    assert!(bad(Syntax::Net, "10.0.0.1:80").help.is_some());
    bad(Syntax::Net, "10.0.0.0/33");
}

#[test]
fn field_values_cannot_break_out_of_their_field() {
    for wrong in ["a\r\nx: y", "a b", "a\tb", "", "a:b:c", "a/b", "user@a"] {
        bad(Syntax::Authority, wrong);
    }
    for wrong in ["x", "/a b", "/a\r\n", "/#", "/ü"] {
        bad(Syntax::Target, wrong);
    }
    assert!(read(Syntax::Target, "/healthz?full=1").is_ok());
    assert!(bad(Syntax::Method, "get").help.is_some());
    bad(Syntax::Method, "G T");
}

#[test]
fn hash_keys_name_a_part_of_the_request() {
    for right in ["client-ip", "path", "uri", "header:X-Tenant", "cookie:sid", "query:id"] {
        assert!(read(Syntax::HashKey, right).is_ok(), "{right}");
    }
    for wrong in ["clientip", "header", "header:", "header:a b", "body:x", "query:a&b"] {
        bad(Syntax::HashKey, wrong);
    }
}

#[test]
fn statuses_are_single_or_ranges() {
    let bounds = |word, least| match statuses(word, least) {
        Ok(Value::Statuses(from, to)) => Some((from, to)),
        _ => None,
    };
    assert_eq!(bounds("200-399", 100), Some((200, 399)));
    assert_eq!(bounds("204", 100), Some((204, 204)));
    for wrong in ["399-200", "99", "600", "2xx", "200-", "-200", "+200", "0200", "200 - 299"] {
        assert_eq!(bounds(wrong, 100), None, "{wrong}");
    }
    assert_eq!(bounds("200", 400), None);
}

proptest! {
    #[test]
    fn the_normal_form_is_its_own_normal_form(word in "/([a-c./%]|%2[eEfF]|%61){0,12}") {
        if let Ok(Value::Text(once)) = read(Syntax::Path, &word) {
            prop_assert_eq!(normal(&once), once);
        }
    }
}
