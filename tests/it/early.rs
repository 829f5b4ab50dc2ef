//! Answers that come while the client still sends, and clients that leave while the answer comes.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::{Gate, Origin};

/// More than the buffers of kernel and balancer on the way.
const LARGE: usize = 48 << 20;

/// Sends the head and a large body of a POST, as much of it as is taken; gives the error that ended it.
fn upload(wire: &mut Wire, target: &str, chunked: bool) -> Option<std::io::Error> {
    let framing =
        if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {LARGE}") };
    let begin = if chunked { format!("{LARGE:x}\r\n") } else { String::new() };
    wire.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{begin}")).unwrap();
    let piece = vec![b'x'; 64 << 10];
    (0..LARGE / piece.len()).find_map(|_| wire.stream.write_all(&piece).err())
}

/// A client that sends all it has before it reads: the answer waits for it, however the backend ended.
#[test]
fn an_early_answer_is_not_lost_to_the_rest_of_the_upload() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        visit.wire.take(100_000)?;
        visit.send("HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo much")?;
        match head.target() {
            "/reset" => visit.reset(),
            "/close" => Ok(()), // with much unread: the kernel makes it a reset
            _ => visit.wire.rest().map(|_| ()),
        }
    });
    let daemon = Daemon::start(&over(&[origin.address]).pool("retry.on = []"));
    for target in ["/reset", "/close", "/reads-on"] {
        for chunked in [false, true] {
            let mut wire = connect(daemon.web);
            assert!(upload(&mut wire, target, chunked).is_some(), "{target}: not all of it is taken");
            let answer = wire.response("POST").unwrap();
            assert_eq!((answer.status(), answer.text().as_str()), (413, "too much"), "{target}");
            assert_eq!(answer.head.field("connection"), Some("close"));
        }
    }
}

/// What is thrown away behind such an answer is bounded, and so is the time; no reset comes before it has passed.
#[test]
fn behind_an_early_answer_the_client_is_given_time_to_read_it() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.answer(403, "no")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    let begun = Instant::now();
    let error = upload(&mut wire, "/", false).unwrap();
    let took = begun.elapsed();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert!(took > Duration::from_millis(1_500) && took < Duration::from_secs(6), "{took:?}");
    assert_eq!(wire.response("POST").unwrap().text(), "no");
}

/// A backend that streams for ever and tells when it was given up.
fn endless(kind: &'static str) -> (Origin, Gate) {
    let given_up = Gate::default();
    let told = given_up.clone();
    let origin = Origin::new(move |visit| {
        visit.request()?;
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\ndata: first\n\n"))?;
        let ended = visit.wire.rest();
        told.open();
        ended.map(|_| ())
    });
    (origin, given_up)
}

fn subscribe(daemon: &Daemon) -> Wire {
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(wire.head().unwrap().unwrap().status(), 200);
    // The event is there although the next one will never come.
    assert_eq!(wire.line().unwrap(), "d");
    assert_eq!(wire.take(15).unwrap(), b"data: first\n\n\r\n");
    wire
}

#[test]
fn a_client_that_resets_ends_its_stream_of_events() {
    let (origin, given_up) = endless("text/event-stream");
    let daemon = Daemon::start(&over(&[origin.address]));
    subscribe(&daemon).reset();
    given_up.pass();
    until("counted", || {
        (daemon.metric("equipoise_http_requests_total", &[("code", "499")]) == 1.0).then_some(())
    });
}

#[test]
fn a_fin_within_the_answer_ends_the_work_only_where_the_listener_says_so() {
    let (origin, given_up) = endless("text/plain");
    let daemon = Daemon::start(&over(&[origin.address]).listener("abort_on_close = true"));
    let wire = subscribe(&daemon);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    given_up.pass();

    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::new(move |visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        if request.head.target() == "/other" {
            return visit.answer(200, "other");
        }
        visit.send("HTTP/1.1 200 OK\r\n\r\ndata: first\n\n")?;
        held.pass();
        visit.send("more")
    });
    let daemon = Daemon::start(&over(&[origin.address]).server("workers = 1"));
    let mut wire = subscribe(&daemon);
    wire.stream.shutdown(Shutdown::Write).unwrap();
    // The one worker has seen the FIN by the time that it has served another client.
    assert_eq!(get(daemon.web, "/other").text(), "other");
    gate.open();
    assert_eq!(wire.take(14).unwrap(), b"4\r\nmore\r\n0\r\n\r\n");
    assert!(wire.is_at_end());
}

/// A FIN would be a half-close to many a backend, which would go on working for nobody.
#[test]
fn work_that_is_given_up_is_reset_for_the_backend() {
    let (told, ends) = mpsc::channel();
    let origin = Origin::new(move |visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        if head.target() == "/streams" {
            visit.send("HTTP/1.1 200 OK\r\n\r\ndata: first\n\n")?;
        }
        let end = visit.wire.rest().map_err(|error| error.kind());
        told.send((head.target().to_owned(), end)).map_err(std::io::Error::other)
    });
    let timeouts = "timeouts.response = \"300ms\"\nretry.on = []";
    let daemon = Daemon::start(&over(&[origin.address]).pool(timeouts));
    let ended = |target: &str| {
        let told = ends.recv_timeout(Duration::from_secs(15)).unwrap();
        assert_eq!(told, (target.to_owned(), Err(ErrorKind::ConnectionReset)));
    };
    for (target, framing) in [("/waits", ""), ("/uploads", "Content-Length: 9\r\n"), ("/streams", "")] {
        let mut wire = connect(daemon.web);
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n")).unwrap();
        if target == "/streams" {
            assert_eq!(wire.head().unwrap().unwrap().status(), 200);
        } else {
            until("it has come", || {
                origin.arrived().iter().any(|one| one.head.target() == target).then_some(())
            });
        }
        wire.reset();
        ended(target);
    }
    assert_eq!(get(daemon.web, "/slow").status(), 504);
    ended("/slow");
}
