use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::*;
use crate::backend::{Backend, Identity};

fn backend_at(address: &str) -> Arc<Backend> {
    Backend::new(Identity { pool: "crm".into(), name: "app1".into(), address: address.into() }, true)
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

/// A configuration with something in every family.
fn busy() -> (Arc<Metrics>, Vec<Arc<dyn std::any::Any>>, Instant) {
    let begin = Instant::now();
    let metrics = Metrics::new(2);
    let (listener, route) = (metrics.listener("web"), metrics.route("web", "api"));
    let (pool, backend) = (metrics.pool("crm"), backend_at("10.0.0.1:80"));
    let series = metrics.backend(&backend, begin);
    let objective = Objective {
        availability: Some(0.75),
        latency: Some((Duration::from_millis(5), 0.5)),
        window: Duration::from_secs(86_400),
    };
    let api = Arc::new(metrics.route_account(None, "api"));
    pool.follow(&[&*api], &[Arc::clone(&route)], Some(objective), begin);
    api.follow(&[Arc::clone(&route)], Some(objective), begin);
    metrics.hold(&[Arc::clone(&backend)], &["crm"], vec![api], begin);
    for worker in 0..2 {
        listener.connection_opened(worker);
        listener.bytes_in(worker, 100);
        listener.bytes_out(worker, 1000);
        listener.rejected(worker, Reason::Malformed);
        listener.handshake(worker, Handshake::Resumed);
        route.request(worker, MethodLabel::Get, 200, Duration::from_millis(3));
        route.request(worker, MethodLabel::of(b"BREW"), 799, Duration::from_secs(90));
        Phase::ALL.iter().for_each(|&phase| route.phases(worker).took(phase, Duration::from_millis(4)));
        series.outcome(worker, Outcome::Code(200));
        series.outcome(worker, Outcome::ConnectError);
        series.response_time(worker, Duration::from_millis(2));
        pool.retry(worker, RetryReason::Connect);
        pool.budget_exhausted(worker);
    }
    listener.connection_closed(1);
    let shown = CertificateLabel { name: "a.test".into(), serial: "0abc".into(), not_after: 1_900_000_000 };
    listener.set_certificates(true, vec![shown.clone(), shown]);
    route.request(0, MethodLabel::Post, CLIENT_LEFT, Duration::from_micros(50));
    series.health_check(CheckResult::Failure);
    backend.count_stray();
    backend.set_adapts(true);
    pool.set_serving(true, "1 of 1 usable", begin);
    backend.condition().set(false, "status 503", begin);
    series.note_condition(begin + Duration::from_secs(30));
    pool.set_serving(false, "0 of 1 usable", begin + Duration::from_secs(30));
    backend.condition().set(true, "check passed", begin);
    series.note_condition(begin + Duration::from_secs(40));
    pool.set_serving(true, "1 of 1 usable", begin + Duration::from_secs(40));
    metrics.configured("abc123", UNIX_EPOCH + Duration::from_secs(1_000));
    metrics.set_ready(true);
    metrics.reload_rejected();
    metrics.state_synced(UNIX_EPOCH + Duration::from_millis(2_500));
    metrics.state_failed();
    metrics.spans().show();
    metrics.spans().exported(9);
    metrics.spans().failed(ExportFailure::Tls);
    route.exemplar(0, 0xabc, Duration::from_millis(3));
    metrics.tick(begin + Duration::from_secs(60), UNIX_EPOCH);
    (metrics, vec![listener, route, pool, series], begin + Duration::from_secs(60))
}

#[test]
fn the_scrape_sums_the_shards() {
    let (metrics, _held, now) = busy();
    let text = metrics.render(now, Form::Text).unwrap();
    for line in [
        r#"equipoise_http_requests_total{listener="web",route="api",method="GET",code="200"} 2"#,
        r#"equipoise_http_requests_total{listener="web",route="api",method="other",code="other"} 2"#,
        r#"equipoise_http_requests_total{listener="web",route="api",method="POST",code="499"} 1"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="0.0001"} 1"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="0.0025"} 1"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="0.005"} 3"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="60"} 3"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="+Inf"} 5"#,
        r#"equipoise_http_request_duration_seconds_count{listener="web",route="api"} 5"#,
        r#"equipoise_request_phase_seconds_bucket{listener="web",route="api",phase="queue",le="0.0025"} 0"#,
        r#"equipoise_request_phase_seconds_bucket{listener="web",route="api",phase="transfer",le="0.005"} 2"#,
        r#"equipoise_request_phase_seconds_sum{listener="web",route="api",phase="connect"} 0.008"#,
        r#"equipoise_http_request_bytes_total{listener="web"} 200"#,
        r#"equipoise_http_response_bytes_total{listener="web"} 2000"#,
        r#"equipoise_connections_open{listener="web"} 1"#,
        r#"equipoise_connections_total{listener="web"} 2"#,
        r#"equipoise_rejected_total{listener="web",reason="malformed"} 2"#,
        r#"equipoise_backend_requests_total{pool="crm",backend="app1",code="200"} 2"#,
        r#"equipoise_backend_requests_total{pool="crm",backend="app1",code="connect_error"} 2"#,
        r#"equipoise_backend_strays_total{pool="crm",backend="app1"} 1"#,
        r#"equipoise_backend_connection_limit{pool="crm",backend="app1"} 20"#,
        r#"equipoise_backend_state{pool="crm",backend="app1",state="up"} 1"#,
        r#"equipoise_backend_state{pool="crm",backend="app1",state="down"} 0"#,
        r#"equipoise_backend_uptime_seconds_total{pool="crm",backend="app1"} 50"#,
        r#"equipoise_backend_downtime_seconds_total{pool="crm",backend="app1"} 10"#,
        r#"equipoise_backend_mttr_seconds{pool="crm",backend="app1"} 10"#,
        r#"equipoise_pool_failures_total{pool="crm"} 1"#,
        r#"equipoise_route_failures_total{route="api"} 1"#,
        r#"equipoise_route_downtime_seconds_total{route="api"} 10"#,
        // 200 twice, 799 twice; the one that left is not judged.
        r#"equipoise_pool_requests_total{pool="crm",result="success"} 2"#,
        r#"equipoise_pool_requests_total{pool="crm",result="failure"} 2"#,
        r#"equipoise_route_success_ratio{route="api"} 0.5"#,
        r#"equipoise_backend_success_ratio{pool="crm",backend="app1"} 0.5"#,
        // Half failed where a quarter may; two of five were slow where half may.
        r#"equipoise_slo_burn_rate{pool="crm",window="5m"} 2"#,
        r#"equipoise_slo_burn_rate{route="api",window="6h"} 2"#,
        r#"equipoise_slo_latency_burn_rate{pool="crm",window="1h"} 0.8"#,
        r#"equipoise_slo_budget_remaining_ratio{route="api"} -1"#,
        r#"equipoise_slo_latency_budget_remaining_ratio{pool="crm"} 0.19999999999999996"#,
        r#"equipoise_state_file_last_sync_timestamp_seconds 2.5"#,
        r#"equipoise_state_file_errors_total 1"#,
        r#"equipoise_health_checks_total{pool="crm",backend="app1",result="failure"} 1"#,
        r#"equipoise_retries_total{pool="crm",reason="connect"} 2"#,
        r#"equipoise_retry_budget_exhausted_total{pool="crm"} 2"#,
        r#"equipoise_config_reloads_total{result="rejected"} 1"#,
        r#"equipoise_config_last_reload_successful 0"#,
        r#"equipoise_config_last_reload_success_timestamp_seconds 1000"#,
        r#"equipoise_config_hash{sha256="abc123"} 1"#,
        r#"equipoise_tls_handshakes_total{listener="web",result="resumed"} 2"#,
        r#"equipoise_tls_handshakes_total{listener="web",result="timeout"} 0"#,
        r#"equipoise_tls_certificate_not_after_timestamp_seconds{listener="web",name="a.test",serial="0abc"} 1900000000"#,
        r#"equipoise_trace_spans_total{result="exported"} 9"#,
        r#"equipoise_trace_export_failures_total{reason="tls"} 1"#,
        r#"equipoise_trace_export_failures_total{reason="connect"} 0"#,
        r#"equipoise_ready 1"#,
    ] {
        assert!(has(&text, line), "missing {line} in\n{text}");
    }
}

#[test]
fn openmetrics_tells_the_same_in_its_own_way() {
    let (metrics, _held, now) = busy();
    let page = metrics.render(now, Form::OpenMetrics).unwrap();
    assert!(page.ends_with("\n# EOF\n"));
    for line in [
        "# TYPE equipoise_http_requests counter",
        "# TYPE equipoise_http_request_bytes counter",
        "# UNIT equipoise_http_request_bytes bytes",
        "# UNIT equipoise_request_phase_seconds seconds",
        "# UNIT equipoise_backend_availability_ratio ratio",
        r#"equipoise_http_requests_total{listener="web",route="api",method="GET",code="200"} 2"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="60.0"} 3"#,
        r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="0.0025"} 1"#,
    ] {
        assert!(has(&page, line), "missing {line} in\n{page}");
    }
    let samples = |page: &str| {
        let kept = page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("process_"));
        let bare = kept.map(|line| line.split(" # ").next().unwrap_or_default());
        bare.map(|line| line.replace(".0\"}", "\"}")).collect::<Vec<_>>()
    };
    assert_eq!(samples(&page), samples(&metrics.render(now, Form::Text).unwrap()));
    let exemplars: Vec<_> = page.lines().filter(|line| line.contains(" # {")).collect();
    let bucket = r#"equipoise_http_request_duration_seconds_bucket{listener="web",route="api",le="0.005"} 3"#;
    let begins = format!("{bucket} # {{trace_id=\"00000000000000000000000000000abc\"}} 0.003 ");
    assert!(exemplars.len() == 1 && exemplars[0].starts_with(&begins), "{exemplars:?}");
    // Every family stands in one piece, under a name of its own.
    let mut names: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(names.len(), FAMILIES.len());
    names.dedup_by_key(|line| line.split(' ').next().unwrap());
    assert_eq!(names.len(), FAMILIES.len());
}

/// The control thread is busy so long with a scrape; workers are not asked.
#[test]
fn a_scrape_of_a_thousand_backends_is_cheap() {
    let (metrics, now) = (Metrics::new(4), Instant::now());
    let route = metrics.route("web", "api");
    let held: Vec<_> = (0..1_000)
        .map(|n| {
            let name = format!("app{n}").into();
            let backend =
                Backend::new(Identity { pool: "crm".into(), name, address: "10.0.0.1:80".into() }, true);
            metrics.backend(&backend, now)
        })
        .collect();
    for worker in 0..4 {
        for series in &held {
            series.outcome(worker, Outcome::Code(200));
            series.response_time(worker, Duration::from_millis(2));
        }
        Phase::ALL.iter().for_each(|&phase| route.phases(worker).took(phase, Duration::from_millis(1)));
    }
    let spent = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
    };
    // The first may fault pages in.
    let best = (0..3).map(|_| {
        let began = spent();
        let page = metrics.render(now, Form::OpenMetrics).unwrap();
        assert!(page.matches("equipoise_backend_response_seconds_count").count() == 1_000);
        assert_eq!(page.matches("equipoise_request_phase_seconds_count").count(), 4, "of the route alone");
        spent() - began
    });
    let best = best.min().unwrap();
    println!("{best:?} of CPU time");
    assert!(best < Duration::from_millis(200), "{best:?}");
}

#[test]
fn promtool_finds_nothing_to_say() {
    let (metrics, _held, now) = busy();
    let text = metrics.render(now, Form::Text).unwrap();
    for family in FAMILIES {
        assert!(text.contains(&format!("# HELP {} ", family.name)), "{} has no sample here", family.name);
    }
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn every_family_is_described_on_the_page_of_metrics() {
    let page = include_str!("../../docs/metrics.md");
    for family in FAMILIES {
        assert!(page.contains(&format!("`{}`", family.name)), "docs/metrics.md lacks {}", family.name);
    }
    for name in page.split('`').filter(|word| word.starts_with("equipoise_") && !word.contains(['{', ' '])) {
        assert!(FAMILIES.iter().any(|family| family.name == name), "docs/metrics.md invents {name}");
    }
}

#[test]
fn series_live_as_long_as_somebody_holds_them() {
    let metrics = Metrics::new(1);
    let route = metrics.route("web", "api");
    assert!(Arc::ptr_eq(&route, &metrics.route("web", "api")), "carried over");
    route.request(0, MethodLabel::Get, 200, Duration::ZERO);
    assert!(metrics.render(Instant::now(), Form::Text).unwrap().contains(r#"route="api""#));
    drop(route);
    assert!(!metrics.render(Instant::now(), Form::Text).unwrap().contains(r#"route="api""#));
}

#[test]
fn two_backends_under_the_same_labels_show_the_newest_alone() {
    let (metrics, now) = (Metrics::new(1), Instant::now());
    let (old, new) = (backend_at("10.0.0.1:80"), backend_at("10.0.0.2:80"));
    let old_series = metrics.backend(&old, now);
    let new_series = metrics.backend(&new, now);
    old_series.outcome(0, Outcome::Code(200));
    new_series.outcome(0, Outcome::Code(404));
    let text = metrics.render(now, Form::Text).unwrap();
    assert!(text.contains(r#"code="404""#) && !text.contains(r#"code="200""#));

    assert!(Arc::ptr_eq(&old_series, &metrics.backend(&old, now)), "asked for again, it is the newest");
    let text = metrics.render(now, Form::Text).unwrap();
    assert!(text.contains(r#"code="200""#) && !text.contains(r#"code="404""#));
}

#[test]
fn labels_are_escaped() {
    let metrics = Metrics::new(1);
    let _held = metrics.listener("a\"b\\c\nd");
    let text = metrics.render(Instant::now(), Form::Text).unwrap();
    assert!(has(&text, r#"equipoise_connections_open{listener="a\"b\\c\nd"} 0"#), "{text}");
}

#[test]
fn outcomes_and_reasons_keep_their_names() {
    let metrics = Metrics::new(1);
    let series = metrics.backend(&backend_at("10.0.0.1:80"), Instant::now());
    let ends = [
        (Outcome::Code(CLIENT_LEFT), "other"),
        (Outcome::Code(0), "other"),
        (Outcome::Code(503), "503"),
        (Outcome::ConnectError, "connect_error"),
        (Outcome::TlsError, "tls_error"),
        (Outcome::Reset, "reset"),
        (Outcome::Invalid, "invalid"),
        (Outcome::Timeout, "timeout"),
        (Outcome::Canceled, "canceled"),
    ];
    for (outcome, name) in ends {
        assert_eq!(label::slot_label(outcome.slot()), name);
        series.outcome(7, outcome); // a worker that does not exist: counted, no panic
    }
    assert_eq!(series.requests(), ends.len() as u64);
    for (at, &reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
    for (at, method) in MethodLabel::ALL.into_iter().enumerate() {
        assert_eq!(method as usize, at);
        assert!(method == MethodLabel::Other || MethodLabel::of(method.name().as_bytes()) == method);
    }
}
