//! Spans to a collector that speaks TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::certificates::Authority;
use crate::client::get;
use crate::collector::Collector;
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::Origin;

/// What stands below [tracing] of a collector whose certificate these sign.
fn known_by(collector: &Collector, authority: &Authority) -> String {
    format!("{}ca = {:?}\n", collector.table(1.0), authority.ca())
}

fn failures(daemon: &Daemon, reason: &str) -> f64 {
    daemon.metric("equipoise_trace_export_failures_total", &[("reason", reason)])
}

fn exported(daemon: &Daemon) -> f64 {
    daemon.metric("equipoise_trace_spans_total", &[("result", "exported")])
}

#[test]
fn spans_go_to_a_collector_that_proves_its_name() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let files = authority.issue("collector", &["127.0.0.1"], 1);
    let collector = Collector::secured(authority.server(&files, false));
    let daemon = Daemon::start(&over(&[origin.address]).and(&known_by(&collector, &authority)));
    for count in 1..=2 {
        assert_eq!(get(daemon.web, "/traced").status(), 200);
        let spans = collector.requests(count);
        assert!(spans.iter().any(|span| span.kind == 3 && span.attributes["url.path"] == "/traced"));
        until("they are counted", || (exported(&daemon) == spans.len() as f64).then_some(()));
    }
    assert_eq!(daemon.metric("equipoise_trace_export_failures_total", &[]), 0.0);
}

#[test]
fn a_collector_that_does_not_is_sent_nothing_and_that_is_counted_and_told() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::answering("well"));
    let good = authority.issue("collector", &["127.0.0.1"], 1);
    let wrong = authority.issue("wrong", &["collector.internal"], 2);
    let (misnamed, collector) = (
        Collector::secured(authority.server(&wrong, false)),
        Collector::secured(authority.server(&good, false)),
    );
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config.clone().and(&known_by(&misnamed, &authority)));
    // Another name, an authority that we were not told of, and none that the system knows.
    let tables = [known_by(&misnamed, &authority), known_by(&collector, &stranger), collector.table(1.0)];
    for table in tables {
        daemon.reload(&config.clone().and(&table));
        let before = failures(&daemon, "tls");
        assert_eq!(get(daemon.web, "/untold").status(), 200);
        until("it is counted", || (failures(&daemon, "tls") > before).then_some(()));
    }
    let told = daemon.logged("traces: the collector does not take them");
    assert_eq!((&told["level"], &told["reason"]), (&"WARN".into(), &"tls".into()), "{told}");
    assert!(told["why"].as_str().unwrap().contains("certificate"), "{told}");
    daemon.reload(&config.and(&known_by(&collector, &authority)));
    assert_eq!(get(daemon.web, "/told").status(), 200);
    let spans = collector.requests(1);
    assert!(spans.iter().all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/told")));
    assert_eq!(misnamed.origin.requests(), 0);
}

#[test]
fn a_collector_that_asks_who_we_are_is_shown_our_certificate() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let files = authority.issue("collector", &["127.0.0.1"], 1);
    let collector = Collector::secured(authority.server(&files, true));
    let table = known_by(&collector, &authority);
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config.clone().and(&table));
    assert_eq!(get(daemon.web, "/untold").status(), 200);
    until("it is turned away", || {
        (failures(&daemon, "tls") + failures(&daemon, "broken") > 0.0).then_some(())
    });
    let own = authority.issue("balancer", &["balancer"], 2);
    daemon.reload(&config.and(&format!("{table}cert = {:?}\nkey = {:?}\n", own.cert, own.key)));
    assert_eq!(get(daemon.web, "/told").status(), 200);
    let spans = collector.requests(1);
    assert!(spans.iter().all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/told")));
}

#[test]
fn one_trouble_is_one_warning_however_often_it_is_met() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::answering("well"));
    let files = stranger.issue("collector", &["127.0.0.1"], 1);
    let collector = Collector::secured(stranger.server(&files, false));
    let daemon = Daemon::start(&over(&[origin.address]).and(&known_by(&collector, &authority)));
    assert_eq!(get(daemon.web, "/").status(), 200);
    until("it is tried again", || (failures(&daemon, "tls") >= 2.0).then_some(()));
    assert_eq!(daemon.times_logged("traces: the collector does not take them"), 1);
}

/// Nobody waits for it but the exporter: neither a request, nor a stop for longer than 2 s.
#[test]
fn a_collector_that_never_shakes_hands_holds_nobody_up() {
    let over_with_it = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over_with_it);
    let silent = Origin::new(move |visit| {
        // Until the other side gives up.
        let ended = visit.wire.rest();
        done.store(true, Ordering::SeqCst);
        ended.map(drop)
    });
    let origin = Origin::answering("well");
    let table = format!("[tracing]\notlp = \"https://{}\"\nsample = 1.0\n", silent.address);
    let mut daemon = Daemon::start(&over(&[origin.address]).and(&table));
    let began = Instant::now();
    assert_eq!(get(daemon.web, "/").status(), 200);
    until("its time is over", || (failures(&daemon, "timeout") >= 1.0).then_some(()));
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    until("its connection is closed", || over_with_it.load(Ordering::SeqCst).then_some(()));
    assert_eq!(get(daemon.web, "/").status(), 200);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
}
