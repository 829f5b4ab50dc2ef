//! Connections that have changed their protocol: tokens, the first bytes, the end.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::{Gate, Origin};

/// A backend that agrees to any protocol, says its name and then echoes.
fn echoing() -> Origin {
    Origin::new(|visit| {
        while let Some(head) = visit.head()? {
            let Some(token) = head.field("upgrade").map(str::to_owned) else {
                visit.answer(200, "plain")?;
                continue;
            };
            if head.target() == "/refused" {
                visit.answer(403, "no")?;
                continue;
            }
            visit
                .send(format!("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {token}\r\n\r\n"))?;
            loop {
                let ahead = visit.wire.ahead().len();
                let bytes = visit.wire.take(ahead)?;
                visit.send(bytes)?;
                if visit.wire.fill()? == 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

fn upgrade(web: SocketAddr, token: &str, ahead: &str) -> Wire {
    let mut wire = connect(web);
    wire.send(format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {token}\r\n\r\n{ahead}"
    ))
    .unwrap();
    let head = wire.head().unwrap().unwrap();
    assert_eq!((head.status(), head.field("upgrade")), (101, Some(token)));
    wire
}

fn echoes(wire: &mut Wire, text: &str) {
    wire.send(text).unwrap();
    assert_eq!(wire.take(text.len()).unwrap(), text.as_bytes());
}

#[test]
fn any_token_but_h2c_may_be_agreed_on_and_bytes_sent_ahead_are_kept() {
    let origin = echoing();
    let daemon = Daemon::start(&over(&[origin.address]));
    for token in ["websocket", "WebSocket", "tcp", "example/2.1"] {
        let mut wire = upgrade(daemon.web, token, "ahead of the answer");
        assert_eq!(wire.take(19).unwrap(), b"ahead of the answer", "{token}");
        echoes(&mut wire, "and after it");
    }
    let mut wire = connect(daemon.web);
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{h2c}\r\n\r\n")).unwrap();
    assert_eq!(wire.response("GET").unwrap().text(), "plain");
    let head = origin.last();
    assert_eq!(
        (head.field("upgrade"), head.field("http2-settings"), head.field("connection")),
        (None, None, None)
    );
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let origin = echoing();
    let daemon = Daemon::start(&over(&[origin.address]).server("workers = 1"));
    let mut wire = connect(daemon.web);
    wire.send("GET /refused HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    assert_eq!(wire.response("GET").unwrap().status(), 403);
    assert_eq!(wire.get("/").unwrap().text(), "plain");
    assert_eq!(origin.connections(), 1, "both connections are kept");
}

/// A half-closed side is not read from; its reset must be found all the same.
#[test]
fn a_reset_behind_a_half_close_ends_a_tunnel() {
    let (half_closed, given_up) = (Gate::default(), Gate::default());
    let told = [half_closed.clone(), given_up.clone()];
    let origin = Origin::new(move |visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        visit.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")?;
        if head.field("x-who") == Some("backend") {
            visit.wire.stream.shutdown(Shutdown::Write)?;
            visit.wire.take(4)?;
            return visit.reset();
        }
        assert_eq!(visit.wire.rest()?, b"");
        told[0].open();
        // It stays silent: only a failed look at the client can end this.
        let begun = Instant::now();
        while visit.wire.stream.take_error()?.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it goes on for ever");
            crate::daemon::pause(Duration::from_millis(20));
        }
        told[1].open();
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let asked = |who: &str| {
        let mut wire = connect(daemon.web);
        let fields = format!("Host: x\r\nX-Who: {who}\r\nConnection: upgrade\r\nUpgrade: x");
        wire.send(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap();
        assert_eq!(wire.head().unwrap().unwrap().status(), 101);
        wire
    };
    let wire = asked("client");
    wire.stream.shutdown(Shutdown::Write).unwrap();
    half_closed.pass();
    wire.reset();
    given_up.pass();

    let mut wire = asked("backend");
    assert!(wire.is_at_end(), "the backend's FIN");
    wire.send("last").unwrap();
    let error = until("the reset comes through", || wire.send("x").err());
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

fn short_drain(backends: &[SocketAddr]) -> Config {
    over(backends).server("workers = 2\ndrain_timeout = \"700ms\"")
}

/// Goes on for the time of the drain and no longer.
fn ends_with_the_drain(mut wire: Wire, begun: Instant) {
    echoes(&mut wire, "still there");
    assert!(matches!(wire.fill(), Ok(0) | Err(_)));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn tunnels_have_the_time_of_the_drain_at_a_stop() {
    let origin = echoing();
    let mut daemon = Daemon::start(&short_drain(&[origin.address]));
    let wire = upgrade(daemon.web, "websocket", "");
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    until("the port is refused", || std::net::TcpStream::connect(daemon.web).is_err().then_some(()));
    ends_with_the_drain(wire, begun);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_tunnel_that_ends_by_itself_is_not_waited_for() {
    let origin = echoing();
    let mut daemon = Daemon::start(&over(&[origin.address]).server("drain_timeout = \"60s\""));
    let mut wire = upgrade(daemon.web, "websocket", "");
    daemon.signal(Signal::TERM);
    until("the port is refused", || std::net::TcpStream::connect(daemon.web).is_err().then_some(()));
    echoes(&mut wire, "goodbye");
    wire.stream.shutdown(Shutdown::Write).unwrap();
    assert!(wire.is_at_end());
    drop(wire);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_reload_ends_only_tunnels_of_what_it_removed() {
    let (stays, goes) = (echoing(), echoing());
    let listener = "[[listener]]\nname = \"more\"\nbind = \"127.0.0.1:0\"\npool = \"crm\"\n";
    let route = "[[route]]\nname = \"gone\"\nmatch.host = \"gone\"\npool = \"gone\"\n";
    let pool = format!("[pool.gone]\nbackends = \"{}\"\n", goes.address);
    let daemon = Daemon::start(&short_drain(&[stays.address]).and(listener).and(route).and(&pool));
    let mut kept = upgrade(daemon.web, "websocket", "");
    let by_listener = upgrade(daemon.listener("more"), "websocket", "");
    let mut by_backend = connect(daemon.web);
    by_backend
        .send("GET / HTTP/1.1\r\nHost: gone\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    assert_eq!(by_backend.head().unwrap().unwrap().status(), 101);
    assert_eq!((stays.connections(), goes.connections()), (2, 1));
    let begun = Instant::now();
    daemon.reload(&short_drain(&[stays.address]));
    std::thread::scope(|scope| {
        for wire in [by_listener, by_backend] {
            scope.spawn(move || ends_with_the_drain(wire, begun));
        }
    });
    echoes(&mut kept, "untouched");
}
