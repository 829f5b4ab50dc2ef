//! Bodies on their way: at once, with back-pressure, and broken visibly where they stop short.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::connect;
use crate::config::over;
use crate::daemon::{Daemon, pause};
use crate::origin::{Gate, Origin};

/// More than all the buffers of kernel and balancer together.
const LARGE: u64 = 96 * 1024 * 1024;

/// What memory may grow by meanwhile.
const GROWTH: u64 = 8 * 1024 * 1024;

/// A piece is seen before the next one is made, both ways at the same time.
#[test]
fn pieces_arrive_as_they_are_sent() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.send("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..3 {
            let line = visit.wire.line()?;
            assert_eq!(line, "1");
            let piece = visit.wire.take(3)?;
            visit.send(format!("1\r\n{}\r\n", piece[0] as char))?;
        }
        assert_eq!(visit.wire.take(5)?, b"0\r\n\r\n");
        visit.send("0\r\n\r\n")
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    // Where the connection is to close only the last piece may wait for its end.
    for connection in ["keep-alive", "close"] {
        let mut wire = connect(daemon.web);
        let fields = format!("Host: x\r\nConnection: {connection}\r\nTransfer-Encoding: chunked");
        wire.send(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap();
        assert_eq!(wire.head().unwrap().unwrap().status(), 200);
        for piece in ["a", "b", "c"] {
            wire.send(format!("1\r\n{piece}\r\n")).unwrap();
            assert_eq!(wire.take(6).unwrap(), format!("1\r\n{piece}\r\n").as_bytes());
        }
        wire.send("0\r\n\r\n").unwrap();
        assert_eq!(wire.take(5).unwrap(), b"0\r\n\r\n");
        if connection == "close" {
            assert!(wire.is_at_end());
        }
    }
}

#[test]
fn a_slow_reader_holds_the_backend_up_and_costs_no_memory() {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let origin = Origin::new(move |visit| {
        visit.request()?;
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"))?;
        send_large(&mut visit.wire.stream, &counted)
    });
    let daemon = Daemon::start_alone(&over(&[origin.address]));
    let before = daemon.resident();
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(stalled_at(&sent) < LARGE, "the backend is held up");
    let grown = daemon.resident().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    let head = wire.head().unwrap().unwrap();
    assert_eq!(wire.body(head.response_framing("GET")).unwrap().0.len() as u64, LARGE);
}

#[test]
fn a_slow_backend_holds_the_client_up_and_costs_no_memory() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::new(move |visit| {
        let head = visit.head()?.unwrap();
        held.pass();
        let (body, _) = visit.wire.body(head.request_framing())?;
        visit.answer(200, &body.len().to_string())
    });
    let daemon = Daemon::start_alone(&over(&[origin.address]));
    let before = daemon.resident();
    let mut wire = connect(daemon.web);
    wire.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n")).unwrap();
    let sent = AtomicU64::new(0);
    let mut stream = wire.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_large(&mut stream, &sent));
        assert!(stalled_at(&sent) < LARGE, "the client is held up");
        let grown = daemon.resident().saturating_sub(before);
        gate.open();
        assert!(grown < GROWTH, "{grown} bytes");
        sending.join().unwrap().unwrap();
    });
    assert_eq!(wire.response("POST").unwrap().text(), LARGE.to_string());
}

/// A short answer must never look like a whole one.
#[test]
fn a_response_that_breaks_off_is_broken_for_the_client_too() {
    let origin = Origin::new(|visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        match request.head.target() {
            "/length" => visit.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
            "/chunk" => visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "/last" => visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
            "/framing" => {
                visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nxx\r\n")
            }
            _ => {
                visit.send("HTTP/1.1 200 OK\r\n\r\nabc")?;
                visit.reset()
            }
        }
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    for target in ["/length", "/chunk", "/last", "/framing", "/reset"] {
        let mut wire = connect(daemon.web);
        let answer = wire.get(target);
        // A reset may overtake the head: then the client gets nothing or 502, which is as plain.
        assert!(!matches!(&answer, Ok(message) if message.status() == 200), "{target}: {answer:?}");
        let old = {
            let mut wire = connect(daemon.web);
            wire.send(format!("GET {target} HTTP/1.0\r\nHost: x\r\n\r\n")).unwrap();
            wire.response("GET")
        };
        assert!(!matches!(&old, Ok(message) if message.status() == 200), "{target} for HTTP/1.0: {old:?}");
    }
}

fn send_large(stream: &mut std::net::TcpStream, sent: &AtomicU64) -> std::io::Result<()> {
    let piece = vec![7; 64 * 1024];
    while sent.load(Ordering::SeqCst) < LARGE {
        stream.write_all(&piece)?;
        sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
    }
    Ok(())
}

/// Where a counter stands once it has not moved for a while.
fn stalled_at(counter: &AtomicU64) -> u64 {
    let mut before = 0;
    loop {
        pause(Duration::from_millis(300));
        let now = counter.load(Ordering::SeqCst);
        if now == before && now > 0 {
            return now;
        }
        before = now;
    }
}

/// After an answer that came before the end of the request's body the rest is not taken for a request.
#[test]
fn an_answer_before_the_end_of_the_body_ends_the_connection() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.answer(200, "early")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npart").unwrap();
    let answer = wire.response("POST").unwrap();
    assert_eq!((answer.text().as_str(), answer.head.field("connection")), ("early", Some("close")));
    let _ = wire.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut rest = Vec::new();
    let _ = wire.stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(origin.requests(), 1);
}

/// Bytes that do not repeat in any power of two: a piece lost, doubled or out of place shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Large bodies take another way, without a copy: nothing is lost on it, before it or after it.
#[test]
fn large_bodies_arrive_byte_for_byte_and_the_next_request_is_in_step() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            let body = match request.head.target() {
                "/echo" => request.body,
                other => pattern(other[1..].parse().unwrap()),
            };
            visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
            visit.send(&body)?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    for len in [40_000, 131_072, 200_000, 1_048_576, 9_000_001, 3] {
        assert!(wire.get(&format!("/{len}")).unwrap().body == pattern(len), "{len} bytes");
        let sent = pattern(len);
        wire.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n")).unwrap();
        let mut stream = wire.stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| stream.write_all(&sent).unwrap());
            assert!(wire.response("POST").unwrap().body == sent, "{len} bytes sent");
        });
    }
}

/// A large body that stops short is broken visibly; one whose client leaves holds nothing afterwards.
#[test]
fn large_bodies_that_end_early_leave_nothing_behind() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 99000000\r\n\r\n")?;
            visit.send(pattern(5_000_000))?;
            if request.head.target() == "/short" {
                break;
            }
            visit.wire.rest()?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let open = || daemon.metric("process_open_fds", &[]);
    let mut wire = connect(daemon.web);
    assert!(wire.get("/short").is_err());
    drop(wire);
    // The pipes of a few are kept for the next.
    let kept = 2.0 * 8.0 * 2.0;
    let before = open();
    for _ in 0..40 {
        let mut wire = connect(daemon.web);
        wire.send("GET /leave HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(wire.head().unwrap().unwrap().status(), 200);
        wire.take(1_000_000).unwrap();
    }
    crate::daemon::until("all is closed", || (open() <= before + kept).then_some(()));
}
