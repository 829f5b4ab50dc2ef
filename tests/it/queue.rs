//! Waiting for a backend that has room.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{connect, get};
use crate::config::{Config, over};
use crate::daemon::{Daemon, pause, until};
use crate::load;
use crate::message::Wire;
use crate::origin::{Gate, Origin, nowhere};

/// Waits until so many wait.
fn until_waiting(daemon: &Daemon, count: usize) {
    let length = || daemon.metric("equipoise_queue_length", &[("pool", "crm")]);
    until(&format!("{count} wait"), || (length() == count as f64).then_some(()));
}

/// A client whose request is on its way.
fn asks(daemon: &Daemon, target: &str) -> Wire {
    let mut wire = connect(daemon.web);
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
    wire
}

/// A daemon whose one place is taken until the gate opens, and who has it.
fn full(gate: &Gate, config: impl Fn(Config) -> Config) -> (Origin, Daemon, Wire) {
    let origin = Origin::holding(gate);
    let daemon = Daemon::start(&config(over(&[origin.address]).pool("max_connections = 1")));
    let busy = asks(&daemon, "/held");
    until("the place is taken", || (origin.in_flight() == 1).then_some(()));
    (origin, daemon, busy)
}

fn targets(origin: &Origin) -> Vec<String> {
    origin.arrived().iter().map(|message| message.head.target().to_owned()).collect()
}

fn status(wire: &mut Wire) -> (u16, Option<String>) {
    let answer = wire.response("GET").unwrap();
    (answer.status(), answer.head.field("x-equipoise-reason").map(str::to_owned))
}

/// 200 clients before ten places at each backend: whoever waits does so for as long as Little's law says, and
/// there are never eleven at a backend.
fn waits_by_the_law(backends: usize, service: Duration, requests: u64) {
    let work = || {
        Origin::new(move |visit| {
            while visit.request()?.is_some() {
                pause(service);
                visit.answer(200, "well")?;
            }
            Ok(())
        })
    };
    let origins: Vec<Origin> = (0..backends).map(|_| work()).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let pool = "max_connections = 10\nbalance = \"least-connections\"";
    let daemon = Daemon::start_alone(&over(&addresses).pool(pool).level("info"));
    let waits = || {
        let page = daemon.page("/metrics").text();
        let of = |name| crate::daemon::sum(&page, name, &[("pool", "crm")]);
        (of("equipoise_queue_seconds_sum"), of("equipoise_queue_seconds_count"))
    };
    let served = || origins.iter().map(Origin::requests).sum::<u64>();
    let (before, report) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::closed(daemon.web, 200, requests));
        // Those who come first find the places free.
        until("the queue is long", || (served() > 400).then_some(()));
        (waits(), load.join().unwrap())
    });
    let after = waits();
    assert_eq!(report.failures, [""; 0]);
    assert_eq!((report.served, served()), (requests, requests));
    for origin in &origins {
        assert_eq!(origin.most_in_flight(), 10);
    }
    assert!(daemon.metric("equipoise_backend_connections", &[]) <= 10.0 * backends as f64);
    let mean = (after.0 - before.0) / (after.1 - before.1);
    // What the work really took: where the machine is busy the backends oversleep.
    let took = |what: &str| daemon.metric(&format!("equipoise_backend_response_seconds_{what}"), &[]);
    let work = took("sum") / took("count");
    let law = 200.0 * work / (10 * backends) as f64 - work;
    println!("{backends} backends of {work:.4} s: mean wait {mean:.4} s, by Little's law {law:.4} s");
    assert!((mean / law - 1.0).abs() <= 0.1, "{mean} s, not {law} s");
}

/// 113 ms at 20 ms a request. Without optimisation 1,500 requests per second would measure the machine: there, a
/// third of them.
#[test]
fn with_three_backends_requests_wait_as_long_as_littles_law_says() {
    let (service, requests) = if cfg!(debug_assertions) { (60, 3_000) } else { (20, 6_000) };
    waits_by_the_law(3, Duration::from_millis(service), requests);
}

/// 380 ms.
#[test]
fn with_one_backend_requests_wait_as_long_as_littles_law_says() {
    waits_by_the_law(1, Duration::from_millis(20), 3_000);
}

/// Over both workers, which share the connections evenly.
#[test]
fn requests_are_served_in_the_order_in_which_they_came() {
    let gate = Gate::default();
    let (origin, daemon, mut busy) = full(&gate, |config| config);
    let mut wires = Vec::new();
    for nth in 0..40 {
        wires.push(asks(&daemon, &format!("/{nth}")));
        until_waiting(&daemon, nth + 1);
    }
    for worker in ["0", "1"] {
        let open = daemon.metric("equipoise_worker_connections_open", &[("worker", worker)]);
        assert!(open >= 10.0, "{worker}: {open}");
    }
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
    for wire in &mut wires {
        assert_eq!(status(wire).0, 200);
    }
    assert_eq!(targets(&origin)[1..], (0..40).map(|nth| format!("/{nth}")).collect::<Vec<_>>());
    assert_eq!(origin.most_in_flight(), 1);
    until_waiting(&daemon, 0);
}

#[test]
fn who_has_waited_for_too_long_gets_503() {
    let gate = Gate::default();
    let (origin, daemon, mut busy) = full(&gate, |config| config.pool("queue.timeout = \"300ms\""));
    let begun = Instant::now();
    let answer = get(daemon.web, "/");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.head.field("x-equipoise-reason"), Some("queue_timeout"));
    assert_eq!(answer.head.field("retry-after"), Some("1"));
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "queue_timeout")]), 1.0);
    assert_eq!(daemon.metric("equipoise_queue_seconds_count", &[]), 1.0);
    assert!(daemon.metric("equipoise_queue_seconds_sum", &[]) >= 0.3);
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn the_timeout_of_the_route_holds_in_the_queue_too() {
    let gate = Gate::default();
    let route = "[[route]]\npool = \"crm\"\nmatch.path = \"/short\"\ntimeout = \"300ms\"";
    let (_origin, daemon, _busy) = full(&gate, |config| config.and(route));
    let answer = get(daemon.web, "/short");
    assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (504, Some("deadline")));
    gate.open();
}

#[test]
fn a_full_queue_refuses_at_once_and_the_low_give_way_to_the_high() {
    let gate = Gate::default();
    let route =
        |name| format!("[[route]]\npool = \"crm\"\nmatch.path_prefix = \"/{name}\"\npriority = \"{name}\"\n");
    let (origin, daemon, mut busy) =
        full(&gate, |config| config.pool("queue = { max = 3 }").and(&route("low")).and(&route("high")));
    let mut old = asks(&daemon, "/low/old");
    until_waiting(&daemon, 1);
    let mut young = asks(&daemon, "/low/young");
    until_waiting(&daemon, 2);
    let mut normal = asks(&daemon, "/normal");
    until_waiting(&daemon, 3);
    let begun = Instant::now();
    let answer = get(daemon.web, "/low/late");
    assert_eq!((answer.status(), answer.head.field("x-equipoise-reason")), (503, Some("queue_full")));
    assert!(begun.elapsed() < Duration::from_secs(1));
    let mut high = asks(&daemon, "/high");
    assert_eq!(status(&mut young), (503, Some("queue_full".into())));
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "queue_full")]), 2.0);
    until_waiting(&daemon, 3);
    gate.open();
    for wire in [&mut busy, &mut old, &mut normal, &mut high] {
        assert_eq!(status(wire).0, 200);
    }
    assert_eq!(targets(&origin), ["/held", "/high", "/normal", "/low/old"]);
}

#[test]
fn a_client_that_leaves_leaves_the_queue() {
    let gate = Gate::default();
    let (origin, daemon, mut busy) = full(&gate, |config| config);
    let gone = asks(&daemon, "/gone");
    until_waiting(&daemon, 1);
    let mut stays = asks(&daemon, "/stays");
    until_waiting(&daemon, 2);
    gone.reset();
    until_waiting(&daemon, 1);
    // With a body still to come a reset is seen too, and an end is an end.
    for reset in [true, false] {
        let mut upload = connect(daemon.web);
        upload.send("POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome").unwrap();
        until_waiting(&daemon, 2);
        if reset {
            upload.reset()
        } else {
            drop(upload)
        }
        until_waiting(&daemon, 1);
    }
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "499")]), 3.0);
    gate.open();
    assert_eq!((status(&mut busy).0, status(&mut stays).0), (200, 200));
    assert_eq!(targets(&origin), ["/held", "/stays"]);
}

#[test]
fn a_body_waits_with_its_head_and_an_answer_before_it_does_not() {
    let gate = Gate::default();
    let (origin, daemon, mut busy) = full(&gate, |config| config);
    let mut wire = connect(daemon.web);
    let body = "x".repeat(100_000);
    // The first one is answered by us.
    wire.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n").unwrap();
    wire.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len())).unwrap();
    assert_eq!(wire.response("OPTIONS").unwrap().status(), 200);
    until_waiting(&daemon, 1);
    wire.send(&body).unwrap();
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
    assert_eq!(wire.response("POST").unwrap().status(), 200);
    assert_eq!(origin.arrived()[1].text(), body);
}

#[test]
fn where_all_backends_go_down_whoever_waits_is_told_at_once() {
    let gate = Gate::default();
    let health =
        "health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.timeout = \"1s\"\nhealth.fall = 1";
    let (origin, daemon, _busy) = full(&gate, |config| config.pool(health).pool("queue.timeout = \"1m\""));
    let mut waiting: Vec<Wire> = (0..20).map(|_| asks(&daemon, "/")).collect();
    until_waiting(&daemon, 20);
    origin.talk_garbage(true);
    for wire in &mut waiting {
        assert_eq!(status(wire), (503, Some("no_backend".into())));
    }
    until_waiting(&daemon, 0);
    gate.open();
}

#[test]
fn who_waits_goes_on_with_the_pool_of_a_reload() {
    let gate = Gate::default();
    let (origin, daemon, mut busy) = full(&gate, |config| config.pool("queue.timeout = \"1m\""));
    let mut waiting: Vec<Wire> = (0..20).map(|_| asks(&daemon, "/")).collect();
    until_waiting(&daemon, 20);
    // Another backend, which only the new configuration knows.
    let newcomer = Origin::answering("newcomer");
    daemon.reload(&over(&[origin.address, newcomer.address]).pool("max_connections = 1"));
    for wire in &mut waiting {
        assert_eq!(wire.response("GET").unwrap().text(), "newcomer");
    }
    assert_eq!((origin.requests(), newcomer.requests(), newcomer.most_in_flight()), (1, 20, 1));
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
}

#[test]
fn who_waits_for_a_pool_that_a_reload_removes_is_told_at_once() {
    let gate = Gate::default();
    let (_origin, daemon, mut busy) = full(&gate, |config| config.pool("queue.timeout = \"1m\""));
    let mut waiting: Vec<Wire> = (0..5).map(|_| asks(&daemon, "/")).collect();
    until_waiting(&daemon, 5);
    let other = Origin::answering("other");
    let text = over(&[other.address]).text().replace("crm", "other");
    daemon.write(&text);
    assert_eq!(daemon.ask_to_reload().status(), 200);
    for wire in &mut waiting {
        assert_eq!(status(wire), (503, Some("no_backend".into())));
    }
    gate.open();
    assert_eq!(status(&mut busy).0, 200, "what ran goes on");
}

#[test]
fn who_waits_when_the_daemon_is_told_to_stop_is_served() {
    let gate = Gate::default();
    let (origin, mut daemon, mut busy) = full(&gate, |config| config);
    let mut waiting: Vec<Wire> = (0..10).map(|_| asks(&daemon, "/")).collect();
    until_waiting(&daemon, 10);
    daemon.signal(Signal::TERM);
    let is_closed = || std::net::TcpStream::connect(daemon.web).is_err().then_some(());
    until("nobody is accepted any more", is_closed);
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
    for wire in &mut waiting {
        let answer = wire.response("GET").unwrap();
        assert_eq!((answer.status(), answer.head.field("connection")), (200, Some("close")));
    }
    assert_eq!(origin.requests(), 11);
    assert!(daemon.ended().success());
}

/// A backend that refuses is not tried again while another is only full.
#[test]
fn a_further_try_waits_for_another_backend() {
    let gate = Gate::default();
    let closed = nowhere();
    let (origin, daemon, mut busy) = full(&gate, |config| {
        config
            .backend(&format!("address = \"{closed}\""))
            .pool("passive.enabled = false\nqueue.timeout = \"1m\"")
    });
    let mut waiting: Vec<Wire> = (0..6).map(|_| asks(&daemon, "/")).collect();
    until_waiting(&daemon, 6);
    let refused = || daemon.metric("equipoise_backend_requests_total", &[("code", "connect_error")]);
    let before = refused();
    assert!(before >= 6.0, "each was refused: {before}");
    gate.open();
    assert_eq!(status(&mut busy).0, 200);
    for wire in &mut waiting {
        assert_eq!(status(wire).0, 200);
    }
    assert_eq!((origin.requests(), refused()), (7, before));
}

#[test]
fn who_waits_is_told_with_how_long() {
    let gate = Gate::default();
    let (_origin, daemon, mut busy) = full(&gate, |config| config);
    let queue = || {
        let page: serde_json::Value = serde_json::from_str(&daemon.page("/api/v1/pools/crm").text()).unwrap();
        (page["queue"]["length"].as_u64().unwrap(), page["queue"]["oldest_seconds"].as_f64().unwrap())
    };
    assert_eq!(queue(), (0, 0.0));
    let began = Instant::now();
    let mut wires = [asks(&daemon, "/a"), asks(&daemon, "/b")];
    until_waiting(&daemon, 2);
    until("the longest has waited for a while", || (queue().1 >= 0.05).then_some(()));
    let (length, oldest) = queue();
    assert!(length == 2 && oldest <= began.elapsed().as_secs_f64(), "{length} {oldest}");
    let status = std::process::Command::new(crate::daemon::BINARY)
        .args(["status", "--admin", &daemon.admin.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("; 2 wait for a place, the longest for "), "{text}");
    gate.open();
    assert_eq!(status_of(&mut busy), 200);
    wires.iter_mut().for_each(|wire| assert_eq!(status_of(wire), 200));
    until("nobody waits", || (queue() == (0, 0.0)).then_some(()));
}

fn status_of(wire: &mut Wire) -> u16 {
    wire.response("GET").unwrap().status()
}
