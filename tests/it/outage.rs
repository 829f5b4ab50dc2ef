//! A backend that dies, vanishes or goes mad under load: nobody notices but the metrics.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::load;
use crate::origin::Origin;

/// GETs a second.
const RATE: u32 = 1_000;

/// Set in the process that runs within a network namespace of its own.
const INSIDE: &str = "EQUIPOISE_IT_INSIDE";

const HEALTH: &str = "health.path = \"/healthz\"\nhealth.interval = \"500ms\"\nhealth.timeout = \"300ms\"";

/// interval × 1.1 + (fall − 1) × fast_interval + fall × timeout + 0.5 s
const DOWN_WITHIN: Duration = Duration::from_millis(550 + 2 * 125 + 3 * 300 + 500);

/// No GET fails; each state is known to the balancer in time. Packets are dropped in a network namespace
/// of this test's own, which needs root.
#[test]
fn one_of_three_backends_killed_black_holed_and_garbling() {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let name = "outage::one_of_three_backends_killed_black_holed_and_garbling";
    let inside = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match inside {
        Ok(output) => {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            println!("{out}{err}");
            if err.contains("unshare failed") {
                println!("SKIPPED: no network namespace may be made here");
                return;
            }
            assert!(output.status.success());
        }
        Err(error) => println!("SKIPPED: unshare cannot be run: {error}"),
    }
}

fn story() {
    run("ip", &["link", "set", "lo", "up"]);
    let place = |last| SocketAddr::from(([127, 0, 0, last], 8080));
    let steady = [Origin::answering_at(place(1), "a"), Origin::answering_at(place(2), "b")];
    let mut victim = Origin::answering_at(place(3), "c");
    let config = over(&[place(1), place(2), place(3)]).pool(HEALTH).pool("timeouts.connect = \"250ms\"");
    let daemon = Daemon::start_alone(&config);
    let load = load::open(daemon.web, 256, RATE);
    // The retry budget is a share of the last 10 s: three outages within five of them are no usual load.
    until("all three have served for a while", || {
        [&steady[0], &steady[1], &victim].iter().all(|o| o.requests() > 1_000).then_some(())
    });

    drop(victim);
    phase(&daemon, "killed", Instant::now());
    victim = Origin::answering_at(place(3), "c");
    recovery(&daemon, "killed", &victim);

    black_hole(
        "add table inet outage; add chain inet outage in { type filter hook input priority 0; }; add rule inet outage in ip daddr 127.0.0.3 drop; add rule inet outage in ip saddr 127.0.0.3 drop",
    );
    phase(&daemon, "black-holed", Instant::now());
    // Also those that were sent on connections from before: nobody is left waiting in the hole.
    until("none waits in the hole", || (daemon.backend("127.0.0.3:8080")["in_flight"] == 0).then_some(()));
    black_hole("delete table inet outage");
    recovery(&daemon, "black-holed", &victim);

    victim.talk_garbage(true);
    phase(&daemon, "garbling", Instant::now());
    victim.talk_garbage(false);
    recovery(&daemon, "garbling", &victim);

    let report = load.end();
    println!("{} GETs, slowest {:?}", report.served, report.slowest);
    println!("retries: {}", daemon.metric("equipoise_retries_total", &[]));
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(daemon.metric("equipoise_backend_failures_total", &[("backend", "127.0.0.3:8080")]), 3.0);
    assert_eq!(daemon.metric("equipoise_backend_failures_total", &[]), 3.0, "the others stayed up");
}

/// Waits until the victim is marked down.
fn phase(daemon: &Daemon, what: &str, since: Instant) {
    let reason = until(what, || {
        let backend = daemon.backend("127.0.0.3:8080");
        (backend["state"] == "down").then(|| backend["reason"].clone())
    });
    let took = since.elapsed();
    println!("{what}: down after {took:?} ({reason}), allowed {DOWN_WITHIN:?}");
    assert!(took <= DOWN_WITHIN, "{what}: {took:?}");
    assert_eq!(daemon.metric("equipoise_backend_up", &[("backend", "127.0.0.3:8080")]), 0.0);
}

/// Waits until it serves again.
fn recovery(daemon: &Daemon, what: &str, victim: &Origin) {
    let (since, served) = (Instant::now(), victim.requests());
    until("up again", || (daemon.backend("127.0.0.3:8080")["state"] == "up").then_some(()));
    let up = since.elapsed();
    until("serves again", || (victim.requests() > served).then_some(()));
    println!("{what}: up again after {up:?}, serving after {:?}", since.elapsed());
}

fn black_hole(script: &str) {
    run("nft", &[script]);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
