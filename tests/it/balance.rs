//! Who is picked, seen from the backends.

use rustix::process::Signal;

use crate::client::{self, connect};
use crate::config::over;
use crate::daemon::{Daemon, until};
use crate::load;
use crate::message::Wire;
use crate::origin::{Gate, Origin};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Workers must share the position: each with its own would be round only by chance.
#[test]
fn round_robin_is_even_over_two_workers_and_64_connections() {
    let origins = NAMES.map(Origin::answering);
    let daemon = Daemon::start_alone(&over(&origins.each_ref().map(|origin| origin.address)));
    let report = load::closed(daemon.web, 64, 30_000);
    assert_eq!(report.failures, [""; 0]);
    for origin in &origins {
        let share = origin.requests();
        assert!((9_900..=10_100).contains(&share), "{share} of 30000");
    }
    assert_eq!(origins.iter().map(Origin::requests).sum::<u64>(), 30_000);
}

#[test]
fn requests_one_after_another_go_strictly_in_turn() {
    let origins = NAMES.map(Origin::answering);
    let daemon = Daemon::start(&over(&origins.each_ref().map(|origin| origin.address)));
    // A connection each, so that both workers take part.
    let turn: String = (0..30).map(|_| client::get(daemon.web, "/").text()).collect();
    assert_eq!(turn, "abc".repeat(10));
}

#[test]
fn weights_of_5_1_1_give_their_exact_order() {
    let origins = NAMES.map(Origin::answering);
    let weighted = |index: usize, weight: u32| {
        format!("name = \"{}\", address = \"{}\", weight = {weight}", NAMES[index], origins[index].address)
    };
    let config = over(&[]).backend(&weighted(0, 5)).backend(&weighted(1, 1)).backend(&weighted(2, 1));
    let daemon = Daemon::start(&config);
    let turn: String = (0..28).map(|_| client::get(daemon.web, "/").text()).collect();
    assert_eq!(turn, "aabacaa".repeat(4));
}

/// The kernel's hash alone gives the fullest of 4 workers 25 % more than its share in half of the trials.
#[test]
fn connections_are_shared_evenly_by_the_workers() {
    let origin = Origin::answering("well");
    let mut daemon = Daemon::start(&over(&[origin.address]).server("workers = 4\ndrain_timeout = \"60s\""));
    let mut wires = Vec::new();
    for (connections, most) in [(64, 19.0), (128, 35.0)] {
        wires.resize_with(connections, || connect(daemon.web));
        for wire in &mut wires {
            assert_eq!(wire.get("/").unwrap().text(), "well");
        }
        let open = |worker: usize| {
            daemon.metric("equipoise_worker_connections_open", &[("worker", &worker.to_string())])
        };
        let each = until("only these are open", || {
            let each = [0, 1, 2, 3].map(open);
            (each.iter().sum::<f64>() == connections as f64).then_some(each)
        });
        assert!(each.iter().all(|&open| open <= most), "{each:?}");
    }
    // Those that were handed on end with the drain like all the others.
    daemon.signal(Signal::TERM);
    assert!(wires.iter_mut().all(Wire::is_at_end));
    assert!(daemon.ended().success());
}

/// One key is asked for by many at once: its backend takes its part, the others what is above it, and when they are
/// done it has the key alone again.
#[test]
fn a_hot_key_spills_over_within_the_bound_and_comes_back() {
    let gate = Gate::default();
    let origins = [(); 3].map(|()| Origin::holding(&gate));
    let pool = "balance = \"hash\"\nhash_key = \"header:x-tenant\"\nhash_balance_factor = 1.25";
    let daemon = Daemon::start(&over(&origins.each_ref().map(|origin| origin.address)).pool(pool));
    let ask = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n");
    let quiet = || {
        let before = origins.each_ref().map(Origin::requests);
        for _ in 0..20 {
            assert_eq!(client::once(daemon.web, &ask("/")).unwrap().text(), "well");
            until("it has ended", || (in_flight(&daemon) == 0.0).then_some(()));
        }
        [0, 1, 2].map(|index| origins[index].requests() - before[index])
    };
    let home = quiet().iter().position(|requests| *requests == 20).expect("one backend has the key");
    let mut held = Vec::new();
    for total in 1..=24u32 {
        let mut wire = connect(daemon.web);
        wire.send(ask("/held")).unwrap();
        held.push(wire);
        until("it has come", || (in_flight(&daemon) == f64::from(total)).then_some(()));
        let most = (1.25 * f64::from(total) / 3.0 - 1e-9).ceil();
        until("it has arrived", || {
            (origins.iter().map(Origin::in_flight).sum::<u64>() == u64::from(total)).then_some(())
        });
        assert!(origins.iter().all(|origin| origin.in_flight() as f64 <= most), "{total}: {most}");
    }
    assert_eq!(origins[home].in_flight(), 10, "as many as it may have");
    gate.open();
    assert!(held.iter_mut().all(|wire| wire.response("GET").unwrap().status() == 200));
    until("all have ended", || (in_flight(&daemon) == 0.0).then_some(()));
    assert_eq!(quiet()[home], 20);
}

fn in_flight(daemon: &Daemon) -> f64 {
    daemon.metric("equipoise_backend_in_flight", &[("pool", "crm")])
}
