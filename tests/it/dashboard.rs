//! The stream that the dashboard lives on, of the real daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::client::get;
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::message::PATIENCE;
use crate::orders::hold;
use crate::origin::{Gate, Origin};

/// One who follows the stream.
struct Follower(BufReader<TcpStream>);

impl Follower {
    fn new(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    /// The next snapshot; `None` at the clean end of the stream.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream was cut");
            if let Some(text) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(text).unwrap());
            }
            // The last chunk, empty, and the end of the connection behind it.
            if line == "0\r\n" {
                let mut rest = Vec::new();
                self.0.read_to_end(&mut rest).unwrap();
                assert_eq!(rest, b"\r\n");
                return None;
            }
        }
    }

    /// The first snapshot that fits.
    fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.next().unwrap_or_else(|| panic!("ended before: {what}"));
            if fits(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "in vain: {what}: {snapshot:#}");
        }
    }
}

fn api(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&daemon.page(path).text()).unwrap()
}

#[test]
fn the_stream_goes_on_over_reloads_and_tells_how_they_ended() {
    let origins = ["a", "b"].map(Origin::answering);
    let config = over(&[origins[0].address]);
    let daemon = Daemon::start(&config);
    let mut follower = Follower::new(daemon.admin);
    let first = follower.next().unwrap();
    assert_eq!((&first["reload_result"], &first["ready"]), (&Value::Null, &true.into()));
    assert_eq!(first["pools"][0]["backends"].as_array().unwrap().len(), 1);

    daemon.write("[pool.crm]\nbalanse = 1\n");
    assert_eq!(daemon.ask_to_reload().status(), 422);
    let refused = follower.until("refused", |shown| shown["reload_result"] == "rejected");
    assert_eq!(refused["sha256"], first["sha256"]);
    let told = api(&daemon, "/api/v1/config");
    assert!(told["last_reload"]["text"].as_str().unwrap().contains("balanse"), "{told:#}");
    assert_eq!((&told["sha256"], &told["reloads_rejected"]), (&first["sha256"], &1.into()));

    daemon.reload(&over(&[origins[0].address, origins[1].address]));
    let applied = follower.until("applied", |shown| shown["reload_result"] == "ok");
    assert_ne!(applied["sha256"], first["sha256"]);
    assert!(applied["loaded"].as_f64() > first["loaded"].as_f64(), "{applied:#}");
    assert_eq!(applied["pools"][0]["backends"].as_array().unwrap().len(), 2);
    let told = api(&daemon, "/api/v1/config");
    assert_eq!((&told["reloads_ok"], &told["pools"][0]["backends"]), (&1.into(), &2.into()));
    let listeners = api(&daemon, "/api/v1/listeners");
    assert_eq!(listeners["listeners"][0]["addresses"][0], daemon.web.to_string());
}

#[test]
fn what_happens_to_a_backend_is_seen_within_two_seconds_whatever_is_logged() {
    let (gone, other) = (Origin::answering("a"), Origin::answering("b"));
    let config =
        over(&[gone.address, other.address]).pool("health.interval = \"200ms\"\nhealth.timeout = \"200ms\"");
    let daemon = Daemon::start(&config);
    let mut follower = Follower::new(daemon.admin);
    follower.next().unwrap();
    // From now on the log has no place for it; the page has.
    daemon.reload(&config.clone().level("error"));
    let name = gone.address.to_string();
    drop(gone);
    let is_down = |backends: &Value| {
        let mut all = backends.as_array().unwrap().iter();
        all.any(|backend| backend["name"] == *name && backend["state"] == "down")
    };
    until("down", || is_down(&api(&daemon, "/api/v1/pools/crm")["backends"]).then_some(()));
    let since = Instant::now();
    follower.until("down", |shown| is_down(&shown["pools"][0]["backends"]));
    let took = since.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");

    let events = api(&daemon, "/api/v1/events")["events"].clone();
    let events = events.as_array().unwrap();
    let down = events.iter().find(|one| one["message"] == "backend is down").unwrap();
    assert_eq!((&down["fields"]["backend"], &down["level"]), (&name.as_str().into(), &"warn".into()));
    assert!(events.iter().any(|one| one["message"] == "reloaded"), "{events:#?}");
    let last = events.last().unwrap()["number"].as_u64().unwrap();
    follower.until("told of", |shown| shown["last_event"].as_u64() >= Some(last));
}

#[test]
fn the_stream_tells_of_routes_as_of_pools() {
    let origin = Origin::answering("a");
    let config = over(&[origin.address]).and(
        "[[route]]\nname = \"reports\"\nmatch.path_prefix = \"/reports/\"\npool = \"crm\"\nslo = { availability = 99.0 }\n",
    );
    let daemon = Daemon::start(&config);
    let mut follower = Follower::new(daemon.admin);
    let first = follower.next().unwrap();
    let names = |shown: &Value| {
        let routes = shown["routes"].as_array().unwrap();
        routes.iter().map(|route| route["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first), &first["routes_cut"]),
        (vec!["reports".into(), "default".into()], &false.into())
    );
    (0..5).for_each(|_| assert_eq!(get(daemon.web, "/reports/x").status(), 200));
    let served = follower.until("five of them", |shown| shown["routes"][0]["p99_seconds"].is_f64());
    let [reports, default] = [0, 1].map(|at| served["routes"][at].clone());
    assert!(reports["rate"].as_f64() > Some(0.0) && reports["failed_ratio"] == 0.0, "{reports:#}");
    assert_eq!(
        (&reports["success_ratio"], &reports["up"], &reports["pool"]),
        (&1.0.into(), &true.into(), &"crm".into())
    );
    assert_eq!(reports["slo"]["availability"]["burn_rate_5m"], 0.0);
    assert_eq!((&default["rate"], &default["p99_seconds"]), (&0.0.into(), &Value::Null));

    daemon.reload(&over(&[origin.address]));
    follower.until("the route has gone", |shown| names(shown) == ["default"]);
}

#[test]
fn the_stream_tells_of_draining_and_ends_with_the_endpoint() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let mut daemon = Daemon::start(&over(&[origin.address]));
    let mut follower = Follower::new(daemon.admin);
    follower.next().unwrap();
    let mut held = hold(&daemon, &origin);
    daemon.signal(Signal::TERM);
    let draining = follower.until("draining", |shown| shown["ready"] == false);
    assert_eq!(draining["pools"][0]["in_flight"], 1);
    gate.open();
    assert_eq!(held.response("GET").unwrap().status(), 200);
    while follower.next().is_some() {}
    assert!(daemon.ended().success());
}
