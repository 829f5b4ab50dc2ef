use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A ledger on a clock of its own, in seconds since it began.
struct Life {
    ledger: Ledger,
    begin: Instant,
}

impl Life {
    fn new(standing: Standing, cause: &str) -> Self {
        let begin = Instant::now();
        Self { ledger: Ledger::new(standing, cause, stamp(begin, begin), 0), begin }
    }

    fn tell(&mut self, at: u64, standing: Standing, cause: &str, failed_requests: u64) {
        let now = self.begin + seconds(at);
        self.ledger.set(standing, cause, stamp(self.begin, now), || failed_requests);
    }

    fn read(&self, at: u64) -> Availability {
        self.ledger.snapshot(self.begin + seconds(at))
    }

    fn outages(&self, at: u64, failed_requests: u64) -> Vec<Outage> {
        self.ledger.outages(self.begin + seconds(at), failed_requests)
    }
}

/// Of a wall clock that begins at the epoch.
fn stamp(begin: Instant, now: Instant) -> Stamp {
    Stamp { now, wall: UNIX_EPOCH + now.saturating_duration_since(begin) }
}

#[test]
fn figures_appear_with_what_they_are_made_of() {
    let mut life = Life::new(Standing::Up, "check passed");
    let fresh = life.read(0);
    assert_eq!((fresh.availability, fresh.mtbf, fresh.mttr), (1.0, None, None));

    life.tell(90, Standing::Down, "status 503", 0);
    let open = life.read(100);
    assert_eq!((open.uptime, open.downtime, open.failures), (seconds(90), seconds(10), 1));
    assert_eq!((open.mtbf, open.mttr), (Some(seconds(90)), None), "an open outage is not in MTTR");
    assert_eq!((&*open.cause, open.for_time), ("status 503", seconds(10)));

    life.tell(120, Standing::Up, "check passed", 0);
    let repaired = life.read(150);
    assert_eq!((repaired.uptime, repaired.downtime), (seconds(120), seconds(30)));
    assert_eq!((repaired.mtbf, repaired.mttr), (Some(seconds(120)), Some(seconds(30))));
    assert!((repaired.availability - 0.8).abs() < 1e-9);
}

#[test]
fn beginning_down_is_downtime_but_neither_failure_nor_repair() {
    let mut life = Life::new(Standing::Down, "not resolved");
    life.tell(5, Standing::Up, "check passed", 0);
    let read = life.read(10);
    assert_eq!((read.downtime, read.failures, read.mtbf, read.mttr), (seconds(5), 0, None, None));
    assert!(!life.outages(10, 0)[0].failure);
}

#[test]
fn a_new_cause_does_not_begin_a_new_outage() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.tell(1, Standing::Down, "connect refused", 0);
    life.tell(3, Standing::Down, "timeout after 1s", 0);
    let read = life.read(4);
    assert_eq!((read.failures, read.for_time, &*read.cause), (1, seconds(3), "timeout after 1s"));
    assert_eq!(&*life.outages(4, 0)[0].cause, "connect refused", "why it began");
}

#[test]
fn outages_tell_when_how_long_why_and_what_failed_meanwhile() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.tell(10, Standing::Down, "status 503", 4);
    life.tell(17, Standing::Up, "check passed", 9);
    life.tell(20, Standing::Down, "connect refused", 9);
    let outages = life.outages(22, 30);
    let expected = Outage {
        begin: UNIX_EPOCH + seconds(10),
        end: Some(UNIX_EPOCH + seconds(17)),
        lasted: seconds(7),
        cause: "status 503".into(),
        failure: true,
        failed_requests: 5,
    };
    assert_eq!(outages[0], expected);
    assert_eq!((outages[1].end, outages[1].lasted, outages[1].failed_requests), (None, seconds(2), 21));
}

#[test]
fn what_an_operator_took_out_is_neither_up_nor_down_nor_repaired() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.tell(10, Standing::Aside, "maintenance", 0);
    life.tell(20, Standing::Up, "check passed", 0);
    life.tell(30, Standing::Down, "status 503", 0);
    life.tell(33, Standing::Aside, "maintenance", 0);
    life.tell(50, Standing::Up, "check passed", 0);
    let read = life.read(60);
    assert_eq!((read.uptime, read.downtime, read.failures, read.mttr), (seconds(30), seconds(3), 1, None));
    let outage = &life.outages(60, 0)[0];
    assert_eq!((outage.end, outage.lasted), (Some(UNIX_EPOCH + seconds(33)), seconds(3)));
}

#[test]
fn paused_time_is_in_nothing_and_an_outage_goes_on_after_it() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.tell(10, Standing::Down, "status 503", 0);
    life.ledger.pause(life.begin + seconds(12));
    life.ledger.resume(life.begin + seconds(100));
    life.tell(103, Standing::Up, "check passed", 0);
    let read = life.read(110);
    assert_eq!((read.uptime, read.downtime, read.mttr), (seconds(17), seconds(5), Some(seconds(5))));
    assert_eq!((read.failures, life.outages(110, 0).len()), (1, 1));
}

#[test]
fn what_is_taken_up_again_down_has_not_failed() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.ledger.pause(life.begin + seconds(10));
    life.tell(100, Standing::Down, "not checked yet", 0);
    life.tell(103, Standing::Up, "check passed", 0);
    let read = life.read(110);
    assert_eq!((read.uptime, read.downtime), (seconds(17), seconds(3)));
    assert_eq!((read.failures, read.mtbf, read.mttr), (0, None, None));
    assert!(!life.outages(110, 0)[0].failure);
    life.tell(120, Standing::Down, "status 503", 0);
    assert_eq!(life.read(121).failures, 1);
}

#[test]
fn only_the_last_outages_are_remembered_and_little_of_why() {
    let mut life = Life::new(Standing::Up, "check passed");
    let long = "é".repeat(MAX_CAUSE);
    for n in 0..30 {
        life.tell(10 * n, Standing::Down, &long, n);
        life.tell(10 * n + 1, Standing::Up, "check passed", n);
    }
    let outages = life.outages(1000, 30);
    assert_eq!((outages.len(), outages[0].begin), (MAX_OUTAGES, UNIX_EPOCH + seconds(100)));
    assert_eq!(outages[0].cause.len(), MAX_CAUSE);
    assert_eq!(life.read(1000).failures, 30);
}

#[test]
fn a_wall_clock_that_is_set_back_ends_no_outage_before_it_began() {
    let begin = Instant::now();
    let wall = |n| UNIX_EPOCH + seconds(n);
    let mut ledger = Ledger::new(Standing::Up, "", Stamp { now: begin, wall: wall(1000) }, 0);
    ledger.set(Standing::Down, "", Stamp { now: begin + seconds(10), wall: wall(1010) }, || 0);
    ledger.set(Standing::Up, "", Stamp { now: begin + seconds(14), wall: wall(5) }, || 0);
    let outage = &ledger.outages(begin + seconds(20), 0)[0];
    assert_eq!((outage.begin, outage.end, outage.lasted), (wall(1010), Some(wall(1014)), seconds(4)));
}

#[test]
fn what_is_written_is_read() {
    let mut life = Life::new(Standing::Up, "check passed");
    life.tell(10, Standing::Down, "status 503", 4);
    life.tell(17, Standing::Up, "check passed", 9);
    life.tell(20, Standing::Down, "connect refused", 9);
    let then = life.begin + seconds(25);
    let record = life.ledger.record(then);
    let text = serde_json::to_string(&record).unwrap();
    let mut read = Ledger::from_record(&serde_json::from_str(&text).unwrap());
    assert!(!read.is_kept());
    assert_eq!(read.snapshot(then), life.read(25));
    assert_eq!(read.outages(then, 11), life.outages(25, 11));
    read.catch_up(seconds(2));
    assert_eq!(read.snapshot(then).downtime, seconds(14), "7 + 5 and the 2 that were not written");
}

fn standings() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Standing::Up), Just(Standing::Down), Just(Standing::Aside)]
}

proptest! {
    #[test]
    fn uptime_and_downtime_are_the_whole_time_and_outages_the_downtime(
        first in standings(),
        steps in prop::collection::vec((0..10_000u64, standings(), any::<bool>()), 0..30),
        rest in 0..10_000u64,
    ) {
        let begin = Instant::now();
        let (mut now, mut aside) = (begin, Duration::ZERO);
        let mut standing = first;
        let mut ledger = Ledger::new(first, "", stamp(begin, begin), 0);
        for (wait, next, pauses) in steps {
            let wait = Duration::from_millis(wait);
            if pauses {
                ledger.pause(now);
                now += wait;
                aside += wait;
                ledger.resume(now);
            } else {
                now += wait;
                aside += if standing == Standing::Aside { wait } else { Duration::ZERO };
            }
            ledger.set(next, "", stamp(begin, now), || 0);
            standing = next;
        }
        now += Duration::from_millis(rest);
        aside += if standing == Standing::Aside { Duration::from_millis(rest) } else { Duration::ZERO };
        let read = ledger.snapshot(now);
        prop_assert_eq!(read.uptime + read.downtime + aside, now - begin);
        prop_assert!((0.0..=1.0).contains(&read.availability));
        prop_assert_eq!(read.mtbf.is_some(), read.failures > 0);
        let outages = ledger.outages(now, 0);
        if outages.len() < MAX_OUTAGES {
            prop_assert_eq!(outages.iter().map(|outage| outage.lasted).sum::<Duration>(), read.downtime);
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_adds_nothing(steps in prop::collection::vec((0..10_000u64, standings()), 0..60)) {
        let begin = Instant::now();
        let mut latest = begin;
        let mut ledger = Ledger::new(Standing::Up, "", stamp(begin, begin), 0);
        for (at, standing) in steps {
            let now = begin + Duration::from_millis(at);
            latest = latest.max(now);
            ledger.set(standing, "", stamp(begin, now), || 0);
        }
        let read = ledger.snapshot(latest);
        prop_assert!(read.uptime + read.downtime <= latest - begin);
    }
}
