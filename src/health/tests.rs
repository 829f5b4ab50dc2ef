//! Probes and loops against scripted raw TCP backends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::probe::probe;
use super::*;
use crate::backend::{Backend, Duty, Identity, Order};

const MS: Duration = Duration::from_millis(1);

/// What a scripted backend does with a connection.
#[derive(Debug, Clone)]
enum Act {
    Answer(Vec<u8>),
    /// Reads and says nothing.
    Silent,
}

fn answer(text: &str) -> Act {
    Act::Answer(text.as_bytes().to_vec())
}

fn status(status: u16) -> Act {
    answer(&format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"))
}

/// A backend on a port of the kernel's choice that plays one act at a time and keeps the request heads.
struct Server {
    address: SocketAddr,
    act: Arc<Mutex<Act>>,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let act = Arc::new(Mutex::new(act));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (playing, heard) = (Arc::clone(&act), Arc::clone(&heads));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let act = playing.lock().unwrap().clone();
                let heard = Arc::clone(&heard);
                open.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    heard.lock().unwrap().push(String::from_utf8(head).unwrap());
                    match act {
                        Act::Answer(bytes) => drop(stream.write_all(&bytes).await),
                        Act::Silent => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, act, heads, _tasks: tasks }
    }

    fn play(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }
}

fn http(statuses: &[std::ops::RangeInclusive<u16>], body: Option<&str>) -> Kind {
    Kind::Http(HttpCheck::new("GET", "/healthz?deep=1", None, statuses, body).unwrap())
}

fn check(kind: Kind) -> Check {
    Check {
        kind,
        port: None,
        interval: MS * 40,
        fast_interval: MS * 10,
        down_interval: MS * 40,
        timeout: MS * 2_000,
        rise: 2,
        fall: 3,
        agent: None,
    }
}

fn backend(address: Option<SocketAddr>) -> Arc<Backend> {
    let identity =
        Identity { pool: Arc::from("crm"), name: Arc::from("a"), address: Arc::from("app.internal:8080") };
    let backend = Backend::new(identity, true);
    backend.set_address(address);
    backend
}

async fn verdict(act: Act, check: &Check) -> Result<(), Failure> {
    let server = Server::start(act).await;
    probe(check, &Opening::default(), server.address, "app.internal:8080").await
}

#[tokio::test]
async fn answers_are_judged() {
    let plain = check(http(&[200..=399], None));
    assert_eq!(verdict(status(204), &plain).await, Ok(()));
    assert_eq!(verdict(status(302), &plain).await, Ok(()));
    assert_eq!(verdict(status(503), &plain).await, Err(Failure::Status(503)));
    assert_eq!(verdict(status(404), &check(http(&[200..=200, 404..=404], None))).await, Ok(()));
    assert_eq!(verdict(answer("HTTP/1.0 200 OK\r\n\r\n"), &plain).await, Ok(()));
    assert_eq!(verdict(answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"), &plain).await, Err(Failure::Invalid));
    assert_eq!(verdict(answer(""), &plain).await, Err(Failure::Closed));
    assert_eq!(verdict(answer("HTTP/1.1 200 OK\r\nx-"), &plain).await, Err(Failure::Closed));
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200 * 1024));
    assert_eq!(verdict(answer(&endless), &plain).await, Err(Failure::Invalid));
    let impatient = Check { timeout: MS * 50, ..plain };
    assert_eq!(verdict(Act::Silent, &impatient).await, Err(Failure::Timeout(MS * 50)));
}

#[tokio::test]
async fn bodies_are_searched_within_their_first_16_kib() {
    let wants = check(http(&[200..=200], Some("all well")));
    let body = |text: String| answer(&format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{text}"));
    assert_eq!(verdict(body("is all well?".into()), &wants).await, Ok(()));
    let pad = |len: usize| "x".repeat(len);
    assert_eq!(verdict(body(pad(16 * 1024 - 8) + "all well"), &wants).await, Ok(()));
    let lacks = Err(Failure::Body("all well".into()));
    assert_eq!(verdict(body(pad(16 * 1024 - 7) + "all well"), &wants).await, lacks);
    assert_eq!(verdict(body(String::new()), &wants).await, lacks);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nall \r\n4\r\nwell\r\n0\r\n\r\n";
    assert_eq!(verdict(answer(chunked), &wants).await, Ok(()));
    let cut = answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nall w");
    assert_eq!(verdict(cut, &wants).await, Err(Failure::Closed));
}

#[tokio::test]
async fn the_request_says_who_asks() {
    let server = Server::start(status(200)).await;
    let mut asks = check(http(&[200..=200], None));
    probe(&asks, &Opening::default(), server.address, "app.internal:8080").await.unwrap();
    asks.kind = Kind::Http(HttpCheck::new("HEAD", "/", Some("crm.example.com"), &[200..=200], None).unwrap());
    // The check's port replaces the backend's.
    asks.port = Some(server.address.port());
    probe(&asks, &Opening::default(), SocketAddr::from(([127, 0, 0, 1], 1)), "app.internal:8080")
        .await
        .unwrap();
    let heads = server.heads.lock().unwrap();
    let agent = concat!("user-agent: equipoise-health/", env!("CARGO_PKG_VERSION"), "\r\n");
    for (head, start, host) in [
        (&heads[0], "GET /healthz?deep=1 HTTP/1.1\r\n", "host: app.internal:8080\r\n"),
        (&heads[1], "HEAD / HTTP/1.1\r\n", "host: crm.example.com\r\n"),
    ] {
        assert!(head.starts_with(start) && head.contains(host), "{head}");
        assert!(head.contains(agent) && head.contains("connection: close\r\n"), "{head}");
    }
}

#[tokio::test]
async fn connects_are_judged() {
    let tcp = check(Kind::Tcp);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(probe(&tcp, &Opening::default(), address, "").await, Ok(()));
    drop(listener);
    assert_eq!(probe(&tcp, &Opening::default(), address, "").await, Err(Failure::ConnectRefused));
}

#[test]
fn reasons_read_as_promised() {
    for (failure, reason) in [
        (Failure::Status(503), "status 503"),
        (Failure::ConnectRefused, "connect refused"),
        (Failure::ConnectTimeout, "connect timeout"),
        (Failure::Timeout(MS * 1_000), "timeout after 1s"),
        (Failure::Timeout(MS * 250), "timeout after 250ms"),
        (Failure::Invalid, "invalid response"),
        (Failure::Body("ok".into()), "body does not contain \"ok\""),
    ] {
        assert_eq!(failure.to_string(), reason);
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let build = |method, path, host| HttpCheck::new(method, path, host, &[], None).map(drop);
    assert_eq!(build("GE T", "/", None), Err(BadCheck::Method("GE T".into())));
    assert_eq!(build("GET", "healthz", None), Err(BadCheck::Path("healthz".into())));
    assert_eq!(build("GET", "http://a/b", None), Err(BadCheck::Path("http://a/b".into())));
    assert_eq!(build("GET", "/a b", None), Err(BadCheck::Path("/a b".into())));
    assert_eq!(build("GET", "/", Some("a\r\nb")), Err(BadCheck::Host("a\r\nb".into())));
    assert_eq!(build("GET", "/", Some("a.b:80")), Ok(()));
}

/// A monitor whose events arrive on a channel.
fn monitor() -> (Monitor, mpsc::UnboundedReceiver<What>) {
    let (sender, events) = mpsc::unbounded_channel();
    (Monitor::new(Arc::new(move |event: Event| drop(sender.send(event.what)))), events)
}

/// The results up to the next change, and the change.
async fn change(events: &mut mpsc::UnboundedReceiver<What>) -> (Vec<&'static str>, bool, Arc<str>) {
    let mut results = Vec::new();
    loop {
        match tokio::time::timeout(MS * 10_000, events.recv()).await.unwrap().unwrap() {
            What::Probed { result, .. } => results.push(result),
            What::Changed { up, reason } => return (results, up, reason),
            What::Advised => panic!("it has no agent"),
        }
    }
}

fn last(results: &[&'static str], count: usize, wanted: &str) -> bool {
    results.len() >= count && results[results.len() - count..].iter().all(|result| *result == wanted)
}

#[tokio::test]
async fn a_backend_goes_down_and_comes_back() {
    let server = Server::start(status(200)).await;
    let backend = backend(Some(server.address));
    let (mut monitor, mut events) = monitor();
    let check = Arc::new(check(http(&[200..=399], None)));
    monitor.reconcile(vec![Target {
        backend: Arc::clone(&backend),
        check: Arc::clone(&check),
        opening: Opening::default(),
    }]);
    assert_eq!(
        events.recv().await.map(|what| matches!(what, What::Probed { result: "passed", .. })),
        Some(true)
    );
    server.play(status(503));
    let since = Instant::now();
    let (results, up, reason) = change(&mut events).await;
    assert!(last(&results, 3, "status") && !up, "{results:?}");
    assert_eq!((&*reason, &*backend.condition().reason()), ("status 503", "status 503"));
    assert!(!backend.condition().is_up());
    let bound = check.interval.mul_f64(1.1) + check.fast_interval * 2 + check.timeout * 3;
    assert!(since.elapsed() <= bound + MS * 500);
    server.play(status(200));
    let (results, up, reason) = change(&mut events).await;
    assert!(last(&results, 2, "passed") && up, "{results:?}");
    assert_eq!((&*reason, &*backend.condition().reason()), ("check passed", "check passed"));
}

#[tokio::test]
async fn the_first_result_alone_decides_and_names_come_and_go() {
    let server = Server::start(status(404)).await;
    let backend = backend(None);
    backend.condition().set(false, "name does not resolve: no such host", std::time::Instant::now());
    let (mut monitor, mut events) = monitor();
    let slow = Check { interval: MS * 60_000, down_interval: MS * 60_000, ..check(http(&[200..=399], None)) };
    monitor.reconcile(vec![Target {
        backend: Arc::clone(&backend),
        check: Arc::new(slow),
        opening: Opening::default(),
    }]);
    tokio::task::yield_now().await;
    assert!(events.try_recv().is_err(), "nobody is asked without an address");
    assert_eq!(&*backend.condition().reason(), "name does not resolve: no such host");
    // It resolves: whoever resolves names sets it up and asks for a probe, which comes at once.
    backend.set_address(Some(server.address));
    backend.condition().set(true, "name resolves", std::time::Instant::now());
    backend.want_probe();
    let (results, up, reason) = change(&mut events).await;
    assert_eq!((results, up, &*reason), (vec!["status"], false, "status 404"));
}

#[tokio::test]
async fn a_failed_connect_of_traffic_is_looked_into_at_once() {
    let server = Server::start(status(200)).await;
    let backend = backend(Some(server.address));
    let (mut monitor, mut events) = monitor();
    let slow = Check { interval: MS * 60_000, ..check(http(&[200..=399], None)) };
    monitor.reconcile(vec![Target {
        backend: Arc::clone(&backend),
        check: Arc::new(slow),
        opening: Opening::default(),
    }]);
    assert!(events.recv().await.is_some());
    server.play(Act::Answer(Vec::new()));
    backend.want_probe();
    let (results, up, reason) = change(&mut events).await;
    assert_eq!((results, up), (vec!["closed"; 3], false));
    assert_eq!(&*reason, "connection closed before the response");
}

/// Minutes between two checks: each of these comes because it is asked for.
#[tokio::test]
async fn in_maintenance_nothing_is_checked_and_the_first_check_after_it_decides() {
    let server = Server::start(status(200)).await;
    let backend = backend(Some(server.address));
    let (mut monitor, mut events) = monitor();
    let slow = Check { interval: MS * 60_000, down_interval: MS * 60_000, ..check(http(&[200..=399], None)) };
    let (check, opening) = (Arc::new(slow), Opening::default());
    monitor.reconcile(vec![Target { backend: Arc::clone(&backend), check, opening }]);
    assert!(events.recv().await.is_some());
    let order = |duty| backend.obey(Order { duty, weight: None }, Instant::now());
    server.play(status(503));
    order(Duty::Maintenance);
    // Longer than what lies between two checks that are asked for.
    let asleep = || tokio::time::sleep(MS * 150);
    asleep().await;
    assert!(events.try_recv().is_err() && server.heads.lock().unwrap().len() == 1);
    assert!(backend.condition().is_up());
    order(Duty::Ready);
    let (results, up, reason) = change(&mut events).await;
    assert_eq!((results, up, &*reason), (vec!["status"], false, "status 503"));
    server.play(status(200));
    order(Duty::Maintenance);
    asleep().await;
    order(Duty::Drain);
    assert_eq!(change(&mut events).await.0, ["passed"], "drain is checked, and one was enough again");
}

#[tokio::test]
async fn reconciling_keeps_what_is_known() {
    let server = Server::start(status(503)).await;
    let backend = backend(Some(server.address));
    let (mut monitor, mut events) = monitor();
    let slow = Check { down_interval: MS * 60_000, ..check(http(&[200..=399], None)) };
    let target = |check: &Check| {
        vec![Target {
            backend: Arc::clone(&backend),
            check: Arc::new(check.clone()),
            opening: Opening::default(),
        }]
    };
    monitor.reconcile(target(&slow));
    assert!(!change(&mut events).await.1);
    // The same again: the loop sleeps on.
    monitor.reconcile(target(&slow));
    tokio::task::yield_now().await;
    assert!(events.try_recv().is_err());
    // Another check starts over, but down stays down until it has risen.
    server.play(status(200));
    monitor.reconcile(target(&Check { rise: 4, ..slow.clone() }));
    assert_eq!(change(&mut events).await, (vec!["passed"; 4], true, Arc::from("check passed")));
    // No check any more: what it said does not hold any more either.
    server.play(Act::Silent);
    monitor.reconcile(target(&Check { fall: 1, timeout: MS * 20, ..slow }));
    assert_eq!(change(&mut events).await, (vec!["timeout"], false, Arc::from("timeout after 20ms")));
    monitor.reconcile(Vec::new());
    assert_eq!(change(&mut events).await, (vec![], true, Arc::from("not checked any more")));
    tokio::task::yield_now().await;
    assert!(events.try_recv().is_err(), "a probe cut short counts nothing");
}

#[tokio::test(start_paused = true)]
async fn intervals_follow_the_state() {
    // Nobody listens there: each probe fails at once, and only the waits take (paused) time.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = backend(Some(listener.local_addr().unwrap()));
    drop(listener);
    let (sender, mut events) = mpsc::unbounded_channel();
    let on_event = move |event: Event| drop(sender.send((event.what, tokio::time::Instant::now())));
    let mut monitor = Monitor::new(Arc::new(on_event));
    let mut timed = check(Kind::Tcp);
    timed.interval = MS * 2_000;
    timed.fast_interval = MS * 500;
    timed.down_interval = MS * 4_000;
    monitor.reconcile(vec![Target {
        backend: Arc::clone(&backend),
        check: Arc::new(timed),
        opening: Opening::default(),
    }]);
    let mut times = Vec::new();
    while times.len() < 30 {
        if let (What::Probed { .. }, at) = events.recv().await.unwrap() {
            times.push(at);
        }
    }
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((MS * 3_600..=MS * 4_402).contains(&gap), "{gap:?}");
    }
    // Told that it is up after all, it is looked at fast until three failures settle it.
    backend.condition().set(true, "told so", std::time::Instant::now());
    let mut gaps = Vec::new();
    let mut before = times[29];
    while gaps.len() < 5 {
        if let (What::Probed { .. }, at) = events.recv().await.unwrap() {
            gaps.push((at - before).as_millis());
            before = at;
        }
    }
    let fast = gaps.iter().filter(|gap| (500..=502).contains(*gap)).count();
    assert_eq!(fast, 2, "{gaps:?}");
}
