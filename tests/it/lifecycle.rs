//! Start, signals, the end.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{BINARY, Daemon, until};
use crate::origin::{Gate, Origin};

const HELD: &str = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn term_drains() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let mut daemon = Daemon::start(&over(&[origin.address]));
    let (mut busy, mut idle) = (connect(daemon.web), connect(daemon.web));
    idle.get("/").unwrap();
    busy.send(HELD).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    daemon.signal(Signal::TERM);
    assert!(idle.is_at_end(), "idle connections end");
    until("the port is refused", || TcpStream::connect(daemon.web).is_err().then_some(()));
    assert_eq!(daemon.page("/-/ready").status(), 503);
    assert_eq!(daemon.page("/-/healthy").status(), 200);
    gate.open();
    let answer = busy.response("GET").unwrap();
    assert_eq!((answer.text().as_str(), answer.head.field("connection")), ("well", Some("close")));
    assert!(busy.is_at_end());
    // Else the balancer would wait a while for our FIN, lest a reset overtake its answer.
    drop(busy);
    let begun = Instant::now();
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "nothing is waited for once all is done");
}

#[test]
fn a_drain_has_its_time() {
    let origin = Origin::holding(&Gate::default());
    let mut daemon = Daemon::start(&over(&[origin.address]).server("drain_timeout = \"300ms\""));
    let mut busy = connect(daemon.web);
    busy.send(HELD).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    let begun = Instant::now();
    daemon.signal(Signal::INT);
    assert_eq!(daemon.ended().code(), Some(0));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    assert!(busy.response("GET").is_err());
}

#[test]
fn a_second_term_ends_at_once() {
    let origin = Origin::holding(&Gate::default());
    let mut daemon = Daemon::start(&over(&[origin.address]).server("drain_timeout = \"60s\""));
    let mut busy = connect(daemon.web);
    busy.send(HELD).unwrap();
    until("it runs", || (origin.in_flight() == 1).then_some(()));
    daemon.signal(Signal::TERM);
    until("the port is refused", || TcpStream::connect(daemon.web).is_err().then_some(()));
    daemon.signal(Signal::TERM);
    let begun = Instant::now();
    daemon.ended();
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// Not ready, but still accepting: until those who watch readiness have noticed.
#[test]
fn a_shutdown_delay_goes_on_serving() {
    let origin = Origin::answering("well");
    let server = "shutdown_delay = \"2s\"\ndrain_timeout = \"1s\"";
    let mut daemon = Daemon::start(&over(&[origin.address]).server(server));
    assert_eq!(daemon.page("/-/ready").status(), 200);
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    until("not ready", || (daemon.page("/-/ready").status() == 503).then_some(()));
    assert_eq!(get(daemon.web, "/").status(), 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "too late to tell");
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn usr1_and_usr2_are_heard_and_do_no_harm() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    daemon.signal(Signal::USR1);
    daemon.logged("USR1");
    daemon.signal(Signal::USR2);
    daemon.logged("USR2");
    assert_eq!(get(daemon.web, "/").status(), 200);
}

/// It must not take half of the traffic of the first.
#[test]
fn a_second_instance_stops_with_a_clear_error() {
    let origin = Origin::answering("well");
    let first = Daemon::start(&over(&[origin.address]));
    for (config, told) in [
        (over(&[origin.address]).admin(first.admin), format!("cannot bind {}", first.admin)),
        (over(&[origin.address]).bind(first.web), format!("cannot bind {}", first.web)),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.text()).unwrap();
        let output = Command::new(BINARY).args(["run", "-c"]).arg(file.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&told), "{told}: {said}");
    }
    assert_eq!(get(first.web, "/").status(), 200);
}

#[test]
fn a_wrong_file_stops_the_start_with_78() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[listener]]\nbind = 80\n").unwrap();
    let output = Command::new(BINARY).args(["run", "-c"]).arg(file.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains(":2:8"));
}

#[test]
fn status_and_reload_talk_to_a_running_balancer() {
    let origin = Origin::answering("well");
    let daemon = Daemon::start(&over(&[origin.address]));
    let admin = daemon.admin.to_string();
    let ask =
        |arguments: &[&str]| Command::new(BINARY).args(arguments).args(["--admin", &admin]).output().unwrap();
    let status = ask(&["status"]);
    let table = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.status.success() && table.contains("crm") && table.contains(&origin.address.to_string()),
        "{table}"
    );
    let json = ask(&["status", "--format", "json"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&json.stdout).is_ok());
    assert!(ask(&["reload"]).status.success());
    daemon.write("nonsense");
    assert!(!ask(&["reload"]).status.success());
    assert_eq!(get(daemon.web, "/").status(), 200);
}
