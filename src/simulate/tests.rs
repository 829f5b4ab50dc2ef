//! The simulator against what queueing theory says.

use super::*;
use crate::balance;
use crate::resilience::{Passive, Policy};
use crate::roster::Rules;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn scenario(servers: Vec<Server>, per_second: f64) -> Scenario {
    Scenario {
        seed: 7,
        length: 500 * SECOND,
        warm_up: SECOND,
        arrivals: Arrivals::Poisson { per_second },
        servers,
        patience: 30 * SECOND,
        help: None,
        queue: None,
    }
}

fn played(scenario: &Scenario, name: &str) -> Report {
    run(scenario, &mut Ours::new(balance::find(name).unwrap()))
}

fn passive() -> Passive {
    Passive { eject_for: SECOND, ..Passive::default() }
}

#[track_caller]
fn assert_close(is: Duration, should: Duration) {
    assert!(is.abs_diff(should) < should / 20, "{is:?} should be {should:?}");
}

#[test]
fn one_seed_is_one_run() {
    let servers = || vec![Server::new(Spread::LogNormal { median: 5 * MS, sigma: 1.0 }); 3];
    let mut one = scenario(servers(), 200.0);
    one.length = 20 * SECOND;
    for algorithm in balance::REGISTRY {
        let first = played(&one, algorithm.name);
        assert_eq!(first, played(&one, algorithm.name), "{}", algorithm.name);
        assert!(first.sent > 3_000);
    }
    // With everything that helps at work, too.
    let mut ill = one.clone();
    ill.servers[1] = ill.servers[1].clone().with(5 * SECOND, 8 * SECOND, FaultKind::Dead);
    let rules = Rules {
        slow_start: 5 * SECOND,
        panic_threshold: 0.0,
        passive: Some(passive()),
        checked: false,
        loads: false,
    };
    ill.help = Some(Help { rules, retry: Policy::default(), budget: 0.2 });
    let first = played(&ill, "random");
    assert_eq!(first, played(&ill, "random"));
    assert_eq!((first.failed, first.ejections, first.returns.len()), (0, 2, 1));
    let other = Scenario { seed: 8, ..one.clone() };
    assert_ne!(played(&one, "random"), played(&other, "random"));
}

/// Pollaczek and Khinchine: mean time = s + λ s² (1 + c²) / 2 (1 − ρ), c the coefficient of variation.
#[test]
fn queues_wait_as_long_as_theory_says() {
    let (mean, load) = (10 * MS, 0.7);
    for (spread, variation) in [
        (Spread::Exponential(mean), 1.0),
        (Spread::Constant(mean), 0.0),
        (Spread::Bimodal { short: 5 * MS, long: 55 * MS, share: 0.1 }, 2.25),
    ] {
        assert_close(spread.mean(), mean);
        let report = played(&scenario(vec![Server::new(spread)], load * 100.0), "round-robin");
        let waits = load * (1.0 + variation) / 2.0 / (1.0 - load);
        assert_close(report.took.mean(), mean.mul_f64(1.0 + waits));
    }
}

/// Erlang's formula for two places of work: mean time = s / (1 − ρ²).
#[test]
fn two_places_of_work_share_one_queue() {
    let mut server = Server::new(Spread::Exponential(10 * MS));
    server.slots = 2;
    let report = played(&scenario(vec![server], 140.0), "round-robin");
    assert_close(report.took.mean(), (10 * MS).div_f64(1.0 - 0.49));
}

/// Little's law: clients = rate × (think + time).
#[test]
fn closed_clients_obey_littles_law() {
    let mut closed = scenario(vec![Server::new(Spread::Exponential(10 * MS)); 2], 0.0);
    closed.arrivals = Arrivals::Closed { clients: 10, think: 50 * MS };
    let report = played(&closed, "least-connections");
    let rate = report.sent as f64 / 500.0;
    assert_close((50 * MS + report.took.mean()).mul_f64(rate), 10 * SECOND);
}

#[test]
fn bursts_come_whole() {
    let mut bursts = scenario(vec![Server::new(Spread::Constant(10 * MS)); 5], 0.0);
    bursts.arrivals = Arrivals::Bursts { size: 20, every: SECOND };
    bursts.length = 10 * SECOND + MS;
    let report = played(&bursts, "round-robin");
    assert_eq!(report.sent, 200);
    assert_eq!(report.counts(Duration::ZERO..SECOND * 11), [40; 5]);
    // Four rounds on each server: 10, 20, 30 and 40 ms.
    assert_close(report.took.quantile(1.0), 40 * MS);
    assert_close(report.took.mean(), 25 * MS);
}

#[test]
fn faults_hold_for_their_time() {
    let half = |kind| {
        let server = Server::new(Spread::Constant(10 * MS)).with(5 * SECOND, 10 * SECOND, kind);
        let mut one = scenario(vec![server], 20.0);
        (one.length, one.warm_up, one.patience) = (15 * SECOND, Duration::ZERO, 2 * SECOND);
        played(&one, "round-robin")
    };
    let about_a_third = |count: u64, of: u64| count * 10 > of * 2 && count * 10 < of * 5;
    let dead = half(FaultKind::Dead);
    assert!(about_a_third(dead.failed, dead.sent) && dead.took.quantile(0.2) < MS);
    let failing = half(FaultKind::FailsFast(MS));
    assert!(about_a_third(failing.failed, failing.sent) && failing.took.quantile(0.2) < 2 * MS);
    let hole = half(FaultKind::BlackHole);
    assert!(about_a_third(hole.failed, hole.sent));
    assert_close(hole.took.quantile(1.0), 2 * SECOND);
    let slow = half(FaultKind::Slow(4.0));
    let recovering = half(FaultKind::Recovering(4.0));
    assert_eq!((slow.failed, recovering.failed), (0, 0));
    assert!(slow.took.mean() > recovering.took.mean() && recovering.took.mean() > 11 * MS);
    let paused = half(FaultKind::Paused);
    // Those of the first three seconds are given up, and worked on nevertheless.
    assert!(paused.failed > 30 && paused.took.quantile(1.0) <= 2 * SECOND + 20 * MS);
}

#[test]
fn a_full_pool_refuses_and_a_list_changes() {
    let mut server = Server::new(Spread::Constant(100 * MS));
    server.limit = 2;
    let mut late = server.clone();
    late.listed = 5 * SECOND..10 * SECOND;
    let mut full = scenario(vec![server, late], 0.0);
    full.arrivals = Arrivals::Closed { clients: 6, think: MS };
    full.length = 15 * SECOND;
    let report = played(&full, "least-connections");
    assert!(report.refused > 100);
    assert_eq!(report.counts(Duration::ZERO..5 * SECOND)[1], 0);
    assert!((report.share(1, 5 * SECOND..10 * SECOND) - 0.5).abs() < 0.1);
    assert_eq!(report.counts(10 * SECOND..15 * SECOND)[1], 0);
}

/// 200 clients before ten places at each of three servers, or of one: N s / c - s.
#[test]
fn a_closed_load_waits_as_long_as_littles_law_says() {
    for (servers, wait) in [(3, 113 * MS + MS / 3), (1, 380 * MS)] {
        let server = Server { slots: 10, limit: 10, ..Server::new(Spread::Constant(20 * MS)) };
        let mut one = scenario(vec![server; servers], 1.0);
        one.arrivals = Arrivals::Closed { clients: 200, think: Duration::ZERO };
        (one.length, one.warm_up) = (20 * SECOND, SECOND);
        one.queue = Some(Waiting { max: 1024, timeout: 5 * SECOND });
        let report = played(&one, "least-connections");
        assert_eq!((report.refused, report.failed), (0, 0));
        assert_close(report.waited.mean(), wait);
        assert!(report.waited.quantile(1.0) <= wait + 20 * MS, "nobody waits longer than others");
    }
}

/// Three servers of one place behind one queue are an M/M/3: Erlang's C gives the share that waits, and those wait for
/// 1 / (3 μ - λ) on average.
#[test]
fn requests_wait_as_erlang_says() {
    let server = Server { limit: 1, ..Server::new(Spread::Exponential(10 * MS)) };
    let mut one = scenario(vec![server; 3], 240.0);
    one.queue = Some(Waiting { max: 10_000, timeout: 30 * SECOND });
    let report = played(&one, "round-robin");
    let load: f64 = 2.4;
    let whole = load.powi(3) / 6.0 * 3.0 / (3.0 - load);
    let share = whole / (1.0 + load + load.powi(2) / 2.0 + whole);
    let waited = report.waited.count() as f64 / report.took.count() as f64;
    assert!((waited / share - 1.0).abs() < 0.05, "{waited} should be {share}");
    assert_close(report.waited.mean(), Duration::from_secs_f64(1.0 / 60.0));
    assert_eq!(report.refused, 0);
}
