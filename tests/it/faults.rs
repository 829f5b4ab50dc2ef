//! What clients notice of a backend at fault: the two tables of docs/health.md.
//!
//! The suite plays a few faults with little load. `EQUIPOISE_FAULTS=full cargo test --test it faults -- --nocapture`
//! plays all of them, under both settings, with the load that the page names (six minutes), and prints the tables.

mod crowd;
mod server;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::config::over;
use crate::daemon::{Daemon, pause};
use crowd::{Crowd, End, Request};
use server::{Mode, Server};

/// Backends; one of them is at fault.
const BACKENDS: usize = 3;

/// Over so long a time shares are counted.
const WINDOW: Duration = Duration::from_millis(500);

/// The share of its fair one from which a backend is back.
const BACK: f64 = 0.8;

/// What the first table is played with.
const GUARDED: &str = r#"
timeouts = { connect = "250ms", response = "500ms" }
retry.on = ["connect", "reset", "invalid", "timeout", 500, 502, 503, 504]
health = { path = "/healthz", interval = "500ms", rise = 2 }
"#;

/// What happens to one of the backends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
    Behaves(Mode),
}

/// A fault under the name that the tables give it.
type Case = (&'static str, Fault);

const FAULTS: [Case; 9] = [
    ("killed", Fault::Killed),
    ("stopped (SIGSTOP)", Fault::Stopped),
    ("takes no connection, answers nothing", Fault::Behaves(Mode::Hole)),
    ("resets after accept", Fault::Behaves(Mode::Reset)),
    ("closes at the second request", Fault::Behaves(Mode::CloseOnReuse)),
    ("answers 500", Fault::Behaves(Mode::Fails)),
    ("answers garbage", Fault::Behaves(Mode::Garbage)),
    ("half of the body, then the end", Fault::Behaves(Mode::Half)),
    ("takes 2 s", Fault::Behaves(Mode::Slow)),
];

/// How much load, and for how long.
struct Play {
    rate: u32,
    before: Duration,
    ill: Duration,
    after: Duration,
}

/// What clients noticed.
struct Notice {
    /// GETs that failed, of those due within the first second, and later.
    failed: [usize; 2],
    /// How those ended.
    ends: BTreeMap<String, usize>,
    slowest: Duration,
    posts_failed: usize,
    posts_twice: usize,
    /// From the fault's end until the backend has its share again.
    balanced: Option<Duration>,
    ejections: f64,
}

const HEAD: &str = "| one of three | GETs failed in the first second | later | slowest GET | POSTs failed | POSTs that came twice | its share again after |
| --- | --- | --- | --- | --- | --- | --- |\n";

#[test]
fn a_backend_at_fault_is_not_noticed() {
    let seconds = Duration::from_secs;
    if std::env::var("EQUIPOISE_FAULTS").is_ok_and(|form| form == "full") {
        let play = Play { rate: 500, before: seconds(4), ill: seconds(6), after: seconds(6) };
        let (guarded, default) = (play.all(GUARDED, &FAULTS), play.all("", &FAULTS));
        println!("{}\n{}", table(&guarded), table(&default));
        default.iter().for_each(|(_, notice)| honest(notice));
        guarded.iter().for_each(|((_, fault), notice)| judge(*fault, notice, &play));
        return;
    }
    let play = Play { rate: 100, before: seconds(2), ill: seconds(2), after: seconds(4) };
    let some = play.all(GUARDED, &[FAULTS[0], FAULTS[1], FAULTS[7]]);
    println!("{}", table(&some));
    some.iter().for_each(|((_, fault), notice)| judge(*fault, notice, &play));
}

/// What must hold, whatever the settings: nothing looks whole that is not, and no POST is sent twice.
fn honest(notice: &Notice) {
    assert_eq!(notice.posts_twice, 0);
    assert!(!notice.ends.keys().any(|end| end == "Forged"), "{:?}", notice.ends);
}

/// What must hold where time-outs are short, failures are retried, and a check runs.
fn judge(fault: Fault, notice: &Notice, play: &Play) {
    honest(notice);
    let [early, late] = notice.failed;
    if fault == Fault::Behaves(Mode::Half) {
        // No check sees it: five failures eject it, and one each time that a check brings it back.
        let allowed = 5.0 + notice.ejections;
        assert!((early + late) as f64 <= allowed, "{:?}, {} ejections", notice.ends, notice.ejections);
        assert!(notice.ends.keys().all(|end| end == "Broken" || end == "Status(502)"), "{:?}", notice.ends);
    } else {
        assert_eq!(late, 0, "{:?}", notice.ends);
    }
    if play.rate >= 500 {
        assert!(notice.slowest < Duration::from_millis(1_500), "{:?}", notice.slowest);
    }
    assert!(notice.balanced.is_some_and(|after| after < Duration::from_secs(3)), "{:?}", notice.balanced);
}

fn table(noticed: &[(Case, Notice)]) -> String {
    let mut table = HEAD.to_owned();
    for ((name, _), notice) in noticed {
        let Notice { failed: [early, late], slowest, posts_failed, posts_twice, .. } = notice;
        let balanced =
            notice.balanced.map_or("not yet".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
        let slowest = slowest.as_millis();
        table.push_str(&format!(
            "| {name} | {early} | {late} | {slowest} ms | {posts_failed} | {posts_twice} | {balanced} |\n"
        ));
    }
    table
}

impl Play {
    fn all(&self, setting: &str, faults: &[Case]) -> Vec<(Case, Notice)> {
        let noticed = |case: &Case| {
            let notice = story(self, setting, case.1);
            println!(
                "{}: {:?}, {} ejections, slowest {:?}",
                case.0, notice.ends, notice.ejections, notice.slowest
            );
            (*case, notice)
        };
        faults.iter().map(noticed).collect()
    }
}

/// One fault, from before its beginning until after its end.
fn story(play: &Play, setting: &str, fault: Fault) -> Notice {
    let records = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut servers: Vec<Server> =
        (0..BACKENDS).map(|nth| Server::start(place(nth), &records.path().join(nth.to_string()))).collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let daemon = Daemon::start_alone(&over(&addresses).pool(setting).level("info"));
    let crowd = Crowd::gather(daemon.web, play.rate);
    pause(play.before);
    let (victim, ill) = (&mut servers[0], Instant::now());
    match fault {
        Fault::Killed => victim.kill(),
        Fault::Stopped => victim.signal(Signal::STOP),
        Fault::Behaves(mode) => victim.behave(mode),
    }
    pause(play.ill);
    match fault {
        Fault::Killed => victim.again(),
        Fault::Stopped => victim.signal(Signal::CONT),
        Fault::Behaves(_) => victim.behave(Mode::Well),
    }
    let well = Instant::now();
    pause(play.after);
    let requests = crowd.end();
    let ejections = daemon.metric("equipoise_ejections_total", &[("backend", &addresses[0].to_string())]);
    let before = requests.iter().filter(|request| request.due + request.took < ill);
    assert_eq!(before.filter(|request| !request.is_served()).count(), 0, "before the fault");
    Notice { ejections, posts_twice: twice(&servers), ..notice(&requests, ill, well, addresses[0]) }
}

/// An address of this process alone: a backend that was killed finds its port free again.
fn place(nth: usize) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 64 + high % 64, low, nth as u8 + 1), 0))
}

fn notice(requests: &[Request], ill: Instant, well: Instant, victim: SocketAddr) -> Notice {
    let since: Vec<&Request> = requests.iter().filter(|request| request.due + request.took >= ill).collect();
    let (posts, gets): (Vec<&Request>, Vec<&Request>) =
        since.into_iter().partition(|request| request.is_post());
    let failed: Vec<&&Request> = gets.iter().filter(|get| !get.is_served()).collect();
    let late = failed.iter().filter(|get| get.due >= ill + Duration::from_secs(1)).count();
    let mut ends = BTreeMap::new();
    for get in &failed {
        *ends.entry(format!("{:?}", get.end)).or_default() += 1;
    }
    Notice {
        failed: [failed.len() - late, late],
        ends,
        slowest: gets.iter().map(|get| get.took).max().unwrap(),
        posts_failed: posts.iter().filter(|post| !post.is_served()).count(),
        posts_twice: 0,
        balanced: balanced(requests, well, &victim.ip().to_string()),
        ejections: 0.0,
    }
}

/// From when on the victim has its share.
fn balanced(requests: &[Request], well: Instant, victim: &str) -> Option<Duration> {
    let last = requests.last().unwrap().due;
    let starts = (0..)
        .map(|tenth| Duration::from_millis(100) * tenth)
        .take_while(|from| well + *from + WINDOW <= last);
    let is_fair = |from: &Duration| {
        let window = well + *from..well + *from + WINDOW;
        let within = requests.iter().filter(|request| window.contains(&request.due) && request.is_served());
        let (mut all, mut its) = (0, 0);
        for request in within {
            all += 1;
            its += usize::from(request.end == End::Served(victim.to_owned()));
        }
        its as f64 >= BACK * f64::from(all) / BACKENDS as f64 && its > 0
    };
    { starts }.find(is_fair)
}

/// POSTs that came to backends more than once.
fn twice(servers: &[Server]) -> usize {
    let mut received: Vec<u64> = servers.iter().flat_map(Server::received).collect();
    let all = received.len();
    received.sort_unstable();
    received.dedup();
    assert!(all > 0, "no POST came to any backend");
    all - received.len()
}
