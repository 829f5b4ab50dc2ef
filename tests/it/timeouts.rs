//! Every timeout of the contract: what the client sees, and when.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{connect, get};
use crate::config::{Config, over};
use crate::daemon::{Daemon, pause};
use crate::message::Wire;
use crate::origin::{Origin, Visit};

/// What every timeout is set to here.
const SET: Duration = Duration::from_millis(300);

/// How late it may fire, on a busy machine.
const LATE: Duration = Duration::from_secs(3);

fn in_time(begun: Instant) {
    let took = begun.elapsed();
    assert!(took >= SET && took <= SET + LATE, "{took:?}");
}

/// Takes a request and is silent from then on.
fn silent(visit: &mut Visit) -> std::io::Result<()> {
    visit.head()?;
    visit.wire.rest().map(|_| ())
}

fn start(origin: &Origin, change: impl FnOnce(Config) -> Config) -> Daemon {
    Daemon::start(&change(over(&[origin.address]).pool("retry.on = []")))
}

#[test]
fn a_client_that_says_nothing_is_left_silently() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, |config| config.listener("timeouts.head = \"300ms\""));
    let begun = Instant::now();
    assert!(connect(daemon.web).is_at_end());
    in_time(begun);
}

/// Bytes that trickle in do not move the deadline of a head.
#[test]
fn a_head_that_does_not_end_is_408() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, |config| config.listener("timeouts.head = \"300ms\""));
    let mut wire = connect(daemon.web);
    let begun = Instant::now();
    wire.send("GET / HTTP/1.1\r\n").unwrap();
    let mut dripping = Wire::new(wire.stream.try_clone().unwrap());
    let drip = std::thread::spawn(move || {
        while begun.elapsed() < SET * 2 && dripping.send("A: b\r\n").is_ok() {
            pause(Duration::from_millis(50));
        }
    });
    assert_eq!(wire.response("GET").unwrap().status(), 408);
    in_time(begun);
    drip.join().unwrap();
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_body_that_stops_is_408() {
    let origin = Origin::new(silent);
    let daemon = start(&origin, |config| config.listener("timeouts.body = \"300ms\""));
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut wire = connect(daemon.web);
        wire.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n3\r\n")).unwrap();
        let begun = Instant::now();
        assert_eq!(wire.response("POST").unwrap().status(), 408, "{framing}");
        in_time(begun);
    }
}

#[test]
fn an_idle_connection_ends_after_keep_alive() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, |config| config.listener("timeouts.keep_alive = \"300ms\""));
    let mut wire = connect(daemon.web);
    wire.get("/").unwrap();
    let begun = Instant::now();
    assert!(wire.is_at_end());
    in_time(begun);
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\n\r\n")?;
        let piece = vec![0; 1 << 20];
        for _ in 0..256 {
            visit.send(&piece)?;
        }
        Ok(())
    });
    let daemon = start(&origin, |config| config.listener("timeouts.write = \"300ms\""));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let event = daemon.logged_where("cut off", |e| e["fault"] == "WriteTimeout");
    assert_eq!(event["message"], "request failed");
    assert!(wire.response("GET").is_err());
}

/// A listening socket whose queue is full: the kernel drops every further SYN.
#[test]
fn a_backend_that_cannot_be_connected_in_time_is_504() {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let _queued = [(); 3].map(|()| {
        let queued = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        queued.set_nonblocking(true).unwrap();
        let _ = queued.connect(&full.into());
        queued
    });
    let daemon = Daemon::start(&over(&[full]).pool("timeouts.connect = \"300ms\"\nretry.on = []"));
    let begun = Instant::now();
    assert_eq!(get(daemon.web, "/").status(), 504);
    in_time(begun);
}

#[test]
fn a_backend_that_does_not_answer_is_504() {
    let origin = Origin::new(silent);
    let daemon = start(&origin, |config| config.pool("timeouts.response = \"300ms\""));
    let begun = Instant::now();
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/").unwrap().status(), 504);
    in_time(begun);
    assert_eq!(wire.get("/").unwrap().status(), 504, "the client's connection is kept");
}

/// The timeout runs from the end of the request: a slow upload is not the backend's fault.
#[test]
fn the_response_is_waited_for_from_the_end_of_the_request() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, |config| config.pool("timeouts.response = \"300ms\""));
    let mut wire = connect(daemon.web);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n").unwrap();
    for _ in 0..6 {
        pause(Duration::from_millis(100));
        wire.send("x").unwrap();
    }
    assert_eq!(wire.response("POST").unwrap().status(), 200);
}

#[test]
fn a_backend_that_stops_within_its_body_is_cut() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = start(&origin, |config| config.pool("timeouts.idle = \"300ms\""));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let head = wire.head().unwrap().unwrap();
    assert_eq!(wire.take(4).unwrap(), b"half");
    let begun = Instant::now();
    assert_eq!(head.status(), 200);
    assert_eq!(wire.fill().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(begun.elapsed() <= SET + LATE);
}

/// Events may be far apart: a stream of them goes by the time of tunnels.
#[test]
fn a_stream_of_events_outlives_idle() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")?;
        pause(Duration::from_millis(700));
        visit.send("data: 2\n\n")
    });
    let daemon = start(&origin, |config| config.pool("timeouts.idle = \"300ms\"\ntimeouts.tunnel = \"10s\""));
    assert_eq!(get(daemon.web, "/").text(), "data: 1\n\ndata: 2\n\n");
}

#[test]
fn a_silent_tunnel_is_cut() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = start(&origin, |config| config.pool("timeouts.tunnel = \"300ms\"\ntimeouts.idle = \"10s\""));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").unwrap();
    assert_eq!(wire.head().unwrap().unwrap().status(), 101);
    let begun = Instant::now();
    assert!(matches!(wire.fill(), Ok(0) | Err(_)));
    assert!(begun.elapsed() <= SET + LATE);
}

/// The whole request, retries included.
#[test]
fn a_route_has_a_timeout_of_its_own() {
    let origin = Origin::new(silent);
    let route =
        "[[route]]\nname = \"slow\"\nmatch.path_prefix = \"/slow\"\npool = \"crm\"\ntimeout = \"300ms\"";
    let config =
        over(&[origin.address]).pool("retry.on = [\"timeout\"]\ntimeouts.response = \"200ms\"").and(route);
    let daemon = Daemon::start(&config);
    let begun = Instant::now();
    assert_eq!(get(daemon.web, "/slow/report").status(), 504);
    in_time(begun);
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("route", "slow"), ("code", "504")]), 1.0);
}

/// Kept by one byte now and then it would hold its connection for ever.
#[test]
fn a_client_below_min_rate_is_cut_off() {
    let origin = Origin::new(silent);
    let daemon = start(&origin, |config| config);
    let mut wire = connect(daemon.web);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").unwrap();
    let begun = Instant::now();
    let mut dripping = Wire::new(wire.stream.try_clone().unwrap());
    let drip = std::thread::spawn(move || {
        while begun.elapsed() < Duration::from_secs(13) && dripping.send("x").is_ok() {
            pause(Duration::from_millis(200));
        }
    });
    assert_eq!(wire.response("POST").unwrap().status(), 408);
    assert!(begun.elapsed() >= Duration::from_secs(9), "averaged over 10 s: {:?}", begun.elapsed());
    drip.join().unwrap();
}

/// Silence for longer than a connect may take makes the kernel look whether the host is still there: one
/// that is there may take its time, then and with the next request.
#[test]
fn a_slow_backend_is_not_taken_for_a_vanished_one() {
    const LARGE: usize = 16 * 1024 * 1024;
    let origin = Origin::new(|visit| {
        while let Some(head) = visit.head()? {
            // Longer than the kernel would wait, and while a large body fills every buffer on the way.
            pause(Duration::from_millis(1_500));
            let (body, _) = visit.wire.body(head.request_framing())?;
            visit.answer(200, &body.len().to_string())?;
        }
        Ok(())
    });
    let daemon = start(&origin, |config| config.pool("timeouts.connect = \"250ms\""));
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/").unwrap().text(), "0");
    wire.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n")).unwrap();
    wire.send(vec![0; LARGE]).unwrap();
    assert_eq!(wire.response("PUT").unwrap().text(), LARGE.to_string());
    assert_eq!((origin.connections(), origin.requests()), (1, 2), "on one connection, and nothing twice");
}

/// The time that a client takes for its head is not the backend's: it must not use up the time to connect.
#[test]
fn a_slow_head_takes_nothing_from_the_time_to_connect() {
    let well = Origin::answering("well");
    let daemon = Daemon::start(&over(&[well.address]).pool("timeouts.connect = \"50ms\"\nretry.on = []"));
    for _ in 0..5 {
        let mut wire = connect(daemon.web);
        wire.send("POST / HTTP/1.1\r\nHost: x\r\n").unwrap();
        pause(Duration::from_millis(150)); // the slowness itself
        wire.send("Content-Length: 1\r\nConnection: close\r\n\r\nx").unwrap();
        assert_eq!(wire.response("POST").unwrap().status(), 200);
    }
}

/// The other way: an answer that is taken by a few bytes now and then, each in time for `write`.
#[test]
fn a_reader_below_min_rate_is_cut_off() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\n\r\n")?;
        let piece = vec![0; 1 << 20];
        (0..1024).try_for_each(|_| visit.send(&piece))
    });
    let daemon = start(&origin, |config| config.listener("limits.min_rate = \"16MiB\""));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let begun = Instant::now();
    let mut cut = false;
    while !cut && begun.elapsed() < Duration::from_secs(25) {
        pause(Duration::from_millis(50));
        cut = wire.take(200_000).is_err(); // 4 MB a second
    }
    assert!(cut && begun.elapsed() >= Duration::from_secs(9), "averaged over 10 s: {:?}", begun.elapsed());
    daemon.logged_where("cut off", |e| e["fault"] == "WriteTimeout");
}

/// It is not the uploader who is slow where the backend is: neither `body` nor `min_rate` runs meanwhile.
#[test]
fn a_slow_backend_gives_the_uploader_no_408() {
    const LARGE: usize = 24 << 20;
    let origin = Origin::new(|visit| {
        let head = visit.head()?.unwrap();
        pause(Duration::from_secs(12)); // longer than what the rate is averaged over
        let (body, _) = visit.wire.body(head.request_framing())?;
        visit.answer(200, &body.len().to_string())
    });
    let daemon = start(&origin, |config| {
        config
            .listener("limits.min_rate = \"1MiB\"\ntimeouts.body = \"300ms\"")
            .pool("timeouts.idle = \"30s\"")
    });
    let mut wire = connect(daemon.web);
    wire.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n")).unwrap();
    wire.send(vec![0; LARGE]).unwrap();
    assert_eq!(wire.response("PUT").unwrap().text(), LARGE.to_string());
}
