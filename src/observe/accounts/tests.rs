//! The life of a backend on a virtual clock, over reloads, restarts and deaths.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::{
    Availability, BackendSeries, Journal, MethodLabel, Metrics, Objective, Outage, Outcome, PoolSeries,
    RouteAccount, RouteSeries, Tally,
};
use super::MAX_ABSENT;
use crate::backend::{Backend, Identity, State};

mod broken;
mod counts;

const PAGE: &str = include_str!("../../../docs/availability.md");

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The daemon's part: one backend, one pool, one route, and a journal that is written once a second.
struct Stage {
    now: Instant,
    wall: SystemTime,
    /// When this process began.
    born: Instant,
    file: Vec<u8>,
    process: Process,
}

struct Process {
    metrics: Arc<Metrics>,
    backend: Arc<Backend>,
    series: Arc<BackendSeries>,
    pool: Arc<PoolSeries>,
    route: Arc<RouteAccount>,
    requests: Arc<RouteSeries>,
}

fn backend(name: &str) -> Arc<Backend> {
    let address = "10.0.0.1:80".into();
    Backend::new(Identity { pool: "crm".into(), name: name.into(), address }, true)
}

fn objective() -> Objective {
    Objective { availability: Some(0.99), latency: None, window: Duration::from_secs(30 * 86_400) }
}

impl Process {
    /// As `control` does it at a start.
    fn start(metrics: Arc<Metrics>, now: Instant) -> Self {
        Self::start_with(metrics, backend("app1"), now)
    }

    fn start_with(metrics: Arc<Metrics>, backend: Arc<Backend>, now: Instant) -> Self {
        let series = metrics.backend(&backend, now);
        let (pool, requests) = (metrics.pool("crm"), metrics.route("web", "api"));
        let route = Arc::new(metrics.route_account(None, "api"));
        let process = Self { metrics, backend, series, pool, route, requests };
        process.enter(now);
        process
    }

    fn enter(&self, now: Instant) {
        let series = [Arc::clone(&self.requests)];
        self.pool.follow(&[&*self.route], &series, Some(objective()), now);
        self.route.follow(&series, None, now);
        self.metrics.hold(&[Arc::clone(&self.backend)], &["crm"], vec![Arc::clone(&self.route)], now);
        self.look(now);
    }

    fn look(&self, now: Instant) {
        self.series.note_condition(now);
        let up = self.backend.condition().is_up();
        self.pool.set_serving(up, if up { "a backend is usable" } else { "no backend is usable" }, now);
    }
}

impl Stage {
    fn new() -> Self {
        let (now, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let metrics = Metrics::new(1);
        metrics.tick(now, wall);
        let file = metrics.journal(now, wall, true);
        Self { now, wall, born: now, file, process: Process::start(metrics, now) }
    }

    /// Time passes; each whole second of the process's life is a tick.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let lived = self.now - self.born;
            let next = self.born + Duration::from_secs(lived.as_secs() + 1);
            let step = next.min(end) - self.now;
            self.now += step;
            self.wall += step;
            if self.now == next {
                self.process.metrics.tick(self.now, self.wall);
                self.file.extend(self.process.metrics.journal(self.now, self.wall, false));
            }
            if self.now == end {
                return;
            }
        }
    }

    /// What a probe found out.
    fn probed(&self, up: bool, reason: &str) {
        if up {
            self.process.series.release(self.now);
            self.process.pool.release(self.now);
        }
        self.process.backend.condition().set(up, reason, self.now);
        self.process.look(self.now);
    }

    fn requests(&self, code: u16, count: u64) {
        for _ in 0..count {
            self.process.series.outcome(0, Outcome::Code(code));
            self.process.requests.request(0, MethodLabel::Get, code, ms(5));
        }
    }

    /// The same configuration is loaded again.
    fn reload(&mut self) {
        let Process { metrics, backend, .. } = &self.process;
        let series = metrics.backend(backend, self.now);
        assert!(Arc::ptr_eq(&series, &self.process.series));
        self.process.enter(self.now);
    }

    /// The process stops as it should, or is killed; after `gap` another begins, whose wall clock reads `wall`.
    fn restart(&mut self, killed: bool, gap: Duration, wall: SystemTime) {
        if !killed {
            self.process.metrics.tick(self.now, self.wall);
            self.file = self.process.metrics.journal(self.now, self.wall, true);
        }
        (self.now, self.wall) = (self.now + gap, wall);
        self.born = self.now;
        let metrics = Metrics::new(1);
        metrics.restore(Journal::read(&self.file).unwrap(), self.now, self.wall);
        self.file = metrics.journal(self.now, self.wall, true);
        self.process = Process::start(metrics, self.now);
    }

    fn read(&self) -> Availability {
        self.process.series.availability(self.now)
    }

    fn outages(&self) -> Vec<Outage> {
        self.process.series.outages(self.now)
    }
}

/// The worked example of docs/availability.md.
#[test]
fn a_life_over_a_reload_a_restart_and_a_death() {
    let mut stage = Stage::new();
    stage.probed(true, "check passed");
    stage.requests(200, 80);
    stage.pass(ms(60_000));
    stage.probed(false, "status 503");
    stage.requests(502, 12);
    stage.pass(ms(7_000));
    stage.probed(true, "check passed");
    stage.pass(ms(13_000));
    stage.reload();
    stage.pass(ms(20_000));
    stage.probed(false, "connect refused");
    stage.pass(ms(5_250));
    stage.probed(true, "check passed");
    stage.pass(ms(10_000));

    // An hour of standstill, after which the wall clock is two hours behind.
    let before = stage.read();
    stage.restart(false, Duration::from_secs(3600), stage.wall - Duration::from_secs(7200));
    assert_eq!(stage.read().uptime, before.uptime, "our own stopped time is neither");
    stage.requests(200, 20);
    stage.pass(ms(20_000));
    stage.probed(false, "timeout after 1s");
    stage.requests(504, 8);
    stage.pass(ms(4_400));

    // Killed 0.4 s after the last tick: this much is lost. It comes back while the backend is still down.
    stage.restart(true, Duration::from_secs(90), stage.wall + Duration::from_secs(90));
    assert!(!stage.read().up, "what nobody has looked at yet is no repair");
    stage.pass(ms(500));
    stage.probed(true, "check passed");
    stage.pass(ms(30_000));

    let read = stage.read();
    assert_eq!((read.uptime, read.downtime), (ms(153_000), ms(16_750)));
    assert_eq!(read.failures, 3);
    assert_eq!((read.mtbf, read.mttr), (Some(ms(51_000)), Some(Duration::from_nanos(5_583_333_333))));
    assert!((read.availability - 153.0 / 169.75).abs() < 1e-12);
    assert_eq!(stage.process.pool.availability(stage.now).unwrap().downtime, ms(16_750));
    assert_eq!(stage.process.route.account().availability(stage.now).unwrap().mttr, read.mttr);

    let outages = stage.outages();
    let told: Vec<_> = outages.iter().map(|o| (&*o.cause, o.lasted, o.failed_requests)).collect();
    let expected = [
        ("status 503", ms(7_000), 12),
        ("connect refused", ms(5_250), 0),
        ("timeout after 1s", ms(4_500), 8),
    ];
    assert_eq!(told, expected);
    assert!(outages.iter().all(|outage| outage.end.unwrap() >= outage.begin));
    let tally = Tally { good: 100, failed: 20 };
    assert_eq!((stage.process.series.tally(), stage.process.pool.account().tally()), (tally, tally));
    the_page_says(&read, tally);
}

/// What the page computes is what comes out.
fn the_page_says(read: &Availability, tally: Tally) {
    let seconds = |time: Duration| format!("{}", time.as_secs_f64());
    for line in [
        format!("| uptime | 60 + 33 + 10 + 20 + 30 = {} s |", seconds(read.uptime)),
        format!("| downtime | 7 + 5.25 + 4.5 = {} s |", seconds(read.downtime)),
        format!("| failures | {} |", read.failures),
        format!("| availability | 153 / (153 + 16.75) = {:.6} |", read.availability),
        format!("| MTBF | 153 / 3 = {} s |", seconds(read.mtbf.unwrap())),
        format!("| MTTR | 16.75 / 3 = {:.3} s |", read.mttr.unwrap().as_secs_f64()),
        format!("| success ratio | 100 / (100 + 20) = {:.6} |", tally.success_ratio().unwrap()),
    ] {
        assert!(PAGE.contains(&line), "docs/availability.md lacks {line}");
    }
}

#[test]
fn an_outage_over_a_restart_is_one_outage_whatever_is_assumed_meanwhile() {
    let mut stage = Stage::new();
    stage.pass(ms(10_000));
    stage.probed(false, "status 503");
    stage.pass(ms(3_000));
    stage.restart(false, Duration::from_secs(60), stage.wall + Duration::from_secs(60));
    stage.pass(ms(700));
    stage.probed(false, "status 503");
    stage.pass(ms(300));
    let read = stage.read();
    assert_eq!((read.failures, read.mttr, read.downtime), (1, None, ms(4_000)));
    assert_eq!((read.for_time, stage.outages().len()), (ms(4_000), 1));
    assert_eq!(stage.process.pool.availability(stage.now).unwrap().failures, 1);
}

/// `health.initial = "down"`: whoever was up is held for down until a check passes. To restart the balancer, or to
/// bring a backend back, makes nobody fail.
#[test]
fn what_is_held_for_down_until_somebody_looks_has_not_failed() {
    let mut stage = Stage::new();
    stage.pass(ms(10_000));
    stage.process.metrics.tick(stage.now, stage.wall);
    let file = stage.process.metrics.journal(stage.now, stage.wall, true);
    let metrics = Metrics::new(1);
    metrics.restore(Journal::read(&file).unwrap(), stage.now, stage.wall);
    let identity = stage.process.backend.identity().clone();
    stage.process = Process::start_with(metrics, Backend::new(identity, false), stage.now);
    stage.pass(ms(500));
    stage.probed(true, "check passed");
    stage.pass(ms(9_500));

    let told = |read: Availability| (read.uptime, read.downtime, read.failures, read.mttr);
    let expected = (ms(19_500), ms(500), 0, None);
    assert_eq!(told(stage.read()), expected);
    assert_eq!(told(stage.process.pool.availability(stage.now).unwrap()), expected);
    assert_eq!(told(stage.process.route.account().availability(stage.now).unwrap()), expected);
    let outages = stage.outages();
    assert_eq!((outages.len(), outages[0].failure, &*outages[0].cause), (1, false, "not checked yet"));
    stage.probed(false, "status 503");
    assert_eq!(stage.read().failures, 1);
}

#[test]
fn an_ejection_is_an_outage_with_its_cause_and_a_ramp_is_none() {
    let mut stage = Stage::new();
    stage.probed(true, "check passed");
    stage.pass(ms(10_000));
    let show = |stage: &Stage, aside: Option<(State, &str)>| {
        let aside = aside.map(|(state, why)| (state, Arc::from(why)));
        stage.process.backend.condition().set_aside(aside);
        stage.process.series.note_condition(stage.now);
    };
    show(&stage, Some((State::Ejected, "5 failures in a row; for 10s")));
    stage.pass(ms(300));
    show(&stage, Some((State::SlowStart, "comes up: 1 % of its share")));
    stage.pass(ms(700));
    show(&stage, Some((State::Drain, "by an operator")));
    stage.pass(ms(5_000));
    show(&stage, None);
    let read = stage.read();
    assert_eq!((read.uptime, read.downtime, read.failures), (ms(10_700), ms(300), 1));
    assert_eq!((read.mttr, &*read.cause), (Some(ms(300)), "check passed"));
    let outages = stage.outages();
    let told: Vec<_> = outages.iter().map(|o| (&*o.cause, o.lasted)).collect();
    assert_eq!(told, [("5 failures in a row; for 10s", ms(300))]);
}

#[test]
fn what_left_rests_and_goes_on_when_it_comes_back() {
    let mut stage = Stage::new();
    stage.probed(true, "check passed");
    stage.requests(200, 5);
    stage.pass(ms(10_000));
    let (now, old) = (stage.now, Arc::clone(&stage.process.series));
    stage.process.backend.retire();
    stage.process.metrics.hold(&[], &["crm"], Vec::new(), now);
    stage.process.backend.condition().set(false, "too late", now);
    old.note_condition(now);
    stage.pass(ms(50_000));
    assert_eq!(old.availability(stage.now).uptime, ms(10_000));

    let again = backend("app1");
    stage.process.series = stage.process.metrics.backend(&again, stage.now);
    stage.process.backend = again;
    stage.reload();
    stage.requests(200, 2);
    stage.pass(ms(1_000));
    let read = stage.read();
    assert_eq!((read.uptime, read.downtime, read.failures), (ms(11_000), Duration::ZERO, 0));
    assert_eq!(stage.process.series.tally().good, 7);
}

#[test]
fn only_so_much_is_remembered_of_what_left() {
    let stage = Stage::new();
    let metrics = &stage.process.metrics;
    for n in 0..MAX_ABSENT + 10 {
        let now = stage.now + ms(n as u64);
        let one = backend(&format!("n{n}"));
        let _series = metrics.backend(&one, now);
        metrics.hold(&[one], &["crm"], Vec::new(), now);
    }
    let journal = |all| Journal::read(&metrics.journal(stage.now, stage.wall, all)).unwrap();
    // The pool, the last one, and as many as may be absent.
    assert_eq!(journal(true).accounts(), MAX_ABSENT + 2);
    // What is forgotten is told to those who go on with an older journal.
    let mut file = stage.file.clone();
    file.extend(metrics.journal(stage.now, stage.wall, false));
    assert!(Journal::read(&file).unwrap().accounts() <= MAX_ABSENT + 2);
}

#[test]
fn the_error_budget_goes_on_over_a_death_and_ages_meanwhile() {
    let mut stage = Stage::new();
    stage.requests(200, 90);
    stage.requests(503, 10);
    stage.pass(ms(2_000));
    let burn = |stage: &Stage| stage.process.pool.account().budgets(stage.now).unwrap().availability.unwrap();
    let close =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    close(burn(&stage).rates[0], 10.0);
    stage.restart(true, Duration::from_secs(600), stage.wall + Duration::from_secs(600));
    close(burn(&stage).rates[0], 0.0);
    close(burn(&stage).rates[1], 10.0);
    stage.requests(200, 100);
    stage.pass(ms(2_000));
    close(burn(&stage).rates[1], 5.0);
    close(burn(&stage).remaining, -4.0);
    // A wall clock that is set back ages nothing.
    stage.restart(true, Duration::from_secs(600), stage.wall - Duration::from_secs(86_400));
    close(burn(&stage).rates[1], 5.0);
}
