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

/// A backend's 499 is a status that nobody registered, and no client that left.
#[test]
fn a_backend_that_says_499_has_answered() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.answer(499, "token required")?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    assert_eq!(get(daemon.web, "/").status(), 499);
    let text = until("it is counted", || {
        let text = daemon.page("/metrics").text();
        (sum(&text, "equipoise_http_requests_total", &[]) == 1.0).then_some(text)
    });
    assert_eq!(sum(&text, "equipoise_http_requests_total", &[("code", "other")]), 1.0);
    assert_eq!(sum(&text, "equipoise_pool_requests_total", &[("result", "success")]), 1.0);
}

#[test]
fn a_499_that_breaks_off_is_a_failure_of_the_backend() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 499 Token Required\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    assert!(once(daemon.web, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err(), "cut short");
    until("it is counted", || (daemon.metric("equipoise_http_requests_total", &[]) == 1.0).then_some(()));
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "other")]), 1.0);
    assert_eq!(daemon.metric("equipoise_pool_requests_total", &[("result", "failure")]), 1.0);
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

/// What the contract promises stands on the page under its name, type and labels.
#[test]
fn the_page_holds_every_family_of_the_contract() {
    let origin = Origin::answering("well");
    let refusing = "[pool.gone]\nbackends = [\"127.0.0.1:1\"]\nhealth.interval = \"100ms\"\nhealth.fall = 1\nhealth.rise = 1\n";
    let route = "[[route]]\nname = \"gone\"\nmatch.path_prefix = \"/gone\"\npool = \"gone\"\n";
    let config = over(&[origin.address])
        .pool("health.interval = \"100ms\"\nslo = { availability = 99.9 }")
        .and(route)
        .and(refusing);
    let daemon = Daemon::start(&config);
    assert_eq!(get(daemon.web, "/").status(), 200);
    until("down", || {
        (daemon.metric("equipoise_pool_failures_total", &[("pool", "gone")]) > 0.0).then_some(())
    });
    until("checked", || {
        (daemon.metric("equipoise_health_checks_total", &[("pool", "crm")]) > 0.0).then_some(())
    });
    assert_eq!(get(daemon.web, "/gone").status(), 503);
    let text = daemon.page("/metrics").text();
    let promised = [
        ("equipoise_build_info", "gauge", "version"),
        ("equipoise_http_requests_total", "counter", "listener,route,method,code"),
        ("equipoise_http_request_duration_seconds", "histogram", "listener,route,le"),
        ("equipoise_http_request_bytes_total", "counter", "listener"),
        ("equipoise_http_response_bytes_total", "counter", "listener"),
        ("equipoise_connections_open", "gauge", "listener"),
        ("equipoise_connections_total", "counter", "listener"),
        ("equipoise_rejected_total", "counter", "listener,reason"),
        ("equipoise_request_phase_seconds", "histogram", "listener,route,phase,le"),
        ("equipoise_backend_requests_total", "counter", "pool,backend,code"),
        ("equipoise_backend_response_seconds", "histogram", "pool,backend,le"),
        ("equipoise_backend_in_flight", "gauge", "pool,backend"),
        ("equipoise_backend_connections", "gauge", "pool,backend,state"),
        ("equipoise_backend_up", "gauge", "pool,backend"),
        ("equipoise_backend_state", "gauge", "pool,backend,state"),
        ("equipoise_backend_uptime_seconds_total", "counter", "pool,backend"),
        ("equipoise_backend_downtime_seconds_total", "counter", "pool,backend"),
        ("equipoise_pool_uptime_seconds_total", "counter", "pool"),
        ("equipoise_pool_downtime_seconds_total", "counter", "pool"),
        ("equipoise_backend_failures_total", "counter", "pool,backend"),
        ("equipoise_backend_availability_ratio", "gauge", "pool,backend"),
        ("equipoise_backend_mtbf_seconds", "gauge", "pool,backend"),
        ("equipoise_pool_availability_ratio", "gauge", "pool"),
        ("equipoise_pool_mtbf_seconds", "gauge", "pool"),
        ("equipoise_health_checks_total", "counter", "pool,backend,result"),
        ("equipoise_retries_total", "counter", "pool,reason"),
        ("equipoise_retry_budget_exhausted_total", "counter", "pool"),
        ("equipoise_ejections_total", "counter", "pool,backend,reason"),
        ("equipoise_queue_length", "gauge", "pool"),
        ("equipoise_queue_seconds", "histogram", "pool,le"),
        ("equipoise_config_reloads_total", "counter", "result"),
        ("equipoise_config_last_reload_successful", "gauge", ""),
        ("equipoise_config_last_reload_success_timestamp_seconds", "gauge", ""),
        ("equipoise_config_hash", "gauge", "sha256"),
        ("equipoise_ready", "gauge", ""),
        ("equipoise_log_dropped_total", "counter", "log"),
        ("equipoise_slo_burn_rate", "gauge", "pool,window"),
        ("process_cpu_seconds_total", "counter", ""),
        ("process_resident_memory_bytes", "gauge", ""),
        ("process_open_fds", "gauge", ""),
        ("process_start_time_seconds", "gauge", ""),
    ];
    for (name, kind, labels) in promised {
        assert!(text.contains(&format!("\n# TYPE {name} {kind}\n")), "no {kind} {name} in\n{text}");
        let sample = if kind == "histogram" { format!("{name}_bucket") } else { name.to_owned() };
        let starts =
            |line: &&str| line.strip_prefix(&sample).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let line = text.lines().find(starts).unwrap_or_else(|| panic!("no sample of {name} in\n{text}"));
        let told = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let told: Vec<_> = told
            .split("\",")
            .filter(|one| !one.is_empty())
            .map(|one| one.split('=').next().unwrap())
            .collect();
        assert_eq!(told.join(","), labels, "{line}");
    }
    assert_eq!(sum(&text, "equipoise_rejected_total", &[("reason", "no_backend")]), 1.0);
}

#[test]
fn openmetrics_is_given_to_those_who_ask_for_it() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let ask = |accept: &str| {
        once(
            daemon.admin,
            &format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", daemon.admin),
        )
        .unwrap()
    };
    let open = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!(
        open.head.field("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().ends_with("# EOF\n"));
    let plain = ask("text/plain;version=0.0.4, application/openmetrics-text;q=0.9");
    assert_eq!(plain.head.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        !plain.text().contains("# EOF")
            && plain.text().contains("\n# TYPE equipoise_connections_total counter\n")
    );
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

/// Whoever asks for the page, and leaves before it is written: one thread writes, and gives way to those that serve.
#[test]
fn pages_are_written_one_at_a_time_by_a_thread_that_gives_way() {
    let origin = Origin::answering("well");
    let config = (0..300).fold(over(&[]), |config, nth| {
        config.backend(&format!("name = \"app{nth}\", address = \"{}\"", origin.address))
    });
    let daemon = Daemon::start_alone(&config);
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.admin);
    let base = daemon.threads("equipoise")[0]; // whoever runs this may be nice himself
    let nice = until("the thread is seen", || {
        let impatient = [(); 8].map(|()| {
            let mut wire = connect(daemon.admin);
            wire.send(&ask).unwrap();
            wire
        });
        let seen = (0..200).find_map(|_| {
            let writing = daemon.threads("scrape");
            assert!(
                writing.len() <= 2,
                "of eight that ask one writes, and one may be about to end: {writing:?}"
            );
            writing.first().copied().filter(|nice| *nice != base) // it has to lower itself first
        });
        drop(impatient);
        seen
    });
    assert_eq!(nice, (base + 10).min(19));
    assert_eq!(daemon.page("/metrics").status(), 200);
}
