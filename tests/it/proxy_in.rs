//! The PROXY header at a listener: who the client is from then on, and what is refused.

use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certificates::{Authority, begin};
use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::{Gate, Origin};
use crate::tls::{handshakes, tls};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// 198.51.100.7:45678 to 192.0.2.1:443.
const INET: [u8; 12] = [198, 51, 100, 7, 192, 0, 2, 1, 0xb2, 0x6e, 0x01, 0xbb];

/// A packet of version 2.
pub(crate) fn packet(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

/// A line of version 1 for a client.
pub(crate) fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.1 45678 443\r\n")
}

/// A listener that trusts this machine.
fn trusting(origin: &Origin, mode: &str, lines: &str) -> Config {
    let lines = format!("trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = \"{mode}\"\n{lines}");
    over(&[origin.address]).listener(&lines)
}

fn begun(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Wire {
    let mut wire = connect(address);
    wire.send(bytes).unwrap();
    wire
}

fn rejected(daemon: &Daemon, reason: &str) -> f64 {
    daemon.metric("equipoise_rejected_total", &[("reason", reason)])
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: crm.example\r\n\r\n";

/// The address and port of the client that backends hear of; `None`: the real ones.
type Told = Option<(&'static str, u16)>;

/// Headers that are right.
fn right() -> Vec<(Vec<u8>, Told)> {
    let client = Some(("198.51.100.7", 443));
    let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    let unknown = format!("PROXY UNKNOWN {}", &longest[11..]);
    assert_eq!(unknown.len(), 107);
    let inet6: Vec<u8> = [Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::LOCALHOST.octets()].concat();
    let authority = [&INET[..], b"\x02\0\x0bcrm.example", b"\x05\0\x02\x01\x02", b"\x04\0\0"].concat();
    let full = [&INET[..], b"\x04\x0f\xe1", &[0; 4096 - 16 - 12 - 3]].concat();
    let mut all = vec![
        (line("198.51.100.7").into_bytes(), client),
        (b"PROXY TCP6 2001:db8::7 ::1 1 8443\r\n".to_vec(), Some(("2001:db8::7", 8443))),
        (longest.into_bytes(), Some(("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535))),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (unknown.into_bytes(), None),
    ];
    for (command, family, block, told) in [
        (0x21, 0x11, &INET[..], client),
        (0x21, 0x21, &[&inet6[..], &[0, 1, 0, 2]].concat(), Some(("::1", 2))),
        (0x21, 0x31, &[b'/'; 216], None),
        (0x21, 0x00, b"", None),
        (0x20, 0x00, b"", None),
        (0x20, 0x11, &INET, None),
        (0x21, 0x11, &authority, client),
        (0x21, 0x11, &full, client),
    ] {
        all.push((packet(command, family, block), told));
    }
    all
}

fn hears(origin: &Origin, daemon: &Daemon, told: Told, header: &[u8]) {
    let head = origin.last();
    let (address, port) = told.unwrap_or(("127.0.0.1", daemon.web.port()));
    let expected = (Some(address), Some(port.to_string()));
    let found = (head.field("x-forwarded-for"), head.field("x-forwarded-port").map(str::to_owned));
    assert_eq!(found, expected, "{}", header.escape_ascii());
}

#[test]
fn a_header_says_who_the_client_is_and_takes_nothing_of_what_follows() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&trusting(&origin, "require", ""));
    for (header, told) in right() {
        // In one piece with two requests, by itself, and byte by byte.
        let mut wire = begun(daemon.web, [&header[..], REQUEST.as_bytes(), REQUEST.as_bytes()].concat());
        for _ in 0..2 {
            assert_eq!(wire.response("GET").unwrap().text(), "well");
            hears(&origin, &daemon, told, &header);
        }
        assert_eq!(begun(daemon.web, &header).get("/").unwrap().text(), "well");
        hears(&origin, &daemon, told, &header);
        if header.len() < 300 {
            let mut wire = connect(daemon.web);
            for byte in [&header[..], REQUEST.as_bytes()].concat() {
                wire.send([byte]).unwrap();
            }
            assert_eq!(wire.response("GET").unwrap().text(), "well");
            hears(&origin, &daemon, told, &header);
        }
    }
    assert_eq!(daemon.metric("equipoise_rejected_total", &[]), 0.0);
    let said = daemon.logged_where("a header with more in it", |line| {
        line["extra"].as_str().is_some_and(|extra| extra.contains("authority=\"crm.example\""))
    });
    assert_eq!((&said["peer"], &said["version"]), (&"198.51.100.7:45678".into(), &"V2".into()));
    assert_eq!(said["destination"], "192.0.2.1:443");
    assert!(said["proxy"].as_str().unwrap().starts_with("127.0.0.1:"), "{said}");
}

/// The announced address is judged as a peer's would be: whether it is trusted too.
#[test]
fn trust_is_the_announced_address_s() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&trusting(&origin, "require", ""));
    let claim =
        "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (client, address, proto) in
        [("198.51.100.7", "198.51.100.7", "http"), ("127.0.0.9", "203.0.113.9, 127.0.0.9", "https")]
    {
        let mut wire = begun(daemon.web, line(client));
        wire.send(claim).unwrap();
        assert_eq!(wire.response("GET").unwrap().status(), 200);
        let head = origin.last();
        assert_eq!(
            (head.field("x-forwarded-for"), head.field("x-forwarded-proto")),
            (Some(address), Some(proto))
        );
    }
}

#[test]
fn garbage_closes_the_connection_without_a_word() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&trusting(&origin, "require", ""));
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    let mut invalid = 0.0;
    for bytes in [
        b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 192.0.2.1 1 65536\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
        endless.into_bytes(),
        packet(0x11, 0x11, &INET),
        packet(0x22, 0x11, &INET),
        packet(0x21, 0x11, &INET[1..]),
        packet(0x21, 0x41, &INET),
        packet(0x21, 0x11, &[&INET[..], b"\x02\0\x05four"].concat()),
        packet(0x21, 0x11, &[0; 4081]),
    ] {
        let mut wire = begun(daemon.web, [&bytes[..], REQUEST.as_bytes()].concat());
        assert!(is_over(&mut wire), "{}", bytes.escape_ascii());
        invalid += 1.0;
        until("it is counted", || (rejected(&daemon, "proxy_invalid") == invalid).then_some(()));
    }
    for missing in [REQUEST, "PROXYED / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n\r\n", "\x16\x03\x01\0"] {
        assert!(is_over(&mut begun(daemon.web, missing)), "{missing:?}");
    }
    until("they are counted", || (rejected(&daemon, "proxy_missing") == 4.0).then_some(()));
    // Whoever leaves before it is whole has only left.
    for part in ["", "PROX", "PROXY TCP4 198.51"] {
        let mut wire = begun(daemon.web, part);
        wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(is_over(&mut wire), "{part:?}");
    }
    assert_eq!((rejected(&daemon, "proxy_invalid"), origin.requests()), (invalid, 0));
    assert_eq!(daemon.metric("equipoise_connections_open", &[]), 0.0);
}

/// Closed with nothing said. What was sent and not read makes a reset of it.
fn is_over(wire: &mut Wire) -> bool {
    match wire.fill() {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn what_has_no_header_is_served_where_it_is_optional() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&trusting(&origin, "optional", ""));
    for request in [
        REQUEST,
        "PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n",
        "PROXYED / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert_eq!(begun(daemon.web, request).response("GET").unwrap().text(), "well");
        hears(&origin, &daemon, None, request.as_bytes());
        let mut wire = connect(daemon.web);
        request.bytes().for_each(|byte| wire.send([byte]).unwrap());
        assert_eq!(wire.response("GET").unwrap().text(), "well");
        assert_eq!(origin.last().start, request.trim_start().lines().next().unwrap());
    }
    let (header, told) = right().swap_remove(0);
    assert_eq!(begun(daemon.web, &header).get("/").unwrap().text(), "well");
    hears(&origin, &daemon, told, &header);
    assert!(
        is_over(&mut begun(daemon.web, "PROXY / HTTP/1.1\r\n")),
        "a header that is none is not taken for HTTP"
    );
}

#[test]
fn of_strangers_no_header_is_read() {
    let origin = Origin::answering("well");
    let strange = |mode: &str| {
        let lines = format!("trusted_proxies = [\"192.0.2.0/24\"]\nproxy_protocol = \"{mode}\"");
        Daemon::start(&over(&[origin.address]).listener(&lines))
    };
    let daemon = strange("optional");
    for (header, _) in right() {
        // A signature of version 2 begins with empty lines; what follows them is no request.
        let mut wire = begun(daemon.web, [&header[..], REQUEST.as_bytes()].concat());
        assert_eq!(wire.response("GET").unwrap().status(), 400, "{}", header.escape_ascii());
    }
    assert_eq!((rejected(&daemon, "malformed"), origin.requests()), (right().len() as f64, 0));
    assert_eq!(connect(daemon.web).get("/").unwrap().text(), "well");
    let daemon = strange("require");
    for bytes in [line("198.51.100.7"), REQUEST.into()] {
        let mut wire = connect(daemon.web);
        let _ = wire.send(bytes); // it may be closed already
        assert!(is_over(&mut wire));
    }
    until("both are counted", || (rejected(&daemon, "proxy_untrusted") == 2.0).then_some(()));
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_header_is_not_waited_for_longer_than_a_head() {
    let origin = Origin::answering("well");
    let limits = "[listener.timeouts]\nhead = \"400ms\"";
    let daemon = Daemon::start(&trusting(&origin, "require", limits));
    let began = Instant::now();
    let mut slow = [&line("198.51.100.7").as_bytes()[..30], &packet(0x21, 0x11, &INET)[..20]]
        .map(|part| begun(daemon.web, part));
    let mut silent = connect(daemon.web);
    for wire in slow.iter_mut().chain([&mut silent]) {
        assert!(wire.is_at_end());
    }
    assert!(began.elapsed() >= Duration::from_millis(400));
    until("the slow are counted, the silent is not", || {
        (rejected(&daemon, "client_timeout") == 2.0).then_some(())
    });
    assert_eq!(daemon.metric("equipoise_rejected_total", &[]), 2.0);
}

#[test]
fn connections_are_counted_for_the_client_and_not_for_the_proxy() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon =
        Daemon::start(&trusting(&origin, "require", "[listener.limits]\nmax_connections_per_ip = 1"));
    let mut first = begun(daemon.web, line("198.51.100.7"));
    assert_eq!(first.get("/").unwrap().text(), "well");
    assert!(is_over(&mut begun(daemon.web, line("198.51.100.7"))));
    until("it is counted", || (rejected(&daemon, "connection_limit") == 1.0).then_some(()));
    assert_eq!(begun(daemon.web, line("198.51.100.8")).get("/").unwrap().text(), "well");
    for _ in 0..3 {
        // Those that are trusted, and the proxy itself, are not.
        let mut held =
            [line("127.0.0.9"), "PROXY UNKNOWN\r\n".into()].map(|header| begun(daemon.web, header));
        assert!(held.iter_mut().all(|wire| wire.get("/").unwrap().text() == "well"));
    }
    drop(first);
    until("its place is free", || begun(daemon.web, line("198.51.100.7")).get("/").ok());
}

#[test]
fn the_announced_client_is_who_is_hashed() {
    let origins = ["a", "b", "c", "d"].map(Origin::answering);
    let config = over(&origins.each_ref().map(|origin| origin.address))
        .listener("trusted_proxies = \"127.0.0.1\"\nproxy_protocol = \"require\"")
        .pool("balance = \"ip-hash\"");
    let daemon = Daemon::start(&config);
    let picked = |nth: u8| begun(daemon.web, line(&format!("198.51.100.{nth}"))).get("/").unwrap().text();
    let first: Vec<_> = (0..32).map(picked).collect();
    assert_eq!(first, (0..32).map(picked).collect::<Vec<_>>());
    let kinds: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(kinds.len() > 1, "{first:?}");
}

#[test]
fn tls_begins_with_the_first_byte_after_it() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let client = Arc::new(authority.client());
    for mode in ["require", "optional"] {
        let daemon = Daemon::start(&trusting(&origin, mode, &tls(&[&own], "")));
        let headers = right().into_iter().map(|(header, told)| (header, told, true));
        let none = [(Vec::new(), None, false)];
        for (header, told, has_header) in headers.chain(none) {
            let wire = connect(daemon.web);
            let mut tls = begin(&client, "crm.test");
            // The hello of the client in one piece with the header.
            let mut bytes = header.clone();
            tls.write_tls(&mut bytes).unwrap();
            (&wire.stream).write_all(&bytes).unwrap();
            let mut wire = Wire::over_tls(wire.stream, tls);
            let answer = wire.shake_hands().and_then(|()| wire.get("/"));
            if !has_header && mode == "require" {
                assert!(answer.is_err());
                continue;
            }
            assert_eq!(answer.unwrap().text(), "well", "{}", header.escape_ascii());
            hears(&origin, &daemon, told, &header);
            assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
        }
        let served = right().len() as f64 + f64::from(u8::from(mode == "optional"));
        assert_eq!(handshakes(&daemon, "full") + handshakes(&daemon, "resumed"), served);
        if mode == "optional" {
            assert!(is_over(&mut begun(daemon.web, "PROPFIND / HTTP/1.1\r\n\r\n")));
            until("it is no TLS", || (handshakes(&daemon, "not_tls") == 1.0).then_some(()));
        }
    }
}

/// Who has said nothing yet must not hold up the end.
#[test]
fn the_end_does_not_wait_for_a_header() {
    let origin = Origin::answering("well");
    let mut daemon = Daemon::start(&trusting(&origin, "require", ""));
    let mut waiting = [begun(daemon.web, ""), begun(daemon.web, "PROXY TCP4 ")];
    until("both are there", || (daemon.metric("equipoise_connections_open", &[]) == 2.0).then_some(()));
    let began = Instant::now();
    daemon.signal(rustix::process::Signal::TERM);
    assert!(waiting.iter_mut().all(Wire::is_at_end));
    assert!(daemon.ended().success() && began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
