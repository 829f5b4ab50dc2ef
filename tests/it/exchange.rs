//! One request and its response, in every form that HTTP/1.1 knows.

use std::net::Shutdown;

use crate::client::{connect, once};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::message::Framing;
use crate::origin::Origin;

#[test]
fn a_connection_carries_one_request_after_another() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for _ in 0..5 {
        let answer = wire.get("/").unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "well"));
        assert_eq!(answer.head.field("connection"), None);
    }
    assert_eq!(origin.connections(), 1, "the backend's connection is kept too");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            let echo = request.head.target().to_owned() + &request.text();
            visit.answer(200, &echo)?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
         POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n\
         GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let answers: Vec<_> = (0..4).map(|_| wire.response("GET").unwrap()).collect();
    assert_eq!(answers.iter().map(|a| a.text()).collect::<Vec<_>>(), ["/1", "/2abc", "/3def", "/4"]);
    assert_eq!(answers[3].head.field("connection"), Some("close"));
    assert!(wire.is_at_end());
}

#[test]
fn the_answer_to_head_has_the_length_and_no_body() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for _ in 0..2 {
        wire.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let answer = wire.response("HEAD").unwrap();
        assert_eq!((answer.status(), answer.head.field("content-length")), (200, Some("1000")));
    }
}

#[test]
fn a_client_that_asks_waits_for_100_and_then_sends_its_body() {
    let origin = Origin::new(|visit| {
        while let Some(head) = visit.head()? {
            assert_eq!(head.field("expect"), Some("100-continue"));
            visit.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            let (body, _) = visit.wire.body(head.request_framing())?;
            visit.answer(200, &String::from_utf8_lossy(&body))?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for _ in 0..2 {
        wire.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!(wire.head().unwrap().unwrap().status(), 100);
        wire.send("hello").unwrap();
        assert_eq!(wire.response("PUT").unwrap().text(), "hello");
    }
}

/// A backend may refuse before the body: the client must not have to send it.
#[test]
fn a_final_answer_in_place_of_100_comes_at_once() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.answer(413, "too much")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 500000\r\n\r\n").unwrap();
    let answer = wire.response("PUT").unwrap();
    assert_eq!((answer.status(), answer.head.field("connection")), (413, Some("close")));
    assert!(wire.is_at_end());
}

#[test]
fn early_hints_are_passed_on_before_the_answer() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n")?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let hints = wire.head().unwrap().unwrap();
    assert_eq!(hints.fields, [("Link".to_owned(), "</a.css>".to_owned())]);
    assert_eq!(wire.response("GET").unwrap().text(), "ok");
    // A client of HTTP/1.0 does not know interim responses (RFC 9110 15.2).
    let old = once(daemon.web, "GET / HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!((old.status(), old.text().as_str()), (200, "ok"));
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let answer = once(daemon.web, "GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(answer.head.response_framing("GET"), Framing::UntilClose);
    assert_eq!((answer.text().as_str(), answer.head.field("connection")), ("abc", Some("close")));
    assert_eq!(
        origin.last().field("host"),
        Some(origin.address.to_string().as_str()),
        "a backend must get a Host"
    );
}

#[test]
fn an_upgrade_is_relayed_raw_with_half_close() {
    let origin = Origin::new(|visit| {
        let head = visit.head()?.unwrap();
        assert_eq!((head.field("upgrade"), head.field("connection")), (Some("websocket"), Some("upgrade")));
        visit.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")?;
        assert_eq!(visit.wire.take(4)?, *b"ping");
        visit.send("pong")?;
        // The client's FIN comes through, and what is sent after it too.
        assert_eq!(visit.wire.rest()?, b"last");
        visit.send("after the end")
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    let head = wire.head().unwrap().unwrap();
    assert_eq!(
        (head.status(), head.field("upgrade"), head.field("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    assert_eq!(wire.take(5).unwrap(), b"first");
    wire.send("ping").unwrap();
    assert_eq!(wire.take(4).unwrap(), b"pong");
    wire.send("last").unwrap();
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.rest().unwrap(), b"after the end");
}

#[test]
fn a_switch_that_nobody_asked_for_is_no_answer() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    assert_eq!(once(daemon.web, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().status(), 502);
}

/// Refused where it stands: nothing of it reaches a backend, and the connection ends.
#[test]
fn ambiguous_requests_get_400_and_reach_nobody() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    for (head, status) in [
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501),
        ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    ] {
        let mut wire = connect(daemon.web);
        wire.send(head).unwrap();
        let answer = wire.response("GET").unwrap();
        assert_eq!((answer.status(), answer.head.field("connection")), (status, Some("close")), "{head:?}");
        assert!(wire.is_at_end(), "{head:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn connect_opens_a_tunnel_where_the_listener_allows_it() {
    let origin = Origin::new(|visit| {
        let head = visit.head()?.unwrap();
        assert_eq!(head.field("host"), Some("far.example:443"));
        if head.start != "CONNECT far.example:443 HTTP/1.1" {
            return visit.answer(500, &head.start);
        }
        if head.field("x-refuse").is_some() {
            return visit.answer(403, "no");
        }
        visit.send("HTTP/1.1 200 Established\r\nContent-Length: 7\r\n\r\nfirst")?;
        assert_eq!(visit.wire.rest()?, b"early, late");
        visit.send("after the end")
    });
    let daemon = Daemon::start(&over(&[origin.address]).listener("allow_connect = true"));
    let mut wire = connect(daemon.web);
    wire.send("CONNECT far.example:443 HTTP/1.1\r\nHost: elsewhere\r\n\r\nearly, ").unwrap();
    let head = wire.head().unwrap().unwrap();
    assert_eq!((head.status(), head.field("content-length"), head.field("connection")), (200, None, None));
    assert_eq!(wire.take(5).unwrap(), b"first");
    wire.send("late").unwrap();
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.rest().unwrap(), b"after the end");
    // What was sent for a tunnel that is not granted is no request.
    let mut wire = connect(daemon.web);
    wire.send("CONNECT far.example:443 HTTP/1.1\r\nHost: x\r\nX-Refuse: 1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let answer = wire.response("GET").unwrap();
    assert_eq!((answer.status(), answer.head.field("connection")), (403, Some("close")));
    assert!(wire.is_at_end());
    assert_eq!(origin.requests(), 2);
}

#[test]
fn options_goes_as_far_as_max_forwards_says() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for target in ["*", "/x"] {
        wire.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n")).unwrap();
        let own = wire.response("OPTIONS").unwrap();
        assert_eq!((own.status(), own.text().as_str(), own.head.field("connection")), (200, "", None));
        assert!(own.head.field("allow").unwrap().contains("OPTIONS"));
    }
    assert_eq!(origin.requests(), 0);
    wire.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 1\r\n\r\n").unwrap();
    assert_eq!(wire.response("OPTIONS").unwrap().text(), "well");
    assert_eq!(origin.last().field("max-forwards"), Some("0"));
}

#[test]
fn what_a_backend_says_beyond_its_response_is_thrown_away_and_counted() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            visit.done();
            visit.send(match request.head.target() {
                "/behind" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil",
                "/none" => "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
                "/hints" => {
                    "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            })?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]).server("workers = 1"));
    let mut wire = connect(daemon.web);
    let strays =
        || daemon.metric("equipoise_backend_strays_total", &[("backend", &origin.address.to_string())]);
    for (target, answer, counted, connections) in [
        ("/", "ok", 0.0, 1),
        ("/behind", "ok", 1.0, 1),
        ("/", "ok", 1.0, 2),
        ("/none", "", 2.0, 2),
        ("/", "ok", 2.0, 3),
    ] {
        assert_eq!(wire.get(target).unwrap().text(), answer, "{target}");
        // The client has its answer a moment before what lies behind it is counted.
        until("strays are counted", || (strays() >= counted).then_some(()));
        assert_eq!((strays(), origin.connections()), (counted, connections), "{target}");
    }
    wire.send("GET /hints HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(wire.head().unwrap().unwrap().fields, [], "the hints lose their length");
    assert_eq!(wire.response("GET").unwrap().text(), "ok");
    assert_eq!(wire.get("/").unwrap().text(), "ok");
    assert_eq!(origin.connections(), 4, "a length that stands where it must not ends the trust");
}
