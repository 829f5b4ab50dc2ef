//! The PROXY header to backends: what they are told, and that a connection serves only whom it announced.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::certificates::Authority;
use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::{Origin, Visit};
use crate::proxy_in::packet;

/// A backend that expects a header, answers the number of the connection, and keeps what it was told.
struct Announced {
    origin: Origin,
    told: Arc<Mutex<Vec<Vec<u8>>>>,
    ended: Arc<AtomicU64>,
}

impl Announced {
    fn start() -> Self {
        Self::with(None)
    }

    fn with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let (told, ended) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::<AtomicU64>::default());
        let (keeping, ending) = (Arc::clone(&told), Arc::clone(&ended));
        let origin = Origin::new(move |visit| {
            keeping.lock().unwrap().push(header(&mut visit.wire)?);
            if let Some(tls) = &tls {
                let tls = rustls::ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                visit.wire.tls = Some(Box::new(tls.into()));
                visit.wire.shake_hands()?;
            }
            let served = serve(visit);
            ending.fetch_add(1, Ordering::SeqCst);
            served
        });
        Self { origin, told, ended }
    }

    fn address(&self) -> SocketAddr {
        self.origin.address
    }

    fn told(&self) -> Vec<Vec<u8>> {
        self.told.lock().unwrap().clone()
    }

    fn last(&self) -> Vec<u8> {
        self.told().pop().unwrap()
    }

    fn has_ended(&self, count: u64) {
        until("connections end", || (self.ended.load(Ordering::SeqCst) == count).then_some(()));
    }
}

fn serve(visit: &mut Visit) -> io::Result<()> {
    while let Some(request) = visit.request()? {
        if request.head.target() == "/login" {
            visit.send("HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        visit.answer(200, &visit.number.to_string())?;
        if request.head.target() == "/last" {
            break;
        }
    }
    Ok(())
}

/// A header of either form, and nothing of what follows.
fn header(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 12];
    wire.stream.read_exact(&mut bytes)?;
    if bytes.starts_with(b"PROXY ") {
        while !bytes.ends_with(b"\r\n") {
            bytes.push(0);
            wire.stream.read_exact(bytes.last_mut().map(std::slice::from_mut).unwrap())?;
        }
        return Ok(bytes);
    }
    bytes.resize(16, 0);
    wire.stream.read_exact(&mut bytes[12..])?;
    bytes.resize(16 + usize::from(bytes[14]) * 256 + usize::from(bytes[15]), 0);
    wire.stream.read_exact(&mut bytes[16..])?;
    Ok(bytes)
}

/// What is to be told of a client on this connection.
fn expected(version: &str, wire: &Wire) -> Vec<u8> {
    let (from, to) = (wire.stream.local_addr().unwrap(), wire.stream.peer_addr().unwrap());
    let SocketAddr::V4(source) = from else { panic!("{from}") };
    let SocketAddr::V4(destination) = to else { panic!("{to}") };
    if version == "v1" {
        let (source_port, port) = (source.port(), destination.port());
        return format!("PROXY TCP4 {} {} {source_port} {port}\r\n", source.ip(), destination.ip())
            .into_bytes();
    }
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    packet(0x21, 0x11, &[&source.ip().octets()[..], &destination.ip().octets(), &ports].concat())
}

fn to(backend: &Announced, version: &str) -> Config {
    over(&[backend.address()]).pool(&format!("proxy_protocol = \"{version}\""))
}

/// On which of the backend's connections a client is served.
fn number(wire: &mut Wire, target: &str) -> u64 {
    wire.get(target).unwrap().text().parse().unwrap()
}

#[test]
fn backends_are_told_who_the_client_is_and_clients_share_nothing() {
    for version in ["v1", "v2"] {
        let backend = Announced::start();
        let daemon = Daemon::start(&to(&backend, version).server("workers = 1"));
        let (mut alice, mut bob) = (connect(daemon.web), connect(daemon.web));
        for _ in 0..3 {
            assert_eq!((number(&mut alice, "/"), number(&mut bob, "/")), (0, 1), "each keeps its own");
            alice.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            assert_eq!(alice.response("POST").unwrap().text(), "0");
        }
        assert_eq!(backend.told(), [expected(version, &alice), expected(version, &bob)]);
        drop(alice);
        backend.has_ended(1);
        let mut carol = connect(daemon.web);
        assert_eq!((number(&mut carol, "/"), number(&mut bob, "/")), (2, 1));
        assert_eq!(backend.last(), expected(version, &carol));
        let idle = || daemon.metric("equipoise_backend_connections", &[("state", "idle")]);
        until("both are idle", || (idle() == 2.0).then_some(()));
        drop((bob, carol));
        backend.has_ended(3);
        until("none is left", || (idle() == 0.0).then_some(()));
        assert_eq!(daemon.metric("equipoise_backend_connections", &[]), 0.0);
        assert_eq!(backend.told().len(), 3);
    }
}

#[test]
fn what_the_client_was_announced_as_is_passed_on() {
    let backend = Announced::start();
    let lines = "trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = \"optional\"";
    let daemon = Daemon::start(&to(&backend, "v2").listener(lines));
    let announced = "PROXY TCP6 2001:db8::7 2001:db8::1 45678 443\r\n";
    let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let destination = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let block = [&source[..], &destination, &[0xb2, 0x6e, 0x01, 0xbb]].concat();
    let mut wire = connect(daemon.web);
    wire.send(announced).unwrap();
    assert_eq!(number(&mut wire, "/"), 0);
    assert_eq!(backend.last(), packet(0x21, 0x21, &block));
    // Fields are no reason to say something else: they are the requests', and the header is the connection's.
    let mut wire = connect(daemon.web);
    wire.send("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n").unwrap();
    assert_eq!(wire.response("GET").unwrap().text(), "1");
    assert_eq!(backend.last(), expected("v2", &wire));
}

#[test]
fn checks_say_that_they_are_our_own() {
    for (version, kind, own) in [
        ("v1", "http", b"PROXY UNKNOWN\r\n".to_vec()),
        ("v2", "http", packet(0x20, 0, b"")),
        ("v2", "tcp", packet(0x20, 0, b"")),
    ] {
        let backend = Announced::start();
        let path = if kind == "http" { "\npath = \"/healthz\"" } else { "" };
        let lines = format!("[pool.crm.health]\ntype = \"{kind}\"\ninterval = \"50ms\"{path}");
        let daemon = Daemon::start(&to(&backend, version).pool(&lines));
        until("it is checked", || (backend.told().len() >= 3).then_some(()));
        let passed = || daemon.metric("equipoise_health_checks_total", &[("result", "success")]);
        until("checks pass", || (passed() >= 3.0).then_some(()));
        assert!(backend.told().iter().all(|told| *told == own), "{:?}", backend.told());
        assert_eq!(daemon.metric("equipoise_health_checks_total", &[("result", "failure")]), 0.0);
    }
}

#[test]
fn the_header_comes_before_tls() {
    let authority = Authority::new();
    let files = authority.issue("own", &["127.0.0.1"], 1);
    let backend = Announced::with(Some(Arc::new(authority.server(&files, false))));
    let (ca, own) = (authority.ca(), packet(0x20, 0, b""));
    let lines =
        format!("[pool.crm.tls]\nca = {ca:?}\n[pool.crm.health]\npath = \"/healthz\"\ninterval = \"50ms\"");
    let daemon = Daemon::start(&to(&backend, "v2").pool(&lines));
    let mut wire = connect(daemon.web);
    let first = number(&mut wire, "/");
    assert_eq!(number(&mut wire, "/"), first, "and the connection is kept");
    until("it is checked", || (backend.told().len() >= 3).then_some(()));
    let announced = expected("v2", &wire);
    assert_eq!(backend.told().iter().filter(|told| **told == announced).count(), 1);
    assert!(backend.told().iter().all(|told| *told == announced || *told == own));
    assert_eq!(daemon.metric("equipoise_health_checks_total", &[("result", "failure")]), 0.0);
}

#[test]
fn a_connection_that_the_backend_has_closed_is_replaced() {
    let backend = Announced::start();
    let daemon = Daemon::start(&to(&backend, "v2"));
    let mut wire = connect(daemon.web);
    for nth in 0..5 {
        assert_eq!(number(&mut wire, "/last"), nth);
        backend.has_ended(nth + 1);
    }
    assert!(backend.told().iter().all(|told| *told == expected("v2", &wire)));
}

/// Idle connections of others give way, though they can serve nobody else.
#[test]
fn clients_that_are_idle_do_not_fill_a_backend() {
    for workers in [1, 2] {
        let backend = Announced::start();
        let config = to(&backend, "v2").pool("max_connections = 2");
        let daemon = Daemon::start(&config.server(&format!("workers = {workers}")));
        let mut clients: Vec<_> = (0..6).map(|_| connect(daemon.web)).collect();
        for round in 0..3 {
            for wire in &mut clients {
                assert_eq!(wire.get("/").unwrap().status(), 200, "round {round}");
            }
        }
        let ended = backend.ended.load(Ordering::SeqCst);
        assert!(backend.told().len() as u64 <= ended + 3, "{} of {} ended", ended, backend.told().len());
    }
}

#[test]
fn a_reload_changes_what_is_said_from_the_next_request_on() {
    let backend = Announced::start();
    let daemon = Daemon::start(&to(&backend, "v1"));
    let mut wire = connect(daemon.web);
    assert_eq!((number(&mut wire, "/"), number(&mut wire, "/")), (0, 0));
    daemon.reload(&to(&backend, "v2"));
    assert_eq!((number(&mut wire, "/"), number(&mut wire, "/")), (1, 1));
    assert_eq!(backend.told(), [expected("v1", &wire), expected("v2", &wire)]);
    drop(wire);
    backend.has_ended(2);
}

/// A login keeps the client at its connection, but not at one that says what is not to be said any more.
#[test]
fn a_login_holds_until_a_reload_says_something_else() {
    let backend = Announced::start();
    let daemon = Daemon::start(&to(&backend, "v1"));
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/login").unwrap().status(), 401);
    assert_eq!((number(&mut wire, "/"), number(&mut wire, "/")), (0, 0));
    daemon.reload(&to(&backend, "v2"));
    assert_eq!((number(&mut wire, "/"), number(&mut wire, "/")), (1, 1));
    assert_eq!(backend.told(), [expected("v1", &wire), expected("v2", &wire)]);
}

#[test]
fn one_client_keeps_only_so_many_connections() {
    let backends: Vec<_> = (0..20).map(|_| Announced::start()).collect();
    let addresses: Vec<_> = backends.iter().map(Announced::address).collect();
    let daemon = Daemon::start(&over(&addresses).pool("proxy_protocol = \"v2\""));
    let mut wire = connect(daemon.web);
    backends.iter().for_each(|_| assert_eq!(wire.get("/").unwrap().text(), "0"));
    let idle = || daemon.metric("equipoise_backend_connections", &[("state", "idle")]);
    until("the oldest have given way", || (idle() == 16.0).then_some(()));
    let ended = || backends.iter().map(|backend| backend.ended.load(Ordering::SeqCst)).sum::<u64>();
    until("and are closed", || (ended() == 4).then_some(()));
    drop(wire);
    until("with the client all are", || (ended() == 20 && idle() == 0.0).then_some(()));
}
