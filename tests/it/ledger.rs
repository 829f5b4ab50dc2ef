//! Up and down time, what requests saw, and what of it outlives the process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::client::get;
use crate::config::{Config, over};
use crate::daemon::{BINARY, Daemon, pause, until};
use crate::frames::{DATA, Frames, Outcome, RST_STREAM, frame};
use crate::http2::speaking;
use crate::origin::Origin;

/// Down within 0.2 s, up within as much.
const HEALTH: &str =
    "health = { path = \"/ready\", interval = \"100ms\", fast_interval = \"50ms\", fall = 2, rise = 2 }";

/// How far what is measured from outside may lie from what the balancer saw: probes, a poll, a busy machine.
const SLACK: f64 = 0.8;

/// A backend that answers 503 to checks and all else while it is told to.
fn moody() -> (Origin, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ill);
    let origin = Origin::new(move |visit| {
        while visit.request()?.is_some() {
            visit.answer(if told.load(Ordering::Relaxed) { 503 } else { 200 }, "word")?;
        }
        Ok(())
    });
    (origin, ill)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

fn server(state: &Path) -> String {
    format!("workers = 2\nstate_file = \"{}\"", state.display())
}

fn config(origin: &Origin, state: &Path) -> Config {
    let slo = "slo = { availability = 99, window = \"1d\" }";
    over(&[])
        .backend(&format!("name = \"app1\", address = \"{}\"", origin.address))
        .pool(HEALTH)
        .pool(slo)
        .server(&server(state))
}

fn figures(daemon: &Daemon) -> Value {
    daemon.backend("app1")["availability"].clone()
}

fn becomes(daemon: &Daemon, state: &str) {
    until(state, || (daemon.backend("app1")["state"] == state).then_some(()));
}

#[track_caller]
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < SLACK, "{found} is not near {expected}");
}

/// When the balancer last wrote that it lives.
fn last_tick(state: &Path) -> u64 {
    let text = std::fs::read_to_string(state).unwrap();
    let ticks = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wall = ticks.filter_map(|line| line["tick"]["wall_ms"].as_u64()).next();
    wall.unwrap()
}

#[test]
fn a_life_over_a_reload_a_restart_and_a_death() {
    let (origin, ill) = moody();
    let (_folder, state) = place();
    let config = config(&origin, &state);
    let mut daemon = Daemon::start(&config);
    becomes(&daemon, "up");
    let begun = Instant::now();
    assert_eq!(get(daemon.web, "/").status(), 200);

    // Down for a second, with a request that fails meanwhile, over a reload.
    pause(Duration::from_secs(1));
    ill.store(true, Ordering::Relaxed);
    becomes(&daemon, "down");
    let down = Instant::now();
    daemon.reload(&config);
    assert_eq!(get(daemon.web, "/").status(), 503);
    pause(Duration::from_secs(1));
    ill.store(false, Ordering::Relaxed);
    becomes(&daemon, "up");
    let (first, first_up) = (down.elapsed().as_secs_f64(), (down - begun).as_secs_f64());
    let read = figures(&daemon);
    near(&read["downtime_seconds"], first);
    near(&read["uptime_seconds"], first_up);
    assert_eq!((&read["failures"], read["outages"][0]["cause"].as_str()), (&1.into(), Some("status 503")));
    let route: Value = serde_json::from_str(&daemon.page("/api/v1/routes").text()).unwrap();
    let route = &route["routes"][0];
    assert_eq!((&route["name"], &route["traffic"]["failed"]), (&"default".into(), &1.into()), "{route:#}");
    assert_eq!(route["availability"]["outages"][0]["failed_requests"], 1);
    assert!(daemon.metric("equipoise_slo_burn_rate", &[("pool", "crm"), ("window", "5m")]) > 49.0);

    // Stopped while it is down: it comes back down, and the outage goes on.
    ill.store(true, Ordering::Relaxed);
    becomes(&daemon, "down");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    drop(daemon);
    pause(Duration::from_secs(1));
    let daemon = Daemon::start(&config);
    until("probed", || (daemon.metric("equipoise_health_checks_total", &[]) >= 2.0).then_some(()));
    let read = figures(&daemon);
    assert_eq!((&read["failures"], &read["up"]), (&2.into(), &false.into()));
    assert_eq!(read["outages"].as_array().unwrap().len(), 2, "{read:#}");
    near(&read["uptime_seconds"], first_up);
    ill.store(false, Ordering::Relaxed);
    becomes(&daemon, "up");
    let repaired = figures(&daemon);
    assert_eq!(repaired["failures"], 2);
    let mean = repaired["downtime_seconds"].as_f64().unwrap() / 2.0;
    assert!((repaired["mttr_seconds"].as_f64().unwrap() - mean).abs() < 1e-3, "{repaired:#}");
    let pool: Value = serde_json::from_str(&daemon.page("/api/v1/pools/crm").text()).unwrap();
    assert_eq!(pool["availability"]["failures"], 2, "{pool:#}");
    assert_eq!(pool["traffic"]["failed"], 1, "of the process before");

    // Killed: what it had last written, not more than a second ago, is where the next one begins.
    pause(Duration::from_millis(1_500));
    let before = figures(&daemon)["uptime_seconds"].as_f64().unwrap();
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    drop(daemon);
    let lost = killed.saturating_sub(last_tick(&state)) as f64 / 1e3;
    assert!(lost < 1.0 + SLACK, "{lost} s since the last tick");
    let daemon = Daemon::start(&config);
    let after = figures(&daemon);
    near(&after["uptime_seconds"], before - lost);
    assert_eq!(after["failures"], 2);
    let mttr = |read: &Value| read["mttr_seconds"].as_f64().unwrap();
    // To the microsecond, which is what is written.
    assert!((mttr(&after) - mttr(&repaired)).abs() < 1e-5, "{after:#}");
}

#[test]
fn a_second_process_and_a_file_of_somebody_else_are_told() {
    let origin = Origin::answering("well");
    let (folder, state) = place();
    let config = over(&[origin.address]).server(&server(&state));
    let _daemon = Daemon::start(&config);
    let file = folder.path().join("second.toml");
    std::fs::write(&file, config.text()).unwrap();
    let refused = |code: i32, why: &str| {
        let output = Command::new(BINARY).args(["run", "-c"]).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(why), "{told}");
    };
    refused(1, "another process holds it");

    let other = folder.path().join("diary");
    std::fs::write(&other, "my diary\n").unwrap();
    std::fs::write(&file, config.clone().server(&server(&other)).text()).unwrap();
    refused(1, "it is no state file of Equipoise; it is left as it is");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "my diary\n");
    std::fs::write(&file, config.clone().server(&server(&folder.path().join("none/state.json"))).text())
        .unwrap();
    refused(1, "cannot be opened");
    std::fs::write(&file, config.server(&server(folder.path())).text()).unwrap();
    refused(78, "is no regular file");
}

#[test]
fn a_broken_tail_is_cut_with_a_warning() {
    let origin = Origin::answering("well");
    let (_folder, state) = place();
    let config = over(&[origin.address]).server(&server(&state));
    drop(Daemon::start(&config));
    let mut text = std::fs::read(&state).unwrap();
    text.extend(b"{\"tick\":{\"at\":1");
    text.extend([0; 100]);
    std::fs::write(&state, text).unwrap();
    let daemon = Daemon::start(&config);
    let told = daemon.logged("the end of the state file cannot be read");
    assert_eq!((&told["level"], &told["bytes"]), (&"WARN".into(), &115.into()));
    assert_eq!(get(daemon.web, "/").text(), "well");
}

#[test]
fn a_file_that_cannot_be_written_any_more_is_told_counted_and_written_again() {
    let origin = Origin::answering("well");
    let (_folder, state) = place();
    let daemon = Daemon::start(&over(&[origin.address]).server(&server(&state)));
    let away = state.with_extension("away");
    std::fs::rename(&state, &away).unwrap();
    std::fs::write(&state, "mine").unwrap();
    daemon.logged_where("a warning", |e| {
        e["level"] == "WARN"
            && e["message"].as_str().is_some_and(|m| m.contains("another file has taken its place"))
    });
    until("counted", || (daemon.metric("equipoise_state_file_errors_total", &[]) > 0.0).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "mine");
    std::fs::remove_file(&state).unwrap();
    daemon.logged("the state file is written again");
    assert!(std::fs::read_to_string(&state).unwrap().starts_with("{\"equipoise_state\":1}\n"));
}

/// Set in the process that has a small disk of its own.
const INSIDE: &str = "EQUIPOISE_IT_SMALL_DISK";

/// The disk is one in memory, in a mount namespace of this test's own, which needs root.
#[test]
fn a_full_disk_ends_no_start() {
    if let Some(disk) = std::env::var_os(INSIDE) {
        return start_on_a_full_disk(Path::new(&disk));
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mounted = "mount -t tmpfs -o size=64k small \"$0\" || exit 77; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--", "sh", "-c", mounted])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::a_full_disk_ends_no_start", "--nocapture"])
        .env(INSIDE, folder.path())
        .output();
    match output {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            println!("{}{told}", String::from_utf8_lossy(&output.stdout));
            if output.status.code() == Some(77) || told.contains("unshare failed") {
                println!("SKIPPED: no disk may be mounted here");
                return;
            }
            assert!(output.status.success());
        }
        Err(error) => println!("SKIPPED: unshare cannot be run: {error}"),
    }
}

fn start_on_a_full_disk(disk: &Path) {
    let origin = Origin::answering("well");
    let state = disk.join("state.json");
    let config = over(&[origin.address]).server(&server(&state));
    let daemon = Daemon::start(&config);
    let requests = |daemon: &Daemon| daemon.metric("equipoise_pool_requests_total", &[]);
    assert_eq!(get(daemon.web, "/").status(), 200);
    until("it is counted", || (requests(&daemon) == 1.0).then_some(()));
    daemon.signal(Signal::TERM);
    let mut daemon = daemon;
    assert_eq!(daemon.ended().code(), Some(0));
    let (filling, before) = (disk.join("filling"), std::fs::read(&state).unwrap());
    assert!(std::fs::write(&filling, vec![0; 128 << 10]).is_err(), "it is full");

    let daemon = Daemon::start(&config);
    assert_eq!(daemon.logged_where("a warning", |e| e["level"] == "WARN")["target"], "equipoise::control");
    assert_eq!((get(daemon.web, "/").status(), std::fs::read(&state).unwrap() == before), (200, true));
    assert!(daemon.metric("equipoise_state_file_errors_total", &[]) >= 1.0);
    until("it goes on with what was known", || (requests(&daemon) == 2.0).then_some(()));
    std::fs::remove_file(filling).unwrap();
    daemon.logged("the state file is written again");
}

#[test]
fn what_a_reload_removed_disappears_and_goes_on_when_it_comes_back() {
    let (first, second) = (Origin::answering("first"), Origin::answering("second"));
    let backend = |config: Config, name, origin: &Origin| {
        config.backend(&format!("name = \"{name}\", address = \"{}\"", origin.address))
    };
    let one = backend(over(&[]), "app1", &first);
    let both = backend(one.clone(), "app2", &second);
    let daemon = Daemon::start(&both);
    let shown = || daemon.page("/metrics").text().contains("backend=\"app2\"");
    let up = |name| daemon.backend(name)["availability"]["uptime_seconds"].as_f64().unwrap();
    until("it was up for a while", || (up("app2") > 0.3).then_some(()));
    let before = up("app2");
    daemon.reload(&one);
    until("its series disappear", || (!shown()).then_some(()));
    pause(Duration::from_secs(1));
    daemon.reload(&both);
    let (resumed, whole) = (up("app2"), up("app1"));
    assert!(resumed >= before && resumed < whole - 0.9, "{before}, {resumed} of {whole}");
    daemon.reload(&both.clone().server("workers = 2\nstate_file = \"state.json\""));
    assert_eq!(daemon.logged("[server] state_file")["level"], "WARN");
}

/// Whoever removes a pool that nobody can serve is not told of it for as long as an old stream runs.
#[test]
fn a_removed_pool_disappears_although_something_older_runs() {
    let streaming = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        visit.wire.rest().map(drop)
    });
    let one = over(&[streaming.address]);
    let both = one.clone().and(
        "[[route]]\nname = \"old\"\nmatch.path_prefix = \"/old\"\npool = \"old\"\n\
         [pool.old]\nbackends = [\"127.0.0.1:1\"]\nhealth = { interval = \"100ms\", timeout = \"100ms\" }\n",
    );
    let daemon = Daemon::start(&both);
    until("it is down", || (daemon.metric("equipoise_pool_up", &[("pool", "old")]) == 0.0).then_some(()));
    let mut client = crate::client::connect(daemon.web);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(client.head().unwrap().unwrap().status(), 200);
    daemon.reload(&one);
    let text = daemon.page("/metrics").text();
    assert!(!text.contains("pool=\"old\""), "{text}");
    assert!(text.contains("equipoise_pool_up{pool=\"crm\"} 1\n"));
}

/// Nothing of the balancer's own shows in what requests saw but what clients got.
#[test]
fn a_response_that_breaks_off_has_failed_whatever_its_status() {
    let origin = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        visit.done();
        Ok(())
    });
    let daemon = Daemon::start(&over(&[origin.address]));
    let mut client = crate::client::connect(daemon.web);
    assert!(client.get("/").is_err());
    until("counted", || {
        (daemon.metric("equipoise_pool_requests_total", &[("result", "failure")]) == 1.0).then_some(())
    });
    assert_eq!(daemon.metric("equipoise_http_requests_total", &[("code", "200")]), 1.0);
    assert_eq!(daemon.metric("equipoise_pool_success_ratio", &[]), 0.0);
}

/// CANCEL by the client; INTERNAL_ERROR by us, which alone tells that the answer is short.
#[test]
fn over_http2_too_what_breaks_off_has_failed_and_what_its_client_gave_up_has_not() {
    let origin = Origin::new(|visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        if head.target() == "/held" {
            assert!(visit.wire.rest().is_err());
        }
        visit.done();
        Ok(())
    });
    let daemon = Daemon::start(&speaking(&origin).pool("retry.on = []"));
    let mut frames = Frames::connect(daemon.web);
    let judged = |result| daemon.metric("equipoise_pool_requests_total", &[("result", result)]);
    frames.send(crate::frames::get(1, "/held")).unwrap();
    while frames.next().unwrap().kind != DATA {}
    frames.send(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).unwrap();
    let left = || daemon.metric("equipoise_http_requests_total", &[("code", "499")]);
    until("it is counted", || (left() == 1.0).then_some(()));
    assert_eq!((judged("success"), judged("failure")), (0.0, 0.0));
    frames.send(crate::frames::get(3, "/cut")).unwrap();
    assert_eq!(frames.outcome(3), Outcome::Reset(2));
    until("it is judged", || (judged("failure") == 1.0).then_some(()));
    assert_eq!(judged("success"), 0.0);
}
