//! What operators order of backends: drain, maintenance, ready, weights.

use std::process::{Command, Output};

use serde_json::Value;

use crate::client::{self, connect};
use crate::config::over;
use crate::daemon::{BINARY, Daemon, until};
use crate::load;
use crate::message::Wire;
use crate::origin::{Gate, Origin};
use crate::sticky::{Browser, Secrets, named};

const SECRET: &str = "one one one one one one one one one\n";

/// Runs a command against a daemon.
fn command(daemon: &Daemon, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).args(["--admin", &daemon.admin.to_string()]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command printed; it must have done what it was told.
fn told(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = command(daemon, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The bodies of so many answers to new clients.
fn new(daemon: &Daemon, times: usize) -> String {
    (0..times).map(|_| client::get(daemon.web, "/").text()).collect()
}

fn state(daemon: &Daemon, name: &str) -> String {
    let of = |state: &&str| {
        daemon.metric("equipoise_backend_state", &[("backend", name), ("state", state)]) == 1.0
    };
    let all = ["maintenance", "drain", "down", "ejected", "paused", "slow_start", "up"];
    all.iter().filter(|state| of(state)).copied().collect::<Vec<_>>().join(" ")
}

pub(crate) fn hold(daemon: &Daemon, origin: &Origin) -> Wire {
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("held", || (origin.in_flight() == 1).then_some(()));
    wire
}

#[test]
fn a_draining_backend_keeps_its_clients_and_gets_no_others() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(SECRET));
    let daemon = Daemon::start(&named(&origins.each_ref()).pool(&secrets.lines()));
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 2), "aa");
    let said = told(&daemon, &["drain", "crm/a"]);
    assert!(said.starts_with("crm/a: drain, weight 1: by an operator; "), "{said}");
    assert_eq!((new(&daemon, 6), browser.ask(daemon.web, 6)), ("bbbbbb".into(), "aaaaaa".into()));
    assert_eq!(browser.given, 1);
    assert_eq!(state(&daemon, "a"), "drain");
    daemon.logged_where("the drain", |e| e["message"] == "backend is drained" && e["backend"] == "a");
    let shown = daemon.backend("a");
    assert_eq!(
        (&shown["order"], &shown["drained"], &shown["state"]),
        (&"drain".into(), &true.into(), &"drain".into())
    );
    assert!(told(&daemon, &["status"]).contains("by an operator; drained"));
    // It is down as well: the operator's word is shown, and its clients leave.
    let address = origins[0].address;
    let [a, _b] = origins;
    drop(a);
    assert_eq!(browser.ask(daemon.web, 2), "bb");
    assert_eq!(state(&daemon, "a"), "drain");
    let _a = Origin::answering_at(address, "a");
    assert!(told(&daemon, &["enable", "crm/a"]).starts_with("crm/a: up, weight 1: "));
    let all = new(&daemon, 6);
    assert_eq!(all.matches('a').count(), 3, "{all}");
}

#[test]
fn maintenance_sends_everybody_away_and_what_runs_goes_on() {
    let (gate, b, secrets) = (Gate::default(), Origin::answering("b"), Secrets::new(SECRET));
    let a = Origin::holding(&gate);
    let health = "health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.fall = 1";
    let daemon = Daemon::start(&named(&[&a, &b]).pool(&secrets.lines()).pool(health));
    let mut browser = Browser::default();
    assert_eq!(browser.get(daemon.web).text(), "well");
    assert_eq!(new(&daemon, 1), "b");
    let mut held = hold(&daemon, &a);
    let shown = daemon.order("a", r#"{"state": "maintenance"}"#);
    assert_eq!((&shown["state"], &shown["drained"]), (&"maintenance".into(), &false.into()));
    assert_eq!(shown["reason"], "by an operator; 1 in flight");
    assert_eq!((browser.ask(daemon.web, 3), new(&daemon, 3)), ("bbb".into(), "bbb".into()));
    assert_eq!(state(&daemon, "a"), "maintenance");
    // It is not checked any more: whatever is done to it is no failure. A check may be on its way still.
    a.talk_garbage(true);
    let checks = || daemon.metric("equipoise_health_checks_total", &[("backend", "a")]);
    let others = || daemon.metric("equipoise_health_checks_total", &[("backend", "b")]);
    let (before, begun) = (checks(), others());
    until("the other has been checked", || (others() >= begun + 5.0).then_some(()));
    assert_eq!(checks(), before);
    let down = |name: &str| daemon.metric(name, &[("backend", "a")]);
    assert_eq!(down("equipoise_backend_failures_total"), 0.0);
    let up = down("equipoise_backend_uptime_seconds_total");
    gate.open();
    assert_eq!(held.response("GET").unwrap().text(), "well", "what ran went on to its end");
    daemon
        .logged_where("the end of the last", |e| e["message"] == "backend is drained" && e["backend"] == "a");
    assert_eq!(daemon.backend("a")["reason"], "by an operator; drained");
    assert_eq!(down("equipoise_backend_uptime_seconds_total"), up, "neither up nor down");
    assert_eq!(down("equipoise_backend_downtime_seconds_total"), 0.0);

    // Back, and ill: the first check alone says so.
    daemon.order("a", r#"{"state": "ready"}"#);
    until("down", || (state(&daemon, "a") == "down").then_some(()));
    a.talk_garbage(false);
    until("up", || (state(&daemon, "a") == "up").then_some(()));
    assert!(new(&daemon, 2).contains("well"));
}

#[test]
fn an_order_holds_until_a_reload_changes_that_backend() {
    let origins = ["a", "b"].map(Origin::answering);
    let [a, b] = origins.each_ref().map(|origin| origin.address);
    let config = |of_a: &str, of_b: &str| {
        over(&[])
            .backend(&format!("name = \"a\", address = \"{a}\"{of_a}"))
            .backend(&format!("name = \"b\", address = \"{b}\"{of_b}"))
    };
    let daemon = Daemon::start(&config("", ""));
    daemon.order("a", r#"{"state": "drain", "weight": 9}"#);
    let order = || daemon.backend("a")["order"].clone();
    for same in
        [config("", ", weight = 2"), config("", ""), config(", weight = 1", "").pool("max_connections = 50")]
    {
        daemon.reload(&same);
        assert_eq!((order(), new(&daemon, 4)), ("drain".into(), "bbbb".into()));
        assert_eq!(
            (&daemon.backend("a")["weight"], &daemon.backend("a")["configured_weight"]),
            (&9.into(), &1.into())
        );
    }
    for (number, changed) in
        [", weight = 2", ", weight = 2, max_connections = 7", ", backup = true", ""].into_iter().enumerate()
    {
        daemon.reload(&config(changed, ""));
        assert_eq!((order(), number), ("ready".into(), number), "{changed}");
        assert_eq!(daemon.backend("a")["weight"], daemon.backend("a")["configured_weight"]);
        daemon.order("a", r#"{"state": "maintenance"}"#);
    }
    daemon.logged("a reload changes the backend");
    // Another machine under the same name is another backend.
    let third = Origin::answering("c");
    daemon.reload(&over(&[]).backend(&format!("name = \"a\", address = \"{}\"", third.address)));
    assert_eq!((order(), new(&daemon, 2)), ("ready".into(), "cc".into()));
}

#[test]
fn weights_change_while_it_runs() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(SECRET));
    let daemon = Daemon::start(&named(&origins.each_ref()).pool(&secrets.lines()));
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 1), "a");
    assert_eq!(
        told(&daemon, &["weight", "crm/a", "3"]),
        "crm/a: up, weight 3 (1 in the file): not checked yet\n"
    );
    let all = new(&daemon, 40);
    assert_eq!(all.matches('a').count(), 30, "{all}");
    let json: Value =
        serde_json::from_str(&told(&daemon, &["weight", "crm/a", "0", "--format", "json"])).unwrap();
    assert_eq!((&json["weight"], &json["state"], &json["order"]), (&0.into(), &"up".into(), &"ready".into()));
    assert_eq!((new(&daemon, 4), browser.ask(daemon.web, 4)), ("bbbb".into(), "aaaa".into()));
    assert_eq!(told(&daemon, &["weight", "crm/a", "file"]), "crm/a: up, weight 1: not checked yet\n");
    assert_eq!(new(&daemon, 10).matches('a').count(), 5);
}

#[test]
fn what_cannot_be_ordered_changes_nothing_and_says_why() {
    let origin = Origin::answering("a");
    let daemon = Daemon::start(&named(&[&origin]));
    let refused = |arguments: &[&str]| {
        let output = command(&daemon, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (code, said) = refused(&["drain", "cmr/a"]);
    assert!(code == 1 && said.contains("no pool \"cmr\"; did you mean \"crm\"?"), "{said}");
    let (code, said) = refused(&["maintenance", "crm/b2"]);
    assert!(code == 1 && said.contains("no backend \"b2\""), "{said}");
    for usage in [&["drain", "crm"][..], &["weight", "crm/a"], &["weight", "crm/a", "65536"], &["enable"]] {
        assert_eq!(refused(usage).0, 2, "{usage:?}");
    }
    let path = "/api/v1/pools/crm/backends/a";
    for (body, named) in
        [("{\"state\": \"off\"}", "\\\"state\\\""), ("{\"weights\": 1}", "weights"), ("drain", "no JSON")]
    {
        let answer = daemon.put(path, body);
        assert!(answer.status() == 400 && answer.text().contains(named), "{}", answer.text());
    }
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\r\n{{\"state\": \"drain\"}}"
    );
    assert_eq!(client::once(daemon.admin, &request).unwrap().status(), 403);
    assert_eq!(daemon.backend("a")["order"], "ready");
    assert_eq!(new(&daemon, 2), "aa");
}

#[test]
fn tunnels_are_counted_and_waited_for() {
    let origin = Origin::new(|visit| {
        visit.head()?;
        visit
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")?;
        let sent = visit.wire.take(2)?;
        visit.send(sent)?;
        visit.wire.rest().map(drop)
    });
    let daemon = Daemon::start(&named(&[&origin]));
    let mut wire = connect(daemon.web);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(wire.head().unwrap().unwrap().status(), 101);
    let shown = daemon.order("a", r#"{"state": "drain"}"#);
    assert_eq!(shown["reason"], "by an operator; 1 in flight, 1 of them tunnels");
    assert_eq!((&shown["tunnels"], &shown["drained"]), (&1.into(), &false.into()));
    wire.send("hi").unwrap();
    assert_eq!(wire.take(2).unwrap(), b"hi", "it goes on");
    assert_eq!(client::get(daemon.web, "/").status(), 503, "nobody else is there for new ones");
    drop(wire);
    until("drained", || (daemon.backend("a")["drained"] == true).then_some(()));
    assert_eq!(daemon.backend("a")["tunnels"], 0);
}

#[test]
fn backends_are_taken_out_and_put_back_under_load_and_no_client_notices() {
    let origins = ["a", "b", "c"].map(Origin::answering);
    let daemon = Daemon::start_alone(&named(&origins.each_ref()));
    let load = load::open(daemon.web, 16, 600);
    for turn in 0..30 {
        let name = ["a", "b", "c"][turn % 3];
        let order = ["drain", "maintenance"][turn % 2];
        daemon.order(name, &format!("{{\"state\": \"{order}\"}}"));
        until("drained", || (daemon.backend(name)["drained"] == true).then_some(()));
        let at = ["a", "b", "c"].iter().position(|one| *one == name).unwrap();
        let before = origins[at].requests();
        let others =
            |except: usize| (0..3).filter(|n| *n != except).map(|n| origins[n].requests()).sum::<u64>();
        let begun = others(at);
        until("the others serve", || (others(at) >= begun + 20).then_some(()));
        assert_eq!(origins[at].requests(), before, "{order}: nothing new");
        daemon.order(name, "{\"state\": \"ready\"}");
    }
    assert_eq!(load.end().failures, [""; 0]);
}
