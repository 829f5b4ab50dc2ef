//! TLS between clients and the balancer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, ClientConfig, HandshakeKind, ProtocolVersion, version};

use crate::certificates::{Authority, Files, begin};
use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::Origin;

/// The lines of `[listener.tls]` with these certificates.
pub(crate) fn tls(certificates: &[&Files], more: &str) -> String {
    let elements: Vec<_> = certificates.iter().map(|files| files.element()).collect();
    format!("[listener.tls]\ncertificates = [{}]\n{more}", elements.join(", "))
}

pub(crate) fn secured(origin: &Origin, lines: &str) -> Config {
    over(&[origin.address]).listener(lines)
}

pub(crate) fn dial(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Wire> {
    let mut wire = Wire::over_tls(connect(address).stream, begin(config, name));
    wire.shake_hands()?;
    Ok(wire)
}

/// A GET on a connection of its own.
pub(crate) fn fetch(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<(Wire, String)> {
    let mut wire = dial(address, config, name)?;
    let answer = wire.get("/")?;
    Ok((wire, answer.text()))
}

/// The number of the certificate that the server showed.
pub(crate) fn serial(wire: &Wire) -> u64 {
    let shown = wire.tls.as_ref().unwrap().peer_certificates().unwrap();
    let parsed = webpki::EndEntityCert::try_from(&shown[0]).unwrap();
    parsed.serial().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(crate) fn kind(wire: &Wire) -> Option<HandshakeKind> {
    wire.tls.as_ref().unwrap().handshake_kind()
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

pub(crate) fn handshakes(daemon: &Daemon, result: &str) -> f64 {
    daemon.metric("equipoise_tls_handshakes_total", &[("result", result)])
}

#[test]
fn requests_come_through_both_versions_and_the_backend_hears_https() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")).server("workers = 1"));
    for (offered, agreed) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut config = authority.client_of(&[offered], None);
        config.alpn_protocols = vec![b"spdy/1".to_vec(), b"http/1.1".to_vec()];
        let mut wire = dial(daemon.web, &Arc::new(config), "crm.test").unwrap();
        for _ in 0..3 {
            assert_eq!(wire.get("/a").unwrap().text(), "well");
            assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
        }
        let tls = wire.tls.as_ref().unwrap();
        assert_eq!((tls.protocol_version(), tls.alpn_protocol()), (Some(agreed), Some(&b"http/1.1"[..])));
    }
    assert_eq!(handshakes(&daemon, "full"), 2.0);
    assert_eq!(origin.connections(), 1, "both clients' requests went the same way");
}

/// More than every buffer on the way, in both directions at once, with lengths and in chunks.
#[test]
fn large_bodies_arrive_whole_both_ways() {
    let authority = Authority::new();
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            let length = request.body.len();
            visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
            visit.send(&request.body)?;
        }
        Ok(())
    });
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let body: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let mut wire = dial(daemon.web, &Arc::new(authority.client()), "crm.test").unwrap();
    for chunked in [false, true] {
        let head = match chunked {
            false => format!("Content-Length: {}", body.len()),
            true => "Transfer-Encoding: chunked".into(),
        };
        let mut request = format!("POST / HTTP/1.1\r\nHost: test\r\n{head}\r\n\r\n").into_bytes();
        match chunked {
            false => request.extend_from_slice(&body),
            true => {
                for piece in body.chunks(70_001) {
                    request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                    request.extend_from_slice(piece);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(b"0\r\n\r\n");
            }
        }
        wire.send(&request).unwrap();
        let answer = wire.response("POST").unwrap();
        assert!(answer.status() == 200 && answer.body == body, "chunked: {chunked}");
    }
    let counted = || daemon.metric("equipoise_http_response_bytes_total", &[]);
    until("every byte is counted", || (counted() >= 6_000_000.0).then_some(()));
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let first = authority.issue("first", &["first.test"], 1);
    let wild = authority.issue("wild", &["*.crm.test"], 2);
    let exact = authority.issue("exact", &["app.crm.test", "second.crm.test"], 3);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&first, &wild, &exact], "")));
    let config = Arc::new(authority.client());
    let names = [("first.test", 1), ("a.crm.test", 2), ("app.crm.test", 3), ("SECOND.crm.test", 3)];
    for (name, number) in names {
        assert_eq!(serial(&fetch(daemon.web, &config, name).unwrap().0), number, "{name}");
    }
    // Neither a stranger nor two labels below a wildcard has one: the default is shown, which such clients refuse.
    for name in ["stranger.test", "a.b.crm.test", "crm.test"] {
        let error = fetch(daemon.web, &config, name).unwrap_err();
        assert!(error.to_string().contains("first.test"), "{name}: {error}");
    }
    until("the refusals are counted", || (handshakes(&daemon, "refused") == 3.0).then_some(()));
    let mut nameless = authority.client();
    nameless.enable_sni = false;
    let (wire, _) = fetch(daemon.web, &Arc::new(nameless), "first.test").unwrap();
    assert_eq!(serial(&wire), 1, "without a name the first is shown");
}

#[test]
fn what_has_nothing_in_common_with_us_is_refused_and_counted() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let lines = "[listener.timeouts]\ntls = \"300ms\"\n";
    let daemon =
        Daemon::start(&secured(&origin, &format!("{lines}{}", tls(&[&own], "min_version = \"1.3\""))));
    let mut foreign = authority.client();
    foreign.alpn_protocols = vec![b"h3".to_vec(), b"spdy/1".to_vec()];
    let error = dial(daemon.web, &Arc::new(foreign), "crm.test").unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::NoApplicationProtocol), "{error}");
    let old = Arc::new(authority.client_of(&[&version::TLS12], None));
    let error = dial(daemon.web, &old, "crm.test").unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::ProtocolVersion), "{error}");
    let mut plain = connect(daemon.web);
    plain.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(!plain.rest().unwrap().starts_with(b"HTTP"), "nothing is answered in clear");
    let begun = Instant::now();
    let (mut silent, mut halting) = (connect(daemon.web), connect(daemon.web));
    halting.send(b"\x16\x03\x01\x02\x00\x01").unwrap();
    assert!(silent.is_at_end() && halting.is_at_end());
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    drop(connect(daemon.web));
    for (result, count) in
        [("no_protocol", 1.0), ("no_version", 1.0), ("not_tls", 1.0), ("timeout", 2.0), ("left", 1.0)]
    {
        until(result, || (handshakes(&daemon, result) == count).then_some(()));
    }
    until("all are closed", || (daemon.metric("equipoise_connections_open", &[]) == 0.0).then_some(()));
    assert_eq!(origin.requests(), 0);
}

/// Tickets are stateless across workers and outlive the configuration.
#[test]
fn sessions_go_on_at_every_worker_and_over_a_reload() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let config = secured(&origin, &tls(&[&own], ""));
    let daemon = Daemon::start(&config);
    for version in [&version::TLS12, &version::TLS13] {
        let client = Arc::new(authority.client_of(&[version], None));
        let (wire, _) = fetch(daemon.web, &client, "crm.test").unwrap();
        assert_eq!(kind(&wire), Some(HandshakeKind::Full));
        for round in 0..12 {
            if round % 4 == 0 {
                daemon.reload(&config.clone().pool(&format!("max_connections = {}", round + 1)));
            }
            let (wire, _) = fetch(daemon.web, &client, "crm.test").unwrap();
            assert_eq!(kind(&wire), Some(HandshakeKind::Resumed), "round {round}");
        }
    }
    assert_eq!((handshakes(&daemon, "full"), handshakes(&daemon, "resumed")), (2.0, 24.0));
}

#[test]
fn a_file_of_ticket_keys_makes_sessions_good_on_every_node() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let secrets = authority.dir().join("tickets.key");
    std::fs::write(&secrets, "a secret that is long enough for this\n").unwrap();
    let with_file = secured(&origin, &tls(&[&own], &format!("ticket_keys = {secrets:?}")));
    let (one, other) = (Daemon::start(&with_file), Daemon::start(&with_file));
    let stranger = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let client = Arc::new(authority.client());
    fetch(one.web, &client, "crm.test").unwrap();
    let (wire, _) = fetch(other.web, &client, "crm.test").unwrap();
    assert_eq!(kind(&wire), Some(HandshakeKind::Resumed));
    let (wire, _) = fetch(stranger.web, &client, "crm.test").unwrap();
    assert_eq!(kind(&wire), Some(HandshakeKind::Full), "who has other keys begins anew");
}

#[test]
fn clients_must_show_a_good_certificate_where_one_is_required() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let good = authority.issue("good", &["client"], 20);
    let bad = authority.issue("bad", &["client"], 21);
    let (ca, crl) = (authority.ca(), authority.revoke(21));
    let mutual = format!("client_ca = {ca:?}\nclient_crl = {crl:?}");
    let config = secured(&origin, &tls(&[&own], &mutual));
    let daemon = Daemon::start(&config);
    let client = |files: Option<&Files>| Arc::new(authority.client_of(rustls::ALL_VERSIONS, files));
    let foreign = stranger.issue("foreign", &["client"], 22);
    let (none, good) = (client(None), client(Some(&good)));
    assert_eq!(fetch(daemon.web, &good, "crm.test").unwrap().1, "well");
    let (wire, _) = fetch(daemon.web, &good, "crm.test").unwrap();
    assert_eq!(kind(&wire), Some(HandshakeKind::Resumed));
    for (refused, why) in
        [(&none, "none"), (&client(Some(&bad)), "revoked"), (&client(Some(&foreign)), "foreign")]
    {
        assert!(fetch(daemon.web, refused, "crm.test").is_err(), "{why}");
    }
    until("they are counted", || (handshakes(&daemon, "client_certificate") == 3.0).then_some(()));
    assert_eq!(origin.requests(), 2);
    // A session that began without a certificate must not become one with.
    let optional = secured(&origin, &tls(&[&own], &format!("{mutual}\nclient_auth = \"optional\"")));
    daemon.reload(&optional);
    assert_eq!(fetch(daemon.web, &none, "crm.test").unwrap().1, "well");
    assert!(fetch(daemon.web, &client(Some(&bad)), "crm.test").is_err(), "one that comes must be good");
    daemon.reload(&config);
    assert!(fetch(daemon.web, &none, "crm.test").is_err(), "no ticket leads around the rule");
}

#[test]
fn clients_in_clear_are_sent_to_https() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(
        &over(&[origin.address]).listener("https_redirect = true\ntrusted_proxies = \"127.0.0.1\""),
    );
    let mut wire = connect(daemon.web);
    wire.send("POST /a?b=%2F HTTP/1.1\r\nHost: crm.test:8080\r\nContent-Length: 0\r\n\r\n").unwrap();
    let answer = wire.response("POST").unwrap();
    assert_eq!((answer.status(), answer.head.field("location")), (308, Some("https://crm.test/a?b=%2F")));
    wire.send("GET / HTTP/1.1\r\nHost: crm.test\r\nX-Forwarded-Proto: https\r\n\r\n").unwrap();
    assert_eq!(wire.response("GET").unwrap().text(), "well", "it came by https to the proxy before us");
    wire.send("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(
        wire.response("GET").unwrap().status(),
        400,
        "what cannot be sent there is not served in clear"
    );
    assert_eq!(origin.requests(), 1);
}

/// Where only the end of the connection ends a body, a whole one ends with close_notify and a cut one does not.
#[test]
fn a_body_that_was_cut_can_be_told_from_a_whole_one() {
    let authority = Authority::new();
    let origin = Origin::new(|visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        visit.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall that ")?;
        match request.head.target() {
            "/cut" => visit.reset(),
            _ => visit.send("there is"),
        }
    });
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let client = Arc::new(authority.client());
    let read = |target: &str| {
        let mut wire = dial(daemon.web, &client, "crm.test").unwrap();
        // A client of HTTP/1.0 gets a body without length until the end of the connection.
        wire.send(format!("GET {target} HTTP/1.0\r\nHost: test\r\n\r\n")).unwrap();
        wire.response("GET").map(|answer| answer.text())
    };
    assert_eq!(read("/whole").unwrap(), "all that there is");
    assert!(read("/cut").is_err());
}

#[test]
fn a_client_that_says_goodbye_and_one_that_waits_are_both_told_the_end() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let lines = format!("[listener.timeouts]\nkeep_alive = \"300ms\"\n{}", tls(&[&own], ""));
    let daemon = Daemon::start(&secured(&origin, &lines));
    let client = Arc::new(authority.client());
    let mut idle = fetch(daemon.web, &client, "crm.test").unwrap().0;
    assert!(idle.is_at_end(), "keep_alive ends by close_notify");
    let mut closing = dial(daemon.web, &client, "crm.test").unwrap();
    closing.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(closing.response("GET").unwrap().text(), "well");
    assert!(closing.is_at_end());
    // Half a close: the answer to what was asked before still comes.
    let mut half = dial(daemon.web, &client, "crm.test").unwrap();
    half.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    half.close_notify();
    assert_eq!(half.response("GET").unwrap().text(), "well");
    assert!(half.is_at_end());
}
