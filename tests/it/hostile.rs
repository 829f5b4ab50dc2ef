//! What hostile clients and backends tried once, and must not succeed with again.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::client::{connect, once};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::{Gate, Origin, nowhere};

#[test]
fn answers_do_not_pile_up_for_a_client_that_never_reads() {
    // No backend is there: every answer is the balancer's own.
    let nowhere = nowhere();
    let daemon = Daemon::start(&over(&[nowhere]).pool("retry.on = []"));
    let mut wire = connect(daemon.web);
    wire.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let before = daemon.resident();
    let piece = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(4000);
    // Far more than both sockets can hold: the sending must come to a stop by itself.
    let stopped = (0..600).any(|_| wire.stream.write_all(piece.as_bytes()).is_err());
    assert!(stopped, "60 MB of requests were read without one answer being taken");
    let grown = daemon.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
}

#[test]
fn a_request_without_a_body_is_retried_after_a_failed_connect_whatever_its_method() {
    let nowhere = nowhere();
    let well = Origin::answering("well");
    let daemon = Daemon::start(&over(&[nowhere, well.address]));
    for request in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert_eq!(once(daemon.web, request).unwrap().text(), "well", "{request}");
    }
    assert_eq!(well.requests(), 4);
}

#[test]
fn framing_bytes_that_trickle_in_behind_expect_do_not_hold_a_request_open() {
    let gate = Gate::default();
    let silent = Origin::holding(&gate);
    let daemon = Daemon::start(
        &over(&[silent.address]).listener("timeouts.body = \"1s\"").pool("timeouts.response = \"1s\""),
    );
    let mut wire = connect(daemon.web);
    wire.send("POST /held HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let began = Instant::now();
    // A chunk size of zeros without end, one every now and then.
    wire.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let ended = (0..40).any(|_| wire.send("0").is_err() || wire.fill().is_ok());
    assert!(ended && began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    gate.open();
}

#[test]
fn a_reset_behind_a_pile_of_pipelined_requests_ends_the_work() {
    let gate = Gate::default();
    let slow = Origin::holding(&gate);
    let daemon = Daemon::start(&over(&[slow.address]));
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000)).unwrap();
    let in_flight = || daemon.metric("equipoise_backend_in_flight", &[("pool", "crm")]);
    until("the first is at the backend", || (in_flight() == 1.0).then_some(()));
    wire.reset();
    until("its work is given up", || (in_flight() == 0.0).then_some(()));
    gate.open();
}

#[test]
fn empty_lines_after_a_body_begin_no_request() {
    let well = Origin::answering("well");
    let daemon = Daemon::start(
        &over(&[well.address]).listener("timeouts.head = \"300ms\"\ntimeouts.keep_alive = \"2s\""),
    );
    let mut wire = connect(daemon.web);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx\r\n").unwrap();
    assert_eq!(wire.response("POST").unwrap().text(), "well");
    // The next thing to come is the silent end of an idle connection, not a 408.
    assert!(wire.is_at_end());
    // Half of an empty line is no request either, and ends as silently, but sooner: it holds memory.
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/").unwrap().text(), "well");
    let began = Instant::now();
    wire.send("\r\n\r").unwrap();
    assert!(wire.is_at_end() && began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "408")]), 0.0);
}
