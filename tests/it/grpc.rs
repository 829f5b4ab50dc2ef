//! Calls of gRPC: what becomes of those that go wrong, as their clients see it. `tests/grpc` has real ones.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use hyper::Request;
use hyper::header::{HeaderMap, HeaderValue};

use crate::client::once;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::frames::{DATA, END, Frames, HEADERS, PREFACE, WHOLE, block, frame, settings};
use crate::http2_out::backend::{Backend, Kind, response};
use crate::http2_out::to;
use crate::message::Wire;
use crate::origin::{Gate, Origin, nowhere};

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// How a call went.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: HeaderMap,
    /// Its head ended the stream.
    only_head: bool,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    reset: Option<Reason>,
}

impl Reply {
    /// `grpc-status` and `grpc-message` of the trailers, or of the head where that is all.
    fn told(&self) -> (&str, &str) {
        let fields = self.trailers.as_ref().unwrap_or(&self.head);
        let text = |name| fields.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
        (text("grpc-status"), text("grpc-message"))
    }
}

/// A client of HTTP/2 that sends pieces with a pause behind each.
fn call(
    web: SocketAddr,
    path: &str,
    fields: &[(&str, &str)],
    pieces: &[&'static [u8]],
    pause: Duration,
) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request =
        fields.iter().fold(Request::post(format!("http://a.test{path}")), |request, (name, value)| {
            request.header(*name, *value)
        });
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(web).await.unwrap();
        let (sender, connection) = h2::client::handshake(socket).await.unwrap();
        let asking = async {
            let mut sender = sender.ready().await.unwrap();
            let (coming, mut stream) =
                sender.send_request(request.body(()).unwrap(), pieces.is_empty()).unwrap();
            for (n, piece) in pieces.iter().enumerate() {
                // What is answered early needs no more.
                let _ = stream.send_data(Bytes::from_static(piece), n + 1 == pieces.len());
                tokio::time::sleep(pause).await;
            }
            read(coming).await
        };
        tokio::select! {
            biased;
            reply = asking => reply,
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    })
}

async fn read(coming: h2::client::ResponseFuture) -> Reply {
    let (parts, mut coming) = coming.await.unwrap().into_parts();
    let only_head = coming.is_end_stream();
    let status = parts.status.as_u16();
    let mut reply =
        Reply { status, head: parts.headers, only_head, body: Vec::new(), trailers: None, reset: None };
    while let Some(data) = coming.data().await {
        match data {
            Ok(data) => {
                coming.flow_control().release_capacity(data.len()).unwrap();
                reply.body.extend_from_slice(&data);
            }
            Err(error) => {
                reply.reset = error.reason();
                return reply;
            }
        }
    }
    reply.trailers = coming.trailers().await.unwrap();
    reply
}

fn ask(web: SocketAddr, path: &str, more: &[(&str, &str)]) -> Reply {
    let fields = [&[GRPC, ("te", "trailers")], more].concat();
    call(web, path, &fields, &[b"\0\0\0\0\x01a"], Duration::ZERO)
}

fn calls(config: Config) -> Config {
    config.listener("protocols = [\"h1\", \"h2\"]")
}

/// Our own answers are of the form that has no message: a head that ends the stream, and no length in it.
fn assert_told(reply: &Reply, code: &str, reason: &str) {
    assert_eq!((reply.status, reply.told()), (200, (code, reason)), "{reply:?}");
    assert!(reply.only_head && !reply.head.contains_key("content-length"), "{reply:?}");
    assert_eq!(reply.head["content-type"], "application/grpc");
    assert_eq!(reply.head["x-equipoise-reason"], reason);
}

#[test]
fn errors_of_ours_are_said_in_the_words_of_grpc() {
    let gone = nowhere();
    let config =
        || calls(over(&[gone]).pool("protocol = \"h2\"\ntimeouts.connect = \"500ms\"\nretry.on = []"));
    let route = "[[route]]\nname = \"up\"\nmatch.path_prefix = \"/up\"\npool = \"crm\"";
    let bare = config().text().replacen("pool = \"crm\"\n", "", 1) + route;
    let daemon = Daemon::start(&config());
    assert_told(&ask(daemon.web, "/a.A/B", &[]), "14", "connect_error");
    // The status that it stands for is what is counted.
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "502")]), 1.0);
    let text = once(
        daemon.web,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    );
    let text = text.unwrap();
    assert_eq!((text.status(), text.head.field("grpc-status"), text.text().as_str()), (200, Some("14"), ""));
    daemon.write(&bare);
    assert_eq!(daemon.ask_to_reload().status(), 200);
    assert_told(&ask(daemon.web, "/a.A/B", &[]), "12", "no_route");
    daemon.reload(&config().listener("limits.max_body_size = \"4B\""));
    assert_told(&ask(daemon.web, "/a.A/B", &[("content-length", "6")]), "8", "too_large");
    let plain = call(daemon.web, "/", &[("content-type", "text/plain")], &[], Duration::ZERO);
    assert_eq!((plain.status, plain.told()), (502, ("", "")), "others are answered as ever");
}

#[test]
fn a_deadline_that_the_client_names_is_kept() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        assert_eq!(call.canceled().await, Reason::CANCEL);
        None
    });
    let daemon = Daemon::start(&calls(to(&[&backend])));
    let began = Instant::now();
    assert_told(&ask(daemon.web, "/a.A/B", &[("grpc-timeout", "200m")]), "4", "deadline");
    assert!(began.elapsed() >= Duration::from_millis(200));
    until("the backend is told", || (backend.canceled() == 1).then_some(()));
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "504")]), 1.0);
    // A client of another kind may say what it likes.
    let plain = [("grpc-timeout", "1n"), ("x-a", "b")];
    let answered = Backend::answering("well");
    daemon.reload(&calls(to(&[&answered])));
    assert_eq!(call(daemon.web, "/", &plain, &[], Duration::ZERO).body, b"well");
}

#[test]
fn a_call_that_breaks_off_ends_with_its_status() {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::new(Kind::default(), move |mut call| {
        let gate = held.clone();
        async move {
            let mut stream = call.respond.send_response(response(200, &[GRPC]), false).ok()?;
            stream.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).ok()?;
            tokio::task::spawn_blocking(move || gate.pass()).await.unwrap();
            stream.send_reset(Reason::INTERNAL_ERROR);
            Some(())
        }
    });
    let daemon = Daemon::start(&calls(to(&[&backend])));
    let late = ask(daemon.web, "/a.A/B", &[("grpc-timeout", "300m")]);
    assert_eq!((late.told(), &late.body[..]), (("4", "deadline"), &b"\0\0\0\0\x01a"[..]), "{late:?}");
    let web = daemon.web;
    let asking = std::thread::spawn(move || ask(web, "/a.A/B", &[]));
    until("it is there", || (backend.requests() == 2).then_some(()));
    gate.open();
    let cut = asking.join().unwrap();
    assert_eq!((cut.status, cut.told(), cut.reset), (200, ("14", "cut"), None), "{cut:?}");
}

/// Nothing else would end such a call for as long as timeouts.tunnel.
#[test]
fn a_backend_that_has_vanished_behind_a_message_is_found_out() {
    let silent = Origin::new(|visit| {
        let mut frames = Frames::over(Wire::new(visit.wire.stream.try_clone()?));
        frames.wire.take(PREFACE.len())?;
        frames.send(settings(&[]))?;
        loop {
            let frame = frames.next()?;
            if frame.kind == DATA && frame.flags & END != 0 {
                break;
            }
        }
        let head = frame(HEADERS, WHOLE, 1, &block(&[(":status", "200"), GRPC]));
        frames.send([head, frame(DATA, 0, 1, b"\0\0\0\0\x01a")].concat())?;
        // What comes is taken, and no PING is answered.
        frames.wire.rest().map(|_| ())
    });
    let idle = "timeouts.idle = \"2s\"";
    let daemon = Daemon::start(&calls(over(&[silent.address]).pool("protocol = \"h2\"").pool(idle)));
    let began = Instant::now();
    let reply = ask(daemon.web, "/a.A/B", &[]);
    assert_eq!((reply.told(), &reply.body[..]), (("14", "cut"), &b"\0\0\0\0\x01a"[..]), "{reply:?}");
    assert!(began.elapsed() >= Duration::from_secs(1), "it is asked, and given time: {:?}", began.elapsed());
}

#[test]
fn one_that_is_only_silent_is_waited_for() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let mut stream = call.respond.send_response(response(200, &[GRPC]), false).ok()?;
        stream.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).ok()?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        stream.send_trailers(trailers).ok()
    });
    let daemon = Daemon::start(&calls(to(&[&backend]).pool("timeouts.idle = \"1s\"")));
    assert_eq!(ask(daemon.web, "/a.A/B", &[]).told().0, "0");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn an_answer_without_messages_passes_as_it_is() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        assert_eq!(call.field("te"), Some("trailers"));
        call.answer(200, &[GRPC, ("grpc-status", "5"), ("grpc-message", "no such thing")], "")
    });
    let daemon = Daemon::start(&calls(to(&[&backend])));
    let reply = ask(daemon.web, "/a.A/B", &[]);
    assert!(reply.only_head && !reply.head.contains_key("content-length"), "{reply:?}");
    assert_eq!(reply.told(), ("5", "no such thing"));
}

#[test]
fn a_stream_of_messages_may_be_silent() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        let body = call.read().await?.0;
        let mut stream = call.respond.send_response(response(200, &[GRPC]), false).ok()?;
        stream.send_data(Bytes::from(body), false).ok()?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        stream.send_trailers(trailers).ok()
    });
    let daemon = Daemon::start(&calls(to(&[&backend])).listener("timeouts.body = \"100ms\""));
    let pause = Duration::from_millis(400);
    let reply = call(daemon.web, "/a.A/B", &[GRPC], &[b"one", b"two", b"three"], pause);
    assert_eq!((reply.told().0, &reply.body[..]), ("0", &b"onetwothree"[..]));
    let other = call(daemon.web, "/", &[("x", "y")], &[b"one", b"two", b"three"], pause);
    assert_eq!(other.status, 408, "what is no call may not");
}

#[test]
fn a_backend_of_http1_that_takes_calls_gets_them() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            assert_eq!(
                (request.head.field("te"), &request.body[..]),
                (Some("trailers"), &b"\0\0\0\0\x01a"[..])
            );
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n";
            visit.send(format!("{head}2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"))?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&calls(over(&[origin.address])));
    let reply = ask(daemon.web, "/a.A/B", &[]);
    assert_eq!((reply.told().0, &reply.body[..]), ("0", &b"ok"[..]));
}
