//! Backends that fail, with all that the daemon has against it: ejection, retries within the budget, slow
//! start. No checks.

use std::time::Duration;

use equipoise::balance::REGISTRY;
use equipoise::resilience::{Passive, Policy};
use equipoise::roster::Rules;
use equipoise::simulate::{Arrivals, FaultKind, Help, Ours, Report, Scenario, Server, Spread, run};

use crate::{faults, ours};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Everything as it is by default.
pub(crate) fn defaults() -> Help {
    let rules = Rules {
        slow_start: Duration::ZERO,
        panic_threshold: 0.0,
        passive: Some(Passive::default()),
        checked: false,
        loads: false,
    };
    Help { rules, retry: Policy::default(), budget: 0.2 }
}

fn scenario(per_second: f64, length: Duration, servers: Vec<Server>, help: Help) -> Scenario {
    Scenario {
        seed: 3,
        length,
        warm_up: Duration::ZERO,
        arrivals: Arrivals::Poisson { per_second },
        servers,
        patience: SECOND / 2,
        help: Some(help),
        queue: None,
    }
}

/// Ten requests at once, 10 ms each: 1,000 per second.
fn server() -> Server {
    Server { slots: 10, ..Server::new(Spread::Exponential(10 * MS)) }
}

/// It is out after five failures, for 10, 20 and 40 s; each trial fails without anybody's noticing.
#[test]
fn who_fails_fast_is_ejected_and_comes_back() {
    for algorithm in REGISTRY {
        let mut servers = vec![server(); 4];
        servers[1] = server().with(20 * SECOND, 80 * SECOND, FaultKind::FailsFast(MS));
        let help = defaults();
        let report = run(&scenario(400.0, 140 * SECOND, servers, help), &mut Ours::new(algorithm));
        let ill = report.counts(20 * SECOND..80 * SECOND)[1];
        let name = algorithm.name;
        // Those that were under way beside the fifth fail too.
        assert!((5..=10).contains(&report.failed) && ill <= 12, "{name}: {} failed, {ill}", report.failed);
        assert_eq!(report.ejections, 3, "{name}");
        let [(1, back)] = report.returns[..] else { panic!("{name}: {:?}", report.returns) };
        assert!((89 * SECOND..92 * SECOND).contains(&back), "{name}: {back:?}");
        let share = report.share(1, 100 * SECOND..140 * SECOND);
        assert!((share - 0.25).abs() < 0.025, "{name}: {share}");
    }
}

/// All four at once, in every way: what is sent to them is at most 1.2 times what was asked, in any 10 s.
#[test]
fn no_outage_makes_a_storm_of_retries() {
    let mut worst: f64 = 0.0;
    for (name, kind) in [
        ("refuses", FaultKind::Dead),
        ("fails in 1 ms", FaultKind::FailsFast(MS)),
        ("never answers", FaultKind::BlackHole),
    ] {
        for algorithm in REGISTRY {
            for seed in 0..5 {
                let servers = vec![server().with(20 * SECOND, 70 * SECOND, kind); 4];
                let mut help = defaults();
                (help.retry.on_timeout, help.retry.statuses) = (true, [500].into());
                let one = scenario(0.0, 100 * SECOND, servers, help);
                let arrivals = Arrivals::Bursts { size: 1, every: MS };
                let one = Scenario { seed, arrivals, ..one };
                let report = run(&one, &mut Ours::new(algorithm));
                let most = (0..90 * 4).map(|slice| tries_per_request(&report, slice * SECOND / 4));
                let most = most.fold(0.0, f64::max);
                worst = worst.max(most);
                assert!(most <= 1.2, "{name}, {}, seed {seed}: {most}", algorithm.name);
                let after = report.counts(90 * SECOND..100 * SECOND).iter().sum::<u64>();
                assert!(after.abs_diff(10_000) < 500, "{name}, {}: {after} after it", algorithm.name);
            }
        }
    }
    println!("at most {worst:.3} tries per request in any 10 s of an outage");
}

/// But for the first retry of each backend's first failure, which the budget does not charge: nobody knows yet
/// that the others refuse too.
fn tries_per_request(report: &Report, from: Duration) -> f64 {
    let tries: u64 = report.counts(from..from + 10 * SECOND).iter().sum();
    tries.saturating_sub(4) as f64 / report.asked(from..from + 10 * SECOND).max(1) as f64
}

/// How much of its share a backend has that is coming up.
fn ramp(since: Duration, slow_start: Duration) -> f64 {
    (since.as_secs_f64() / slow_start.as_secs_f64()).clamp(0.01, 1.0)
}

#[test]
fn who_comes_back_gets_no_more_than_its_growing_share() {
    let slow_start = 20 * SECOND;
    for algorithm in REGISTRY {
        let mut servers = vec![server(); 4];
        servers[1] = server().with(20 * SECOND, 25 * SECOND, FaultKind::FailsFast(MS));
        let mut help = defaults();
        help.rules.slow_start = slow_start;
        let report = run(&scenario(2_000.0, 80 * SECOND, servers, help), &mut Ours::new(algorithm));
        let name = algorithm.name;
        let [(1, back)] = report.returns[..] else { panic!("{name}: {:?}", report.returns) };
        let (mut got, mut fair) = (0.0, 0.0);
        let first = (back.as_millis() / 250 + 1) as u32; // the first whole slice
        for slice in first..first + 80 {
            let from = SECOND / 4 * slice;
            let (began, ended) = (from - back, from + SECOND / 4 - back);
            got += report.counts(from..from + SECOND / 4)[1] as f64;
            let share = (ramp(began, slow_start) + ramp(ended, slow_start)) / 2.0;
            fair += report.asked(from..from + SECOND / 4) as f64 * share / (3.0 + share);
            // What chance adds, and a slice's rounding; the keys of the hashes are in slots of uneven shares.
            let allowed = fair * 1.05 + 4.0 * f64::sqrt(fair) + 10.0;
            assert!(got <= allowed, "{name}, {ended:?} after it came back: {got}, fair is {fair:.0}");
        }
        println!("{name}: {got} while it came up, fair is {fair:.0}");
        let share = report.share(1, 60 * SECOND..80 * SECOND);
        assert!((share - 0.25).abs() < 0.025, "{name}: {share}");
    }
}

/// All are out, and one comes back: everybody wants it. Its limit grows, and it never has more than that.
#[test]
fn one_that_comes_back_after_an_outage_of_all_is_protected_by_its_growing_limit() {
    let slow_start = 20 * SECOND;
    let outage = |until: Duration| Server { limit: 10, ..server() }.with(20 * SECOND, until, FaultKind::Dead);
    for algorithm in REGISTRY {
        let mut servers = vec![outage(100 * SECOND); 4];
        servers[2] = outage(40 * SECOND);
        let mut help = defaults();
        help.rules.slow_start = slow_start;
        help.rules.passive.as_mut().unwrap().eject_for = SECOND;
        help.rules.passive.as_mut().unwrap().max_ejected = 1.0;
        let report = run(&scenario(1_000.0, 90 * SECOND, servers, help), &mut Ours::new(algorithm));
        let name = algorithm.name;
        let Some((2, back)) = report.returns.first().copied() else { panic!("{name}: {:?}", report.returns) };
        let second = |from: Duration| report.counts(from..from + SECOND)[2] as f64;
        for after in 1..20 {
            let from = Duration::from_secs(back.as_secs() + after);
            // A tenth of its limit of 10 for each 2 s; 100 requests per second for each one in flight.
            let allowed = (10.0 * ramp(from + SECOND - back, slow_start)).floor().max(1.0) * 100.0;
            let got = second(from);
            assert!(got <= allowed * 1.3 + 10.0, "{name}, {after} s after: {got}, allowed are {allowed}");
        }
        let whole = second(Duration::from_secs(back.as_secs() + 25));
        assert!(whole > 600.0, "{name}: {whole} of 1,000");
    }
}

/// Share, p99 and failed requests with everything as by default; for the page.
#[test]
fn faults_with_help() {
    let names = ["round-robin", "power-of-two", "least-connections", "least-response-time"];
    let mut table = format!("| one of four | {} |\n| --- | --- | --- | --- | --- |\n", names.join(" | "));
    for (name, kind) in faults::FAULTS {
        let reports = names.map(|name| faults::play(kind, &mut *ours(name), Some(defaults())));
        let cells = reports.each_ref().map(faults::cell).join(" | ");
        table.push_str(&format!("| {name} | {cells} |\n"));
        let hard = matches!(kind, FaultKind::FailsFast(_) | FaultKind::Dead);
        for report in reports.iter().filter(|_| hard) {
            assert!(faults::share(report) < 0.005, "{name}\n{table}");
        }
    }
    println!("{table}");
    crate::assert_on_the_page(&table);
}
