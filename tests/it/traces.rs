//! Traces: what a backend is told of them, what the log says, and the spans that a collector gets.

use std::sync::atomic::Ordering;

use rustix::process::Signal;

use crate::client::{connect, get, once};
use crate::collector::{Collector, Span};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::hedging;
use crate::origin::{Gate, Origin};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn ask(daemon: &Daemon, target: &str, fields: &str) -> u16 {
    once(daemon.web, &format!("GET {target} HTTP/1.1\r\nHost: crm.test:81\r\n{fields}\r\n")).unwrap().status()
}

#[test]
fn a_request_its_tries_and_its_connection_become_spans() {
    let (collector, good) = (Collector::start(), Origin::answering("well"));
    let breaking = Origin::new(|visit| visit.request().map(drop));
    let config =
        over(&[breaking.address, good.address]).pool("passive.enabled = false").and(&collector.table(0.0));
    let daemon = Daemon::start(&config);
    let fields =
        format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\nCookie: secret=1\r\n");
    assert_eq!(ask(&daemon, "/path?token=secret", &fields), 200);
    // Of round-robin's two one breaks: whoever was first, one of two requests meets it.
    assert_eq!(ask(&daemon, "/path?token=secret", &fields), 200);

    let spans = collector.requests(2);
    assert!(spans.iter().all(|span| span.trace == TRACE && span.begin <= span.end), "{spans:#?}");
    let named = |kind| spans.iter().filter(move |span| span.kind == kind);
    let (servers, clients): (Vec<_>, Vec<_>) = (named(2).collect(), named(3).collect());
    assert!(clients.len() >= 3 && named(1).count() >= 2, "{spans:#?}");
    for server in &servers {
        assert_eq!((&*server.parent, &*server.state, &*server.name), ("00f067aa0ba902b7", "a=1,b=2", "GET"));
        for (key, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/path"),
            ("url.scheme", "http"),
            ("http.response.status_code", "200"),
            ("server.address", "crm.test"),
            ("server.port", "81"),
            ("network.protocol.version", "1.1"),
            ("client.address", "127.0.0.1"),
            ("equipoise.listener", "web"),
            ("equipoise.route", "default"),
            ("equipoise.pool", "crm"),
        ] {
            assert_eq!(server.attributes.get(key).map(String::as_str), Some(value), "{key} of {server:#?}");
        }
        assert!(!server.failed);
    }
    // The try that failed, and the one that went on for it.
    let failed: Vec<_> = clients.iter().filter(|client| client.failed).collect();
    assert_eq!(failed[0].attributes["error.type"], "reset", "{clients:#?}");
    assert_eq!(failed[0].attributes["equipoise.backend"], breaking.address.to_string());
    let next =
        clients.iter().find(|client| client.attributes.contains_key("http.request.resend_count")).unwrap();
    assert_eq!(next.attributes["http.request.resend_count"], "1");
    assert_eq!(
        (next.parent.clone(), next.trace.clone()),
        (failed[0].parent.clone(), failed[0].trace.clone())
    );
    assert_eq!(next.attributes["server.port"], good.address.port().to_string());
    // Every try hangs below its request, every connect below its try; the backend was told of the try.
    assert!(clients.iter().all(|client| servers.iter().any(|server| server.id == client.parent)));
    assert!(
        named(1).all(|one| one.name == "connect" && clients.iter().any(|client| client.id == one.parent))
    );
    let told = good.last();
    let told =
        (told.field("traceparent").unwrap(), told.fields.iter().filter(|(n, _)| n == "tracestate").count());
    assert!(clients.iter().any(|client| told.0 == format!("00-{TRACE}-{}-01", client.id)), "{told:?}");
    assert_eq!(told.1, 2);
    assert!(!format!("{spans:?}").contains("secret"), "no query, no cookie: {spans:#?}");
    // The collector has them before its answer is there.
    until("they are counted", || {
        let exported = daemon.metric("equipoise_trace_spans_total", &[("result", "exported")]);
        (exported == spans.len() as f64).then_some(())
    });
}

#[test]
fn the_queue_has_a_span_and_what_is_refused_too() {
    let (collector, gate) = (Collector::start(), Gate::default());
    let origin = Origin::holding(&gate);
    let limit = "max_connections = 1\nqueue.max = 1\nqueue.timeout = \"10s\"";
    let daemon = Daemon::start(&over(&[origin.address]).pool(limit).and(&collector.table(1.0)));
    let mut busy = connect(daemon.web);
    busy.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("the place is taken", || (origin.in_flight() == 1).then_some(()));
    let mut waits = connect(daemon.web);
    waits.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it waits", || (daemon.metric("equipoise_queue_length", &[]) == 1.0).then_some(()));
    assert_eq!(get(daemon.web, "/full").status(), 503);
    gate.open();
    assert_eq!(busy.response("GET").unwrap().status(), 200);
    assert_eq!(waits.response("GET").unwrap().status(), 200);
    let spans = collector.requests(3);
    let request =
        |path: &str| spans.iter().find(|span| span.kind == 2 && span.attributes["url.path"] == path).unwrap();
    let refused = request("/full");
    assert!(refused.failed && refused.parent.is_empty(), "{refused:?}");
    assert_eq!(refused.attributes["error.type"], "queue_full");
    let queue = spans.iter().find(|span| span.name == "queue").unwrap();
    assert_eq!((&queue.parent, queue.kind), (&request("/waits").id, 1));
    assert!(
        spans.iter().any(|span| span.kind == 3 && span.parent == queue.parent && span.begin >= queue.end)
    );
}

#[test]
fn traces_begin_where_none_is_told_and_decisions_of_parents_are_kept() {
    let (collector, origin) = (Collector::start(), Origin::answering("well"));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("access.log");
    let log = format!("[log.access]\nformat = \"json\"\npath = \"{}\"\n", path.display());
    let daemon = Daemon::start(&over(&[origin.address]).and(&log).and(&collector.table(0.0)));
    let told = |target: &str, fields: &str| {
        assert_eq!(ask(&daemon, target, fields), 200);
        let head = origin.last();
        (head.field("traceparent").unwrap().to_owned(), head.field("tracestate").map(str::to_owned))
    };
    // None, two, and what is none: a new one that is not sampled, and no stranger's state with it.
    for fields in [
        "tracestate: a=1\r\n".to_owned(),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n"),
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n".to_owned(),
    ] {
        let (begun, state) = told("/begun", &fields);
        assert!(begun.len() == 55 && begun.starts_with("00-") && begun.ends_with("-02"), "{begun}");
        assert!(!begun.contains(TRACE) && state.is_none(), "{begun} {state:?}");
    }
    // A parent's: as it is where it is not sampled, and its state only where that is valid.
    let unsampled = PARENT.replace("-01", "-00");
    let passed = told("/kept", &format!("traceparent: {unsampled}\r\ntracestate: a=1\r\n"));
    assert_eq!(passed, (unsampled.clone(), Some("a=1".into())));
    assert_eq!(told("/kept", &format!("traceparent: {unsampled}\r\ntracestate: A=1\r\n")), (unsampled, None));
    let (sampled, _) = told("/ours", &format!("traceparent: {PARENT}\r\n"));
    assert!(sampled.starts_with(&format!("00-{TRACE}-")) && sampled.ends_with("-01") && sampled != PARENT);

    let spans = collector.requests(1);
    assert!(spans.iter().all(|span| span.trace == TRACE), "only the sampled one: {spans:#?}");
    let lines: Vec<serde_json::Value> = until("the lines are written", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (text.lines().count() == 7).then(|| text.lines().map(|l| serde_json::from_str(l).unwrap()).collect())
    });
    let line = |target: &str| lines.iter().find(|line| line["target"] == target).unwrap();
    let (begun, kept, ours) = (line("/begun"), line("/kept"), line("/ours"));
    assert!(
        begun["trace_id"].as_str().unwrap().len() == 32 && begun["span_id"].as_str().unwrap().len() == 16
    );
    assert_eq!((kept["trace_id"].as_str(), kept["span_id"].as_str()), (Some(TRACE), None));
    let server = spans.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!(ours["span_id"].as_str(), Some(&*server.id));

    // The trace stands beside the bucket that it was counted in.
    let request = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    let page = once(daemon.admin, request).unwrap().text();
    let exemplars: Vec<_> = page.lines().filter(|line| line.contains(" # {trace_id=")).collect();
    assert_eq!(exemplars.len(), 1, "{exemplars:?}");
    assert!(exemplars[0].contains(TRACE) && exemplars[0].contains("request_duration_seconds_bucket"));
}

#[test]
fn without_the_table_both_fields_pass_as_they_are() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    assert_eq!(ask(&daemon, "/", "traceparent: anything\r\ntracestate: A\r\n"), 200);
    let head = origin.last();
    assert_eq!((head.field("traceparent"), head.field("tracestate")), (Some("anything"), Some("A")));
    assert_eq!(ask(&daemon, "/", ""), 200);
    assert_eq!(origin.last().field("traceparent"), None);
    assert!(!daemon.page("/metrics").text().contains("equipoise_trace_spans_total"));
}

#[test]
fn a_collector_that_takes_nothing_stops_no_request_and_may_come_back() {
    let (collector, origin) = (Collector::start(), Origin::answering("well"));
    let daemon = Daemon::start(&over(&[origin.address]).and(&collector.table(1.0)));
    collector.status.store(503, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(ask(&daemon, "/", ""), 200);
    }
    daemon.logged("traces: the collector does not take them");
    // What is not to be tried again is dropped, and counted.
    collector.status.store(400, Ordering::SeqCst);
    until("spans are dropped", || {
        (daemon.metric("equipoise_trace_spans_total", &[("result", "dropped")]) > 0.0).then_some(())
    });
    collector.status.store(200, Ordering::SeqCst);
    assert_eq!(ask(&daemon, "/back", ""), 200);
    daemon.logged("traces: the collector takes them again");
    until("the last one came", || {
        let spans = collector.spans.lock().unwrap();
        spans
            .iter()
            .any(|span| span.attributes.get("url.path").is_some_and(|path| path == "/back"))
            .then_some(())
    });
}

#[test]
fn a_stop_sends_what_is_left_and_a_reload_changes_the_collector() {
    let (first, second, origin) = (Collector::start(), Collector::start(), Origin::answering("well"));
    let config = over(&[origin.address]);
    let mut daemon = Daemon::start(&config.clone().and(&first.table(1.0)));
    assert_eq!(ask(&daemon, "/first", ""), 200);
    daemon.reload(&config.and(&second.table(1.0)));
    assert!(
        first
            .requests(1)
            .iter()
            .all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/first"))
    );
    assert_eq!(ask(&daemon, "/second", ""), 200);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    assert!(
        second
            .requests(1)
            .iter()
            .all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/second"))
    );
}

/// A hedged request's two tries, as the collector got them: first the one that gave the answer.
fn raced(spans: &[Span]) -> [&Span; 2] {
    ["won", "lost"].map(|word| {
        let is_it = |span: &&Span| span.attributes.get("equipoise.hedge").is_some_and(|hedge| hedge == word);
        let found: Vec<_> = spans.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{word}: {spans:#?}");
        found[0]
    })
}

/// Nearly all that come first come to the first one: a second try is made at the other.
fn hedging_over(first: &Origin, second: &Origin, collector: &Collector) -> Daemon {
    let weighing = |origin: &Origin, weight| format!("address = \"{}\", weight = {weight}", origin.address);
    let config = over(&[]).backend(&weighing(first, 1000)).backend(&weighing(second, 1));
    let daemon = Daemon::start(&config.pool("hedge = true").and(&collector.table(0.0)));
    hedging::learn(&daemon);
    daemon
}

#[test]
fn both_tries_of_a_hedged_request_have_spans() {
    let (collector, gate) = (Collector::start(), Gate::default());
    let (slow, quick) = (hedging::patient(&gate, "slow"), Origin::answering("quick"));
    let daemon = hedging_over(&slow, &quick, &collector);
    assert_eq!(ask(&daemon, "/held", &format!("traceparent: {PARENT}\r\n")), 200);
    let spans = collector.requests(1);
    let [won, lost] = raced(&spans);
    let backend = |span: &Span| span.attributes["equipoise.backend"].clone();
    assert_eq!((backend(won), backend(lost)), (quick.address.to_string(), slow.address.to_string()));
    assert_eq!(won.attributes["http.response.status_code"], "200");
    assert_eq!(won.attributes["http.request.resend_count"], "1");
    assert!(!lost.attributes.contains_key("http.response.status_code"), "{lost:#?}");
    assert!(!lost.failed && !won.failed, "to be cut off is no failure: {lost:#?}");
    assert_eq!((won.kind, lost.kind, &won.parent, won.id == lost.id), (3, 3, &lost.parent, false));
    let server = spans.iter().find(|span| span.id == won.parent).unwrap();
    assert!(lost.begin < won.begin && won.begin <= lost.end && lost.end <= server.end, "{spans:#?}");
    // Each backend was told of its own span.
    for (origin, span) in [(&quick, won), (&slow, lost)] {
        let told = format!("00-{TRACE}-{}-01", span.id);
        let heads: Vec<_> = origin.arrived().into_iter().map(|request| request.head).collect();
        assert_eq!(heads.iter().filter(|head| head.field("traceparent") == Some(&told)).count(), 1, "{told}");
    }
    gate.open();
}

#[test]
fn a_second_try_that_fails_has_lost() {
    let (collector, gate) = (Collector::start(), Gate::default());
    let slow = hedging::patient(&gate, "well");
    let failing = Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            let held = request.head.target() == "/held";
            visit.answer(if held { 500 } else { 200 }, "ill")?;
        }
        Ok(())
    });
    let daemon = hedging_over(&slow, &failing, &collector);
    let mut wire = connect(daemon.web);
    wire.send(format!("GET /held HTTP/1.1\r\nHost: x\r\ntraceparent: {PARENT}\r\n\r\n")).unwrap();
    let name = failing.address.to_string();
    let labels = [("backend", &*name), ("code", "500")];
    let failed = || daemon.metric("equipoise_backend_requests_total", &labels) == 1.0;
    until("the other has failed", || failed().then_some(()));
    gate.open();
    assert_eq!(wire.response("GET").unwrap().status(), 200);
    let spans = collector.requests(1);
    let [won, lost] = raced(&spans);
    assert_eq!((won.attributes["http.response.status_code"].as_str(), won.failed), ("200", false));
    assert_eq!((lost.attributes["error.type"].as_str(), lost.failed), ("500", true));
    assert!(lost.begin > won.begin && lost.end < won.end, "it ended where it failed: {spans:#?}");
}

#[test]
fn a_collector_gets_the_fields_that_it_asks_for() {
    let (collector, origin) = (Collector::start(), Origin::answering("well"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("headers");
    let told =
        |value: &str| std::fs::write(&file, format!("# the key\nAuthorization: Basic {value}\n")).unwrap();
    told("c2VjcmV0");
    let fields = format!("headers = {{ x-scope-orgid = \"crm\" }}\nheaders_file = {file:?}\n");
    let config = over(&[origin.address]).and(&collector.table(1.0)).and(&fields);
    let mut daemon = Daemon::start(&config);
    assert_eq!(ask(&daemon, "/", ""), 200);
    collector.requests(1);
    let head = collector.origin.last();
    assert_eq!(
        (head.field("x-scope-orgid"), head.field("authorization")),
        (Some("crm"), Some("Basic c2VjcmV0"))
    );
    // A key that was renewed holds from the next reload on.
    told("bmV3");
    daemon.reload(&config);
    assert_eq!(ask(&daemon, "/", ""), 200);
    collector.requests(2);
    assert_eq!(collector.origin.last().field("authorization"), Some("Basic bmV3"));
    // It is told nowhere, not even where it is refused.
    told("bmV3\nbmV3");
    let refusal = daemon.ask_to_reload();
    assert!(refusal.status() == 422 && refusal.text().contains("line 3"), "{}", refusal.text());
    let pages = ["/api/v1/config", "/metrics", "/api/v1/events"].map(|page| daemon.page(page));
    assert!([&refusal].into_iter().chain(&pages).all(|page| !page.text().contains("bmV3")));
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    assert_eq!((daemon.times_logged("line 3"), daemon.times_logged("bmV3")), (1, 0));
}

#[test]
fn who_asked_is_told_also_of_what_no_route_takes() {
    let (collector, origin) = (Collector::start(), Origin::answering("well"));
    let config =
        over(&[origin.address]).listener("trusted_proxies = \"127.0.0.1\"").and(&collector.table(1.0));
    let daemon = Daemon::start(&config);
    let asked = "OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";
    assert_eq!(once(daemon.web, asked).unwrap().status(), 200);
    let spans = collector.requests(1);
    assert_eq!(spans[0].attributes["client.address"], "203.0.113.7");
    assert_eq!(spans[0].attributes["network.peer.address"], "127.0.0.1");
}

#[test]
fn a_response_that_broke_off_is_an_error_of_its_try() {
    let collector = Collector::start();
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.done();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    });
    let daemon = Daemon::start(&over(&[origin.address]).and(&collector.table(1.0)));
    assert!(once(daemon.web, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err());
    let spans = collector.requests(1);
    let both: Vec<_> = spans.iter().filter(|span| span.name == "GET").collect();
    assert_eq!(both.len(), 2);
    for span in both {
        assert!(span.failed && span.attributes["error.type"] == "cut", "{span:?}");
        assert_eq!(span.attributes["http.response.status_code"], "200");
    }
}
