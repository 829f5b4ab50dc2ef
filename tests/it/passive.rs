//! Backends that fail live traffic, and what becomes of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{connect, once};
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::load;
use crate::origin::{Origin, Visit, nowhere};

/// Serves well or ill as it is told.
struct Fickle {
    origin: Origin,
    ill: Arc<AtomicBool>,
}

impl Fickle {
    fn new(ill: bool, symptom: fn(&mut Visit) -> std::io::Result<()>) -> Self {
        let is_ill = Arc::new(AtomicBool::new(ill));
        let asked = Arc::clone(&is_ill);
        let origin = Origin::new(move |visit| {
            while visit.request()?.is_some() {
                if asked.load(Ordering::SeqCst) {
                    symptom(visit)?;
                } else {
                    visit.answer(200, "well again")?;
                }
            }
            Ok(())
        });
        Self { origin, ill: is_ill }
    }

    fn heal(&self) {
        self.ill.store(false, Ordering::SeqCst);
    }

    fn name(&self) -> String {
        self.origin.address.to_string()
    }
}

fn fails(visit: &mut Visit) -> std::io::Result<()> {
    visit.answer(500, "ill")
}

/// Half of what it promised, then the end.
fn cuts(visit: &mut Visit) -> std::io::Result<()> {
    visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")?;
    visit.done();
    visit.reset()
}

fn ejections(daemon: &Daemon, name: &str, reason: &str) -> f64 {
    daemon.metric("equipoise_ejections_total", &[("backend", name), ("reason", reason)])
}

fn config(fickle: &Fickle, others: &[&Origin], lines: &str) -> Config {
    let addresses: Vec<SocketAddr> =
        std::iter::once(&fickle.origin).chain(others.iter().copied()).map(|origin| origin.address).collect();
    over(&addresses).pool(lines)
}

fn ejected(daemon: &Daemon, name: &str) {
    until("ejected", || (daemon.backend(name)["state"] == "ejected").then_some(()));
}

#[test]
fn five_failures_in_a_row_eject_and_one_get_tries_it_later() {
    let (fickle, well) = (Fickle::new(true, fails), Origin::answering("well"));
    let daemon = Daemon::start(&config(&fickle, &[&well], "passive.eject_for = \"300ms\""));
    let name = fickle.name();
    let mut wire = connect(daemon.web);
    let failed = (0..10).filter(|_| wire.get("/").unwrap().status() == 500).count();
    assert_eq!((failed, fickle.origin.requests()), (5, 5));
    ejected(&daemon, &name);
    assert_eq!(ejections(&daemon, &name, "consecutive_failures"), 1.0);
    let backend = daemon.backend(&name);
    assert_eq!(backend["reason"], "5 failures in a row; for 300ms");
    assert_eq!((&backend["ejections"], &backend["availability"]["up"]), (&1.into(), &false.into()));
    assert_eq!(backend["availability"]["outages"][0]["cause"], backend["reason"]);
    let state = [("backend", &*name), ("state", "ejected")];
    assert_eq!(daemon.metric("equipoise_backend_state", &state), 1.0);
    daemon.logged_where("the ejection", |e| e["message"] == "backend is ejected" && e["backend"] == *name);

    // Each trial that fails is answered by the other: no client sees it, though 500 is not in retry.on.
    until("two trials have failed", || {
        assert_eq!(wire.get("/").unwrap().status(), 200);
        (ejections(&daemon, &name, "trial") == 2.0).then_some(())
    });
    assert_eq!(fickle.origin.requests(), 7);
    until("out for four times as long", || {
        (daemon.backend(&name)["reason"] == "failed again as soon as it was back; for 1.2s").then_some(())
    });
    // A POST is never a trial. It is out for 1.2 s now.
    fickle.heal();
    let due = Instant::now() + Duration::from_millis(1_300);
    until("its time is over", || (Instant::now() > due).then_some(()));
    let post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    for _ in 0..10 {
        assert_eq!(once(daemon.web, post).unwrap().text(), "well");
    }
    assert_eq!(wire.get("/").unwrap().text(), "well again");
    until("it is back", || (daemon.backend(&name)["state"] == "up").then_some(()));
    daemon.logged_where("its return", |e| e["message"] == "backend is back" && e["backend"] == *name);
    let turns: u64 = (0..20).filter(|_| wire.get("/").unwrap().text() == "well again").count() as u64;
    assert_eq!(turns, 10);
}

/// Never two in a row: of the twenty that `min_requests` asks for, ten failed.
#[test]
fn half_of_its_requests_failing_eject_too() {
    let seen = AtomicU64::new(0);
    let every_other = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            let status = if seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { 500 } else { 200 };
            visit.answer(status, "")?;
        }
        Ok(())
    });
    let well = Origin::answering("well");
    let daemon = Daemon::start(&over(&[every_other.address, well.address]).pool("passive.window = \"1h\""));
    let name = every_other.address.to_string();
    let mut wire = connect(daemon.web);
    let failed = (0..100).filter(|_| wire.get("/").unwrap().status() == 500).count();
    // Of an odd number below, more than half have failed, but they are too few; the 20th is well; the 21st is not.
    assert_eq!((failed, every_other.requests()), (11, 21));
    ejected(&daemon, &name);
    assert_eq!(ejections(&daemon, &name, "failure_ratio"), 1.0);
    assert_eq!(daemon.backend(&name)["reason"], "50 % of its requests within 3600s failed; for 10s");
}

/// The checks that fail meanwhile are too few to take it down.
#[test]
fn a_check_that_passes_ends_an_ejection_long_before_its_time() {
    let (fickle, well) = (Fickle::new(false, fails), Origin::answering("well"));
    let health =
        "passive.eject_for = \"5m\"\nhealth.interval = \"100ms\"\nhealth.rise = 1\nhealth.fall = 1000";
    let daemon = Daemon::start_alone(&config(&fickle, &[&well], health));
    let name = fickle.name();
    let checks = |result: &str| {
        daemon.metric("equipoise_health_checks_total", &[("backend", &*name), ("result", result)])
    };
    until("the first check, which alone decides", || (checks("success") > 0.0).then_some(()));
    fickle.ill.store(true, Ordering::SeqCst);
    until("a check fails", || (checks("failure") > 0.0).then_some(()));
    let mut wire = connect(daemon.web);
    assert_eq!((0..10).filter(|_| wire.get("/").unwrap().status() == 500).count(), 5);
    ejected(&daemon, &name);
    fickle.heal();
    until("back", || (daemon.backend(&name)["state"] == "up").then_some(()));
    let turns = (0..20).filter(|_| wire.get("/").unwrap().text() == "well again").count();
    assert!(turns >= 9, "{turns}");
}

/// The check sees nothing wrong with it: every check that passes brings it back, and one request finds out.
#[test]
fn a_fault_that_no_check_sees_costs_five_and_one_per_ejection() {
    let (fickle, wells) = (Fickle::new(true, cuts), [(); 2].map(|()| Origin::answering("well")));
    let health = "health.path = \"/healthz\"\nhealth.interval = \"200ms\"\nhealth.rise = 2";
    let daemon = Daemon::start_alone(&config(&fickle, &[&wells[0], &wells[1]], health));
    let name = fickle.name();
    let count = || daemon.metric("equipoise_ejections_total", &[("backend", &name)]);
    // One after the other: what is under way beside the fifth would fail too.
    let cut = (0..15).filter(|_| connect(daemon.web).get("/").is_err()).count();
    let before = count();
    assert!(before >= 1.0 && cut as f64 <= 4.0 + before, "{cut} cut, {before} ejections");
    let load = load::open(daemon.web, 16, 500);
    until("ejected ten times more", || (count() >= before + 10.0).then_some(()));
    fickle.heal();
    until("back", || {
        (daemon.backend(&name)["state"] == "up" && fickle.origin.in_flight() == 0).then_some(())
    });
    let report = load.end();
    let more = count() - before;
    println!("{} failed of {}, {more} ejections more", report.failures.len(), report.served);
    assert!(report.failures.len() as f64 <= more, "{:?}", report.failures);
    let failures = daemon.metric("equipoise_backend_failures_total", &[]);
    assert!(failures >= 1.0 && failures <= count(), "{failures} outages of {} ejections", count());
    assert_eq!(daemon.metric("equipoise_backend_up", &[("backend", &name)]), 1.0, "no check took it down");
}

#[test]
fn a_reload_keeps_an_ejection_and_switching_off_ends_it() {
    let (fickle, well) = (Fickle::new(true, fails), Origin::answering("well"));
    let name = fickle.name();
    let first = config(&fickle, &[&well], "passive.eject_for = \"5m\"");
    let daemon = Daemon::start(&first);
    let mut wire = connect(daemon.web);
    (0..10).for_each(|_| drop(wire.get("/").unwrap()));
    ejected(&daemon, &name);
    daemon.reload(&first.pool("timeouts.idle = \"59s\""));
    ejected(&daemon, &name);
    assert!((0..10).all(|_| wire.get("/").unwrap().status() == 200));
    daemon.reload(&config(&fickle, &[&well], "passive.enabled = false"));
    assert_eq!(daemon.backend(&name)["state"], "up");
    let failed = (0..20).filter(|_| wire.get("/").unwrap().status() == 500).count();
    assert_eq!(failed, 10, "and nobody is ejected any more");
}

/// Both workers count into one number: each sees every second failure.
#[test]
fn workers_count_together() {
    let (fickle, well) = (Fickle::new(true, fails), Origin::answering("well"));
    let daemon = Daemon::start(&config(
        &fickle,
        &[&well],
        "passive.consecutive_failures = 20\npassive.failure_ratio = 1.0",
    ));
    let mut wires = [(); 8].map(|()| connect(daemon.web));
    let failed: usize = (0..10)
        .flat_map(|_| wires.each_mut().map(|wire| wire.get("/").unwrap().status()))
        .filter(|s| *s == 500)
        .count();
    assert_eq!(failed, 20);
}

/// Where none is left that may be ejected, the last ones serve on, and each answer is passed on.
#[test]
fn half_of_the_pool_stays_in() {
    let ill = [(); 4].map(|()| Fickle::new(true, fails));
    let addresses = ill.each_ref().map(|one| one.origin.address);
    let daemon = Daemon::start(&over(&addresses));
    let mut wire = connect(daemon.web);
    assert!((0..100).all(|_| wire.get("/").unwrap().status() == 500));
    let states = ill.each_ref().map(|one| daemon.backend(&one.name())["state"].clone());
    assert_eq!(states.iter().filter(|state| **state == "ejected").count(), 2, "{states:?}");
}

#[test]
fn in_panic_all_are_used() {
    let (fickle, well) = (Fickle::new(true, fails), Origin::answering("well"));
    let daemon = Daemon::start(&config(&fickle, &[&well], "panic_threshold = 0.6"));
    let mut wire = connect(daemon.web);
    until("half of the pool is out", || {
        wire.get("/").unwrap();
        (daemon.metric("equipoise_pool_panic", &[("pool", "crm")]) == 1.0).then_some(())
    });
    let failed = (0..20).filter(|_| wire.get("/").unwrap().status() == 500).count();
    assert_eq!(failed, 10, "ejected or not");
    daemon.logged("panic");
}

#[test]
fn a_panic_that_goes_on_over_a_reload_is_told_once() {
    let well = Origin::answering("well");
    let gone = nowhere();
    let lines = "panic_threshold = 0.9\nhealth.type = \"tcp\"\nhealth.interval = \"100ms\"";
    let config = over(&[well.address, gone]).pool(lines);
    let daemon = Daemon::start(&config);
    let panics = || (daemon.metric("equipoise_pool_panic", &[("pool", "crm")]) == 1.0).then_some(());
    until("one of two is down", panics);
    daemon.reload(&config.clone().server("drain_timeout = \"9s\""));
    daemon.logged("reloaded");
    assert_eq!((panics(), daemon.times_logged("panic: so few")), (Some(()), 1));
    // Also what ends by a reload is told.
    daemon.reload(&over(&[well.address, gone]));
    daemon.logged("no panic any more");
    daemon.logged_where("nobody calls it down", |event| {
        event["message"] == "backend is up" && event["reason"] == "not checked any more"
    });
}

/// It comes up under load: its share grows evenly, and so does its limit.
#[test]
fn a_backend_that_comes_up_gets_its_share_little_by_little() {
    let wells = [(); 2].map(|()| Origin::answering("well"));
    let late = Origin::answering("late");
    let address = late.address;
    drop(late);
    let health = "slow_start = \"4s\"\nhealth.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.rise = 1\nhealth.fall = 1";
    let daemon = Daemon::start_alone(&over(&[wells[0].address, wells[1].address, address]).pool(health));
    until("down", || (daemon.backend(&address.to_string())["state"] == "down").then_some(()));
    let load = load::open(daemon.web, 16, 600);
    let late = Origin::answering_at(address, "late");
    until("coming up", || (daemon.backend(&address.to_string())["state"] == "slow_start").then_some(()));
    let began = Instant::now();
    let all = || wells.iter().chain([&late]).map(Origin::requests).sum::<u64>();
    let (all_before, late_before) = (all(), late.requests());
    until("a second has passed", || (began.elapsed() > Duration::from_secs(1)).then_some(()));
    let share = (late.requests() - late_before) as f64 / (all() - all_before) as f64;
    // From 0 to 1/4 of its weight within the first of four seconds: 1/17 of all on average.
    println!("{:.1} % in its first second", share * 100.0);
    assert!((0.02..=0.09).contains(&share), "{share}");
    until("up", || (daemon.backend(&address.to_string())["state"] == "up").then_some(()));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(3_500), "{took:?}");
    let (all_before, late_before) = (all(), late.requests());
    until("it has served its share", || (late.requests() >= late_before + 300).then_some(()));
    let share = (late.requests() - late_before) as f64 / (all() - all_before) as f64;
    assert!((0.31..=0.35).contains(&share), "{share}");
    assert_eq!(load.end().failures, [""; 0]);
}

#[test]
fn who_joins_by_a_reload_begins_small_and_who_was_there_does_not() {
    let origins = ["a", "b", "c"].map(Origin::answering);
    let two = over(&[origins[0].address, origins[1].address]).pool("slow_start = \"1h\"");
    let daemon = Daemon::start(&two);
    let mut wire = connect(daemon.web);
    (0..10).for_each(|_| drop(wire.get("/").unwrap()));
    assert_eq!([origins[0].requests(), origins[1].requests()], [5, 5], "the process has just begun");
    daemon.reload(&over(&origins.each_ref().map(|o| o.address)).pool("slow_start = \"1h\""));
    assert_eq!(daemon.backend(&origins[2].address.to_string())["state"], "slow_start");
    (0..402).for_each(|_| drop(wire.get("/").unwrap()));
    assert_eq!(origins[2].requests(), 2, "1 % of its share");
}

/// Also when every request of a moment fails at once, no more clients see it than were under way.
#[test]
fn garbage_and_resets_eject_too_and_posts_are_spared_from_then_on() {
    let arrived = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&arrived);
    let resetting = Origin::new(move |visit| {
        visit.request()?;
        match seen.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => visit.reset(),
            _ => visit.send("\x16\x03\x01 no HTTP\r\n\r\n"),
        }
    });
    let well = Origin::answering("well");
    let daemon = Daemon::start(&over(&[resetting.address, well.address]));
    let post = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    let failed = (0..30).filter(|_| once(daemon.web, post).unwrap().status() == 502).count();
    assert_eq!((failed, resetting.requests()), (5, 5));
}
