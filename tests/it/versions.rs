//! HTTP/1.0 on either side.

use crate::client::{connect, get, once};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::Origin;

/// A backend that answers in HTTP/1.0 as its path says: until it closes, or with a length and kept.
fn old() -> Origin {
    Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            assert!(request.head.start.ends_with(" HTTP/1.1"), "our own version: {}", request.head.start);
            visit.done();
            match request.head.target() {
                "/kept" => visit
                    .send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nkept")?,
                "/length" => {
                    visit.send("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nlength")?;
                }
                "/modern" => visit.answer(200, "modern")?,
                _ => return visit.send("HTTP/1.0 200 OK\r\n\r\nuntil the end"),
            }
        }
        Ok(())
    })
}

#[test]
fn a_backend_of_http_1_0_serves_clients_of_both_versions() {
    let origin = old();
    let daemon = Daemon::start(&over(&[origin.address]).server("workers = 1"));
    let mut wire = connect(daemon.web);
    for (target, body, connections) in [
        ("/", "until the end", 1),
        ("/length", "length", 2),
        ("/kept", "kept", 3),
        ("/kept", "kept", 3),
        ("/length", "length", 3),
        ("/", "until the end", 4),
    ] {
        let answer = wire.get(target).unwrap();
        assert_eq!((answer.head.start.as_str(), answer.text().as_str()), ("HTTP/1.1 200 OK", body));
        assert_eq!(answer.head.field("via"), Some("1.0 equipoise"), "the version received");
        assert_eq!(origin.connections(), connections, "{target}");
    }
    for (target, body) in [("/", "until the end"), ("/length", "length")] {
        let answer = once(daemon.web, &format!("GET {target} HTTP/1.0\r\nHost: x\r\n\r\n")).unwrap();
        assert_eq!((answer.text().as_str(), answer.head.field("connection")), (body, Some("close")));
        assert_eq!(answer.head.field("transfer-encoding"), None);
    }
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for _ in 0..3 {
        wire.send("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let answer = wire.response("GET").unwrap();
        assert_eq!((answer.text().as_str(), answer.head.field("connection")), ("well", Some("keep-alive")));
    }
    wire.send("POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok").unwrap();
    assert_eq!(wire.response("POST").unwrap().head.field("connection"), Some("close"));
    assert!(wire.is_at_end());
    assert_eq!(origin.last().field("expect"), None, "its 100 could not be passed on");
    assert_eq!(origin.last().field("via"), Some("1.0 equipoise"));
}

const CHUNKED: &str =
    "POST /kept HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const EXPECTING: &str = "POST /kept HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

/// It would take the chunks for the body, or for a request; and it has no 100.
#[test]
fn what_http_1_0_does_not_know_is_not_sent_to_a_backend_that_speaks_nothing_else() {
    let origin = old();
    let daemon = Daemon::start(&over(&[origin.address]));
    assert_eq!(once(daemon.web, CHUNKED).unwrap().status(), 200, "nothing is known yet");
    let arrived = origin.requests();
    for (request, status) in [(CHUNKED, 411), (EXPECTING, 417)] {
        let mut wire = connect(daemon.web);
        wire.send(request).unwrap();
        let answer = wire.response("POST").unwrap();
        assert_eq!((answer.status(), answer.head.field("connection")), (status, Some("close")));
        assert_eq!(answer.head.field("x-equipoise-reason"), Some("unsupported"));
        assert!(wire.is_at_end());
    }
    assert_eq!(origin.requests(), arrived);
    let plain = "POST /kept HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(once(daemon.web, plain).unwrap().status(), 200, "what it knows is");
    // Whoever has once answered in 1.1 can read it.
    assert_eq!(get(daemon.web, "/modern").text(), "modern");
    assert_eq!(get(daemon.web, "/kept").text(), "kept");
    assert_eq!(once(daemon.web, CHUNKED).unwrap().status(), 200);
    until("counted", || {
        (daemon.metric("equipoise_rejected_total", &[("reason", "unsupported")]) == 2.0).then_some(())
    });
}
