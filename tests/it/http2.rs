//! HTTP/2 from clients: many exchanges on one connection, and how each ends.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustix::process::Signal;

use crate::certificates::Authority;
use crate::client;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::frames::{
    DATA, END, Frames, GOAWAY, HEADERS, Outcome, PREFACE, RST_STREAM, WHOLE, WINDOW_UPDATE, asking, block,
    frame, get, settings,
};
use crate::message::Framing;
use crate::origin::{Gate, Origin, Visit};
use crate::tls::{dial, secured, tls};

/// CANCEL
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const INTERNAL_ERROR: u32 = 2;

pub(crate) fn speaking(origin: &Origin) -> Config {
    over(&[origin.address])
        .server("workers = 1\ndrain_timeout = \"5s\"")
        .listener("protocols = [\"h1\", \"h2\"]")
}

fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &block(&[&asking("POST", "/up")[..], more].concat()))
}

fn answer(status: u16, body: &str) -> Outcome {
    Outcome::Answer { status, body: body.into(), interim: Vec::new(), trailers: false }
}

#[test]
fn streams_are_answered_side_by_side() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    let held: Vec<u32> = (0..20).map(|n| 2 * n + 1).collect();
    held.iter().for_each(|stream| frames.send(get(*stream, "/held")).unwrap());
    until("all are there", || (origin.in_flight() == 20).then_some(()));
    frames.send(get(101, "/free")).unwrap();
    assert_eq!(frames.outcome(101), answer(200, "well"), "a slow stream holds no other up");
    gate.open();
    let mut answered = 0;
    while answered < held.len() {
        let frame = frames.next().unwrap();
        answered += usize::from(frame.kind == DATA && frame.flags & END != 0 && held.contains(&frame.stream));
    }
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "200")]), 21.0);
    assert_eq!(daemon.metric("equipoise_connections_total", &[("listener", "web")]), 1.0);
}

#[test]
fn the_end_of_a_backends_connection_is_not_the_clients() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.0 200 OK\r\nConnection: close\r\nX-A: b\r\n\r\nuntil the end")
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    for stream in [1, 3, 5] {
        frames.send(get(stream, "/")).unwrap();
        assert_eq!(frames.outcome(stream), answer(200, "until the end"));
    }
}

#[test]
fn interim_responses_and_trailers_pass_both_ways() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        assert_eq!((head.field("te"), head.field("connection")), (Some("trailers"), Some("TE")));
        visit.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
        let (body, trailers) = visit.wire.body(Framing::Chunked)?;
        assert_eq!((&body[..], &trailers[..]), (&b"hello"[..], &[("x-sum".into(), "1".into())][..]));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n";
        visit.send(format!("{head}3\r\nwel\r\n1\r\nl\r\n0\r\nGrpc-Status: 0\r\n\r\n"))
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    frames.send(post(1, &[("te", "trailers"), ("expect", "100-continue")])).unwrap();
    let early = [frames.next().unwrap(), frames.next().unwrap(), frames.next().unwrap()];
    assert!(early.iter().any(|frame| frame.kind == HEADERS), "100 comes before the body: {early:?}");
    frames.send(frame(DATA, 0, 1, b"hello")).unwrap();
    frames.send(frame(HEADERS, END | WHOLE, 1, &block(&[("x-sum", "1")]))).unwrap();
    let Outcome::Answer { status: 200, body, trailers: true, .. } = frames.outcome(1) else {
        panic!("{early:?}")
    };
    assert_eq!(body, b"well");
}

#[test]
fn a_stream_that_its_client_resets_ends_at_the_backend() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        if head.target() == "/gone" {
            // Whoever was given up sees a reset, not an end.
            assert!(visit.wire.rest().is_err());
            visit.done();
            return Ok(());
        }
        visit.answer(200, "well")
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    frames.send(get(1, "/gone")).unwrap();
    until("it arrived", || (origin.in_flight() == 1).then_some(()));
    frames.send(frame(RST_STREAM, 0, 1, &CANCEL)).unwrap();
    until("it is over", || (origin.in_flight() == 0).then_some(()));
    frames.send(get(3, "/")).unwrap();
    assert_eq!(frames.outcome(3), answer(200, "well"));
    let count = |code| daemon.metric("equipoise_http_requests_total", &[("code", code)]);
    until("it is counted", || (count("499") == 1.0 && count("200") == 1.0).then_some(()));
    assert_eq!(daemon.metric("equipoise_backend_requests_total", &[("code", "canceled")]), 1.0);
    assert_eq!(daemon.metric("equipoise_backend_in_flight", &[]), 0.0);
}

#[test]
fn a_connection_that_ends_takes_its_streams_along() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        assert!(visit.wire.rest().is_err());
        visit.done();
        Ok(())
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    frames.send([get(1, "/"), post(3, &[])].concat()).unwrap();
    until("they arrived", || (origin.in_flight() == 2).then_some(()));
    frames.wire.stream.shutdown(Shutdown::Write).unwrap();
    until("they are over", || (origin.in_flight() == 0).then_some(()));
    until("all is closed", || (daemon.metric("equipoise_connections_open", &[]) == 0.0).then_some(()));
}

#[test]
fn a_short_body_is_never_a_clean_end() {
    let origin = Origin::new(|visit| {
        let target = visit.head()?.map(|head| head.target().to_owned());
        match target.as_deref() {
            Some("/length") => visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?,
            Some("/chunks") => {
                visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")?
            }
            _ => return visit.answer(200, "well"),
        }
        visit.reset()
    });
    let daemon = Daemon::start(&speaking(&origin).pool("retry.on = []"));
    let mut frames = Frames::connect(daemon.web);
    for (stream, path) in [(1, "/length"), (3, "/chunks")] {
        frames.send(get(stream, path)).unwrap();
        // Where nothing of it had been sent it is told.
        let outcome = frames.outcome(stream);
        let told = matches!(outcome, Outcome::Answer { status: 502, .. });
        assert!(told || outcome == Outcome::Reset(INTERNAL_ERROR), "{outcome:?}");
    }
    frames.send(get(5, "/")).unwrap();
    assert_eq!(frames.outcome(5), answer(200, "well"));
}

#[test]
fn an_early_answer_ends_the_stream_and_nothing_else() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit.answer(413, "no")?;
        visit.wire.rest().map(|_| ())
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    frames.send([post(1, &[]), frame(DATA, 0, 1, b"begun")].concat()).unwrap();
    assert_eq!(frames.outcome(1), answer(413, "no"));
    // RFC 9113 8.1: NO_ERROR tells the client to stop sending.
    assert_eq!(frames.outcome(1), Outcome::Reset(0));
    frames.send(post(3, &[])).unwrap();
    assert_eq!(frames.outcome(3), answer(413, "no"));
}

#[test]
fn large_bodies_pass_both_ways_within_the_windows() {
    const LENGTH: usize = 8 << 20;
    let origin = Origin::new(|visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()))?;
        visit.send(&request.body)
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    let sent: Vec<u8> = (0..LENGTH as u32).map(|n| (n % 251) as u8).collect();
    frames.send(post(1, &[])).unwrap();
    let (mut stream_window, mut window, mut at) = (0i64, 65_535i64, 0);
    while at < LENGTH {
        let room = usize::try_from(stream_window.min(window)).unwrap_or(0).min(16_384).min(LENGTH - at);
        if room == 0 {
            let came = frames.next().unwrap();
            let number =
                |at: usize| i64::from(u32::from_be_bytes(came.payload[at..at + 4].try_into().unwrap()));
            match (came.kind, came.stream) {
                (WINDOW_UPDATE, 0) => window += number(0),
                (WINDOW_UPDATE, _) => stream_window += number(0),
                // The first window of each stream stands among the settings.
                (crate::frames::SETTINGS, _) if came.flags == 0 => {
                    let first = came.payload.chunks(6).find(|one| one[..2] == [0, 4]).unwrap();
                    stream_window += i64::from(u32::from_be_bytes(first[2..].try_into().unwrap()));
                }
                _ => {}
            }
            continue;
        }
        let last = if at + room == LENGTH { END } else { 0 };
        frames.send(frame(DATA, last, 1, &sent[at..at + room])).unwrap();
        (at, window, stream_window) = (at + room, window - room as i64, stream_window - room as i64);
    }
    let Outcome::Answer { status: 200, body, .. } = frames.outcome(1) else { panic!("no answer") };
    assert!(body == sent, "{} bytes", body.len());
}

#[test]
fn websockets_come_by_extended_connect() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        assert_eq!(head.start, "GET /chat HTTP/1.1");
        assert_eq!((head.field("upgrade"), head.field("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(head.field("sec-websocket-key").map(str::len), Some(24));
        let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket";
        visit.send(format!(
            "{switching}\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: a\r\n\r\nfirst"
        ))?;
        assert_eq!(visit.wire.take(5)?, b"hello");
        visit.send("world")?;
        assert_eq!(visit.wire.rest()?, b"", "the client's end passes on");
        Ok(())
    });
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    let fields = [&asking("CONNECT", "/chat")[..], &[(":protocol", "websocket")]].concat();
    let fields: Vec<_> = fields.iter().cloned().chain([("sec-websocket-version", "13")]).collect();
    let (pseudo, rest): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| name.starts_with(':'));
    frames.send(frame(HEADERS, WHOLE, 1, &block(&[pseudo, rest].concat()))).unwrap();
    frames.send(frame(DATA, 0, 1, b"hello")).unwrap();
    frames.send(frame(DATA, END, 1, &[])).unwrap();
    let Outcome::Answer { status: 200, body, .. } = frames.outcome(1) else { panic!("no tunnel") };
    assert_eq!(body, b"firstworld");
}

/// A 200 would say that what follows is the tunnel.
#[test]
fn a_websocket_that_the_backend_does_not_open_is_no_success() {
    let origin = Origin::answering("a page");
    let daemon = Daemon::start(&speaking(&origin));
    let mut frames = Frames::connect(daemon.web);
    let fields = [&asking("CONNECT", "/chat")[..], &[(":protocol", "websocket")]].concat();
    frames.send(frame(HEADERS, WHOLE, 1, &block(&fields))).unwrap();
    assert_eq!(frames.outcome(1), answer(502, "a page"));
}

#[test]
fn a_drain_says_goaway_and_finishes_what_runs() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let mut daemon = Daemon::start(&speaking(&origin));
    let (mut busy, mut idle) = (Frames::connect(daemon.web), Frames::connect(daemon.web));
    idle.send(get(1, "/")).unwrap();
    assert_eq!(idle.outcome(1), answer(200, "well"));
    busy.send(get(1, "/held")).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    daemon.signal(Signal::TERM);
    assert_eq!(idle.end(), Some(0), "the idle one ends with NO_ERROR");
    while busy.next().unwrap().kind != GOAWAY {}
    gate.open();
    assert_eq!(busy.outcome(1), answer(200, "well"));
    assert_eq!(busy.end(), Some(0));
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_reload_that_removes_the_listener_ends_its_connections_kindly() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let second = "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:0\"\npool = \"crm\"\nprotocols = \"h2\"\n";
    let daemon = Daemon::start(&speaking(&origin).and(second));
    let mut frames = Frames::connect(daemon.listener("b"));
    frames.send(get(1, "/held")).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    daemon.reload(&speaking(&origin));
    while frames.next().unwrap().kind != GOAWAY {}
    gate.open();
    assert_eq!(frames.outcome(1), answer(200, "well"));
    assert_eq!(frames.end(), Some(0));
}

#[test]
fn clients_choose_by_alpn_and_others_are_refused() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let offering = |protocols: &[&str]| {
        let mut config = authority.client();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let both = offering(&["http/1.1", "h2"]);
    let wire = dial(daemon.web, &both, "crm.test").unwrap();
    assert_eq!(wire.tls.as_ref().unwrap().alpn_protocol(), Some(&b"h2"[..]));
    let mut frames = Frames::over(wire);
    frames.send([PREFACE, &settings(&[(1, 0)]), &get(1, "/")].concat()).unwrap();
    assert_eq!(frames.outcome(1), answer(200, "well"));
    assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
    for plain in [offering(&["http/1.1"]), offering(&[])] {
        assert_eq!(dial(daemon.web, &plain, "crm.test").unwrap().get("/").unwrap().text(), "well");
    }
    assert!(dial(daemon.web, &offering(&["spdy/3"]), "crm.test").is_err());
    let refused = || daemon.metric("equipoise_tls_handshakes_total", &[("result", "no_protocol")]);
    until("it is counted", || (refused() == 1.0).then_some(()));
    for (protocols, good, bad) in [("h1", "http/1.1", "h2"), ("h2", "h2", "http/1.1")] {
        daemon.reload(&secured(&origin, &format!("protocols = \"{protocols}\"\n{}", tls(&[&own], ""))));
        assert!(dial(daemon.web, &offering(&[good]), "crm.test").is_ok());
        assert!(dial(daemon.web, &offering(&[bad]), "crm.test").is_err());
    }
    // Without ALPN it is HTTP/1.1, which is not spoken now.
    assert_eq!(dial(daemon.web, &offering(&[]), "crm.test").unwrap().get("/").unwrap().status(), 505);
}

#[test]
fn in_clear_it_is_known_by_its_beginning() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&speaking(&origin));
    assert_eq!(client::get(daemon.web, "/").text(), "well");
    let begun = client::connect(daemon.web);
    let mut frames = Frames::over(begun);
    for octet in [PREFACE, &settings(&[(1, 0)]), &get(1, "/")].concat() {
        frames.send([octet]).unwrap();
    }
    assert_eq!(frames.outcome(1), answer(200, "well"));
    // A method that begins like it is HTTP/1.1.
    let answered = client::once(daemon.web, "PRI / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(answered.text(), "well");
    daemon.reload(&over(&[origin.address]).server("workers = 1").listener("protocols = \"h2\""));
    assert_eq!(client::get(daemon.web, "/").status(), 505);
    let mut frames = Frames::connect(daemon.web);
    frames.send(get(1, "/")).unwrap();
    assert_eq!(frames.outcome(1), answer(200, "well"));
    daemon.reload(&over(&[origin.address]).server("workers = 1"));
    let refused = client::once(daemon.web, std::str::from_utf8(PREFACE).unwrap()).unwrap();
    assert_eq!(refused.status(), 505);
}

#[test]
fn a_try_that_fails_is_made_elsewhere() {
    let dead =
        TcpStream::connect(Origin::answering("").address).map(|stream| stream.peer_addr().unwrap()).unwrap();
    let origin = Origin::new(|visit: &mut Visit| -> io::Result<()> {
        while visit.request()?.is_some() {
            visit.answer(200, "well")?;
        }
        Ok(())
    });
    let config = over(&[dead, origin.address]).server("workers = 1").listener("protocols = \"h2\"");
    let daemon = Daemon::start(&config);
    let mut frames = Frames::connect(daemon.web);
    for stream in [1, 3, 5, 7] {
        frames.send([post(stream, &[]), frame(DATA, END, stream, b"body")].concat()).unwrap();
        assert_eq!(frames.outcome(stream), answer(200, "well"));
    }
    assert!(daemon.metric("equipoise_retries_total", &[("reason", "connect")]) >= 1.0);
}

/// Each stream is announced to backends as its connection is, and streams of one connection share what was announced.
#[test]
fn streams_have_the_address_of_their_connections_proxy_header() {
    const HEADER: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80";
    let origin = Origin::new(|visit| {
        assert_eq!(visit.wire.line()?, HEADER);
        while visit.request()?.is_some() {
            visit.answer(200, "well")?;
        }
        Ok(())
    });
    let lines = "trusted_proxies = \"127.0.0.1\"\nproxy_protocol = \"require\"";
    let daemon = Daemon::start(&speaking(&origin).listener(lines).pool("proxy_protocol = \"v1\""));
    let mut frames = Frames::over(client::connect(daemon.web));
    frames.send(format!("{HEADER}\r\n")).unwrap();
    frames.send([PREFACE, &settings(&[(1, 0)])].concat()).unwrap();
    for stream in [1, 3, 5] {
        frames.send(get(stream, "/")).unwrap();
        assert_eq!(frames.outcome(stream), answer(200, "well"));
        assert_eq!(origin.last().field("x-forwarded-for"), Some("192.0.2.1"));
    }
    assert_eq!(origin.connections(), 1);
}
