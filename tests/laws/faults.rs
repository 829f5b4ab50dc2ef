//! What each kind of fault in one of four servers does to the pool, with nothing but the balancer to help,
//! and with what the daemon has beside it.

use std::time::Duration;

use equipoise::simulate::{Arrivals, Chooser, FaultKind, Help, Report, Scenario, Server, Spread, run};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The fault begins after the warm-up, and what is shown is of the minute that it lasts.
const BEGIN: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(80);

/// Every fault, with its name in the table.
pub(crate) const FAULTS: [(&str, FaultKind); 6] = [
    ("10 × slower", FaultKind::Slow(10.0)),
    ("recovers, 10 × slower at first", FaultKind::Recovering(10.0)),
    ("fails in 1 ms", FaultKind::FailsFast(MS)),
    ("refuses", FaultKind::Dead),
    ("never answers", FaultKind::BlackHole),
    ("stops for the minute, then goes on", FaultKind::Paused),
];

/// Four servers of 10 ms (log-normal, as real ones are), at 0.6 of what three of them can do.
pub(crate) fn play(kind: FaultKind, chooser: &mut dyn Chooser, help: Option<Help>) -> Report {
    let server = Server::new(Spread::LogNormal { median: 8 * MS, sigma: 0.67 });
    let mut servers = vec![server.clone(); 4];
    servers[2] = server.with(BEGIN, END, kind);
    let scenario = Scenario {
        seed: 6,
        length: END,
        warm_up: BEGIN,
        arrivals: Arrivals::Poisson { per_second: 180.0 },
        servers,
        patience: 10 * SECOND,
        help,
        queue: None,
    };
    run(&scenario, chooser)
}

/// The share of the one that is at fault.
pub(crate) fn share(report: &Report) -> f64 {
    report.share(2, BEGIN..END)
}

/// Share, p99 and failed requests.
pub(crate) fn cell(report: &Report) -> String {
    let p99 = report.took.quantile(0.99);
    let failed = report.failed as f64 / report.took.count().max(1) as f64;
    let p99 = match p99 {
        _ if p99 < SECOND => format!("{} ms", p99.as_millis()),
        _ => format!("{:.1} s", p99.as_secs_f64()),
    };
    format!("{:.1} %, {p99}, {:.1} %", share(report) * 100.0, failed * 100.0)
}
