//! HTTP/2 to backends: many exchanges on few connections, and how each ends.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use rustix::process::Signal;

use crate::certificates::Authority;
use crate::client::{connect, get, once};
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::frames::{DATA, END, Frames, Outcome, WHOLE, asking, block, frame};
use crate::origin::{Gate, Origin};

pub(crate) mod backend;
mod endings;
mod troubles;

use backend::{Backend, Kind, count, response};

/// One worker: what is kept is kept there.
pub(crate) fn to(backends: &[&Backend]) -> Config {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    over(&addresses).server("workers = 1\ndrain_timeout = \"5s\"").pool("protocol = \"h2\"")
}

/// Answers «/held» when the gate is open, all else at once.
fn holding(kind: Kind, gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::new(kind, move |mut call| {
        let gate = gate.clone();
        async move {
            if call.path() == "/held" {
                tokio::task::spawn_blocking(move || gate.pass()).await.unwrap();
            }
            call.answer(200, &[], "well")
        }
    })
}

#[test]
fn a_request_of_http1_and_its_response_pass() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        assert_eq!(call.parts.uri.authority().map(|a| a.as_str()), Some("test"));
        assert_eq!((call.parts.uri.scheme_str(), call.field("host")), (Some("http"), None));
        let of_connection = ["connection", "keep-alive", "transfer-encoding", "upgrade", "te"];
        assert!(of_connection.iter().all(|name| call.field(name).is_none()), "{:?}", call.parts.headers);
        assert_eq!(call.field("x-a"), Some("b"));
        assert_eq!(call.field("x-forwarded-for"), Some("127.0.0.1"));
        let (body, trailers) = call.read().await?;
        let text = format!("{} {} {}", call.parts.method, call.parts.uri.path_and_query()?, body.len());
        assert_eq!(trailers.get("x-sum").is_some(), call.path() == "/chunks");
        call.answer(200, &[("x-c", "d")], &text)
    });
    let daemon = Daemon::start(&to(&[&backend]));
    let fields = "Host: test\r\nX-A: b\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5";
    let mut wire = connect(daemon.web);
    let chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n";
    for (line, rest, told) in [
        ("GET /a?b=c", "\r\n", "GET /a?b=c 0"),
        ("POST /sized", "Content-Length: 5\r\n\r\nhello", "POST /sized 5"),
        ("PUT /chunks", chunks, "PUT /chunks 6"),
        ("DELETE /none", "Content-Length: 0\r\n\r\n", "DELETE /none 0"),
    ] {
        wire.send(format!("{line} HTTP/1.1\r\n{fields}\r\n{rest}")).unwrap();
        let answer = wire.response("GET").unwrap();
        assert_eq!(
            (answer.status(), answer.text().as_str(), answer.head.field("x-c")),
            (200, told, Some("d"))
        );
        assert_eq!(answer.head.field("connection"), None, "it is kept");
    }
    assert_eq!((backend.connections(), backend.requests()), (1, 4));
}

#[test]
fn every_kind_of_response_passes() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let sized = [("content-length", "4")];
        match call.path() {
            "/head" => call.answer(200, &sized, ""),
            "/none" => call.answer(204, &[], ""),
            "/same" => call.answer(304, &[("etag", "\"a\"")], ""),
            "/empty" => call.answer(200, &[], ""),
            "/sized" => call.answer(200, &sized, "well"),
            "/early" => {
                call.respond.send_informational(response(103, &[("link", "</a>")])).ok()?;
                call.answer(200, &[], "well")
            }
            _ => {
                let mut stream = call.respond.send_response(response(200, &[]), false).ok()?;
                stream.send_data(Bytes::from_static(b"well"), false).ok()?;
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", HeaderValue::from_static("1"));
                stream.send_trailers(trailers).ok()
            }
        }
    });
    let daemon = Daemon::start(&to(&[&backend]));
    let mut wire = connect(daemon.web);
    let mut ask = |method: &str, path: &str| {
        wire.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")).unwrap();
        let answer = wire.response(method).unwrap();
        let length = answer.head.field("content-length").map(str::to_owned);
        (answer.status(), answer.text(), length, answer.trailers.len())
    };
    assert_eq!(ask("HEAD", "/head"), (200, String::new(), Some("4".into()), 0));
    assert_eq!(ask("GET", "/none"), (204, String::new(), None, 0));
    assert_eq!(ask("GET", "/same"), (304, String::new(), None, 0));
    assert_eq!(ask("GET", "/empty"), (200, String::new(), Some("0".into()), 0));
    assert_eq!(ask("GET", "/sized"), (200, "well".into(), Some("4".into()), 0));
    assert_eq!(ask("GET", "/trailers"), (200, "well".into(), None, 1));
    wire.send("GET /early HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let early = wire.head().unwrap().unwrap();
    assert_eq!((early.status(), early.field("link")), (103, Some("</a>")));
    assert_eq!(wire.response("GET").unwrap().text(), "well");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn http2_passes_from_end_to_end() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        assert_eq!(call.field("te"), Some("trailers"));
        let (body, trailers) = call.read().await?;
        assert_eq!((&body[..], trailers.get("x-sum").is_some()), (&b"hello"[..], true));
        let mut stream = call.respond.send_response(response(200, &[]), false).ok()?;
        stream.send_data(Bytes::from(body), false).ok()?;
        stream.send_trailers(trailers).ok()
    });
    let daemon = Daemon::start(&to(&[&backend]).listener("protocols = [\"h2\"]"));
    let mut frames = Frames::connect(daemon.web);
    for stream in [1, 3, 5] {
        let fields = [&asking("POST", "/up")[..], &[("te", "trailers")]].concat();
        frames.send(frame(crate::frames::HEADERS, WHOLE, stream, &block(&fields))).unwrap();
        frames.send(frame(DATA, 0, stream, b"hello")).unwrap();
        frames.send(frame(crate::frames::HEADERS, END | WHOLE, stream, &block(&[("x-sum", "1")]))).unwrap();
        let whole =
            Outcome::Answer { status: 200, body: b"hello".into(), interim: Vec::new(), trailers: true };
        assert_eq!(frames.outcome(stream), whole);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn exchanges_share_connections_as_far_as_the_backend_allows() {
    let gate = Gate::default();
    let backend = holding(Kind { streams: Some(4), ..Kind::default() }, &gate);
    let daemon = Daemon::start(&to(&[&backend]));
    // One that is open has said how many it takes.
    assert_eq!(get(daemon.web, "/").text(), "well");
    let mut held: Vec<_> = (0..20).map(|_| connect(daemon.web)).collect();
    held.iter_mut().for_each(|wire| wire.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").unwrap());
    until("all are there", || (backend.in_flight() == 20).then_some(()));
    assert_eq!(backend.connections(), 5);
    let in_state = |state| daemon.metric("equipoise_backend_connections", &[("state", state)]);
    assert_eq!((in_state("active"), in_state("idle")), (5.0, 0.0));
    assert_eq!(daemon.metric("equipoise_backend_in_flight", &[]), 20.0);
    gate.open();
    held.iter_mut().for_each(|wire| assert_eq!(wire.response("GET").unwrap().text(), "well"));
    until("all rest", || ((in_state("active"), in_state("idle")) == (0.0, 5.0)).then_some(()));
}

#[test]
fn max_connections_bounds_the_exchanges_and_not_the_connections() {
    let gate = Gate::default();
    let backend = holding(Kind::default(), &gate);
    let daemon = Daemon::start(&to(&[&backend]).pool("max_connections = 3\nqueue.max = 10"));
    let mut held: Vec<_> = (0..6).map(|_| connect(daemon.web)).collect();
    held.iter_mut().for_each(|wire| wire.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").unwrap());
    until("three wait", || (daemon.metric("equipoise_queue_length", &[]) == 3.0).then_some(()));
    until("three are there", || (backend.in_flight() == 3).then_some(()));
    assert_eq!(backend.connections(), 1);
    gate.open();
    held.iter_mut().for_each(|wire| assert_eq!(wire.response("GET").unwrap().text(), "well"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_stop_waits_for_what_runs_and_closes_what_rests() {
    let gate = Gate::default();
    let backend = holding(Kind { streams: Some(1), ..Kind::default() }, &gate);
    let mut daemon = Daemon::start(&to(&[&backend]));
    assert_eq!(get(daemon.web, "/").text(), "well");
    let mut held: Vec<_> = (0..2).map(|_| connect(daemon.web)).collect();
    held[0].send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    until("it is there", || (backend.in_flight() == 1).then_some(()));
    assert_eq!(held[1].get("/").unwrap().text(), "well");
    assert_eq!(backend.open(), 2);
    daemon.signal(Signal::TERM);
    until("the one that rests is closed", || (backend.open() == 1).then_some(()));
    gate.open();
    assert_eq!(held[0].response("GET").unwrap().text(), "well");
    assert!(daemon.ended().success());
    until("and the other too", || (backend.open() == 0).then_some(()));
}

#[test]
fn what_is_spoken_in_tls_is_agreed_upon() {
    let authority = Authority::new();
    let own = authority.issue("own", &["127.0.0.1"], 1);
    let mut config = authority.server(&own, false);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let backend =
        Backend::new(Kind { tls: Some(Arc::new(config)), ..Kind::default() }, |mut call| async move {
            assert_eq!(call.parts.uri.scheme_str(), Some("https"));
            call.answer(200, &[], "two")
        });
    let tls = format!("[pool.crm.tls]\nca = {:?}", authority.ca());
    let pool = |protocol: &str| format!("protocol = \"{protocol}\"\n{tls}");
    let daemon = Daemon::start(&over(&[backend.address]).server("workers = 1").pool(&pool("h2")));
    (0..3).for_each(|_| assert_eq!(get(daemon.web, "/").text(), "two"));
    assert_eq!(backend.connections(), 1);
    daemon.reload(&over(&[backend.address]).server("workers = 1").pool(&pool("auto")));
    (0..3).for_each(|_| assert_eq!(get(daemon.web, "/").text(), "two"));
    assert_eq!(backend.connections(), 2, "more was offered: the connection of before is not used");

    let mut config = authority.server(&own, false);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let old = Origin::secured(Arc::new(config), |visit| {
        while visit.request()?.is_some() {
            visit.answer(200, "one")?;
        }
        Ok(())
    });
    daemon.reload(&over(&[old.address]).server("workers = 1").pool(&pool("auto")));
    let mut wire = connect(daemon.web);
    (0..5).for_each(|_| assert_eq!(wire.get("/").unwrap().text(), "one"));
    assert_eq!(old.connections(), 1, "what was opened to ask is used, and kept");
    daemon.reload(&over(&[old.address]).server("workers = 1").pool(&pool("h2")));
    assert_eq!(get(daemon.web, "/").status(), 502);
    assert_eq!(old.requests(), 5, "nothing is sent in another protocol than was asked for");
}

#[test]
fn auto_without_tls_is_http1() {
    let origin = Origin::answering("one");
    let daemon = Daemon::start(&over(&[origin.address]).pool("protocol = \"auto\""));
    assert_eq!(get(daemon.web, "/").text(), "one");
}

#[test]
fn a_tunnel_is_refused_clearly() {
    let backend = Backend::answering("well");
    let daemon = Daemon::start(&to(&[&backend]));
    let fields = "Host: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let answer = once(daemon.web, &format!("GET / HTTP/1.1\r\n{fields}\r\n{key}\r\n\r\n")).unwrap();
    assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (501, Some("unsupported")));
    assert_eq!(backend.requests(), 0);
    let other = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
    assert_eq!(once(daemon.web, other).unwrap().text(), "well", "who asks for another may be ignored");
}

#[test]
fn health_checks_speak_the_same() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let is_probe = call.path() == "/healthz";
        assert!(!is_probe || call.field("user-agent").is_some_and(|agent| agent.starts_with("equipoise")));
        // The first is well, the others are not.
        let status = if is_probe && count() > 0 { 503 } else { 200 };
        call.answer(status, &[], "fine and well")
    });
    let health =
        "[pool.crm.health]\npath = \"/healthz\"\nexpect_body = \"well\"\ninterval = \"50ms\"\nfall = 2";
    let daemon = Daemon::start(&to(&[&backend]).pool(health));
    daemon.logged_where("it goes down", |event| {
        event["reason"].as_str().is_some_and(|reason| reason.contains("status 503"))
    });
    assert!(daemon.metric("equipoise_health_checks_total", &[("result", "success")]) >= 1.0);
}

#[test]
fn a_server_of_grpc_says_itself_whether_it_serves() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let (asked, _) = call.read().await?;
        let (path, kind) = (call.path().to_owned(), call.field("content-type").map(str::to_owned));
        assert_eq!(
            (path.as_str(), kind.as_deref()),
            ("/grpc.health.v1.Health/Check", Some("application/grpc"))
        );
        assert_eq!(asked, b"\0\0\0\0\x05\x0a\x03crm");
        let grpc = [("content-type", "application/grpc")];
        let serving = match count() {
            0 => 1,
            1 | 2 => 2,
            // It does not know the service any more, and says so in its head.
            _ => return call.answer(200, &[grpc[0], ("grpc-status", "5")], ""),
        };
        let mut stream = call.respond.send_response(response(200, &grpc), false).ok()?;
        stream.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, serving]), false).ok()?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        stream.send_trailers(trailers).ok()
    });
    let health = "[pool.crm.health]\ntype = \"grpc\"\nservice = \"crm\"\ninterval = \"50ms\"\nfall = 2";
    let daemon = Daemon::start(&to(&[&backend]).pool(health));
    daemon.logged_where("it goes down", |event| event["reason"] == "NOT_SERVING");
    until("it is asked on", || (backend.requests() > 4).then_some(()));
    assert_eq!(daemon.metric("equipoise_health_checks_total", &[("result", "success")]), 1.0);
    assert_eq!(daemon.backend(&backend.address.to_string())["state"], "down");
}

#[test]
fn large_bodies_pass_both_ways_and_one_that_stands_holds_up_no_other() {
    const LENGTH: usize = 4 << 20;
    static ALL: LazyLock<Bytes> =
        LazyLock::new(|| Bytes::from((0..4 * LENGTH as u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>()));
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let body = call.read().await?.0;
        let length = if call.path() == "/stands" { LENGTH * 4 } else { body.len() };
        let mut stream = call.respond.send_response(response(200, &[]), false).ok()?;
        let all = ALL.clone();
        let mut at = 0;
        while at < length {
            stream.reserve_capacity(length - at);
            let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
            stream.send_data(all.slice(at..at + granted), at + granted == length).ok()?;
            at += granted;
        }
        Some(())
    });
    let daemon = Daemon::start(&to(&[&backend]));
    let mut standing: Vec<_> = (0..40).map(|_| connect(daemon.web)).collect();
    standing.iter_mut().for_each(|wire| wire.send("GET /stands HTTP/1.1\r\nHost: test\r\n\r\n").unwrap());
    until("they stand", || (backend.in_flight() == 40).then_some(()));
    let sent: Vec<u8> = (0..LENGTH as u32).map(|n| (n % 251) as u8).collect();
    for _ in 0..3 {
        let mut wire = connect(daemon.web);
        wire.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n")).unwrap();
        wire.send(&sent).unwrap();
        let answer = wire.response("POST").unwrap();
        assert!(answer.body == sent, "{} bytes", answer.body.len());
    }
    assert_eq!(backend.connections(), 1);
    let held = daemon.metric("equipoise_buffer_bytes", &[]);
    assert!(held < f64::from(64 << 20), "{held}");
    drop(standing);
    until("they are given up", || (backend.canceled() == 40).then_some(()));
    assert_eq!(backend.open(), 1);
}

/// The library ends a connection on which too many small frames lie unread: with it would go what others have there.
#[test]
fn small_frames_that_nobody_reads_end_no_connection() {
    const MESSAGES: usize = 100_000;
    const MESSAGE: &[u8; 15] = b"\0\0\0\0\x0aten octets";
    let backend = Backend::new(Kind::default(), |mut call| async move {
        if call.path() == "/" {
            return call.answer(200, &[], "well");
        }
        let mut stream = call.respond.send_response(response(200, &[]), false).ok()?;
        let mut room = 0;
        for n in 0..MESSAGES {
            while room < MESSAGE.len() {
                stream.reserve_capacity(16_384);
                room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
            }
            room -= MESSAGE.len();
            stream.send_data(Bytes::from_static(MESSAGE), n + 1 == MESSAGES).ok()?;
        }
        Some(())
    });
    let daemon = Daemon::start(&to(&[&backend]).listener("timeouts.write = \"60s\""));
    let mut standing: Vec<_> = (0..6).map(|_| connect(daemon.web)).collect();
    standing.iter_mut().for_each(|wire| wire.send("GET /crumbs HTTP/1.1\r\nHost: test\r\n\r\n").unwrap());
    until("they are there", || (backend.in_flight() == 6).then_some(()));
    for _ in 0..200 {
        assert_eq!(get(daemon.web, "/").text(), "well");
    }
    for mut wire in standing {
        let body = wire.response("GET").unwrap().body;
        assert!(body.len() == MESSAGES * MESSAGE.len() && body.chunks(15).all(|one| one == MESSAGE));
    }
    assert_eq!(backend.connections(), 1);
}
