use std::cell::Cell;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::backend::{Backend, Identity};
use crate::observe::{BackendSeries, Outcome, PoolSeries};

mod dashboard;
mod guests;
mod recall;

struct Stage {
    metrics: Arc<Metrics>,
    pool: Arc<PoolSeries>,
    backend: Arc<BackendSeries>,
    token: Option<String>,
    reject: Cell<bool>,
    reloads: Rc<Cell<u32>>,
    orders: Cell<u32>,
    /// How often it was asked for its pools.
    looks: Cell<u32>,
    happenings: Happenings,
    /// When set, a reload waits for it.
    gate: Option<Rc<Notify>>,
}

impl Stage {
    fn new() -> Self {
        let metrics = Metrics::new(1);
        let identity =
            Identity { pool: "my pool".into(), name: "app1".into(), address: "10.0.0.1:80".into() };
        let backend = metrics.backend(&Backend::new(identity, true), Instant::now());
        backend.outcome(0, Outcome::Code(200));
        backend.response_time(0, Duration::from_millis(7));
        let pool = metrics.pool("my pool");
        Self {
            metrics,
            pool,
            backend,
            token: None,
            reject: Cell::new(false),
            reloads: Rc::default(),
            orders: Cell::new(0),
            looks: Cell::new(0),
            happenings: Happenings::default(),
            gate: None,
        }
    }
}

impl House for Stage {
    fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn pools(&self) -> Vec<PoolView> {
        self.looks.set(self.looks.get() + 1);
        let now = Instant::now();
        let backends = vec![BackendView::of(&self.backend, 3, 0, now)];
        vec![PoolView::of(&self.pool, "round-robin", Some(0), QueueView::default(), backends, now)]
    }

    fn order(&self, pool: &str, backend: &str, change: Change) -> Result<BackendView, Missing> {
        if (pool, backend) != ("my pool", "app1") {
            return Err(Missing { what: "backend", name: backend.to_owned(), near: Some("app1".to_owned()) });
        }
        self.orders.set(self.orders.get() + 1);
        let backend = self.backend.backend();
        backend.obey(change.amend(backend.orders().order()), Instant::now());
        Ok(BackendView::of(&self.backend, 3, 0, Instant::now()))
    }

    fn explain(&self, question: &Question) -> Result<ExplainView, String> {
        Err(format!("asked about {} {}", question.method, question.url))
    }

    fn recall(&self, id: String) -> Pin<Box<dyn Future<Output = Result<RecallView, NotTold>>>> {
        let told = match &*id {
            "known" => {
                Ok(RecallView { request_id: id, kept: 3, since: 1.5, matches: 0, requests: Vec::new() })
            }
            "slow" => Err(NotTold::Unanswered("worker 0 did not answer".to_owned())),
            _ => Err(NotTold::Unknown("no request of this id".to_owned())),
        };
        Box::pin(async move { told })
    }

    fn routes(&self, _most: usize) -> Vec<RouteView> {
        let route = self.metrics.route_account(None, "api");
        route.follow(&[self.metrics.route("web", "api")], None, Instant::now());
        let times = self.backend.response_times();
        vec![RouteView::of(&route, &["web".into()], "my pool", times, Instant::now())]
    }

    fn listeners(&self) -> Vec<ListenerView> {
        vec![ListenerView {
            name: "web".to_owned(),
            addresses: vec!["127.0.0.1:443".to_owned()],
            protocols: vec!["h1"],
            tls: true,
            https_redirect: false,
            pool: None,
            connections: 7,
            connections_total: 9,
            certificates: vec![CertificateView {
                name: "a.example".to_owned(),
                serial: "01".to_owned(),
                not_after: 5,
            }],
        }]
    }

    fn config(&self) -> ConfigView {
        ConfigView {
            source: "equipoise.toml".to_owned(),
            sha256: "abc".to_owned(),
            loaded: 17.5,
            reloads_ok: 1,
            reloads_rejected: 0,
            last_reload: Some(LastReloadView { time: 17.5, result: "ok", text: String::new() }),
            workers: 2,
            drain_timeout_seconds: 30.0,
            shutdown_delay_seconds: 0.0,
            buffer_memory_bytes: 1,
            token: self.token.is_some(),
            listeners: vec!["web".to_owned()],
            routes: Vec::new(),
            pools: Vec::new(),
        }
    }

    fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    fn token(&self) -> Option<String> {
        self.token.clone()
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Reload>>> {
        let findings = Findings {
            items: vec![serde_json::json!({ "line": 3 })],
            text: "error: no such key\n".to_owned(),
        };
        let reject = self.reject.get();
        let (reloads, gate) = (Rc::clone(&self.reloads), self.gate.clone());
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.notified().await;
            }
            reloads.set(reloads.get() + 1);
            if reject {
                Reload::Rejected { diagnostics: findings }
            } else {
                Reload::Applied { warnings: Findings::default() }
            }
        })
    }
}

/// Runs `play` against an endpoint that serves `stage`, then stops it.
fn on_stage<F: Future<Output = ()>>(stage: Rc<Stage>, play: impl FnOnce(SocketAddr) -> F) {
    until_stopped(stage, |address, stop| {
        let played = timeout(Duration::from_secs(20), play(address));
        async move {
            played.await.unwrap();
            stop.send(()).unwrap();
        }
    });
}

/// The same where `play` stops it.
fn until_stopped<F: Future<Output = ()>>(
    stage: Rc<Stage>,
    play: impl FnOnce(SocketAddr, oneshot::Sender<()>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::task::spawn_local(serve(listener, stage, async {
            let _ = stopped.await;
        }));
        play(address, stop).await;
        timeout(Duration::from_secs(5), served).await.unwrap().unwrap().unwrap();
    });
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn ask(address: SocketAddr, method: &str, path: &str, fields: &str) -> (u16, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    let answer = exchange(address, &request).await;
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn body(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_pages_say_what_is() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        assert_eq!(ask(address, "GET", "/-/healthy", "").await.0, 200);
        assert_eq!(ask(address, "GET", "/-/ready", "").await.0, 503);
        stage.metrics.set_ready(true);
        assert_eq!(ask(address, "GET", "/-/ready", "").await.0, 200);

        let (status, answer) = ask(address, "GET", "/metrics", "").await;
        assert_eq!(status, 200);
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff\r\n"));
        assert!(answer.contains("cache-control: no-store\r\n"));
        assert!(answer.contains("\nequipoise_ready 1\n"));

        let (_, answer) = ask(address, "GET", "/api/v1/pools", "").await;
        let backend = &body(&answer)["pools"][0]["backends"][0];
        assert_eq!(backend["name"], "app1");
        assert_eq!(backend["weight"], 3);
        assert_eq!(backend["state"], "up");
        assert_eq!(backend["requests"], 1);
        assert!(backend["latency"]["p50_seconds"].as_f64().unwrap() > 0.006);

        assert_eq!(backend["traffic"]["success_ratio"], 1.0);
        let (_, answer) = ask(address, "GET", "/api/v1/routes", "").await;
        let route = &body(&answer)["routes"][0];
        assert_eq!((&route["name"], &route["pool"]), (&"api".into(), &"my pool".into()));
        let (status, answer) = ask(address, "GET", "/api/v1/pools/my%20pool", "").await;
        assert_eq!((status, body(&answer)["name"].as_str()), (200, Some("my pool")));
        assert!(route["latency"]["p99_seconds"].as_f64().unwrap() > 0.006);
    });
}

#[test]
fn head_gives_the_head_alone() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let (status, answer) = ask(address, "HEAD", "/-/healthy", "").await;
        assert_eq!(status, 200);
        assert!(answer.contains("content-length: 8\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    });
}

#[test]
fn what_is_not_there_or_not_allowed_is_told_in_json() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        for path in ["/nothing", "/api/v1/pools/other", "/api/v1/pools/my%20pool/x", "/api/v1/pools/%ff"] {
            let (status, answer) = ask(address, "GET", path, "").await;
            assert_eq!((status, body(&answer)["status"].as_u64()), (404, Some(404)), "{path}");
        }
        let (status, answer) = ask(address, "POST", "/metrics", "Content-Length: 0\r\n").await;
        assert!(status == 405 && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
        let (status, answer) = ask(address, "GET", "/-/reload", "").await;
        assert!(status == 405 && answer.contains("allow: POST\r\n"), "{answer}");
    });
}

#[test]
fn a_reload_answers_200_or_422_with_the_diagnostics() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        let ours = "X-Equipoise: 1\r\nContent-Length: 0\r\n";
        let (status, answer) = ask(address, "POST", "/-/reload", ours).await;
        assert_eq!((status, body(&answer)["result"].as_str()), (200, Some("ok")));
        stage.reject.set(true);
        let (status, answer) = ask(address, "POST", "/-/reload", ours).await;
        assert_eq!((status, body(&answer)["diagnostics"][0]["line"].as_u64()), (422, Some(3)));
        assert_eq!(stage.reloads.get(), 2);
    });
}

#[test]
fn a_refused_reload_never_reaches_the_house() {
    let stage = Rc::new(Stage { token: Some("s3cret".to_owned()), ..Stage::new() });
    on_stage(Rc::clone(&stage), |address| async move {
        let (status, answer) = ask(address, "POST", "/-/reload", "Content-Length: 0\r\n").await;
        assert_eq!(status, 403);
        assert!(body(&answer)["error"].as_str().unwrap().contains("X-Equipoise"));
        let (status, answer) = ask(address, "POST", "/-/reload", "X-Equipoise: 1\r\n").await;
        assert!(status == 401 && answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
        let foreign =
            "POST /-/reload HTTP/1.1\r\nHost: evil.example\r\nX-Equipoise: 1\r\nConnection: close\r\n\r\n";
        assert!(exchange(address, foreign).await.starts_with("HTTP/1.1 403 "));
        assert_eq!(stage.reloads.get(), 0);
        let fields = "X-Equipoise: 1\r\nAuthorization: Bearer s3cret\r\n";
        assert_eq!(ask(address, "POST", "/-/reload", fields).await.0, 200);
    });
}

async fn put(address: SocketAddr, path: &str, fields: &str, body: &str) -> (u16, serde_json::Value) {
    let fields = format!("{fields}Content-Length: {}\r\nConnection: close\r\n", body.len());
    let request = format!("PUT /api/v1/pools/{path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}");
    let answer = exchange(address, &request).await;
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), self::body(&answer))
}

#[test]
fn an_order_is_put_to_a_backend_by_those_who_may() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        const APP: &str = "my%20pool/backends/app1";
        const OURS: &str = "X-Equipoise: 1\r\n";
        let (status, view) = put(address, APP, OURS, r#"{"state": "drain", "weight": 7}"#).await;
        assert_eq!((status, &view["order"], &view["weight"]), (200, &"drain".into(), &7.into()));
        assert_eq!(view["configured_weight"], 3);
        let (status, view) = put(address, APP, OURS, r#"{"weight": null}"#).await;
        assert_eq!((status, &view["order"], &view["weight"]), (200, &"drain".into(), &3.into()));

        let (status, answer) = put(address, APP, OURS, r#"{"state": "out"}"#).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains("\"state\""), "{answer}");
        let (status, answer) = put(address, "my%20pool/backends/ap1", OURS, r#"{"state": "drain"}"#).await;
        assert!(status == 404 && answer["error"].as_str().unwrap().contains("did you mean"), "{answer}");
        for wrong in ["my%20pool/backends/%ff", "my%20pool/backend/app1", "my%20pool/backends/app1/x"] {
            assert_eq!(put(address, wrong, OURS, r#"{"state": "drain"}"#).await.0, 404, "{wrong}");
        }
        assert_eq!(put(address, APP, "", r#"{"state": "ready"}"#).await.0, 403, "no page in a browser may");
        assert_eq!(stage.orders.get(), 2);

        let (status, answer) = ask(address, "GET", &format!("/api/v1/pools/{APP}"), "").await;
        assert_eq!((status, &body(&answer)["order"]), (200, &"drain".into()));
        let (status, answer) = ask(address, "POST", &format!("/api/v1/pools/{APP}"), "").await;
        assert!(status == 405 && answer.contains("allow: GET, HEAD, PUT\r\n"), "{answer}");
    });
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        let fields = "X-Equipoise: 1\r\nContent-Length: 70000\r\n";
        let request =
            format!("POST /-/reload HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{}", "x".repeat(70_000));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 413");
        // One that is only announced is not waited for, nor invited.
        let announced =
            format!("POST /-/reload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{fields}\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(announced.as_bytes()).await.unwrap();
        timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await.unwrap().unwrap();
        assert_eq!(&start, b"HTTP/1.1 413");
        assert_eq!(stage.reloads.get(), 0);
    });
}

#[test]
fn a_client_that_leaves_does_not_cut_its_reload() {
    let gate = Rc::new(Notify::new());
    let stage = Rc::new(Stage { gate: Some(Rc::clone(&gate)), ..Stage::new() });
    on_stage(Rc::clone(&stage), |address| async move {
        let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nX-Equipoise: 1\r\n\r\n";
        let mut leaving = TcpStream::connect(address).await.unwrap();
        leaving.write_all(request.as_bytes()).await.unwrap();
        // The house holds the gate once more as long as its reload waits at it.
        while Rc::strong_count(&gate) < 3 {
            tokio::task::yield_now().await;
        }
        drop(leaving);
        // Another exchange, so that the endpoint has seen the leaving client.
        ask(address, "GET", "/-/healthy", "").await;
        gate.notify_one();
        while stage.reloads.get() == 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn what_is_read_is_not_for_foreign_pages() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let foreign = |path: &str, fields: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
            async move { exchange(address, &request).await.split(' ').nth(1).unwrap().to_owned() }
        };
        let rebound = format!("Host: rebound.example:{}\r\nAccept-Language: de\r\n", address.port());
        let loaded = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
        for path in ["/", "/metrics", "/api/v1/config", "/api/v1/stream", "/api/v1/explain?request_id=known"]
        {
            assert_eq!(foreign(path, &rebound).await, "403", "{path}");
            assert_eq!(foreign(path, loaded).await, "403", "{path}");
        }
        for path in ["/-/healthy", "/-/ready"] {
            assert_ne!(foreign(path, &rebound).await, "403", "{path}: probes name it as they like");
        }
    });
}
