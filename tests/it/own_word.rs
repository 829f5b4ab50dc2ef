//! What backends say of themselves: agents, and loads in responses.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::origin::Origin;
use crate::sticky::{Browser, Secrets, named};

/// An agent: says its line to whoever connects, byte by byte.
struct Agent {
    address: SocketAddr,
    line: Arc<Mutex<&'static str>>,
    stopped: Arc<AtomicBool>,
}

impl Agent {
    fn saying(line: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = Self {
            address: listener.local_addr().unwrap(),
            line: Arc::new(Mutex::new(line)),
            stopped: Arc::default(),
        };
        let (line, stopped) = (Arc::clone(&agent.line), Arc::clone(&agent.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let line = *line.lock().unwrap();
                // Whoever has read enough may have left.
                let _ = stream.set_nodelay(true);
                let _ = line.bytes().try_for_each(|byte| stream.write_all(&[byte]));
            }
        });
        agent
    }

    fn says(&self, line: &'static str) {
        *self.line.lock().unwrap() = line;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn checks(agent: &Agent) -> String {
    let agent = format!("health.agent = {{ port = {}, interval = \"20ms\" }}", agent.address.port());
    format!("health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.timeout = \"5s\"\n{agent}")
}

fn shown(daemon: &Daemon, name: &str, state: &str, reason: &str) {
    until(&format!("{name} is {state}, {reason}"), || {
        let backend = daemon.backend(name);
        (backend["state"] == state && backend["reason"] == reason).then_some(())
    });
}

/// The bodies of so many answers, each on a connection of its own.
fn texts(daemon: &Daemon, times: usize) -> String {
    (0..times).map(|_| get(daemon.web, "/").text()).collect()
}

#[test]
fn an_agent_drains_takes_down_weighs_and_gives_back() {
    // Two backends on one address have one agent: b is on another one, where none listens.
    let agent = Agent::saying("up 100%\n");
    let (a, secrets) = (Origin::answering("a"), Secrets::new("one one one one one one one one one\n"));
    let b = Origin::answering_at(SocketAddr::from(([127, 0, 0, 2], 0)), "b");
    let daemon = Daemon::start(&named(&[&a, &b]).pool(&checks(&agent)).pool(&secrets.lines()));
    until("the agent was heard", || (daemon.backend("a")["agent"] == "up 100%").then_some(()));
    assert_eq!(texts(&daemon, 4), "abab");
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 1), "a");

    agent.says("drain#backup at night\n");
    shown(&daemon, "a", "drain", "agent: drain#backup at night; nothing in flight");
    assert_eq!((texts(&daemon, 4), browser.ask(daemon.web, 2)), ("bbbb".into(), "aa".into()));
    agent.says("maint\r\n");
    until("maintenance", || (daemon.backend("a")["state"] == "maintenance").then_some(()));
    assert_eq!(browser.ask(daemon.web, 2), "bb", "it has to leave");
    agent.says("ready, 50%\n");
    shown(&daemon, "a", "up", "agent: ready, 50%");
    let weighted = texts(&daemon, 30);
    assert_eq!(weighted.matches('a').count(), 10, "{weighted}");
    agent.says("down#out of licences 7%\n");
    shown(&daemon, "a", "down", "agent: down#out of licences 7%");
    let event = daemon.logged("backend is down");
    assert_eq!((&event["level"], &event["backend"]), (&"WARN".into(), &"a".into()));
    assert_eq!(event["reason"], "agent: down#out of licences 7%");
    assert_eq!(daemon.metric("equipoise_backend_up", &[("backend", "a")]), 0.0);
    assert_eq!(daemon.backend("a")["availability"]["failures"], 1);
    assert_eq!(texts(&daemon, 4), "bbbb");
    // Silence and nonsense take nothing back.
    agent.says("no idea\n");
    daemon
        .logged_where("nonsense is told of", |event| event["why"] == "nothing of it is understood: no idea");
    agent.says("up");
    daemon.logged_where("a cut line is told of", |event| event["why"] == "the line has no end");
    assert_eq!(daemon.backend("a")["state"], "down");
    agent.says("UP 100%\n");
    until("it is up", || (daemon.backend("a")["state"] == "up").then_some(()));
    daemon.logged_where("it is told", |event| event["message"] == "backend is up" && event["backend"] == "a");
    assert_eq!(texts(&daemon, 30).matches('a').count(), 15);
}

#[test]
fn what_an_agent_said_ends_with_it() {
    let (agent, origin) = (Agent::saying("maint\n"), Origin::answering("well"));
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config.clone().pool(&checks(&agent)));
    until("maintenance", || (get(daemon.web, "/").status() == 503).then_some(()));
    daemon.reload(&config);
    until("it serves", || (get(daemon.web, "/").status() == 200).then_some(()));
    let backend = daemon.backend(&origin.address.to_string());
    assert_eq!((&backend["state"], &backend["agent"]), (&"up".into(), &serde_json::Value::Null));
}

#[test]
fn a_backend_that_reports_its_load_gets_less_and_no_client_sees_it() {
    let load = Arc::new(Mutex::new("1.0"));
    let told = Arc::clone(&load);
    let busy = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            let load = *told.lock().unwrap();
            visit.done();
            visit.send(format!(
                "HTTP/1.1 200 OK\r\nX-BACKEND-load: {load}\r\nContent-Length: 1\r\nX-Other: kept\r\n\r\na"
            ))?;
        }
        Ok(())
    });
    let idle = Origin::answering("b");
    let daemon = Daemon::start(&named(&[&busy, &idle]).pool("load_header = \"x-backend-load\""));
    let mut wire = connect(daemon.web);
    let mut seen = String::new();
    let mut until_share = |what: &str, least: usize, most: usize| {
        until(what, || {
            seen.clear();
            for _ in 0..110 {
                let answer = wire.get("/").unwrap();
                assert_eq!(answer.head.field("x-backend-load"), None);
                let is_busy = answer.text() == "a";
                assert_eq!(answer.head.field("x-other").is_some(), is_busy);
                seen.push_str(&answer.text());
            }
            (least..=most).contains(&seen.matches('a').count()).then_some(())
        });
    };
    until_share("a tenth of the weight", 9, 11);
    let shown = daemon.backend("a");
    assert!((0.9..=1.0).contains(&shown["load"].as_f64().unwrap()), "{shown}");
    assert_eq!((&shown["state"], &daemon.backend("b")["load"]), (&"up".into(), &serde_json::Value::Null));
    // What is no load says nothing, and goes all the same; what was reported fades.
    *load.lock().unwrap() = "much";
    until_share("more than before", 20, 55);
    *load.lock().unwrap() = "0";
    until_share("an equal share", 54, 56);
}
