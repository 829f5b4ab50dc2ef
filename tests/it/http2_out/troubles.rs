//! Backends of HTTP/2 that leave, refuse, fall silent, or speak something else: in raw frames.

use std::io;

use super::backend::{Backend, Kind};
use super::to;
use crate::client::{connect, get, once};
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::frames::{DATA, END, Frames, GOAWAY, HEADERS, PREFACE, RST_STREAM, WHOLE, block, frame, settings};
use crate::message::{Message, Wire};
use crate::origin::{Origin, Visit};

const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

fn config(origin: &Origin) -> Config {
    over(&[origin.address]).server("workers = 1\ndrain_timeout = \"5s\"").pool("protocol = \"h2\"")
}

/// Greets, and says that no memory is to be used for compression.
fn greet(visit: &Visit) -> io::Result<Frames> {
    let mut frames = Frames::over(Wire::new(visit.wire.stream.try_clone()?));
    assert_eq!(frames.wire.take(PREFACE.len())?, PREFACE);
    frames.send(settings(&[(1, 0)]))?;
    Ok(frames)
}

/// The stream of the next request whose last frame has come.
fn whole(frames: &mut Frames) -> io::Result<u32> {
    loop {
        let frame = frames.next()?;
        if matches!(frame.kind, HEADERS | DATA) && frame.flags & END != 0 {
            return Ok(frame.stream);
        }
    }
}

fn answer(stream: u32, body: &[u8]) -> Vec<u8> {
    let head = frame(HEADERS, WHOLE, stream, &block(&[(":status", "200")]));
    [head, frame(DATA, END, stream, body)].concat()
}

fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn reset(stream: u32, reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

fn post(daemon: &Daemon) -> Message {
    once(daemon.web, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody").unwrap()
}

fn retries(daemon: &Daemon, reason: &str) -> f64 {
    daemon.metric("equipoise_retries_total", &[("reason", reason)])
}

/// Answers as `first` says on its first connection, and well on all others.
fn at_first(first: impl Fn(&mut Frames, u32) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::new(move |visit| {
        let mut frames = greet(visit)?;
        if visit.number == 0 {
            let stream = whole(&mut frames)?;
            return first(&mut frames, stream);
        }
        loop {
            let stream = whole(&mut frames)?;
            frames.send(answer(stream, b"well"))?;
        }
    })
}

#[test]
fn what_a_backend_had_not_begun_when_it_left_is_sent_again() {
    let origin = at_first(|frames, _| {
        frames.send(goaway(0))?;
        frames.end();
        Ok(())
    });
    let daemon = Daemon::start(&config(&origin));
    assert_eq!(post(&daemon).text(), "well");
    assert_eq!(retries(&daemon, "refused"), 1.0);
    assert_eq!(origin.connections(), 2);
    assert_eq!(daemon.metric("equipoise_ejections_total", &[]), 0.0);
}

#[test]
fn what_it_had_begun_is_answered_and_the_next_goes_elsewhere() {
    let origin = at_first(|frames, stream| {
        frames.send([goaway(stream), answer(stream, b"last")].concat())?;
        frames.end();
        Ok(())
    });
    let daemon = Daemon::start(&config(&origin));
    assert_eq!(post(&daemon).text(), "last");
    assert_eq!(post(&daemon).text(), "well");
    assert_eq!((retries(&daemon, "refused"), origin.connections()), (0.0, 2));
    until("the first is closed", || {
        (daemon.metric("equipoise_backend_connections", &[]) == 1.0).then_some(())
    });
}

#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    let origin = Origin::new(|visit| {
        let mut frames = greet(visit)?;
        for n in 0.. {
            let stream = whole(&mut frames)?;
            frames.send(if n == 0 { reset(stream, REFUSED_STREAM) } else { answer(stream, b"well") })?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&config(&origin));
    assert_eq!(post(&daemon).text(), "well");
    assert_eq!((retries(&daemon, "refused"), origin.connections()), (1.0, 1));
}

#[test]
fn refusals_are_retried_only_so_often() {
    let origin = Origin::new(|visit| {
        let mut frames = greet(visit)?;
        loop {
            let stream = whole(&mut frames)?;
            frames.send(reset(stream, REFUSED_STREAM))?;
        }
    });
    let daemon = Daemon::start(&config(&origin));
    let answer = post(&daemon);
    assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (502, Some("reset")));
    assert_eq!(retries(&daemon, "refused"), 2.0);
    daemon.reload(&config(&origin).pool("retry.on = []"));
    assert_eq!(post(&daemon).status(), 502);
    assert_eq!(retries(&daemon, "refused"), 2.0);
}

#[test]
fn what_it_may_have_begun_is_sent_again_only_where_that_does_no_harm() {
    for ends in [
        |frames: &mut Frames, stream| frames.send(reset(stream, INTERNAL_ERROR)),
        |frames: &mut Frames, _| frames.wire.stream.shutdown(std::net::Shutdown::Both),
    ] {
        let origin = at_first(move |frames, stream| {
            ends(frames, stream)?;
            frames.end();
            Ok(())
        });
        let daemon = Daemon::start(&config(&origin));
        assert_eq!(post(&daemon).status(), 502);
        assert_eq!(retries(&daemon, "refused") + retries(&daemon, "reset"), 0.0);
    }
    let origin = at_first(|frames, stream| frames.send(reset(stream, INTERNAL_ERROR)));
    let daemon = Daemon::start(&config(&origin));
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(retries(&daemon, "reset"), 1.0);
}

/// On a connection that has carried others only the end of the connection is the one that idle connections come to.
#[test]
fn a_stream_that_is_reset_was_not_sent_on_a_stale_connection() {
    let origin = Origin::new(|visit| {
        let mut frames = greet(visit)?;
        for n in 0..3 {
            let stream = whole(&mut frames)?;
            frames.send(if n == 1 { reset(stream, INTERNAL_ERROR) } else { answer(stream, b"well") })?;
        }
        whole(&mut frames).map(|_| ())
    });
    let daemon = Daemon::start(&config(&origin));
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!((retries(&daemon, "reset"), retries(&daemon, "stale")), (1.0, 0.0));
    // It closes behind the next, as if it had been idle for too long.
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!((retries(&daemon, "reset"), retries(&daemon, "stale")), (1.0, 1.0));
}

#[test]
fn a_response_that_is_cut_is_no_whole_one() {
    let origin = at_first(|frames, stream| {
        let head = frame(HEADERS, WHOLE, stream, &block(&[(":status", "200")]));
        frames.send([head, frame(DATA, 0, stream, &[b'x'; 10_000])].concat())?;
        frames.send(reset(stream, INTERNAL_ERROR))
    });
    let daemon = Daemon::start(&config(&origin));
    // Where nothing of it had been sent it is told.
    let cut = once(daemon.web, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(cut.is_err() || cut.is_ok_and(|answer| answer.status() == 502));
    assert_eq!(get(daemon.web, "/").text(), "well");
}

#[test]
fn who_speaks_no_http2_gets_nothing_of_a_request() {
    let origin = Origin::new(|visit| {
        let _ = visit.wire.take(PREFACE.len())?;
        visit.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = Daemon::start(&config(&origin));
    let answer = post(&daemon);
    assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (502, Some("connect_error")));
    assert_eq!(retries(&daemon, "connect"), 2.0, "it is retried as what was not sent");
    let silent = Origin::new(|visit| visit.wire.rest().map(|_| ()));
    let lines = "timeouts.connect = \"200ms\"\nretry.on = []";
    daemon.reload(&config(&silent).pool(lines));
    assert_eq!(post(&daemon).status(), 504);
}

#[test]
fn what_is_no_response_is_invalid() {
    let nonsense: [fn(u32) -> Vec<u8>; 3] = [
        |stream| frame(HEADERS, WHOLE | END, stream, &block(&[("a", "b")])),
        |stream| frame(HEADERS, WHOLE | END, stream, &block(&[(":status", "200"), ("connection", "close")])),
        |_| b"what is this, a frame? it is not".to_vec(),
    ];
    for (n, bytes) in nonsense.into_iter().enumerate() {
        let origin = Origin::new(move |visit| {
            let mut frames = greet(visit)?;
            let stream = whole(&mut frames)?;
            frames.send(bytes(stream))?;
            frames.end();
            Ok(())
        });
        let daemon = Daemon::start(&config(&origin));
        let answer = post(&daemon);
        assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (502, Some("invalid")), "{n}");
    }
}

#[test]
fn connections_that_rest_are_closed_and_those_of_a_removed_backend_too() {
    let (rests, stays) = (Backend::answering("well"), Backend::answering("well"));
    let daemon = Daemon::start(&to(&[&rests]).pool("timeouts.keep_alive = \"300ms\""));
    assert_eq!(get(daemon.web, "/").text(), "well");
    until("it is closed", || (rests.open() == 0).then_some(()));
    // The other end sees it a moment before it is counted.
    until("it is counted", || (daemon.metric("equipoise_backend_connections", &[]) == 0.0).then_some(()));
    daemon.reload(&to(&[&stays]));
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(stays.open(), 1);
    daemon.reload(&to(&[&rests]));
    until("it is closed as well", || (stays.open() == 0).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "well");
}

#[test]
fn a_backend_that_takes_nothing_is_not_written_to_without_end() {
    let stuck = Backend::new(Kind { window: Some(20_000), ..Kind::default() }, |mut call| async move {
        let _ = call.canceled().await;
        None
    });
    let daemon = Daemon::start(&to(&[&stuck]).pool("timeouts.idle = \"1s\"\nretry.on = []"));
    let mut wire = connect(daemon.web);
    let before = daemon.resident();
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n").unwrap();
    let sender = std::thread::spawn({
        let mut stream = wire.stream.try_clone().unwrap();
        move || {
            let piece = vec![b'x'; 1 << 20];
            (0..100).take_while(|_| io::Write::write_all(&mut stream, &piece).is_ok()).count()
        }
    });
    assert_eq!(wire.response("POST").unwrap().status(), 504);
    drop(wire);
    assert!(sender.join().unwrap() < 100);
    assert!(daemon.resident() < before + (8 << 20));
    until("it is given up", || (stuck.canceled() == 1).then_some(()));
}
