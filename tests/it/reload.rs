//! Reloads under load, wrong files, listeners and backends that come and go.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, sum, until};
use crate::load;
use crate::origin::{Gate, Origin};

#[test]
fn ten_reloads_during_30_000_requests_cost_none() {
    let origins = ["a", "b", "c"].map(Origin::answering);
    let addresses = origins.each_ref().map(|origin| origin.address);
    let configs = [over(&addresses), over(&addresses).pool("balance = \"least-connections\"")];
    let daemon = Daemon::start_alone(&configs[0]);
    let quiet = load::closed(daemon.web, 64, 30_000);
    let served = || origins.iter().map(Origin::requests).sum::<u64>();
    let reloaded = |times: f64| {
        (daemon.metric("equipoise_config_reloads_total", &[("result", "ok")]) == times).then_some(())
    };
    let busy = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::closed(daemon.web, 64, 30_000));
        for nth in 1..=10_u32 {
            until("the load goes on", || (served() >= 30_000 + u64::from(nth) * 2_500).then_some(()));
            daemon.write(&configs[nth as usize % 2].text());
            daemon.signal(Signal::HUP);
            until("reloaded", || reloaded(f64::from(nth)));
        }
        load.join().unwrap()
    });
    println!("slowest without reloads {:?}, with {:?}", quiet.slowest, busy.slowest);
    assert_eq!(quiet.failures, [""; 0]);
    assert_eq!(busy.failures, [""; 0]);
    assert!(busy.slowest <= quiet.slowest + Duration::from_millis(250));
    assert_eq!(served(), 60_000);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told() {
    let origin = Origin::answering("old");
    let daemon = Daemon::start(&over(&[origin.address]));
    daemon.write("[[listener]]\nbind = \"127.0.0.1:0\"\npool = \"crn\"\n[pool.crm]\nbackends = 7\n");
    daemon.signal(Signal::HUP);
    let told = daemon.logged("reload rejected");
    let text = told["message"].as_str().unwrap();
    for part in ["equipoise.toml:3:", "equipoise.toml:5:", "crm"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let metrics = daemon.page("/metrics").text();
    assert_eq!(sum(&metrics, "equipoise_config_last_reload_successful", &[]), 0.0);
    assert_eq!(sum(&metrics, "equipoise_config_reloads_total", &[("result", "rejected")]), 1.0);
    assert_eq!(get(daemon.web, "/").text(), "old");
    daemon.reload(&over(&[origin.address]));
    assert_eq!(daemon.metric("equipoise_config_last_reload_successful", &[]), 1.0);
}

#[test]
fn the_admin_endpoint_reloads_with_200_or_422() {
    let origin = Origin::answering("old");
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config);
    daemon.write("[server]\nworker = 2\n");
    let answer = daemon.ask_to_reload();
    assert_eq!(answer.status(), 422);
    let body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    let found = body["diagnostics"].as_array().unwrap().iter().find(|one| one["code"] == "unknown-key");
    let place = found.map(|one| (&one["line"], &one["column"]));
    assert_eq!(place, Some((&2.into(), &1.into())), "{body:#}");
    daemon.write(&config.text());
    assert_eq!(daemon.ask_to_reload().status(), 200);
}

/// A listening address that is taken is known only when it is bound: that too must change nothing.
#[test]
fn an_address_that_is_taken_changes_nothing() {
    let origin = Origin::answering("old");
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener =
        format!("[[listener]]\nname = \"more\"\nbind = \"{}\"\npool = \"crm\"", taken.local_addr().unwrap());
    daemon.write(&config.clone().and(&listener).text());
    let answer = daemon.ask_to_reload();
    assert_eq!(answer.status(), 422);
    assert!(answer.text().contains("cannot bind"), "{}", answer.text());
    assert_eq!(get(daemon.web, "/").text(), "old");
}

#[test]
fn what_cannot_change_is_warned_of_and_the_rest_applied() {
    let (old, new) = (Origin::answering("old"), Origin::answering("new"));
    let daemon = Daemon::start(&over(&[old.address]));
    daemon.reload(&over(&[new.address]).server("workers = 3"));
    let warning = daemon.logged("[server] workers");
    assert_eq!(warning["level"], "WARN");
    assert_eq!(get(daemon.web, "/").text(), "new");
}

#[test]
fn listeners_appear_and_disappear_and_what_runs_on_them_finishes() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config);
    let more = "[[listener]]\nname = \"more\"\nbind = \"127.0.0.1:0\"\npool = \"crm\"";
    daemon.reload(&config.clone().and(more));
    let address = daemon.listener("more");
    let (mut idle, mut busy) = (connect(address), connect(address));
    assert_eq!(idle.get("/").unwrap().text(), "well");
    busy.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    until("the request runs", || (origin.in_flight() == 1).then_some(()));
    daemon.reload(&config);
    until("the port is refused", || TcpStream::connect(address).is_err().then_some(()));
    assert!(idle.is_at_end(), "an idle connection of a removed listener ends");
    gate.open();
    let answer = busy.response("GET").unwrap();
    assert_eq!((answer.status(), answer.head.field("connection")), (200, Some("close")));
    assert!(busy.is_at_end());
    assert_eq!(get(daemon.web, "/").text(), "well");
}

#[test]
fn a_renamed_listener_keeps_its_socket() {
    let origin = Origin::answering("well");
    let config = over(&[origin.address]);
    let daemon = Daemon::start(&config);
    let mut kept = connect(daemon.web);
    assert_eq!(kept.get("/").unwrap().text(), "well");
    daemon.write(&config.text().replace("name = \"web\"", "name = \"www\""));
    assert_eq!(daemon.ask_to_reload().status(), 200);
    assert_eq!(kept.get("/").unwrap().text(), "well", "a kept connection is served on");
    assert_eq!(get(daemon.web, "/").text(), "well");
    until("counted under the new name", || {
        (daemon.metric("equipoise_http_requests_total", &[("listener", "www")]) >= 1.0).then_some(())
    });
}

#[test]
fn an_idle_connection_lets_go_of_what_a_reload_removed() {
    let origin = Origin::answering("well");
    let route = "[[route]]\nname = \"gone\"\nmatch.path = \"/gone\"\npool = \"crm\"";
    let daemon = Daemon::start(&over(&[origin.address]).and(route));
    let mut idle = connect(daemon.web);
    assert_eq!(idle.get("/gone").unwrap().text(), "well");
    let shown = || daemon.page("/metrics").text().contains("route=\"gone\"");
    assert!(shown());
    daemon.reload(&over(&[origin.address]));
    until("the removed route's series disappear", || (!shown()).then_some(()));
    assert_eq!(idle.get("/gone").unwrap().text(), "well", "the connection goes on");
}

#[test]
fn a_backend_that_is_removed_finishes_what_it_serves() {
    let gate = Gate::default();
    let held = gate.clone();
    let old = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            held.pass();
            visit.answer(200, "old")?;
        }
        Ok(())
    });
    let new = Origin::answering("new");
    let daemon = Daemon::start(&over(&[old.address]));
    let mut busy = connect(daemon.web);
    busy.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    until("the request runs", || (old.in_flight() == 1).then_some(()));
    daemon.reload(&over(&[new.address]));
    assert_eq!(get(daemon.web, "/").text(), "new");
    let removed = format!("backend=\"{}\"", old.address);
    assert!(!daemon.page("/metrics").text().contains(&removed), "its series disappear");
    gate.open();
    assert_eq!(busy.response("GET").unwrap().text(), "old");
    assert_eq!(busy.get("/").unwrap().text(), "new", "the same connection follows the reload");
    assert_eq!(old.requests(), 1);
}

/// Only what is removed ends, and only after drain_timeout.
#[test]
fn a_request_on_a_removed_backend_ends_with_the_drain_timeout() {
    let gate = Gate::default();
    let held = gate.clone();
    let old = Origin::new(move |visit| {
        visit.request()?;
        held.pass();
        Ok(())
    });
    let new = Origin::answering("new");
    let server = "workers = 2\ndrain_timeout = \"300ms\"";
    let daemon = Daemon::start(&over(&[old.address]).server(server));
    let mut busy = connect(daemon.web);
    busy.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    until("the request runs", || (old.in_flight() == 1).then_some(()));
    let begun = std::time::Instant::now();
    daemon.reload(&over(&[new.address]).server(server));
    assert!(busy.response("GET").is_err());
    assert!(begun.elapsed() >= Duration::from_millis(300));
    gate.open();
}
