//! What is counted is what happened.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::client::{connect, get, once};
use crate::config::over;
use crate::daemon::{Daemon, sum, until};
use crate::load;
use crate::origin::Origin;

#[test]
fn sums_equal_what_the_origins_counted() {
    let origins = ["a", "b", "c"].map(Origin::answering);
    let failing = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.answer(503, "not now")?;
        }
        Ok(())
    });
    let mut addresses = origins.each_ref().map(|origin| origin.address).to_vec();
    addresses.push(failing.address);
    let daemon = Daemon::start_alone(&over(&addresses).pool("retry.on = [\"connect\", 503]"));
    let report = load::closed(daemon.web, 16, 5_000);
    println!("{} failed, as the budget allows", report.failures.len());
    let total: f64 = origins.iter().chain([&failing]).map(|origin| origin.requests() as f64).sum();
    let text = until("all is counted", || {
        let text = daemon.page("/metrics").text();
        (sum(&text, "equipoise_http_requests_total", &[]) == 5_000.0).then_some(text)
    });
    assert_eq!(sum(&text, "equipoise_backend_requests_total", &[]), total);
    for origin in origins.iter().chain([&failing]) {
        let name = origin.address.to_string();
        let code = if origin.address == failing.address { "503" } else { "200" };
        let labels = [("pool", "crm"), ("backend", &*name), ("code", code)];
        assert_eq!(sum(&text, "equipoise_backend_requests_total", &labels), origin.requests() as f64);
        assert_eq!(
            sum(&text, "equipoise_backend_response_seconds_count", &labels[1..2]),
            origin.requests() as f64
        );
    }
    assert_eq!(sum(&text, "equipoise_retries_total", &[]), total - 5_000.0);
    assert_eq!(sum(&text, "equipoise_http_requests_total", &[("code", "200")]), report.served as f64);
    until("nothing is in flight", || {
        (daemon.metric("equipoise_backend_in_flight", &[]) == 0.0).then_some(())
    });
}

/// Every family that the contract names and that has a source now, in a form that Prometheus' own linter
/// accepts.
#[test]
fn the_page_passes_promtool() {
    let origin = Origin::answering("well");
    let config = over(&[origin.address]).pool("health.interval = \"1s\"\nhealth.path = \"/healthz\"");
    let daemon = Daemon::start(&config);
    assert_eq!(get(daemon.web, "/").status(), 200);
    assert_eq!(once(daemon.web, "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().status(), 200);
    assert_eq!(once(daemon.web, "GET /pot HTTP/1.1\r\n\r\n").unwrap().status(), 400);
    until("probed", || (daemon.metric("equipoise_health_checks_total", &[]) > 0.0).then_some(()));
    let text = daemon.page("/metrics").text();
    for family in [
        "equipoise_build_info",
        "equipoise_http_requests_total",
        "equipoise_http_request_duration_seconds_bucket",
        "equipoise_http_request_bytes_total",
        "equipoise_http_response_bytes_total",
        "equipoise_connections_open",
        "equipoise_connections_total",
        "equipoise_rejected_total",
        "equipoise_backend_requests_total",
        "equipoise_backend_response_seconds_bucket",
        "equipoise_backend_in_flight",
        "equipoise_backend_connections",
        "equipoise_backend_up",
        "equipoise_backend_state",
        "equipoise_backend_uptime_seconds_total",
        "equipoise_backend_downtime_seconds_total",
        "equipoise_backend_failures_total",
        "equipoise_backend_availability_ratio",
        "equipoise_pool_availability_ratio",
        "equipoise_health_checks_total",
        "equipoise_config_reloads_total",
        "equipoise_config_last_reload_successful",
        "equipoise_config_last_reload_success_timestamp_seconds",
        "equipoise_config_hash",
        "equipoise_ready",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
    ] {
        assert!(text.contains(&format!("\n{family}")), "{family} is missing in\n{text}");
    }
    assert!(text.contains("method=\"other\""), "no label comes from a client");
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else { return println!("SKIPPED: promtool is not installed") };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn bytes_and_connections_are_counted() {
    let origin = Origin::answering("0123456789");
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wire = connect(daemon.web);
    let request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    wire.send(request).unwrap();
    wire.response("POST").unwrap();
    until("bytes are counted", || {
        let text = daemon.page("/metrics").text();
        let read = sum(&text, "equipoise_http_request_bytes_total", &[("listener", "web")]);
        (read == request.len() as f64).then_some(())
    });
    assert!(daemon.metric("equipoise_http_response_bytes_total", &[]) > 100.0);
    assert_eq!(daemon.metric("equipoise_connections_open", &[]), 1.0);
    drop(wire);
    until("it is closed", || (daemon.metric("equipoise_connections_open", &[]) == 0.0).then_some(()));
    assert_eq!(daemon.metric("equipoise_connections_total", &[]), 1.0);
}
