//! What the backend is told of the client, and the client's end as the backend sees it.

use std::io;
use std::net::Shutdown;

use crate::client::{connect, once};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::message::Head;
use crate::origin::{Gate, Origin};

/// A request with these fields, as it arrives at the backend.
fn arrived(daemon: &Daemon, origin: &Origin, fields: &str) -> Head {
    let request = format!("GET / HTTP/1.1\r\nHost: crm.example\r\nConnection: close\r\n{fields}\r\n");
    let answer = once(daemon.web, &request).unwrap();
    assert_eq!(answer.status(), 200);
    let head = origin.last();
    assert_eq!(answer.head.field("x-request-id"), head.field("x-request-id"), "the same both ways");
    assert_eq!(answer.head.field("via"), head.field("via"));
    head
}

const CLAIMS: &str = "X-Forwarded-For: 198.51.100.7, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nX-Request-Id: trace-1\r\n\
                      Forwarded: for=198.51.100.7\r\nX-Real-IP: 198.51.100.7\r\n";

#[test]
fn what_an_untrusted_client_claims_is_dropped() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let head = arrived(&daemon, &origin, CLAIMS);
    let port = daemon.web.port().to_string();
    for (name, value) in [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("crm.example")),
        ("x-forwarded-port", Some(port.as_str())),
        ("forwarded", None),
        ("x-real-ip", None),
        ("via", Some("1.1 equipoise")),
        ("host", Some("crm.example")),
    ] {
        assert_eq!(head.field(name), value, "{name}");
    }
    let id = head.field("x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let next = arrived(&daemon, &origin, "");
    assert_ne!(next.field("x-request-id").unwrap(), id);
}

#[test]
fn what_a_trusted_proxy_says_is_kept() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).listener("trusted_proxies = [\"127.0.0.0/8\"]"));
    let head = arrived(&daemon, &origin, CLAIMS);
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.7, 127.0.0.9, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "443"),
        ("x-request-id", "trace-1"),
        ("x-real-ip", "198.51.100.7"),
        ("forwarded", "for=198.51.100.7, for=127.0.0.1;host=\"crm.example\";proto=http"),
    ] {
        assert_eq!(head.field(name), Some(value), "{name}");
    }
    let odd = arrived(&daemon, &origin, "X-Request-Id: not an id\r\nX-Forwarded-Proto: gopher\r\n");
    assert_ne!(odd.field("x-request-id"), Some("not an id"));
    assert_eq!(odd.field("x-forwarded-proto"), Some("http"));
}

/// The client that the balancer hashes by is the one that a trusted proxy names.
#[test]
fn the_client_of_a_trusted_proxy_is_who_is_hashed() {
    let origins = ["a", "b", "c", "d"].map(Origin::answering);
    let config = over(&origins.each_ref().map(|origin| origin.address)).pool("balance = \"ip-hash\"");
    let picked = |daemon: &Daemon, nth: u8| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.{nth}\r\nConnection: close\r\n\r\n"
        );
        once(daemon.web, &request).unwrap().text()
    };
    let all = |daemon: &Daemon| (0..40).map(|nth| picked(daemon, nth)).collect::<Vec<_>>();
    let trusting = Daemon::start(&config.clone().listener("trusted_proxies = [\"127.0.0.1/32\"]"));
    let first = all(&trusting);
    assert!(["a", "b", "c", "d"].iter().all(|name| first.contains(&(*name).to_owned())), "{first:?}");
    assert_eq!(first, all(&trusting), "the same client, the same backend");
    let wary = all(&Daemon::start(&config));
    assert!(wary.iter().all(|name| *name == wary[0]), "one peer: {wary:?}");
}

#[test]
fn the_backend_gets_the_host_that_the_pool_says() {
    let origin = Origin::answering("well");
    let own = origin.address.to_string();
    for (line, host) in [
        ("pass_host = true", "crm.example"),
        ("pass_host = false", &own),
        ("pass_host = \"fixed.example\"", "fixed.example"),
    ] {
        let daemon = Daemon::start(&over(&[origin.address]).pool(line));
        let head = arrived(&daemon, &origin, "");
        assert_eq!(
            (head.field("host"), head.field("x-forwarded-host")),
            (Some(host), Some("crm.example")),
            "{line}"
        );
    }
}

#[test]
fn via_can_be_switched_off() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).server("workers = 2\nvia = false"));
    assert_eq!(arrived(&daemon, &origin, "").field("via"), None);
}

#[test]
fn routes_choose_by_host_and_path() {
    let pools = ["api", "health", "other"].map(Origin::answering);
    let route = |name: &str, condition: &str| {
        format!("[[route]]\nname = \"{name}\"\npool = \"{name}\"\n{condition}\n")
    };
    let pool = |name: &str, origin: &Origin| format!("[pool.{name}]\nbackends = \"{}\"\n", origin.address);
    let tables = route("api", "match.host = \"*.example\"\nmatch.path_prefix = \"/api\"")
        + &route("health", "match.host = \"health.test\"")
        + &pool("api", &pools[0])
        + &pool("health", &pools[1]);
    let daemon = Daemon::start(&over(&[pools[2].address]).and(&tables));
    for (host, target, expected) in [
        ("crm.EXAMPLE:80", "/api/x", "api"),
        ("crm.example", "/apix", "other"),
        ("crm.example", "/x/../%61pi", "api"),
        ("health.test.", "/anything", "health"),
        ("example", "/api", "other"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(once(daemon.web, &request).unwrap().text(), expected, "{host}{target}");
    }
    let above = "GET /../etc HTTP/1.1\r\nHost: crm.example\r\n\r\n";
    assert_eq!(once(daemon.web, above).unwrap().status(), 400);
}

/// An origin that takes a request and tells when the balancer gave it up.
fn watching() -> (Origin, Gate) {
    let given_up = Gate::default();
    let told = given_up.clone();
    let origin = Origin::new(move |visit| {
        visit.request()?;
        let rest: io::Result<_> = visit.wire.rest();
        told.open();
        rest.map(|_| ())
    });
    (origin, given_up)
}

#[test]
fn a_fin_after_the_request_is_a_half_close() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wire.stream.shutdown(Shutdown::Write).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    gate.open();
    assert_eq!(wire.response("GET").unwrap().text(), "well");
    assert!(wire.is_at_end());
}

#[test]
fn a_fin_aborts_where_the_listener_says_so() {
    let (origin, given_up) = watching();
    let daemon = Daemon::start(&over(&[origin.address]).listener("abort_on_close = true"));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it runs", || (origin.requests() == 1).then_some(()));
    wire.stream.shutdown(Shutdown::Write).unwrap();
    given_up.pass();
    until("counted", || {
        let canceled = daemon.metric("equipoise_backend_requests_total", &[("code", "canceled")]);
        (canceled == 1.0 && daemon.metric("equipoise_http_requests_total", &[("code", "499")]) == 1.0)
            .then_some(())
    });
}

#[test]
fn a_reset_aborts_always() {
    let (origin, given_up) = watching();
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it runs", || (origin.requests() == 1).then_some(()));
    wire.reset();
    given_up.pass();
}

#[test]
fn a_fin_inside_a_request_aborts_always() {
    let given_up = Gate::default();
    let told = given_up.clone();
    let origin = Origin::new(move |visit| {
        visit.head()?;
        let rest = visit.wire.rest();
        told.open();
        rest.map(|_| ())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    until("it runs", || (origin.requests() == 1).then_some(()));
    wire.stream.shutdown(Shutdown::Write).unwrap();
    given_up.pass();
}
