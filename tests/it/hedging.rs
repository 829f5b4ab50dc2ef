//! A second try beside the first.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, pause, until};
use crate::message::Wire;
use crate::origin::{Gate, Origin};

/// GETs after which the pool knows how long its answers take.
const KNOWN: usize = 160;

/// Long enough for a second try to have been made.
const A_WHILE: Duration = Duration::from_millis(400);

/// Answers at once, but below /held only when the gate is open.
pub(crate) fn patient(gate: &Gate, name: &'static str) -> Origin {
    let gate = gate.clone();
    Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            if request.head.target().starts_with("/held") {
                gate.pass();
            }
            visit.answer(200, name)?;
        }
        Ok(())
    })
}

pub(crate) fn learn(daemon: &Daemon) {
    let mut wire = connect(daemon.web);
    (0..KNOWN).for_each(|_| assert_eq!(wire.get("/").unwrap().status(), 200));
}

fn hedged(daemon: &Daemon) -> f64 {
    daemon.metric("equipoise_retries_total", &[("pool", "crm"), ("reason", "hedge")])
}

fn sends(daemon: &Daemon, request: &str) -> Wire {
    let mut wire = connect(daemon.web);
    wire.send(request).unwrap();
    wire
}

const HELD: &str = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_slow_first_try_is_overtaken_and_cut_off() {
    let gate = Gate::default();
    let (slow, quick) = (patient(&gate, "slow"), Origin::answering("quick"));
    let name = slow.address.to_string();
    let log = "[log.access]\nformat = \"json\"\nfields = [\"backend\", \"retries\", \"hedge\"]";
    let config = over(&[slow.address, quick.address]).pool("hedge = true").and(log);
    let (mut daemon, output) = Daemon::start_with_output(&config);
    learn(&daemon);
    let began = Instant::now();
    let mut wire = connect(daemon.web);
    // Every other one goes to the slow one first.
    for _ in 0..4 {
        assert_eq!(wire.get("/held").unwrap().text(), "quick");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}: the response time-out is 30 s");
    let canceled =
        || daemon.metric("equipoise_backend_requests_total", &[("backend", &name), ("code", "canceled")]);
    assert!(hedged(&daemon) >= 2.0 && canceled() >= 2.0, "{} {}", hedged(&daemon), canceled());
    assert_eq!(daemon.backend(&name)["in_flight"], 0);
    assert_eq!(daemon.metric("equipoise_ejections_total", &[]), 0.0, "a try that was cut off is no failure");
    // It went back to nobody: the next on it would have read the late answer.
    gate.open();
    for _ in 0..10 {
        assert!(["slow", "quick"].contains(&&*wire.get("/").unwrap().text()));
    }
    daemon.signal(Signal::TERM);
    daemon.ended();
    let lines = std::io::read_to_string(output).unwrap();
    assert!(lines.contains("\"retries\":1,\"hedge\":\"second\""), "{lines}");
    assert!(lines.contains("\"retries\":0}"), "{lines}");
}

#[test]
fn what_may_not_be_asked_of_two_is_asked_of_one() {
    let gate = Gate::default();
    let origins = [patient(&gate, "a"), patient(&gate, "b")];
    let daemon = Daemon::start(&over(&[origins[0].address, origins[1].address]).pool("hedge = true"));
    learn(&daemon);
    let under_way = || origins.iter().map(Origin::in_flight).sum::<u64>();
    let before = hedged(&daemon);
    let mut waiting: Vec<Wire> = [
        "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "GET /held HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "DELETE /held HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /held HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
        "GET /held HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /held HTTP/1.1\r\nHost: x\r\nAuthorization: Negotiate abc\r\n\r\n",
    ]
    .iter()
    .map(|request| sends(&daemon, request))
    .collect();
    let count = waiting.len() as u64;
    until("all are at a backend", || (under_way() == count).then_some(()));
    pause(A_WHILE);
    assert_eq!((under_way(), hedged(&daemon)), (count, before));
    waiting.push(sends(&daemon, HELD));
    until("a plain one is asked of two", || (under_way() == count + 2).then_some(()));
    assert_eq!(hedged(&daemon), before + 1.0);
    gate.open();
    for wire in &mut waiting {
        assert_eq!(wire.response("GET").unwrap().status(), 200);
    }
}

/// The method is not listed, the other backend is full, or the pool does not ask for it.
#[test]
fn a_second_try_is_made_only_where_there_is_room_for_it() {
    for (pool, fewest) in [
        ("hedge = true\nretry.methods = [\"HEAD\"]", 1),
        ("hedge = true\nmax_connections = 1", 2),
        ("hedge = false", 1),
    ] {
        let gate = Gate::default();
        let origins = [patient(&gate, "a"), patient(&gate, "b")];
        let daemon = Daemon::start(&over(&[origins[0].address, origins[1].address]).pool(pool));
        learn(&daemon);
        let before = hedged(&daemon);
        let mut waiting: Vec<Wire> = (0..fewest).map(|_| sends(&daemon, HELD)).collect();
        let under_way = || origins.iter().map(Origin::in_flight).sum::<u64>();
        until("all are at a backend", || (under_way() == fewest).then_some(()));
        pause(A_WHILE);
        assert_eq!((under_way(), hedged(&daemon)), (fewest, before), "{pool}");
        gate.open();
        for wire in &mut waiting {
            assert_eq!(wire.response("GET").unwrap().status(), 200, "{pool}");
        }
    }
}

/// 500 comes at once, but the first try may still do better.
#[test]
fn a_second_try_that_fails_is_not_the_answer() {
    let gate = Gate::default();
    let slow = patient(&gate, "well");
    let failing = Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            let held = request.head.target().starts_with("/held");
            visit.answer(if held { 500 } else { 200 }, "ill")?;
        }
        Ok(())
    });
    // Nearly all that come first come to the slow one.
    let config = over(&[]).backend(&format!("address = \"{}\", weight = 1000", slow.address));
    let config = config.backend(&format!("address = \"{}\", weight = 1", failing.address));
    let daemon = Daemon::start(&config.pool("hedge = true"));
    learn(&daemon);
    let mut wire = sends(&daemon, HELD);
    let name = failing.address.to_string();
    let failed = || daemon.metric("equipoise_backend_requests_total", &[("backend", &name), ("code", "500")]);
    until("the other has failed", || (failed() == 1.0).then_some(()));
    assert!(hedged(&daemon) >= 1.0 && slow.in_flight() == 1, "{}", hedged(&daemon));
    gate.open();
    let answer = wire.response("GET").unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "well"));
}

#[test]
fn a_client_that_belongs_to_a_backend_is_not_sent_to_another() {
    let gate = Gate::default();
    let origins = [patient(&gate, "a"), patient(&gate, "b")];
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("sticky.key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let sticky = format!("hedge = true\nsticky.key_file = \"{}\"", key.display());
    let daemon = Daemon::start(&over(&[origins[0].address, origins[1].address]).pool(&sticky));
    learn(&daemon);
    let answer = get(daemon.web, "/");
    let cookie = answer.head.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let before = hedged(&daemon);
    let mut wire = sends(&daemon, &format!("GET /held HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"));
    let under_way = || origins.iter().map(Origin::in_flight).sum::<u64>();
    until("it is at its backend", || (under_way() == 1).then_some(()));
    pause(A_WHILE);
    assert_eq!((under_way(), hedged(&daemon)), (1, before));
    gate.open();
    assert_eq!(wire.response("GET").unwrap().text(), answer.text());
}

/// Whoever of the two has it first: the other is told that it is not needed, and its place is free.
#[test]
fn the_first_head_is_the_answer_and_nobody_is_left_at_work() {
    let gates = [Gate::default(), Gate::default()];
    let origins = [patient(&gates[0], "a"), patient(&gates[1], "b")];
    let daemon = Daemon::start(&over(&[origins[0].address, origins[1].address]).pool("hedge = true"));
    learn(&daemon);
    let both = || origins.iter().all(|origin| origin.in_flight() == 1);
    let nobody = || origins.iter().all(|o| daemon.backend(&o.address.to_string())["in_flight"] == 0);
    let canceled = |origin: &Origin| {
        let labels =
            [("backend", &*origin.address.to_string()), ("code", "canceled")].map(|(l, v)| (l, v.to_owned()));
        let labels = labels.each_ref().map(|(label, value)| (*label, value.as_str()));
        daemon.metric("equipoise_backend_requests_total", &labels)
    };
    // Where the machine is busy some of those before were hedged too.
    let before = origins.each_ref().map(&canceled);
    let mut wire = sends(&daemon, HELD);
    until("both have it", || both().then_some(()));
    gates[0].open();
    assert_eq!(wire.response("GET").unwrap().text(), "a");
    until("nobody is at work", || nobody().then_some(()));
    assert_eq!(origins.each_ref().map(canceled), [before[0], before[1] + 1.0]);
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "200")]), KNOWN as f64 + 1.0);
    gates[1].open();
}

#[test]
fn a_client_that_leaves_ends_both() {
    let gate = Gate::default();
    let origins = [patient(&gate, "a"), patient(&gate, "b")];
    let daemon = Daemon::start(&over(&[origins[0].address, origins[1].address]).pool("hedge = true"));
    learn(&daemon);
    let canceled = || daemon.metric("equipoise_backend_requests_total", &[("code", "canceled")]);
    let before = canceled();
    let wire = sends(&daemon, HELD);
    until("both have it", || origins.iter().all(|origin| origin.in_flight() == 1).then_some(()));
    wire.reset();
    let idle = |origin: &Origin| daemon.backend(&origin.address.to_string())["in_flight"] == 0;
    until("both are left", || origins.iter().all(idle).then_some(()));
    assert_eq!(canceled(), before + 2.0);
    gate.open();
}

/// A connection that was idle and turns out to be closed costs nobody anything here either.
#[test]
fn a_stale_connection_is_replaced_beside_hedging_too() {
    let origin = Origin::new(|visit| {
        if visit.request()?.is_some() {
            visit.answer(200, "once")?;
            visit.request()?; // and ends with it
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]).pool("hedge = true"));
    let mut wire = connect(daemon.web);
    for _ in 0..2 {
        assert_eq!(wire.get("/").unwrap().text(), "once");
    }
    assert_eq!(daemon.metric("equipoise_retries_total", &[("reason", "stale")]), 1.0);
}
