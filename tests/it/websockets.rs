//! Many WebSockets at once, in raw frames (RFC 6455), while the configuration changes around them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::connect;
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::{Origin, Visit};

const CONNECTIONS: usize = 1_000;
const MESSAGES: usize = 100;

/// Messages on their way at one time on one connection.
const AT_ONCE: usize = 5;

/// Threads that hold the clients' ends.
const CLIENTS: usize = 8;

const RELOADS: usize = 5;

/// The key of RFC 6455 1.3, and what a server must make of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;

/// One frame of at most 125 octets: its first octet and its payload, with the mask taken off.
fn frame(wire: &mut Wire) -> io::Result<(u8, Vec<u8>)> {
    let head = wire.take(2)?;
    let mask = if head[1] & MASKED != 0 { wire.take(4)? } else { vec![0; 4] };
    let mut payload = wire.take(usize::from(head[1] & !MASKED))?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(octet, mask)| *octet ^= mask);
    Ok((head[0], payload))
}

/// A client's frame, masked with the octets of `mask`.
fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first, MASKED | payload.len() as u8];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

fn echo(visit: &mut Visit) -> io::Result<()> {
    let Some(head) = visit.head()? else { return Ok(()) };
    assert_eq!((head.field("upgrade"), head.field("sec-websocket-key")), (Some("websocket"), Some(KEY)));
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket";
    visit.send(format!("{switching}\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"))?;
    loop {
        let (first, payload) = frame(&mut visit.wire)?;
        let mut answer = vec![first, payload.len() as u8];
        answer.extend(payload);
        visit.send(answer)?;
        if first == CLOSE {
            return Ok(());
        }
    }
}

/// Opens a WebSocket.
fn open(daemon: &Daemon) -> Wire {
    let mut wire = connect(daemon.web);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    wire.send(format!("GET /chat HTTP/1.1\r\nHost: x\r\n{upgrade}\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"))
        .unwrap();
    let head = wire.head().unwrap().unwrap();
    assert_eq!((head.status(), head.field("sec-websocket-accept")), (101, Some(ACCEPT)));
    wire
}

/// Sends some messages on one connection and reads their echo.
fn talk(wire: &mut Wire, connection: usize, from: usize) {
    let texts = (from..from + AT_ONCE).map(|nth| format!("message {nth} of connection {connection}"));
    let texts: Vec<_> = texts.collect();
    let mask = (connection as u32 ^ 0x5bd1_e995).to_be_bytes();
    let frames: Vec<u8> = texts.iter().flat_map(|text| masked(TEXT, text.as_bytes(), mask)).collect();
    wire.send(frames).unwrap();
    for text in texts {
        assert_eq!(frame(wire).unwrap(), (TEXT, text.into_bytes()));
    }
}

/// Each connection is three descriptors of this process.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[test]
fn a_thousand_websockets_echo_through_reloads_and_are_counted() {
    raise_file_limit();
    let origin = Origin::new(echo);
    let config = over(&[origin.address]);
    let daemon = Daemon::start_alone(&config);
    let begun = Instant::now();
    let echoed = AtomicUsize::new(0);
    let mut wires = std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| {
            let (daemon, echoed) = (&daemon, &echoed);
            scope.spawn(move || {
                let mine = (0..CONNECTIONS).filter(|nth| nth % CLIENTS == client);
                let mut wires: Vec<_> = mine.map(|nth| (nth, open(daemon))).collect();
                for from in (0..MESSAGES).step_by(AT_ONCE) {
                    for (nth, wire) in &mut wires {
                        talk(wire, *nth, from);
                        echoed.fetch_add(AT_ONCE, Ordering::SeqCst);
                    }
                }
                wires
            })
        });
        let clients: Vec<_> = clients.collect();
        for nth in 1..=RELOADS {
            // Spread over the whole talk, the first while connections are still being opened.
            let due = CONNECTIONS * MESSAGES * (nth - 1) / RELOADS;
            until("they talk", || (echoed.load(Ordering::SeqCst) > due).then_some(()));
            let other = format!("[pool.other]\nbackends = \"127.0.0.1:{nth}\"\n");
            daemon.reload(&config.clone().listener(&format!("timeouts.write = \"{nth}0s\"")).and(&other));
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let resident = daemon.resident() >> 10;
    println!("{CONNECTIONS} WebSockets, {RELOADS} reloads: {:?}, resident {resident} KiB", begun.elapsed());
    let all = CONNECTIONS as f64;
    assert_eq!(echoed.load(Ordering::SeqCst), CONNECTIONS * MESSAGES);
    assert_eq!(origin.connections(), CONNECTIONS as u64, "each on the connection that it began on");
    assert_eq!(daemon.metric("equipoise_config_reloads_total", &[("result", "ok")]), RELOADS as f64);
    assert_eq!(daemon.metric("equipoise_backend_in_flight", &[("pool", "crm")]), all);
    assert_eq!(daemon.metric("equipoise_backend_requests_total", &[("code", "101")]), all);
    assert_eq!(daemon.metric("equipoise_connections_open", &[("listener", "web")]), all);
    for (_, wire) in &mut wires {
        wire.send(masked(CLOSE, &[3, 232], [7; 4])).unwrap();
        assert_eq!(frame(wire).unwrap(), (CLOSE, vec![3, 232]));
        assert!(wire.is_at_end());
    }
    drop(wires);
    until("all are counted", || {
        let ended = daemon.metric("equipoise_http_requests_total", &[("code", "101"), ("listener", "web")]);
        let open = daemon.metric("equipoise_connections_open", &[("listener", "web")]);
        (ended == all && open == 0.0).then_some(())
    });
    assert_eq!(daemon.metric("equipoise_backend_in_flight", &[("pool", "crm")]), 0.0);
}
