//! Bounds on clients, messages and backends.

use std::time::Duration;

use crate::client::{connect, get, once};
use crate::config::over;
use crate::daemon::{Daemon, pause, sum, until};
use crate::load;
use crate::message::Wire;
use crate::origin::{Gate, Origin};

const HELD: &str = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n";

/// Whether nothing comes for a while.
fn is_silent(wire: &mut Wire) -> bool {
    wire.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let silent = wire.fill().is_err();
    wire.stream.set_read_timeout(Some(crate::message::PATIENCE)).unwrap();
    silent
}

/// A place at a backend is given back after the last byte of the answer has been written, which may be
/// after the client has read it.
fn until_released(daemon: &Daemon) {
    until("released", || (daemon.metric("equipoise_backend_in_flight", &[]) == 0.0).then_some(()));
}

/// At the limit nobody is accepted, and nobody refused: clients wait in the kernel's queue.
#[test]
fn accepting_pauses_at_max_connections() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = Daemon::start(&over(&[origin.address]).listener("limits.max_connections = 2"));
    let mut busy = [connect(daemon.web), connect(daemon.web)];
    for wire in &mut busy {
        wire.send(HELD).unwrap();
    }
    until("both run", || (origin.in_flight() == 2).then_some(()));
    let mut third = connect(daemon.web);
    third.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(is_silent(&mut third));
    assert_eq!(origin.requests(), 2);
    gate.open();
    for wire in &mut busy {
        assert_eq!(wire.response("GET").unwrap().status(), 200);
    }
    assert_eq!(third.response("GET").unwrap().status(), 200, "an idle connection gave way");
}

#[test]
fn idle_connections_give_way_at_max_connections() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).listener("limits.max_connections = 4"));
    let mut idle = [(); 4].map(|()| connect(daemon.web));
    for wire in &mut idle {
        assert_eq!(wire.get("/").unwrap().status(), 200);
    }
    for _ in 0..4 {
        assert_eq!(get(daemon.web, "/").status(), 200);
    }
    let open = daemon.metric("equipoise_connections_open", &[]);
    assert!(open <= 4.0, "{open}");
}

#[test]
fn one_address_holds_no_more_than_max_connections_per_ip() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).listener("limits.max_connections_per_ip = 2"));
    let mut held = [connect(daemon.web), connect(daemon.web)];
    for wire in &mut held {
        assert_eq!(wire.get("/").unwrap().status(), 200);
    }
    assert!(connect(daemon.web).get("/").is_err());
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "connection_limit")]), 1.0);
    drop(held);
    until("a place is free", || connect(daemon.web).get("/").is_ok().then_some(()));
}

#[test]
fn heads_have_bounds() {
    let origin = Origin::answering("well");
    let limits = "limits.max_head_size = \"1KiB\"\nlimits.max_headers = 10";
    let daemon = Daemon::start(&over(&[origin.address]).listener(limits));
    let long = "x".repeat(1_100);
    let fields = |count: usize| (0..count).map(|nth| format!("F{nth}: v\r\n")).collect::<String>();
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nLong: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", fields(10)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", fields(9)), 200),
    ] {
        assert_eq!(once(daemon.web, &request).unwrap().status(), status, "{request:.80}");
    }
    assert_eq!(origin.requests(), 1);
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "too_large")]), 3.0);
}

#[test]
fn bodies_have_bounds() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).listener("limits.max_body_size = \"1KiB\""));
    let chunked = |len: usize| {
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(len / 100)
        )
    };
    let sized = |len: usize| {
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n{}", "x".repeat(len))
    };
    for (request, status) in
        [(sized(1_024), 200), (sized(1_025), 413), (chunked(1_000), 200), (chunked(1_100), 413)]
    {
        let answer = once(daemon.web, &request).unwrap();
        assert_eq!(answer.status(), status, "{request:.80}");
        assert_eq!(answer.head.field("connection").is_some(), status == 413);
    }
    assert_eq!(origin.requests(), 2);
}

/// One truth over both workers; above it 503 at once where nobody may wait.
#[test]
fn a_pool_bounds_what_is_in_flight() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = Daemon::start(&over(&[origin.address]).pool("max_connections = 3\nqueue.max = 0"));
    let mut busy = [(); 3].map(|()| connect(daemon.web));
    for wire in &mut busy {
        wire.send(HELD).unwrap();
    }
    until("three run", || (origin.in_flight() == 3).then_some(()));
    // Many connections, so that both workers are asked.
    for _ in 0..16 {
        let begun = std::time::Instant::now();
        let answer = get(daemon.web, "/");
        assert_eq!(answer.status(), 503);
        assert!(answer.head.field("retry-after").is_some());
        assert!(begun.elapsed() < Duration::from_millis(500));
    }
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "queue_full")]), 16.0);
    gate.open();
    for wire in &mut busy {
        assert_eq!(wire.response("GET").unwrap().status(), 200);
    }
    until_released(&daemon);
    assert_eq!(get(daemon.web, "/").status(), 200);
    assert_eq!(origin.most_in_flight(), 3);
}

/// The same under a storm: the bound holds at every moment, and what is refused is refused at once.
#[test]
fn a_pool_bounds_what_is_in_flight_under_a_storm() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start_alone(&over(&[origin.address]).pool("max_connections = 4\nqueue.max = 0"));
    let report = load::closed(daemon.web, 32, 5_000);
    assert!(origin.most_in_flight() <= 4, "{}", origin.most_in_flight());
    assert!(
        report.failures.iter().all(|failure| failure.starts_with("HTTP/1.1 503")),
        "{:?}",
        report.failures
    );
    assert_eq!(origin.requests(), report.served);
    assert!(daemon.metric("equipoise_backend_connections", &[]) <= 4.0);
}

/// With HTTP/1 it bounds the open connections too: an idle one of the other worker gives way.
#[test]
fn a_pool_bounds_the_connections_to_a_backend() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).pool("max_connections = 1"));
    for _ in 0..40 {
        assert_eq!(get(daemon.web, "/").status(), 200);
        until_released(&daemon);
        let open = daemon.metric("equipoise_backend_connections", &[("pool", "crm")]);
        assert!(open <= 1.0, "{open}");
    }
    assert_eq!(origin.requests(), 40);
}

#[test]
fn no_usable_backend_is_503_at_once_and_a_backup_steps_in_only_then() {
    let (primary, backup) = (Origin::answering("primary"), Origin::answering("backup"));
    let health = "health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.timeout = \"100ms\"";
    let config = over(&[primary.address])
        .pool(health)
        .backend(&format!("address = \"{}\", backup = true", backup.address));
    let daemon = Daemon::start(&config);
    let name = |origin: &Origin| origin.address.to_string();
    for _ in 0..10 {
        assert_eq!(get(daemon.web, "/").text(), "primary");
    }
    primary.talk_garbage(true);
    until("the backup steps in", || (daemon.backend(&name(&primary))["state"] == "down").then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "backup");
    backup.talk_garbage(true);
    until("all are down", || (daemon.backend(&name(&backup))["state"] == "down").then_some(()));
    let begun = std::time::Instant::now();
    let answer = get(daemon.web, "/");
    assert_eq!((answer.status(), answer.head.field("retry-after")), (503, Some("1")));
    assert!(begun.elapsed() < Duration::from_millis(500));
    let metrics = daemon.page("/metrics").text();
    assert_eq!(sum(&metrics, "equipoise_rejected_total", &[("reason", "no_backend")]), 1.0);
    primary.talk_garbage(false);
    until("the primary is back", || (get(daemon.web, "/").text() == "primary").then_some(()));
}

/// With the default budget and with one that others have filled, what is small is served, and what is large too.
#[test]
fn relays_that_hold_all_of_buffer_memory_neither_stop_others_nor_themselves() {
    const BODY: usize = 1 << 20;
    const READERS: usize = 60;
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            match request.head.target() {
                // Chunked both ways: it goes through our buffers, not through the kernel alone.
                "/large" => {
                    visit.done();
                    visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                    for _ in 0..BODY * 8 / 65_536 {
                        visit.send(format!("10000\r\n{}\r\n", "x".repeat(65_536)))?;
                    }
                    visit.send("0\r\n\r\n")?;
                }
                _ => visit.answer(200, &request.body.len().to_string())?,
            }
        }
        Ok(())
    });
    let daemon =
        Daemon::start_alone(&over(&[origin.address]).server("workers = 1\nbuffer_memory = \"1MiB\""));
    assert_eq!(daemon.metric("equipoise_buffer_max_bytes", &[]), f64::from(1 << 20));
    let mut readers: Vec<Wire> = (0..READERS).map(|_| connect(daemon.web)).collect();
    for reader in &mut readers {
        reader.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    let held = || daemon.metric("equipoise_buffer_bytes", &[]);
    until("the relays hold what they may", || (held() >= f64::from(700 << 10)).then_some(()));
    let mut most: f64 = 0.0;
    for _ in 0..20 {
        assert_eq!(get(daemon.web, "/small").text(), "0");
        let head = format!("GET /small HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "c".repeat(30_000));
        assert_eq!(once(daemon.web, &head).unwrap().status(), 200, "a quarter is left for heads");
        let upload =
            format!("PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n{}", "x".repeat(BODY));
        assert_eq!(once(daemon.web, &upload).unwrap().text(), BODY.to_string());
        most = most.max(held());
    }
    assert!(most <= f64::from(1 << 20) * 1.1, "{most}");
    for mut reader in readers {
        assert_eq!(reader.response("GET").unwrap().body.len(), BODY * 8);
    }
    until("all is given back", || (held() == 0.0).then_some(()));
}

/// A reload takes it up, and nobody loses what he holds.
#[test]
fn buffer_memory_can_be_reloaded() {
    let origin = Origin::answering("well");
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config);
    let max = || daemon.metric("equipoise_buffer_max_bytes", &[]);
    assert_eq!(max(), f64::from(64 << 20));
    daemon.reload(&config.server("workers = 2\nbuffer_memory = \"2MiB\""));
    until("the workers follow", || (max() == f64::from(2 << 20)).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "well");
}

/// Heads that are longer than what is always granted wait for memory at the bound; small ones do not.
#[test]
fn unfinished_heads_hold_no_more_than_buffer_memory() {
    let origin = Origin::answering("well");
    let config = over(&[origin.address]).listener("timeouts.head = \"3s\"");
    let daemon = Daemon::start_alone(&config.server("workers = 1\nbuffer_memory = \"1MiB\""));
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {}", "c".repeat(60_000));
    let mut unfinished: Vec<Wire> = (0..100).map(|_| connect(daemon.web)).collect();
    for wire in &mut unfinished {
        wire.send(&long).unwrap();
    }
    until("heads hold all", || (daemon.metric("equipoise_buffer_bytes", &[]) > 900e3).then_some(()));
    for _ in 0..20 {
        assert_eq!(get(daemon.web, "/").text(), "well");
        let held = daemon.metric("equipoise_buffer_bytes", &[]);
        assert!(held <= f64::from(1 << 20) * 1.1, "{held}");
    }
    for mut wire in unfinished {
        assert_eq!(wire.response("GET").unwrap().status(), 408);
    }
}

/// Without descriptors nobody is accepted; the core does not burn meanwhile, and who waited is served after.
#[test]
fn accepting_survives_a_want_of_descriptors() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start_limited(
        &over(&[origin.address]).server("workers = 1").listener("limits.max_connections = 1000"),
        64,
    );
    let cpu = || daemon.cpu_seconds();
    let held: Vec<Wire> = (0..100).map(|_| connect(daemon.web)).collect();
    daemon.logged("cannot accept");
    let (began, spent) = (std::time::Instant::now(), cpu());
    pause(Duration::from_secs(1)); // the time over which it is measured
    let used = (cpu() - spent) / began.elapsed().as_secs_f64();
    assert!(used < 0.2, "{used} of a core while nothing can be accepted");
    drop(held);
    until("it recovers", || {
        let mut wire = connect(daemon.web);
        wire.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        wire.get("/").is_ok_and(|answer| answer.status() == 200).then_some(())
    });
}
