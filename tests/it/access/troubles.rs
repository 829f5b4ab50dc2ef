//! Files that are moved, replaced or full, and pipes that nobody reads.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::{Place, logging};
use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::load;
use crate::origin::Origin;

#[test]
fn usr1_opens_the_file_anew_under_load_and_no_line_is_lost() {
    let origin = Origin::answering("well");
    let place = Place::new();
    let daemon = Daemon::start_alone(&logging(&origin, &place, "template = \"{status}\""));
    let moved = place.dir.path().join("moved");
    let report = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::closed(daemon.web, 16, 20_000));
        until("the load goes on", || (origin.requests() > 5_000).then_some(()));
        fs::rename(&place.path, &moved).unwrap();
        daemon.signal(Signal::USR1);
        daemon.logged("access log reopened");
        load.join().unwrap()
    });
    assert_eq!(report.failures, [""; 0]);
    let count = |path: &Path| fs::read_to_string(path).unwrap().lines().filter(|line| *line == "200").count();
    until("all is written", || (count(&moved) + count(&place.path) == 20_000).then_some(()));
    assert!(count(&moved) > 0 && count(&place.path) > 0);
    assert_eq!(daemon.metric("equipoise_log_dropped_total", &[]), 0.0);
}

#[test]
fn a_reload_changes_format_and_path_at_once() {
    let origin = Origin::answering("well");
    let (first, second) = (Place::new(), Place::new());
    let daemon = Daemon::start(&logging(&origin, &first, "template = \"first {path}\""));
    let mut wire = connect(daemon.web);
    wire.get("/1").unwrap();
    daemon.reload(&logging(&origin, &second, "template = \"second {path}\""));
    wire.get("/2").unwrap();
    assert_eq!(
        (first.lines(1).remove(0), second.lines(1).remove(0)),
        ("first /1".into(), "second /2".into())
    );
    let nowhere = "\n[log.access]\nformat = \"json\"\npath = \"/nowhere/access.log\"\n";
    daemon.write(&over(&[origin.address]).and(nowhere).text());
    let refused = daemon.ask_to_reload();
    assert!(refused.status() == 422 && refused.text().contains("/nowhere"), "{}", refused.text());
    wire.get("/3").unwrap();
    assert_eq!(second.lines(2)[1], "second /3", "nothing has changed");
}

#[test]
fn a_file_of_a_size_is_put_away() {
    let origin = Origin::answering("well");
    let place = Place::new();
    let keys = "template = \"{request_id} {target}\"\nmax_size = \"128KiB\"\nkeep = 3";
    let daemon = Daemon::start(&logging(&origin, &place, keys));
    assert_eq!(load::closed(daemon.web, 8, 20_000).failures, [""; 0]);
    let away = |number: u32| place.dir.path().join(format!("access.log.{number}"));
    // While one is put away, the others change their names.
    let size = |number| fs::metadata(away(number)).ok().map(|meta| meta.len());
    let sizes: Vec<u64> = until("three are away", || (1..=3).map(size).collect());
    assert!(sizes.iter().all(|size| (60 << 10..=128 << 10).contains(size)), "{sizes:?}");
    assert!(!away(4).exists());
}

#[test]
fn a_pipe_that_nobody_reads_stops_no_request() {
    let origin = Origin::answering("well");
    let place = Place::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, &place.path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let long = format!("template = \"{{target}}{}\"", "x".repeat(4000));
    let mut daemon = Daemon::start_alone(&logging(&origin, &place, &long));
    let report = load::closed(daemon.web, 16, 10_000);
    assert_eq!(report.failures, [""; 0]);
    assert!(report.slowest < Duration::from_secs(2), "{:?}", report.slowest);
    let dropped = daemon.metric("equipoise_log_dropped_total", &[("log", "access")]);
    assert!(dropped > 5_000.0, "{dropped}");
    daemon.logged("access log: lines are dropped");
    // A reader comes: what waited is written, and it is said.
    let mut reader = fs::File::open(&place.path).unwrap();
    let drain = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while matches!(reader.read(&mut buffer), Ok(1..)) {}
    });
    let said = daemon.logged("access log: lines are written again");
    assert!(said["lines"].as_f64().unwrap() >= dropped, "{said}");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    drop(drain);
}

#[test]
fn a_full_device_stops_no_request() {
    let origin = Origin::answering("well");
    let full = "\n[log.access]\nformat = \"json\"\npath = \"/dev/full\"\n";
    let mut daemon = Daemon::start(&over(&[origin.address]).and(full));
    assert_eq!(load::closed(daemon.web, 8, 1_000).failures, [""; 0]);
    until("lines are counted", || {
        (daemon.metric("equipoise_log_dropped_total", &[("log", "access")]) == 1_000.0).then_some(())
    });
    let said = daemon.logged("access log: lines are dropped");
    assert!(said["why"].as_str().unwrap().contains("space"), "{said}");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
}

#[test]
fn a_limit_on_the_size_of_files_costs_lines_and_leaves_whole_ones() {
    let origin = Origin::answering("well");
    let place = Place::new();
    let config = logging(&origin, &place, "format = \"json\"");
    // In blocks of 512 bytes; the signal is not ignored: the daemon itself must see to it.
    let mut daemon = Daemon::start_with_file_size(&config, 100);
    assert_eq!(load::closed(daemon.web, 8, 1_000).failures, [""; 0]);
    until("lines are counted", || {
        let dropped = daemon.metric("equipoise_log_dropped_total", &[("log", "access")]);
        let written = fs::read_to_string(&place.path).unwrap().lines().count();
        (dropped > 500.0 && dropped + written as f64 == 1_000.0).then_some(())
    });
    let text = fs::read_to_string(&place.path).unwrap();
    assert!(text.len() > 30_000 && text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
}

#[test]
fn standard_output_takes_lines_and_may_be_stuck() {
    let origin = Origin::answering("well");
    let keys = format!("\n[log.access]\ntemplate = \"{{status}} {}\"\n", "x".repeat(4000));
    let (mut daemon, mut output) = Daemon::start_with_output(&over(&[origin.address]).and(&keys));
    assert_eq!(load::closed(daemon.web, 8, 2_000).failures, [""; 0]);
    // The last answer is there before its line is.
    until("all are counted", || {
        (daemon.metric("equipoise_http_requests_total", &[]) == 2_000.0).then_some(())
    });
    let dropped = daemon.metric("equipoise_log_dropped_total", &[("log", "access")]);
    daemon.signal(Signal::TERM);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    });
    assert!(daemon.ended().success());
    let text = reading.join().unwrap();
    assert!(text.lines().all(|line| line.len() == 4004 && line.starts_with("200 ")));
    assert_eq!(text.lines().count() as f64 + dropped, 2_000.0);
}

/// Each of these requests is an event of level debug, and nobody reads them.
#[test]
fn standard_error_that_nobody_reads_stops_no_request() {
    let origin = Origin::answering("well");
    let bare = "[[listener]]\nname = \"bare\"\nbind = \"127.0.0.1:0\"\n";
    let daemon = Daemon::start(&over(&[origin.address]).and(bare));
    daemon.stick(true);
    let report = load::closed(daemon.listener("bare"), 8, 20_000);
    assert_eq!(report.failures.len(), 20_000, "there is no route");
    assert!(report.slowest < Duration::from_secs(2), "{:?}", report.slowest);
    assert!(daemon.metric("equipoise_log_dropped_total", &[("log", "event")]) > 1_000.0);
    assert_eq!(get(daemon.web, "/").text(), "well");
    daemon.stick(false);
}
