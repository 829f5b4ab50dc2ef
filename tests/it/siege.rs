//! The daemon under siege: thousands of hostile connections, a good client that must not notice, and memory,
//! descriptors and gauges afterwards.
//!
//! The suite runs a small form with short time-outs. `EQUIPOISE_SIEGE=full cargo test --release --test it siege --
//! --nocapture` runs it at full size for 20 s an attack with default settings, which takes some ten minutes and
//! prints its figures. EQUIPOISE_ATTACK runs alone only the attacks whose names contain it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, pause, sum};
use crate::message::Wire;

pub(crate) mod backend;
mod crowd;

use crowd::{Attack, Outcome, assail};

/// The good client asks so often.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// An answer in time; in the small form, where it is the kernel's copies in a debug build that it waits for and
/// three answers are a fifth of all, no more than that nothing stands still.
const IN_TIME: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(3)];

const MIB: u64 = 1 << 20;

/// What buffers may hold by default.
const BUFFER_MEMORY: u64 = 64 * MIB;

/// What the attacks may cost beyond it, and what a second round may cost beyond the first.
const MAX_GROWTH: u64 = 64 * MIB;
const MAX_SECOND: u64 = 16 * MIB;

/// How long gauges and descriptors may take to be what they were.
const AT_REST: Duration = Duration::from_secs(15);

/// Descriptors that are kept for the next large bodies: eight pipes.
const SPARE_PIPES: f64 = 16.0;

/// How large and how long an attack is.
#[derive(Debug, Clone, Copy)]
struct Scale {
    full: bool,
    divisor: usize,
    alone: Duration,
    together: Duration,
    /// How late an attacker may be cut off.
    grace: Duration,
    /// Between two drops of those that drip.
    drip: Duration,
}

impl Scale {
    fn chosen() -> Self {
        let full = std::env::var("EQUIPOISE_SIEGE").is_ok_and(|form| form == "full");
        let [alone, together] = if full { [20_000; 2] } else { [200, 700] }.map(Duration::from_millis);
        let drip = Duration::from_millis(if full { 1_000 } else { 100 });
        let divisor = if full { 1 } else { 20 };
        Self { full, divisor, alone, together, grace: Duration::from_secs(5), drip }
    }

    fn config(&self, config: Config) -> Config {
        let short = "timeouts.head = \"500ms\"\ntimeouts.body = \"500ms\"\ntimeouts.keep_alive = \"500ms\"\n\
                     timeouts.write = \"500ms\"";
        let config = config.server("workers = 1").level("info");
        if self.full { config } else { config.listener(short) }
    }

    /// Whether this one drips its body, and so must fall below min_rate, which is averaged over 10 s.
    fn drips_bodies(&self, number: usize) -> bool {
        self.full && number.is_multiple_of(2)
    }

    /// After what time an attacker is to be cut off.
    fn allowed(&self, attack: Attack, number: usize) -> Duration {
        let seconds = match attack {
            Attack::Idle if number % 2 == 1 => 75,
            Attack::Idle | Attack::SlowHead => 10,
            Attack::SlowBody if self.drips_bodies(number) => 11,
            Attack::SlowBody | Attack::SlowReader => 30,
            Attack::HeadBomb | Attack::InterimFlood | Attack::Extensions => 0,
        };
        match (self.full, seconds) {
            (true, _) | (false, 0) => Duration::from_secs(seconds),
            (false, _) => Duration::from_millis(500),
        }
    }
}

/// What the good client saw.
#[derive(Debug, Default)]
struct Seen {
    asked: u32,
    in_time: u32,
    slowest: Duration,
    failures: Vec<String>,
    /// The most that the daemon had resident.
    peak: u64,
}

#[test]
fn a_good_client_is_served_under_siege_and_nothing_is_left_of_it() {
    let scale = Scale::chosen();
    // The good client's backend is its own, so that only the daemon can make it wait.
    let good = format!(
        "[[route]]\nname = \"good\"\nmatch.path = \"/small\"\npool = \"good\"\n[pool.good]\nbackends = [\"{}\"]",
        backend::start()
    );
    let daemon = Daemon::start_alone(&scale.config(over(&[backend::start()]).and(&good)));
    let before = Figures::settled(&daemon, None);
    println!("before: {before:?}");
    let wanted = std::env::var("EQUIPOISE_ATTACK").unwrap_or_default();
    for attack in Attack::ALL.into_iter().filter(|attack| format!("{attack:?}").contains(&wanted)) {
        siege(&daemon, &[attack], &scale, scale.alone, &before);
    }
    let first = siege(&daemon, &Attack::ALL, &scale, scale.together, &before);
    let second = siege(&daemon, &Attack::ALL, &scale, scale.together, &before);
    assert!(second <= first + MAX_SECOND, "{first} bytes, then {second}");
}

/// One attack, or several at once; gives the resident memory afterwards.
fn siege(daemon: &Daemon, attacks: &[Attack], scale: &Scale, lasting: Duration, before: &Figures) -> u64 {
    let stop = Arc::new(AtomicBool::new(false));
    let (address, attacking, form, told) = (daemon.web, attacks.to_vec(), *scale, Arc::clone(&stop));
    let crowd = std::thread::spawn(move || assail(address, &attacking, form, told));
    let in_time = IN_TIME[usize::from(!scale.full)];
    let mut seen = ask(daemon, in_time, Instant::now() + lasting, || false);
    stop.store(true, Ordering::SeqCst);
    // Those who are left are still to be cut off.
    let peak = seen.peak;
    seen.peak = peak.max(ask(daemon, in_time, Instant::now() + lasting * 20, || crowd.is_finished()).peak);
    let Outcome { cut, latest, which, left } = crowd.join().unwrap();
    let after = Figures::settled(daemon, Some(before));
    let share = f64::from(seen.in_time) / f64::from(seen.asked);
    let growth = seen.peak.saturating_sub(before.resident);
    println!(
        "{attacks:?}: {} of {} in time, slowest {:?}; {cut} cut off, the latest {latest:?} late ({which:?}); \
         {} MiB more at the peak, {} MiB afterwards",
        seen.in_time,
        seen.asked,
        seen.slowest,
        growth / MIB,
        after.resident.saturating_sub(before.resident) / MIB,
    );
    assert!(share >= 0.99, "{attacks:?}: {share} in time, slowest {:?}: {:?}", seen.slowest, seen.failures);
    assert!(latest <= scale.grace, "{which:?} was cut off {latest:?} late");
    assert!(left == 0 && cut > 0, "{attacks:?}: {cut} were cut off, {left} were not");
    assert!(growth <= BUFFER_MEMORY + MAX_GROWTH, "{attacks:?}: {growth} bytes more");
    after.resident
}

/// Asks at a fixed rate until then, or until all is over: on a kept connection and on fresh ones in turn.
fn ask(daemon: &Daemon, in_time: Duration, end: Instant, over: impl Fn() -> bool) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Wire> = None;
    let begun = Instant::now();
    while Instant::now() < end && !over() {
        let due = begun + ASK_EVERY * seen.asked;
        pause(due.saturating_duration_since(Instant::now()));
        let fresh = seen.asked % 2 == 1;
        let asked_on = if fresh { None } else { kept.take() };
        let mut wire = asked_on.unwrap_or_else(|| connect(daemon.web));
        let answer = wire.get("/small");
        let took = due.elapsed();
        seen.asked += 1;
        seen.slowest = seen.slowest.max(took);
        match answer {
            Ok(message) if message.text() == "well" && took <= in_time => seen.in_time += 1,
            Ok(message) => seen.failures.push(format!("{} after {took:?}", message.head.start)),
            Err(error) => seen.failures.push(format!("{error} after {took:?}")),
        }
        // A kept connection that idles longer than the short time-outs allow is no fault of the daemon's.
        if !fresh && seen.failures.is_empty() {
            kept = Some(wire);
        }
        seen.peak = seen.peak.max(daemon.resident());
    }
    seen
}

/// What must be afterwards as it was before.
#[derive(Debug)]
pub(crate) struct Figures {
    files: f64,
    pub(crate) resident: u64,
}

impl Figures {
    /// Waits until the gauges are at rest, and the descriptors at what they were.
    pub(crate) fn settled(daemon: &Daemon, before: Option<&Self>) -> Self {
        let deadline = Instant::now() + AT_REST;
        loop {
            let page = daemon.page("/metrics").text();
            let gauge = |name: &str, labels: &[(&str, &str)]| sum(&page, name, labels);
            let idle = gauge("equipoise_backend_connections", &[("state", "idle")]);
            let busy = [
                ("connections", gauge("equipoise_connections_open", &[])),
                ("in flight", gauge("equipoise_backend_in_flight", &[])),
                ("active", gauge("equipoise_backend_connections", &[("state", "active")])),
                ("buffers", gauge("equipoise_buffer_bytes", &[])),
            ];
            let files = gauge("process_open_fds", &[]) - idle;
            let as_before = before.is_none_or(|before| files <= before.files + SPARE_PIPES);
            if as_before && busy.iter().all(|(_, value)| *value == 0.0) {
                return Self { files, resident: daemon.resident() };
            }
            assert!(
                Instant::now() < deadline,
                "not at rest: {busy:?}, {idle} idle, {files} files, {before:?}"
            );
            pause(Duration::from_millis(20));
        }
    }
}
