//! The experiments: each puts one law to the proof and gives back what was measured.

use std::time::Duration;

use equipoise::simulate::{Arrivals, Chooser, FaultKind, Scenario, Server, Spread, run};

use crate::peers::Oracle;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Each law is tried with these seeds, and the worst of them counts.
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

/// One law.
pub(crate) struct Law {
    /// Its number: what is measured in two ways is still one law.
    pub(crate) number: u8,
    /// What is measured.
    pub(crate) name: &'static str,
    /// What must hold of it, in words.
    pub(crate) bound: &'static str,
    /// How it is shown.
    pub(crate) unit: Unit,
    /// Whether it holds.
    pub(crate) holds: fn(f64) -> bool,
    /// The measurement, with one seed.
    measure: fn(u64, &mut dyn Chooser) -> f64,
    /// The worse of two.
    worse: fn(f64, f64) -> f64,
}

/// How a measurement is shown.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// 0.01 is 1 %.
    Percent,
    /// Multiples of something.
    Times,
}

impl Law {
    /// The worst measurement of all seeds; each has a chooser of its own.
    pub(crate) fn worst(&self, chooser: fn() -> Box<dyn Chooser>) -> f64 {
        let measured = SEEDS.map(|seed| (self.measure)(seed, &mut *chooser()));
        measured.into_iter().reduce(self.worse).unwrap()
    }
}

/// A law of which less is better.
const fn at_most(
    number: u8,
    name: &'static str,
    bound: &'static str,
    unit: Unit,
    holds: fn(f64) -> bool,
    measure: fn(u64, &mut dyn Chooser) -> f64,
) -> Law {
    Law { number, name, bound, unit, holds, measure, worse: f64::max }
}

/// Every law, in the order of the table.
pub(crate) const LAWS: &[Law] = &[
    at_most(
        1,
        "fails in 1 ms: its share of four",
        "≤ 5 %",
        Unit::Percent,
        |it| it <= 0.05,
        |seed, chooser| fails_fast(seed, 240.0, chooser),
    ),
    at_most(
        1,
        "the same under little load",
        "≤ 5 %",
        Unit::Percent,
        |it| it <= 0.05,
        |seed, chooser| fails_fast(seed, 60.0, chooser),
    ),
    at_most(
        2,
        "joins: share in its first second ÷ fair",
        "≤ 2",
        Unit::Times,
        |it| it <= 2.0,
        |seed, it| joins(seed, 1.0, it),
    ),
    at_most(
        2,
        "joins with cold caches: the same",
        "≤ 2",
        Unit::Times,
        |it| it <= 2.0,
        |seed, it| joins(seed, 30.0, it),
    ),
    Law {
        number: 3,
        name: "one pause of 5 s: share 25–30 s after it ÷ fair",
        bound: "≥ 0.5",
        unit: Unit::Times,
        holds: |it| it >= 0.5,
        measure: |seed, it| after(seed, 5 * SECOND, FaultKind::Paused, it),
        worse: f64::min,
    },
    Law {
        number: 3,
        name: "a few answers of 5 s: share 25–30 s after it ÷ fair",
        bound: "≥ 0.5",
        unit: Unit::Times,
        holds: |it| it >= 0.5,
        // The few that begin within these 40 ms take 500 times as long.
        measure: |seed, it| after(seed, 40 * MS, FaultKind::Slow(500.0), it),
        worse: f64::min,
    },
    Law {
        number: 3,
        name: "10 × slower for 20 s: share 25–30 s after it ÷ fair",
        bound: "≥ 0.5",
        unit: Unit::Times,
        holds: |it| it >= 0.5,
        measure: |seed, it| after(seed, 20 * SECOND, FaultKind::Slow(10.0), it),
        worse: f64::min,
    },
    at_most(
        4,
        "four equals, load 0.3: farthest from fair",
        "≤ 10 %",
        Unit::Percent,
        |it| it <= 0.1,
        |seed, it| equals(seed, 0.3, 4, it),
    ),
    at_most(
        5,
        "four equals, load 0.9: farthest from fair",
        "≤ 10 %",
        Unit::Percent,
        |it| it <= 0.1,
        |seed, it| equals(seed, 0.9, 4, it),
    ),
    at_most(6, "one of four 10 × slower: p99 ÷ oracle's", "≤ 1.3", Unit::Times, |it| it <= 1.3, one_slow),
];

/// Poisson arrivals, 40 s of warm-up, and 10 s of patience.
fn scenario(seed: u64, per_second: f64, length: Duration, servers: Vec<Server>) -> Scenario {
    Scenario {
        seed,
        length,
        warm_up: 40 * SECOND,
        arrivals: Arrivals::Poisson { per_second },
        servers,
        patience: 10 * SECOND,
        help: None,
        queue: None,
    }
}

/// Exponentially distributed around 10 ms: 100 requests per second at most.
fn server() -> Server {
    Server::new(Spread::Exponential(10 * MS))
}

fn fails_fast(seed: u64, per_second: f64, chooser: &mut dyn Chooser) -> f64 {
    let mut servers = vec![server(); 4];
    servers[1] = server().with(20 * SECOND, 80 * SECOND, FaultKind::FailsFast(MS));
    let report = run(&scenario(seed, per_second, 80 * SECOND, servers), chooser);
    report.share(1, 20 * SECOND..80 * SECOND)
}

fn joins(seed: u64, cold: f64, chooser: &mut dyn Chooser) -> f64 {
    let mut servers = vec![server(); 4];
    // So many times as slow at first, well after 3 s.
    servers[2] = server().with(40 * SECOND, 43 * SECOND, FaultKind::Recovering(cold));
    servers[2].listed = 40 * SECOND..Duration::MAX;
    let report = run(&scenario(seed, 240.0, 60 * SECOND, servers), chooser);
    report.share(2, 40 * SECOND..41 * SECOND) * 4.0
}

/// The share of one from 25 s to 30 s after it was at fault, under little load: nobody must go to it for want
/// of others.
fn after(seed: u64, lasting: Duration, kind: FaultKind, chooser: &mut dyn Chooser) -> f64 {
    let (begin, end) = (40 * SECOND, 40 * SECOND + lasting);
    let mut servers = vec![server(); 4];
    servers[3] = server().with(begin, end, kind);
    let report = run(&scenario(seed, 120.0, end + 40 * SECOND, servers), chooser);
    report.share(3, end + 25 * SECOND..end + 30 * SECOND) * 4.0
}

/// The farthest from fair in any window of 1,000 requests each.
fn equals(seed: u64, load: f64, count: usize, chooser: &mut dyn Chooser) -> f64 {
    let per_second = load * 100.0 * count as f64;
    let window = Duration::from_secs_f64((1_000.0 * count as f64 / per_second).ceil());
    let report = run(&scenario(seed, per_second, 40 * SECOND + window * 10, vec![server(); count]), chooser);
    (0..10)
        .map(|number| 40 * SECOND + window * number)
        .map(|from| report.imbalance(from..from + window))
        .fold(0.0, f64::max)
}

/// Capacities are 100, 100, 100 and 10 per second.
fn one_slow(seed: u64, chooser: &mut dyn Chooser) -> f64 {
    let mut servers = vec![server(); 3];
    servers.push(Server::new(Spread::Exponential(100 * MS)));
    let one = scenario(seed, 0.6 * 310.0, 400 * SECOND, servers);
    let best = run(&one, &mut Oracle::default()).took.quantile(0.99);
    run(&one, chooser).took.quantile(0.99).as_secs_f64() / best.as_secs_f64()
}
