use std::future::{Future, ready};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::table::{Paper, span, table};
use super::*;
use crate::admin::{
    AvailabilityView, BackendView, BurnView, Change, ConfigView, ExplainView, Findings, House, ListenerView,
    Missing, NotTold, Question, QueueView, RecallView, Reload, RouteView, SloView, TrafficView, serve,
};
use crate::observe::{Happenings, Metrics};

/// Answers one connection with `answer`; gives its address, and what was asked.
fn endpoint(answer: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            asked.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (address, served)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn remote(admin: String) -> RemoteArgs {
    RemoteArgs { endpoint: Endpoint { admin, token_file: None }, format: Format::Text }
}

fn view() -> PoolView {
    let availability = AvailabilityView {
        up: false,
        cause: "status 503".to_owned(),
        for_seconds: 65.0,
        uptime_seconds: 9.0,
        downtime_seconds: 1.0,
        failures: 1,
        availability_ratio: 0.99999,
        mtbf_seconds: None,
        mttr_seconds: None,
        outages: Vec::new(),
    };
    let traffic = TrafficView { succeeded: 99, failed: 1, success_ratio: Some(0.99) };
    let burn = BurnView {
        objective_ratio: 0.999,
        budget_remaining_ratio: 0.25,
        burn_rate_5m: 0.0,
        burn_rate_1h: 3.0,
        burn_rate_6h: 1.5,
    };
    let slo = SloView {
        window_seconds: 2_592_000.0,
        availability: Some(burn),
        latency: None,
        latency_seconds: None,
    };
    let backend = BackendView {
        ejections: 0,
        name: "app1".to_owned(),
        address: "app.internal:80".to_owned(),
        resolved: Some("10.0.0.1:80".to_owned()),
        weight: 1,
        configured_weight: 1,
        order: "ready".to_owned(),
        drained: false,
        backup: true,
        priority: 1,
        agent: None,
        load: None,
        state: "down".to_owned(),
        reason: "status \u{1b}[31m503".to_owned(),
        in_flight: 0,
        found_limit: None,
        tunnels: 0,
        connections: 2,
        idle_connections: 1,
        requests: 12,
        availability: availability.clone(),
        traffic: traffic.clone(),
        latency: None,
        response_times: crate::observe::Distribution::default(),
    };
    PoolView {
        name: "crm".to_owned(),
        balance: "random".to_owned(),
        availability: Some(availability),
        traffic,
        slo: Some(slo),
        latency: None,
        priority: Some(1),
        queue: QueueView { length: 3, oldest_seconds: 1.25 },
        backends: vec![backend],
    }
}

#[test]
fn the_table_says_state_and_why() {
    let text = table(&[view()], &Paper::default());
    let mut lines = text.lines().collect::<Vec<_>>();
    assert_eq!(
        lines[0],
        "pool crm (random): DOWN for 1m5s, status 503, available 99.99 %, failures 1; of its requests 99.00 % succeeded; \
         backends of priority 1 serve; 3 wait for a place, the longest for 1.25 s"
    );
    assert_eq!(
        lines.remove(1),
        "  availability 99.9 %: 25.00 % of the error budget left; burn rate 0.00 (5m), 3.00 (1h), 1.50 (6h)"
    );
    assert!(lines[1].contains("BACKEND") && lines[1].ends_with("WHY"));
    for part in ["app1 (backup)", "app.internal:80 (10.0.0.1:80)", " down ", "2 (1 idle)", "\u{fffd}[31m503"]
    {
        assert!(lines[2].contains(part), "{part} in {}", lines[2]);
    }
    assert_eq!(lines[1].find("STATE"), lines[2].find("down"), "columns stand below each other:\n{text}");
}

#[test]
fn a_terminal_has_its_columns_and_colours() {
    let mut long = view();
    long.backends.push(BackendView {
        name: "a-backend-with-a-long-name.internal.example.com:8443".to_owned(),
        state: "maintenance".to_owned(),
        reason: "because ".repeat(40) + &"x".repeat(200),
        ..long.backends[0].clone()
    });
    for width in [80, 60, 40, 20, 200] {
        let text = table(&[long.clone()], &Paper { width: Some(width), color: false });
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(text.contains("down") || width < 40, "{text}");
        assert!(!text.contains('\x1b'), "no colours");
    }
    let text = table(&[long.clone()], &Paper { width: Some(80), color: true });
    for part in ["\x1b[31mdown\x1b[0m", "\x1b[33mmaintenance\x1b[0m", "SUCCESS", "AVAIL", "because because"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let plain = table(&[long], &Paper::default());
    assert!(plain.lines().any(|line| line.len() > 300), "a pipe has no columns");
}

#[test]
fn an_address_has_a_host_and_a_port() {
    for (text, read) in [
        ("127.0.0.1:9900", "127.0.0.1:9900"),
        ("lb-1.example.com:80", "lb-1.example.com:80"),
        ("http://[::1]:9900/", "[::1]:9900"),
        ("http://localhost:1", "localhost:1"),
        ("[fe80::1%2]:9900", "[fe80::1%2]:9900"),
    ] {
        assert_eq!(address(text).as_deref(), Ok(read));
    }
    for wrong in
        ["h", "h:", "h:0", "h:+1", ":1", "[::1]", "[h]:1", "a@h:1", "http://h:1/x", "ftp://h:1", "é:1"]
    {
        assert!(address(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn spans_show_their_two_largest_units() {
    for (seconds, text) in
        [(0.4, "0s"), (7.0, "7s"), (65.0, "1m5s"), (7200.0, "2h0m"), (273_600.0, "3d4h"), (-1.0, "0s")]
    {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn the_call_shows_what_the_guard_asks_for() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b" s3cret\n").unwrap();
    let (address, served) = endpoint(http("200 OK", r#"{"result":"ok","warnings":[],"text":""}"#));
    let mut args = ReloadArgs { remote: remote(address.clone()) };
    args.remote.endpoint.token_file = Some(file.path().to_owned());
    assert_eq!(reload(&args), ExitCode::SUCCESS);
    let asked = served.join().unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("post /-/reload http/1.1\r\n"), "{asked}");
    for field in
        [format!("host: {address}"), "x-equipoise: cli".into(), "authorization: bearer s3cret".into()]
    {
        assert!(asked.contains(&format!("\r\n{field}\r\n")), "{field} in {asked}");
    }
}

#[test]
fn what_is_refused_or_unreachable_or_not_ours_fails() {
    for answer in [
        http("422 Unprocessable Entity", r#"{"result":"rejected","diagnostics":[],"text":"why"}"#),
        http("403 Forbidden", r#"{"error":"no"}"#),
        http("200 OK", "hi"),
        "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\ncut".to_owned(),
        "SSH-2.0-x\r\n".to_owned(),
    ] {
        let (address, served) = endpoint(answer.clone());
        assert_eq!(reload(&ReloadArgs { remote: remote(address) }), ExitCode::FAILURE, "{answer}");
        served.join().unwrap();
    }
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let failure = run(&remote(gone), &Method::GET, "/", STATUS_TIMEOUT).err().unwrap();
    assert!(failure.to_string().contains("cannot reach the admin endpoint 127.0.0.1:"), "{failure}");
}

#[test]
fn an_unknown_pool_and_an_unreadable_token_are_named() {
    let body = serde_json::to_string(&Pools { pools: vec![view()] }).unwrap();
    for (pool, code) in [("crm", ExitCode::SUCCESS), ("cmr", ExitCode::FAILURE)] {
        let (address, served) = endpoint(http("200 OK", &body));
        let args = StatusArgs { remote: remote(address), pool: Some(pool.to_owned()) };
        assert_eq!(status(&args), code);
        served.join().unwrap();
    }
    let failure = read_token(Path::new("/nonexistent/token")).unwrap_err();
    assert!(failure.to_string().contains("/nonexistent/token"));
}

/// A daemon of one pool that refuses to reload.
struct Stubborn(Arc<Metrics>, Happenings);

impl House for Stubborn {
    fn metrics(&self) -> &Arc<Metrics> {
        &self.0
    }

    fn pools(&self) -> Vec<PoolView> {
        vec![view()]
    }

    fn order(&self, pool: &str, backend: &str, change: Change) -> Result<BackendView, Missing> {
        if (pool, backend) != ("crm", "app 1") {
            return Err(Missing { what: "pool", name: pool.to_owned(), near: Some("crm".to_owned()) });
        }
        Ok(BackendView { weight: change.weight.flatten().unwrap_or(1), ..view().backends[0].clone() })
    }

    fn explain(&self, question: &Question) -> Result<ExplainView, String> {
        Err(format!("asked about {} {}", question.method, question.url))
    }

    fn recall(&self, id: String) -> Pin<Box<dyn Future<Output = Result<RecallView, NotTold>>>> {
        Box::pin(ready(Err(NotTold::Unknown(format!("asked about {id}")))))
    }

    fn routes(&self, _most: usize) -> Vec<RouteView> {
        Vec::new()
    }

    fn listeners(&self) -> Vec<ListenerView> {
        Vec::new()
    }

    fn config(&self) -> ConfigView {
        ConfigView::default()
    }

    fn happenings(&self) -> &Happenings {
        &self.1
    }

    fn token(&self) -> Option<String> {
        Some("s3cret".to_owned())
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Reload>>> {
        let diagnostics = Findings { items: Vec::new(), text: "error: no such key\n".to_owned() };
        Box::pin(ready(Reload::Rejected { diagnostics }))
    }
}

#[test]
fn both_ends_understand_each_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stop = async { drop(stopped.await) };
            serve(listener, Rc::new(Stubborn(Metrics::new(1), Happenings::default())), stop).await.unwrap();
        });
    });
    let mut token = tempfile::NamedTempFile::new().unwrap();
    token.write_all(b"s3cret").unwrap();
    let mut args = remote(address);
    assert_eq!(status(&StatusArgs { remote: args.clone(), pool: None }), ExitCode::SUCCESS, "reads are open");
    let ask = |args: &RemoteArgs| run(args, &Method::POST, "/-/reload", RELOAD_TIMEOUT).unwrap();
    assert_eq!(ask(&args).status, StatusCode::UNAUTHORIZED);
    args.endpoint.token_file = Some(token.path().to_owned());
    assert_eq!(ask(&args).status, StatusCode::UNPROCESSABLE_ENTITY);
    let put = |path: &str, body: &str| {
        send(&args.endpoint, &Method::PUT, path, body.to_owned(), STATUS_TIMEOUT).unwrap()
    };
    let answer = put("/api/v1/pools/crm/backends/app%201", r#"{"weight":7}"#);
    let ordered: BackendView = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, ordered.weight), (StatusCode::OK, 7));
    let missing = put("/api/v1/pools/crn/backends/app%201", r#"{"weight":7}"#).into_failure().to_string();
    assert!(missing.contains("404") && missing.contains("did you mean"), "{missing}");
    assert_eq!(reload(&ReloadArgs { remote: args }), ExitCode::FAILURE);
    stop.send(()).unwrap();
    daemon.join().unwrap();
}
