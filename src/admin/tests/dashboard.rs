//! The dashboard's page, its stream, and the API beside it.

use std::time::SystemTime;

use super::*;
use crate::admin::stream::MAX_STREAMS;

/// One who looks.
struct Viewer {
    stream: TcpStream,
    read: String,
}

impl Viewer {
    async fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads until the text holds this, then forgets it up to there.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.read.find(text) {
                let rest = self.read.split_off(at + text.len());
                return std::mem::replace(&mut self.read, rest);
            }
            let mut block = [0; 4096];
            let n = self.stream.read(&mut block).await.unwrap();
            assert!(n > 0, "ended without «{text}»: {}", self.read);
            self.read.push_str(std::str::from_utf8(&block[..n]).unwrap());
        }
    }

    async fn snapshot(&mut self) -> serde_json::Value {
        self.until("data: ").await;
        let text = self.until("\n\n").await;
        serde_json::from_str(text.trim_end()).unwrap()
    }
}

#[test]
fn the_page_comes_with_a_strict_policy_and_is_not_sent_twice() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let (status, answer) = ask(address, "GET", "/", "").await;
        assert!(status == 200 && answer.contains("<title>Equipoise</title>"), "{answer}");
        let field = |name: &str| {
            let line = answer.lines().find(|line| line.starts_with(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name}: {answer}")).split_once(": ").unwrap().1.to_owned()
        };
        assert!(field("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert_eq!(field("referrer-policy"), "no-referrer");
        assert_eq!(field("cache-control"), "no-cache");
        let condition = format!("If-None-Match: {}\r\n", field("etag"));
        let (status, again) = ask(address, "GET", "/", &condition).await;
        assert!(status == 304 && again.ends_with("\r\n\r\n"), "{again}");
        let (status, script) = ask(address, "GET", "/page/main.js", "").await;
        assert!(status == 200 && script.contains("content-type: text/javascript"), "{script}");
        assert_eq!(ask(address, "GET", "/page/other.js", "").await.0, 404);
        assert_eq!(ask(address, "POST", "/", "").await.0, 405);
    });
}

#[test]
fn what_holds_comes_each_second_to_all_who_look_and_is_made_once() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        let (mut one, mut other) = (Viewer::new(address).await, Viewer::new(address).await);
        let head = one.until("\r\n\r\n").await;
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
        one.until("retry: 1000\n\n").await;
        let first = one.snapshot().await;
        assert_eq!(first["connections"], 7);
        assert_eq!((&first["sha256"], &first["reload_result"]), (&"abc".into(), &"ok".into()));
        assert_eq!(first["pools"][0]["backends"][0]["state"], "up");
        assert_eq!(first["pools"][0]["backends"][0]["rate"], serde_json::Value::Null);
        other.snapshot().await;

        (0..50).for_each(|_| stage.backend.outcome(0, Outcome::Code(500)));
        let (second, same) = (one.snapshot().await, other.snapshot().await);
        let backend = &second["pools"][0]["backends"][0];
        assert!((20.0..=50.0).contains(&backend["rate"].as_f64().unwrap()), "{backend}");
        assert_eq!((&backend["failed_ratio"], &backend["share"]), (&1.0.into(), &1.0.into()));
        assert_eq!(second, same);
        let looks = stage.looks.get();
        assert!(looks <= 3, "{looks} looks for two snapshots and two who look");
    });
}

#[test]
fn nobody_looks_and_nothing_is_made() {
    let stage = Rc::new(Stage::new());
    on_stage(Rc::clone(&stage), |address| async move {
        ask(address, "GET", "/", "").await;
        assert_eq!(stage.looks.get(), 0);
        let mut viewer = Viewer::new(address).await;
        viewer.snapshot().await;
        viewer.snapshot().await;
        drop(viewer);
        // Whoever comes after the task has ended finds it begun anew: without rates.
        let mut looks = stage.looks.get();
        loop {
            tokio::time::sleep(Duration::from_millis(1100)).await;
            if std::mem::replace(&mut looks, stage.looks.get()) == stage.looks.get() {
                break;
            }
        }
        let fresh = Viewer::new(address).await.snapshot().await;
        assert_eq!(fresh["pools"][0]["backends"][0]["rate"], serde_json::Value::Null);
    });
}

#[test]
fn those_beyond_the_bound_are_told_so_until_one_leaves() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let mut viewers = Vec::new();
        for _ in 0..MAX_STREAMS {
            let mut viewer = Viewer::new(address).await;
            viewer.snapshot().await;
            viewers.push(viewer);
        }
        let (status, answer) = ask(address, "GET", "/api/v1/stream", "").await;
        assert!(status == 503 && answer.contains("retry-after: 10\r\n"), "{answer}");
        assert!(body(&answer)["error"].as_str().unwrap().contains("16"), "{answer}");
        assert_eq!(ask(address, "GET", "/-/healthy", "").await.0, 200, "all else goes on");
        viewers.pop();
        loop {
            let mut viewer = Viewer::new(address).await;
            if viewer.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 ") {
                viewer.snapshot().await;
                break;
            }
        }
    });
}

#[test]
fn a_stream_ends_cleanly_with_the_endpoint() {
    let ended = Rc::new(Cell::new(false));
    let seen = Rc::clone(&ended);
    until_stopped(Rc::new(Stage::new()), |address, stop| async move {
        let mut viewer = Viewer::new(address).await;
        viewer.snapshot().await;
        stop.send(()).unwrap();
        timeout(Duration::from_secs(5), viewer.until("\r\n0\r\n\r\n")).await.unwrap();
        seen.set(true);
    });
    assert!(ended.get());
}

#[test]
fn events_listeners_and_the_configuration_are_told() {
    let stage = Rc::new(Stage::new());
    for message in ["backend is down", "backend is up"] {
        let fields = vec![("pool", "crm".to_owned()), ("reason", "status 503".to_owned())];
        stage.happenings.note(SystemTime::now(), "warn", "equipoise::health", message.to_owned(), fields);
    }
    on_stage(Rc::clone(&stage), |address| async move {
        let (_, answer) = ask(address, "GET", "/api/v1/events", "").await;
        let events = body(&answer)["events"].clone();
        assert_eq!(events.as_array().unwrap().len(), 2);
        assert_eq!((&events[0]["number"], &events[0]["message"]), (&1.into(), &"backend is down".into()));
        assert_eq!(events[0]["fields"]["reason"], "status 503");
        assert!(events[0]["time"].as_f64().unwrap() > 1.6e9);
        let (_, answer) = ask(address, "GET", "/api/v1/events?after=1", "").await;
        assert_eq!(body(&answer)["events"][0]["number"], 2);
        for wrong in ["after=", "after=x", "after=1&a=2", "before=1", "after=-1"] {
            assert_eq!(ask(address, "GET", &format!("/api/v1/events?{wrong}"), "").await.0, 400, "{wrong}");
        }
        let mut viewer = Viewer::new(address).await;
        assert_eq!(viewer.snapshot().await["last_event"], 2);

        let (_, answer) = ask(address, "GET", "/api/v1/listeners", "").await;
        assert_eq!(body(&answer)["listeners"][0]["certificates"][0]["not_after"], 5);
        let (_, answer) = ask(address, "GET", "/api/v1/config", "").await;
        let config = body(&answer);
        assert_eq!((&config["sha256"], &config["last_reload"]["result"]), (&"abc".into(), &"ok".into()));
    });
}
