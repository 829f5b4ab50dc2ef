//! The laws of balancing, in the simulator, for our algorithms and for the published rules of others.
//!
//! The tables in docs/balancing.md are these tests': `cargo test --test laws -- --nocapture` prints them, and
//! where they differ from what the page says, the tests fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "laws/adaptive.rs"]
mod adaptive;
#[path = "laws/bounded.rs"]
mod bounded;
#[path = "laws/faults.rs"]
mod faults;
#[path = "laws/outages.rs"]
mod outages;
#[path = "laws/peers.rs"]
mod peers;
#[path = "laws/plot.rs"]
mod plot;
#[path = "laws/trials.rs"]
mod trials;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use equipoise::balance;
use equipoise::simulate::{Arrivals, Chooser, FaultKind, Ours, Report, Scenario, Server, Spread, run};
use peers::{Nginx, Traefik};
use trials::{LAWS, Law, Unit};

/// A chooser that has seen nothing yet, under its name.
type Rival = (&'static str, fn() -> Box<dyn Chooser>);

/// Who is tried, in the order of the table's columns.
const TRIED: [Rival; 4] = [
    ("least-response-time", || ours("least-response-time")),
    ("least-connections", || ours("least-connections")),
    ("nginx least_time", || Box::new(Nginx::default())),
    ("Traefik leasttime", || Box::new(Traefik::default())),
];

/// Who is shown in the tables and pictures of faults; the last two are peers.
const RIVALS: [Rival; 6] = [
    ("round-robin", || ours("round-robin")),
    ("power-of-two", || ours("power-of-two")),
    TRIED[1],
    TRIED[0],
    TRIED[2],
    TRIED[3],
];

fn ours(name: &str) -> Box<dyn Chooser> {
    Box::new(Ours::new(balance::find(name).unwrap()))
}

#[test]
fn laws() {
    let measured: Vec<[f64; 4]> =
        LAWS.iter().map(|law| TRIED.map(|(_, chooser)| law.worst(chooser))).collect();
    let table = table(&measured);
    println!("{table}");
    let broken = |column: usize| {
        let broken = LAWS.iter().zip(&measured).filter(|(law, row)| !(law.holds)(row[column]));
        broken.map(|(law, _)| law.number).collect::<BTreeSet<u8>>()
    };
    assert!(broken(0).is_empty(), "least-response-time\n{table}");
    assert!(broken(2).len() >= 3, "nginx's rule\n{table}");
    assert!(broken(3).len() >= 3, "Traefik's rule\n{table}");
    // least-connections promises a fair share to one that fails at once, and not less; chance adds its own.
    assert!(measured[..2].iter().all(|row| row[1] <= 0.25 * 1.1), "least-connections\n{table}");
    assert_on_the_page(&table);
}

#[test]
fn faults_without_help() {
    let rivals = RIVALS;
    let mut table = format!("| one of four | {} |\n", rivals.map(|(name, _)| name).join(" | "));
    table.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for (name, kind) in faults::FAULTS {
        let reports = rivals.map(|(_, chooser)| faults::play(kind, &mut *chooser(), None));
        let cells = reports.each_ref().map(faults::cell).join(" | ");
        table.push_str(&format!("| {name} | {cells} |\n"));
        let least_response_time = faults::share(&reports[3]);
        assert!(least_response_time <= 0.05 || name.starts_with("recovers"), "{name}\n{table}");
    }
    println!("{table}");
    assert_on_the_page(&table);
}

#[test]
fn pictures_of_faults() {
    for (file, title, kind) in [
        ("balancing-slow.svg", "One of four servers is ten times slower", FaultKind::Slow(10.0)),
        (
            "balancing-fails.svg",
            "One of four servers fails in 1 ms",
            FaultKind::FailsFast(Duration::from_millis(1)),
        ),
    ] {
        let curves = RIVALS.map(|(name, chooser)| plot::play(name, kind, &mut *chooser()));
        plot::assert_drawn(file, &plot::draw(title, &curves));
    }
}

#[test]
fn a_bound_holds_and_keys_come_back_when_the_load_falls() {
    let mut table =
        String::from("| `hash_balance_factor` | hot key at its backend, busy | and after | p99 | failed |\n");
    table.push_str("| --- | --- | --- | --- | --- |\n");
    for factor in [None, Some(2.0), Some(1.25), Some(1.0)] {
        let mut hashing = bounded::Hashing::new(factor);
        let report = bounded::play(&mut hashing);
        let name = factor.map_or_else(|| "none".to_owned(), |factor| format!("{factor:.2}"));
        let [busy, after] = hashing.at_owner().map(|share| share * 100.0);
        let failed = report.failed as f64 / report.took.count() as f64 * 100.0;
        let p99 = report.took.quantile(0.99).as_millis();
        table.push_str(&format!("| {name} | {busy:.1} % | {after:.1} % | {p99} ms | {failed:.1} % |\n"));
        assert_eq!(hashing.above, 0, "{name}: above the bound");
        assert_eq!(factor.is_none(), failed > 1.0, "{name}: without a bound one is buried\n{table}");
        assert!(factor.is_none() || (busy < 75.0 && after > 90.0), "{name}\n{table}");
    }
    println!("{table}");
    assert_on_the_page(&table);
}

#[test]
fn a_thousand_servers_share_evenly() {
    for name in ["least-response-time", "least-connections", "power-of-two"] {
        let report = thousand(name, 300_000);
        assert!(report.sent.abs_diff(300_000) < 3_000, "{name}");
        // 300 each: chance alone would spread the farthest of them by some 18 %.
        let (imbalance, p99) = (report.imbalance(Duration::ZERO..Duration::MAX), report.took.quantile(0.99));
        assert!(imbalance < 0.2 && p99 < Duration::from_millis(80), "{name} {imbalance} {p99:?}");
    }
}

#[test]
#[ignore = "for a release build: cargo test --release --test laws -- --ignored --nocapture"]
fn ten_million_requests_in_less_than_a_minute() {
    let began = Instant::now();
    let report = thousand("least-response-time", 10_000_000);
    let took = began.elapsed();
    println!("{} requests in {took:?}", report.sent);
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(report.imbalance(Duration::ZERO..Duration::MAX) < 0.1);
}

/// 1,000 servers of 10 ms under 0.6 of their load.
fn thousand(name: &str, requests: u64) -> Report {
    let scenario = Scenario {
        seed: 4,
        length: Duration::from_secs_f64(requests as f64 / 60_000.0),
        warm_up: Duration::ZERO,
        arrivals: Arrivals::Poisson { per_second: 60_000.0 },
        servers: vec![Server::new(Spread::Exponential(Duration::from_millis(10))); 1_000],
        patience: Duration::from_secs(10),
        help: None,
        queue: None,
    };
    run(&scenario, &mut *ours(name))
}

fn assert_on_the_page(table: &str) {
    let page = include_str!("../docs/balancing.md");
    assert!(page.contains(table), "docs/balancing.md does not hold this table:\n{table}");
}

/// Markdown; what breaks its law stands in bold.
fn table(measured: &[[f64; 4]]) -> String {
    let mut table = format!("| law | bound | {} |\n", TRIED.map(|(name, _)| name).join(" | "));
    table.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (law, row) in LAWS.iter().zip(measured) {
        let cells = row.map(|value| cell(law, value)).join(" | ");
        table.push_str(&format!("| {} | {} | {cells} |\n", law.name, law.bound));
    }
    table
}

fn cell(law: &Law, value: f64) -> String {
    let shown = match law.unit {
        Unit::Percent => format!("{:.1} %", value * 100.0),
        Unit::Times => format!("{value:.2}"),
    };
    if (law.holds)(value) { shown } else { format!("**{shown}**") }
}
