//! A limit that is found while a server runs, beside those that somebody who knew its knee would have set.

use std::time::Duration;

use equipoise::backend::ADAPTIVE;
use equipoise::simulate::{Arrivals, FaultKind, Report, Scenario, Server, Spread, run};

use super::{assert_on_the_page, ours};

const SERVICE: Duration = Duration::from_millis(10);
const LENGTH: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(5);

/// Limits that are tried to find the best.
const FIXED: [u32; 10] = [4, 6, 8, 12, 16, 24, 32, 64, 128, 256];

/// A server that works on so many requests at once, under `load` times what it can do; the others are refused.
fn play(knee: usize, limit: u32, load: f64, slow: Option<f64>, seed: u64) -> Report {
    let mut server = Server::new(Spread::Exponential(SERVICE));
    (server.slots, server.limit) = (knee, limit);
    if let Some(times) = slow {
        server = server.with(SLOW_FROM, SLOW_UNTIL, FaultKind::Slow(times));
    }
    let scenario = Scenario {
        seed,
        length: LENGTH,
        warm_up: WARM_UP,
        arrivals: Arrivals::Poisson { per_second: load * knee as f64 / SERVICE.as_secs_f64() },
        servers: vec![server],
        patience: Duration::from_secs(1),
        help: None,
        queue: None,
    };
    run(&scenario, &mut *ours("round-robin"))
}

const SLOW_FROM: Duration = Duration::from_secs(20);
const SLOW_UNTIL: Duration = Duration::from_secs(40);

/// Good answers a second.
fn goodput(report: &Report) -> f64 {
    (report.sent - report.failed) as f64 / LENGTH.as_secs_f64()
}

/// Of the limits that serve as much as any does, to within a hundredth, the one with the least p99.
fn best(knee: usize, seed: u64) -> (u32, Report) {
    let all: Vec<(u32, Report)> =
        FIXED.iter().map(|limit| (*limit, play(knee, *limit, 1.5, None, seed))).collect();
    let most = all.iter().map(|(_, report)| goodput(report)).fold(0.0, f64::max);
    let good = all.into_iter().filter(|(_, report)| goodput(report) >= 0.99 * most);
    good.min_by_key(|(_, report)| report.took.quantile(0.99)).unwrap()
}

fn cell(report: &Report) -> String {
    format!("{:.0}/s, {:.0} ms", goodput(report), report.took.quantile(0.99).as_secs_f64() * 1e3)
}

#[test]
fn it_serves_what_the_best_limit_does_and_as_fast() {
    let mut table = String::from("| works on | best fixed limit | with it | adaptive | without a limit |\n");
    table.push_str("| --- | --- | --- | --- | --- |\n");
    for knee in [4, 8, 16, 32] {
        let (limit, known) = best(knee, 1);
        let (found, none) = (play(knee, ADAPTIVE, 1.5, None, 1), play(knee, 0, 1.5, None, 1));
        table.push_str(&format!(
            "| {knee} at once | {limit} | {} | {} | {} |\n",
            cell(&known),
            cell(&found),
            cell(&none)
        ));
        assert!(goodput(&found) >= 0.9 * goodput(&known), "{table}");
        assert!(found.took.quantile(0.99) <= 2 * known.took.quantile(0.99), "{table}");
    }
    println!("{table}");
    assert_on_the_page(&table);
}

/// Whatever the seed: what it finds is no accident of one.
#[test]
fn it_does_so_every_time() {
    for seed in 2..7 {
        // The best of the table above.
        let (known, found) = (play(16, 32, 1.5, None, seed), play(16, ADAPTIVE, 1.5, None, seed));
        assert!(goodput(&found) >= 0.9 * goodput(&known), "{seed}: {} {}", cell(&found), cell(&known));
        assert!(found.took.quantile(0.99) <= 2 * known.took.quantile(0.99), "{seed}");
    }
}

/// Everything takes three times as long for twenty seconds: that is no overload, and lowering the limit is no cure.
#[test]
fn times_that_grow_for_all_requests_make_it_serve_no_less() {
    for seed in 1..6 {
        let (found, known) = (play(16, ADAPTIVE, 1.5, Some(3.0), seed), play(16, 24, 1.5, Some(3.0), seed));
        let within = |report: &Report, from: u64, until: u64| {
            report.counts(Duration::from_secs(from)..Duration::from_secs(until))[0] as f64
        };
        for (what, from, until) in [("slow", 23, 40), ("well again", 42, 60)] {
            let (found, known) = (within(&found, from, until), within(&known, from, until));
            assert!(found >= 0.9 * known, "{seed} {what}: {found} of {known}");
        }
    }
}

/// Where there is no overload nobody is refused but by chance.
#[test]
fn with_little_load_it_is_in_nobodys_way() {
    for seed in 1..4 {
        let report = play(16, ADAPTIVE, 0.5, None, seed);
        let refused = report.refused as f64 / (report.refused + report.sent) as f64;
        assert!(refused < 0.005, "{seed}: {refused}");
    }
}
