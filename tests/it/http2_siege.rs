//! HTTP/2 under siege: attackers at the level of frames, good clients on other connections that must not notice, and
//! memory, descriptors and gauges afterwards.
//!
//! The suite runs a small form with short time-outs. `EQUIPOISE_SIEGE=full cargo test --release --test it http2_siege
//! -- --nocapture` runs it at full size for 20 s an attack with default settings, which takes some eight minutes and
//! prints its figures. EQUIPOISE_ATTACK runs only the attacks whose names contain it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client;
use crate::config::{Config, over};
use crate::daemon::{Daemon, pause};
use crate::frames::{Frames, Outcome, get};
use crate::siege::{Figures, backend};

mod attackers;

use attackers::{Attack, Cut, assail};

/// Each good client asks so often.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// An answer in time; in the small form, where a debug build shares the machine with its attackers, no more than
/// that nothing stands still.
const IN_TIME: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(3)];

const MIB: u64 = 1 << 20;

/// What buffers may hold by default.
const BUFFER_MEMORY: u64 = 64 * MIB;

/// What an attack may cost beyond it.
const MAX_GROWTH: u64 = 64 * MIB;

/// How large and how long an attack is.
#[derive(Debug, Clone, Copy)]
struct Scale {
    full: bool,
    lasting: Duration,
    /// How late an attacker may be cut off.
    grace: Duration,
}

impl Scale {
    fn chosen() -> Self {
        let full = std::env::var("EQUIPOISE_SIEGE").is_ok_and(|form| form == "full");
        let lasting = Duration::from_millis(if full { 20_000 } else { 400 });
        Self { full, lasting, grace: Duration::from_secs(5) }
    }

    fn config(&self, config: Config) -> Config {
        let short = "timeouts.head = \"500ms\"\ntimeouts.body = \"500ms\"\ntimeouts.keep_alive = \"500ms\"\n\
                     timeouts.write = \"500ms\"";
        let config = config.server("workers = 1").level("info").listener("protocols = [\"h1\", \"h2\"]");
        if self.full { config } else { config.listener(short) }
    }

    /// How many connections an attack comes with.
    fn size(&self, attack: Attack) -> usize {
        let full = match attack {
            Attack::Idle => 2_000,
            // Of 128 streams each: twice as many as there are slow readers in HTTP/1.
            Attack::StalledWindows | Attack::ShutSocket => 8,
            Attack::LateReset => 10,
            _ => 50,
        };
        if self.full { full } else { full.div_ceil(20) }
    }

    /// How much an attack may make the daemon grow: what buffers may hold only where it is they that are filled.
    fn growth(&self, attack: Attack) -> u64 {
        match attack {
            Attack::StalledWindows | Attack::ShutSocket => BUFFER_MEMORY + MAX_GROWTH,
            _ => MAX_GROWTH,
        }
    }

    /// After what time an attacker is to be cut off.
    fn allowed(&self, attack: Attack) -> Duration {
        let (write, keep_alive) = if self.full { (30_000, 75_000) } else { (500, 500) };
        Duration::from_millis(match attack {
            // Its streams are given up one by one; then it has none.
            Attack::StalledWindows => write + keep_alive,
            // What the kernel still takes when it is asked again is progress, and it is asked as deadlines pass.
            Attack::ShutSocket => write * 3 / 2,
            Attack::Idle => keep_alive,
            _ => 0,
        })
    }
}

/// What one good client saw.
#[derive(Debug, Default)]
struct Seen {
    asked: u32,
    in_time: u32,
    slowest: Duration,
    failures: Vec<String>,
}

/// How a good client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In HTTP/1.1, on a connection for each request.
    Http1,
    /// In HTTP/2, on one connection.
    Kept,
    /// In HTTP/2, on a connection for each request.
    Fresh,
}

#[test]
fn good_clients_are_served_while_frames_flood_and_nothing_is_left_of_it() {
    let scale = Scale::chosen();
    // The good clients' backend is their own, so that only the daemon can make them wait.
    let good = format!(
        "[[route]]\nname = \"good\"\nmatch.path = \"/good\"\npool = \"good\"\n[pool.good]\nbackends = [\"{}\"]",
        backend::start()
    );
    let daemon = Daemon::start_alone(&scale.config(over(&[backend::start()]).and(&good)));
    let before = Figures::settled(&daemon, None);
    let wanted = std::env::var("EQUIPOISE_ATTACK").unwrap_or_default();
    let floods = || daemon.metric("equipoise_rejected_total", &[("reason", "flood")]);
    for attack in Attack::ALL.into_iter().filter(|attack| format!("{attack:?}").contains(&wanted)) {
        let counted = floods();
        siege(&daemon, attack, &scale, &before);
        // In the small form a slow attacker may be cut off by a deadline before it is told for what it is.
        let told = floods() > counted || !attack.is_counted() || !scale.full;
        assert!(told, "{attack:?} is no flood in the metrics");
    }
    assert!(floods() > 0.0 || !wanted.is_empty(), "none was told for a flood");
}

fn siege(daemon: &Daemon, attack: Attack, scale: &Scale, before: &Figures) {
    let (stop, over) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let in_time = IN_TIME[usize::from(!scale.full)];
    let (cut, seen, peak) = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let most = scale.allowed(attack) + scale.grace * 2;
            let cut = assail(daemon.web, attack, scale.size(attack), Arc::clone(&stop), most);
            over.store(true, Ordering::SeqCst);
            cut
        });
        let forms = [Form::Http1, Form::Kept, Form::Fresh];
        let told = &stop;
        let good = forms.map(|form| scope.spawn(move || ask(daemon, form, in_time, told)));
        let mut peak = 0;
        let end = Instant::now() + scale.lasting;
        while !over.load(Ordering::SeqCst) {
            if Instant::now() >= end {
                stop.store(true, Ordering::SeqCst);
            }
            peak = peak.max(daemon.resident());
            pause(Duration::from_millis(5));
        }
        (crowd.join().unwrap(), good.map(|asking| asking.join().unwrap()), peak)
    });
    let after = Figures::settled(daemon, Some(before));
    judge(attack, scale, &cut, &seen, [before.resident, peak, after.resident]);
}

fn judge(attack: Attack, scale: &Scale, cut: &Cut, seen: &[Seen], resident: [u64; 3]) {
    let [before, peak, after] = resident;
    let growth = peak.saturating_sub(before);
    let late = cut.longest.saturating_sub(scale.allowed(attack));
    let (asked, good): (u32, u32) = seen.iter().fold((0, 0), |(a, b), one| (a + one.asked, b + one.in_time));
    println!(
        "{attack:?}: {good} of {asked} in time, slowest {:?}; {} cut off, the latest {late:?} late, {} left; \
         {} MiB more at the peak, {} MiB afterwards",
        seen.iter().map(|one| one.slowest).max().unwrap_or_default(),
        cut.ended,
        cut.left,
        growth / MIB,
        after.saturating_sub(before) / MIB,
    );
    for one in seen {
        let share = f64::from(one.in_time) / f64::from(one.asked.max(1));
        assert!(one.asked > 0 && share >= 0.99, "{attack:?}: {share} in time: {one:?}");
    }
    assert!(cut.ended > 0 && cut.left == 0, "{attack:?}: {cut:?}");
    assert!(late <= scale.grace, "{attack:?}: {cut:?}");
    assert!(growth <= scale.growth(attack), "{attack:?}: {growth} bytes more");
}

/// Asks at a fixed rate until it is told to stop; once at least.
fn ask(daemon: &Daemon, form: Form, in_time: Duration, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let (mut kept, mut stream) = (None, 1);
    let begun = Instant::now();
    loop {
        let due = begun + ASK_EVERY * seen.asked;
        pause(due.saturating_duration_since(Instant::now()));
        let answer = match form {
            Form::Http1 => client::get(daemon.web, "/good").text().to_owned(),
            Form::Kept | Form::Fresh => {
                let frames = kept.get_or_insert_with(|| Frames::connect(daemon.web));
                let _ = frames.send(get(stream, "/good"));
                let outcome = frames.outcome(stream);
                stream += 2;
                if form == Form::Fresh {
                    (kept, stream) = (None, 1);
                }
                match outcome {
                    Outcome::Answer { status: 200, body, .. } => String::from_utf8_lossy(&body).into(),
                    other => format!("{other:?}"),
                }
            }
        };
        let took = due.elapsed();
        seen.asked += 1;
        seen.slowest = seen.slowest.max(took);
        match answer == "well" && took <= in_time {
            true => seen.in_time += 1,
            false => seen.failures.push(format!("{answer} after {took:?}")),
        }
        if stop.load(Ordering::SeqCst) {
            return seen;
        }
    }
}
