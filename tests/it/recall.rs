//! What was decided for requests that have ended, asked for by their ids.

mod tries;

use std::process::Command;

use serde_json::Value;

use crate::client::{connect, get, once};
use crate::config::over;
use crate::daemon::{BINARY, Daemon, until};
use crate::frames::{END, Frames, HEADERS, WHOLE, asking, block, frame};
use crate::message::Message;
use crate::origin::{Gate, Origin, nowhere};
use crate::sticky::{Browser, Secrets, named};

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1/32\"]";
const ONE_WORKER: &str = "workers = 1\ndrain_timeout = \"5s\"";

fn id_of(answer: &Message) -> String {
    answer.head.field("x-request-id").unwrap().to_owned()
}

fn ask(daemon: &Daemon, id: &str) -> (u16, Value) {
    let answer = daemon.page(&format!("/api/v1/explain?request_id={id}"));
    (answer.status(), serde_json::from_str(&answer.text()).unwrap())
}

/// What is told of an id; waits until there is something.
fn told(daemon: &Daemon, id: &str) -> Value {
    until("the request is told", || match ask(daemon, id) {
        (200, told) => Some(told),
        (404, _) => None,
        other => panic!("{other:?}"),
    })
}

/// What is told of the newest request of an id.
fn newest(daemon: &Daemon, id: &str) -> Value {
    told(daemon, id)["requests"][0].clone()
}

/// Sends a GET with an id of its own choice.
fn send(daemon: &Daemon, target: &str, id: &str) -> Message {
    let fields = format!("Host: crm.example\r\nX-Request-Id: {id}\r\nConnection: close");
    once(daemon.web, &format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap()
}

/// The backends of the tries, and how each ended.
fn tries(told: &Value) -> Vec<(String, String)> {
    let end = |one: &Value| match &one["status"] {
        Value::Null => one["failed"].as_str().unwrap().to_owned(),
        status => status.to_string(),
    };
    let tries = told["tries"].as_array().unwrap();
    tries.iter().map(|one| (one["backend"].as_str().unwrap().to_owned(), end(one))).collect()
}

fn explain(daemon: &Daemon, id: &str) -> (Option<i32>, String, String) {
    let address = daemon.admin.to_string();
    let output =
        Command::new(BINARY).args(["explain", "--request-id", id, "--admin", &address]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_retry_is_told_with_both_backends() {
    let failing = Origin::new(|visit| {
        visit.request()?;
        visit.reset()
    });
    let well = Origin::answering("well");
    let daemon = Daemon::start(&named(&[&failing, &well]));
    let answer = get(daemon.web, "/a/b?token=secret");
    assert_eq!(answer.text(), "well");
    let id = id_of(&answer);
    let told = newest(&daemon, &id);
    assert_eq!(tries(&told), [("a".into(), "reset".into()), ("b".into(), "200".into())], "{told:#}");
    for (name, value) in [
        ("method", "GET"),
        // Nobody has said that queries may be shown.
        ("target", "/a/b?***"),
        ("protocol", "HTTP/1.1"),
        ("listener", "web"),
        ("route", "default"),
        ("pool", "crm"),
        ("balance", "round-robin"),
        ("client", "127.0.0.1"),
        ("reason", ""),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!((&told["status"], &told["retries"], &told["hedge"]), (&200.into(), &1.into(), &Value::Null));
    assert!(told["tries"].as_array().unwrap().iter().all(|one| one["why"] == "algorithm"), "{told:#}");
    // The phases follow one another, and so do the tries.
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let whole = number(&told["duration_seconds"]);
    let phases: f64 = told["phases"].as_object().unwrap().values().map(number).sum();
    assert!((whole - phases).abs() < 1e-6 && whole > 0.0, "{told:#}");
    let [first, second] = [0, 1].map(|nth| told["tries"][nth].clone());
    assert!(
        number(&first["after_seconds"]) + number(&first["seconds"])
            <= number(&second["after_seconds"]) + 1e-6
    );

    let (code, words, _) = explain(&daemon, &id);
    assert_eq!(code, Some(0));
    for part in
        ["GET /a/b?*** of", ": 200 after", "route default, pool crm", "  reset\n", "  200\n", "retries: 1\n"]
    {
        assert!(words.contains(part), "{part}\n{words}");
    }
}

#[test]
fn an_answer_of_our_own_is_told_with_its_reason() {
    let daemon = Daemon::start(&over(&[nowhere()]));
    let answer = get(daemon.web, "/");
    let told = newest(&daemon, &id_of(&answer));
    assert_eq!(
        (answer.status(), &told["status"], &told["reason"]),
        (502, &502.into(), &"connect_error".into())
    );
    let tries = tries(&told);
    assert!(!tries.is_empty() && tries.iter().all(|(_, end)| end == "connect_error"), "{told:#}");

    let answer = get(daemon.web, "/../x");
    let told = newest(&daemon, &id_of(&answer));
    assert_eq!((&told["status"], &told["reason"]), (&400.into(), &"malformed".into()));
    assert_eq!(
        (&told["target"], &told["route"], &told["pool"]),
        (&"/../x".into(), &Value::Null, &Value::Null)
    );

    let answer = once(daemon.web, "GET /?secret HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap();
    let told = newest(&daemon, &id_of(&answer));
    assert_eq!((&told["status"], &told["reason"]), (&400.into(), &"malformed".into()));
    assert_eq!((&told["method"], &told["target"]), (&Value::Null, &Value::Null), "nothing of it is kept");
    assert!(explain(&daemon, &id_of(&answer)).1.contains("a head that could not be read: 400 (malformed)"));
}

#[test]
fn who_is_not_known_is_told_how_far_it_goes_back() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = Daemon::start(&over(&[origin.address]).listener(TRUSTED));
    assert_eq!(send(&daemon, "/", "known").status(), 200);
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\nX-Request-Id: held\r\n\r\n").unwrap();
    until("it is there", || (origin.in_flight() == 1).then_some(()));
    let (status, told) = ask(&daemon, "held");
    let why = told["error"].as_str().unwrap();
    assert!(status == 404 && why.contains("has not ended yet") && why.contains("among the 1 "), "{why}");
    gate.open();
    assert_eq!(wire.response("GET").unwrap().status(), 200);
    assert_eq!(newest(&daemon, "held")["target"], "/held");
    let (code, words, why) = explain(&daemon, "nobody");
    assert!(code == Some(1) && words.is_empty(), "{words}");
    assert!(why.contains("all that ended since 2") && why.contains("404"), "{why}");
}

#[test]
fn every_worker_is_asked() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut wires: Vec<_> = (0..12).map(|_| connect(daemon.web)).collect();
    let ids: Vec<String> = wires.iter_mut().map(|wire| id_of(&wire.get("/").unwrap())).collect();
    for worker in ["0", "1"] {
        let open = daemon.metric("equipoise_worker_connections_open", &[("worker", worker)]);
        assert!(open >= 1.0, "worker {worker} has {open}");
    }
    for id in &ids {
        assert_eq!(told(&daemon, id)["matches"], 1);
    }
    assert_eq!(told(&daemon, &ids[0])["kept"], 12);
}

#[test]
fn a_reload_changes_how_many_are_kept_and_makes_nothing_untrue() {
    let origin = Origin::answering("well");
    let config =
        |lines: &str| over(&[origin.address]).listener(TRUSTED).server(ONE_WORKER).admin_lines(lines);
    let route = "[[route]]\nname = 'api'\nmatch.path_prefix = '/api'\npool = 'old'\n\
                 [pool.old]\nbackends = [{ name = 'gone', address = 'ADDRESS' }]";
    let route = route.replace("ADDRESS", &origin.address.to_string());
    let daemon = Daemon::start(&config("").and(&route));
    (0..5).for_each(|nth| assert_eq!(send(&daemon, "/api/x", &format!("id-{nth}")).status(), 200));
    assert_eq!(told(&daemon, "id-4")["kept"], 5);
    daemon.reload(&config("recent_requests = 2"));
    until("two are kept", || (ask(&daemon, "id-2").0 == 404).then_some(()));
    for id in ["id-3", "id-4"] {
        let told = newest(&daemon, id);
        assert_eq!((&told["route"], &told["pool"]), (&"api".into(), &"old".into()));
        assert_eq!(tries(&told), [("gone".to_owned(), "200".to_owned())], "as it was then");
    }
    assert_eq!(send(&daemon, "/api/x", "id-5").status(), 200);
    assert_eq!((newest(&daemon, "id-5")["route"].as_str(), ask(&daemon, "id-3").0), (Some("default"), 404));
    daemon.reload(&config("recent_requests = 0"));
    let (status, told) = ask(&daemon, "id-5");
    assert!(status == 404 && told["error"].as_str().unwrap().contains("recent_requests is 0"), "{told}");
    assert_eq!(send(&daemon, "/", "id-6").status(), 200);
    daemon.reload(&config("recent_requests = 7"));
    let kept = until("they are kept again", || {
        send(&daemon, "/", "id-7");
        (ask(&daemon, "id-7").0 == 200).then(|| ask(&daemon, "id-6").0)
    });
    assert_eq!(kept, 404, "it ended while nothing was kept");
}

#[test]
fn clients_may_choose_ids_and_use_them_again() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]).listener(TRUSTED));
    (0..25).for_each(|nth| assert_eq!(send(&daemon, &format!("/{nth}"), "mine").status(), 200));
    let all = until("all have ended", || Some(told(&daemon, "mine")).filter(|told| told["matches"] == 25));
    let told_of = all["requests"].as_array().unwrap();
    let targets: Vec<&str> = told_of.iter().map(|one| one["target"].as_str().unwrap()).collect();
    let expected: Vec<String> = (5..25).rev().map(|nth| format!("/{nth}")).collect();
    assert_eq!(targets, expected, "the newest first, and no more than 20");
    assert!(explain(&daemon, "mine").1.contains("25 of this id are kept; these are the last 20"));

    let long = "a".repeat(128);
    let path = format!("/{}", "b".repeat(300));
    assert_eq!(send(&daemon, &path, &long).status(), 200);
    let one = newest(&daemon, &long);
    assert_eq!(one["target"].as_str().unwrap(), format!("{}…", &path[..128]), "cut, and it says so");
    assert_eq!(one["host"], "crm.example");
    assert_eq!(ask(&daemon, &"a".repeat(127)).0, 404);
    // No such id can have come: it is looked for all the same, and nothing of it reaches a terminal.
    let (code, _, why) = explain(&daemon, "\u{1b}[2J\r\nx");
    assert!(code == Some(1) && !why.contains('\u{1b}'), "{why:?}");
    for (query, status) in [("%1b%5b2J", 404), ("%ff", 400), ("", 400), ("a&url=http://a/", 400)] {
        assert_eq!(ask(&daemon, query).0, status, "{query}");
    }
}

#[test]
fn a_query_is_shown_as_the_access_log_shows_it() {
    let origin = Origin::answering("well");
    for (lines, shown) in [
        ("mask_query = [\"token\"]", "/a?x=1&token=***&tok%65n=***"),
        ("mask_query = true", "/a?***"),
        ("", "/a?x=1&token=s3cret&tok%65n=s3cret"),
    ] {
        let log = format!("[log.access]\nformat = \"json\"\n{lines}");
        let daemon = Daemon::start(&over(&[origin.address]).listener(TRUSTED).and(&log));
        assert_eq!(send(&daemon, "/a?x=1&token=s3cret&tok%65n=s3cret", "id").status(), 200);
        assert_eq!(newest(&daemon, "id")["target"], shown, "{lines}");
    }
}

#[test]
fn why_a_backend_was_picked_is_told() {
    let secrets = Secrets::new("one one one one one one one one one\n");
    let origins = ["a", "b"].map(Origin::answering);
    let daemon = Daemon::start(&named(&origins.each_ref()).pool(&secrets.lines()));
    let mut browser = Browser::default();
    for why in ["algorithm", "sticky", "sticky"] {
        let answer = browser.get(daemon.web);
        let told = newest(&daemon, &id_of(&answer));
        assert_eq!(
            (&told["tries"][0]["why"], &told["tries"][0]["backend"]),
            (&why.into(), &answer.text().into())
        );
        assert_eq!((&told["tries"][0]["priority"], &told["tries"][0]["panic"]), (&0.into(), &false.into()));
    }
    let spare = format!("name = \"spare\", address = \"{}\", priority = 3", origins[0].address);
    let daemon = Daemon::start(&over(&[]).backend(&spare));
    assert_eq!(newest(&daemon, &id_of(&get(daemon.web, "/")))["tries"][0]["priority"], 3);
}

#[test]
fn that_health_was_ignored_is_told() {
    let well = Origin::answering("well");
    let lines = "panic_threshold = 0.9\nhealth.type = \"tcp\"\nhealth.interval = \"100ms\"";
    let daemon = Daemon::start(&over(&[nowhere(), well.address]).pool(lines));
    until("half are too few", || (daemon.metric("equipoise_pool_panic", &[]) == 1.0).then_some(()));
    let told = newest(&daemon, &id_of(&get(daemon.web, "/")));
    assert_eq!((&told["tries"][0]["panic"], &told["status"]), (&true.into(), &200.into()), "{told:#}");
}

#[test]
fn what_is_ended_from_outside_is_told() {
    let gate = Gate::default();
    let (old, new) = (Origin::holding(&gate), Origin::answering("new"));
    let config = |origin: &Origin| {
        over(&[origin.address]).listener(TRUSTED).server("workers = 1\ndrain_timeout = \"100ms\"")
    };
    let daemon = Daemon::start(&config(&old));
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\nX-Request-Id: held\r\n\r\n").unwrap();
    until("it is there", || (old.in_flight() == 1).then_some(()));
    daemon.reload(&config(&new));
    let told = newest(&daemon, "held");
    assert_eq!((&told["status"], &told["reason"]), (&Value::Null, &"ended".into()), "{told:#}");
    assert_eq!(tries(&told), [(old.address.to_string(), "ended".to_owned())]);
    gate.open();
}

#[test]
fn tunnels_and_streams_are_told_at_their_end() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        if head.field("upgrade").is_none() {
            return visit.answer(200, "well");
        }
        visit.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")?;
        visit.wire.rest().map(drop)
    });
    let lines = format!("{TRUSTED}\nprotocols = [\"h1\", \"h2\"]");
    let daemon = Daemon::start(&over(&[origin.address]).listener(&lines));
    let mut wire = connect(daemon.web);
    wire.send(
        "GET /t HTTP/1.1\r\nHost: x\r\nX-Request-Id: tunnel\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    )
    .unwrap();
    assert_eq!(wire.head().unwrap().unwrap().status(), 101);
    assert_eq!(ask(&daemon, "tunnel").0, 404, "it goes on");
    drop(wire);
    let told = newest(&daemon, "tunnel");
    assert_eq!((&told["status"], &told["tries"][0]["status"]), (&101.into(), &101.into()));

    let mut frames = Frames::connect(daemon.web);
    let fields = [&asking("GET", "/two")[..], &[("x-request-id", "stream")]].concat();
    frames.send(frame(HEADERS, END | WHOLE, 1, &block(&fields))).unwrap();
    let told = newest(&daemon, "stream");
    assert_eq!((&told["protocol"], &told["target"]), (&"HTTP/2.0".into(), &"/two".into()));
    assert_eq!((&told["host"], &told["status"]), (&"a.test".into(), &200.into()));
}
