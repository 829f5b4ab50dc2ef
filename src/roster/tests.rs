//! Who is ejected, for how long, how it comes back, and who is picked meanwhile.

use std::thread;

use super::*;
use crate::backend::{Duty, Identity, Order, State, epoch};

mod own_word;
mod tiers;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Moment {
    Moment::of(epoch() + Duration::from_millis(ms))
}

fn instant(ms: u64) -> std::time::Instant {
    epoch() + Duration::from_millis(ms)
}

fn rules() -> Rules {
    Rules {
        slow_start: Duration::ZERO,
        panic_threshold: 0.0,
        passive: Some(Passive::default()),
        checked: false,
        loads: false,
    }
}

fn member(number: usize, weight: u16, limit: u32) -> Member {
    let identity = Identity {
        pool: "crm".into(),
        name: format!("app{number}").into(),
        address: format!("10.0.0.{number}:80").into(),
    };
    Member { backend: Backend::new(identity, true), weight, priority: 0, limit }
}

fn squad(count: usize, rules: Rules) -> Squad {
    Squad::new((0..count).map(|number| member(number, 1, 0)).collect(), rules, Arc::default())
}

fn well(squad: &Squad, place: usize, began: u64, ms: u64) {
    squad.count(place, at(ms));
    squad.went_well(place, || at(began));
}

fn badly(squad: &Squad, place: usize, began: u64, ms: u64) -> Option<Cause> {
    squad.count(place, at(ms));
    squad.went_badly(place, at(began), at(ms))
}

/// Failures of one backend up to its ejection.
#[track_caller]
fn eject(squad: &Squad, place: usize, ms: u64) {
    let ejected = (0..5).filter_map(|_| badly(squad, place, ms, ms)).collect::<Vec<_>>();
    assert_eq!(ejected, [Cause::Consecutive]);
}

fn picked(squad: &Squad, ms: u64) -> Vec<usize> {
    squad.select(squad.look(at(ms))).places
}

/// (weight, limit) of the candidates.
fn shares(squad: &Squad, ms: u64) -> Vec<(u16, u32)> {
    let selection = squad.select(squad.look(at(ms)));
    selection.candidates.iter().map(|candidate| (candidate.weight, candidate.limit)).collect()
}

fn order(squad: &Squad, place: usize, duty: Duty, weight: Option<u16>) {
    squad.members()[place].backend.obey(Order { duty, weight }, instant(0));
}

#[test]
fn who_is_told_to_leave_gets_nothing_new_whatever_else_holds() {
    let squad = squad(3, Rules { panic_threshold: 1.0, ..rules() });
    order(&squad, 0, Duty::Drain, Some(9));
    order(&squad, 1, Duty::Maintenance, None);
    assert_eq!(picked(&squad, 1), [2]);
    let stay = || [0, 1, 2].map(|place| squad.may_stay(place));
    assert_eq!(stay(), [true, false, true]);
    for place in 0..3 {
        squad.members()[place].backend.condition().set(false, "connect refused", instant(1));
    }
    assert_eq!((picked(&squad, 2), stay()), (vec![], [false; 3]), "also in panic");
    let shown = |place: usize| squad.aside(place, squad.look(at(3))[place]).map(|(state, _)| state);
    assert_eq!([shown(0), shown(1)], [Some(State::Drain), Some(State::Maintenance)]);
}

#[test]
fn who_drains_is_neither_ejected_nor_tried() {
    let squad = squad(3, rules());
    order(&squad, 0, Duty::Drain, None);
    assert!((0..30).all(|ms| badly(&squad, 0, ms, ms).is_none()));
    eject(&squad, 1, 100);
    assert_eq!(squad.select(squad.look(at(101))).trials, [1]);
    order(&squad, 1, Duty::Drain, None);
    assert_eq!(squad.select(squad.look(at(102))).trials, [0usize; 0]);
    assert!(!squad.may_stay(1));
    order(&squad, 1, Duty::Maintenance, None);
    order(&squad, 1, Duty::Ready, None);
    assert!(squad.may_stay(1), "it may be another machine by now");
}

#[test]
fn a_weight_that_is_ordered_takes_the_place_of_the_files() {
    let squad = squad(2, rules());
    order(&squad, 0, Duty::Ready, Some(7));
    assert_eq!(shares(&squad, 1), [(7, 0), (1, 0)]);
    order(&squad, 0, Duty::Ready, Some(0));
    assert_eq!((picked(&squad, 1), squad.may_stay(0)), (vec![1], true));
    order(&squad, 0, Duty::Ready, None);
    assert_eq!(shares(&squad, 1), [(1, 0), (1, 0)]);
}

#[test]
fn the_story_of_an_ejection_without_checks() {
    let squad = squad(3, rules());
    for _ in 0..4 {
        assert_eq!(badly(&squad, 1, 0, 1), None);
    }
    well(&squad, 1, 1, 2); // begins anew
    eject(&squad, 1, 3);
    assert!(squad.is_out(1));
    let selection = squad.select(squad.look(at(4)));
    assert_eq!((selection.places, selection.trials), (vec![0, 2], vec![1]));
    // What was under way when it was ejected says nothing new, and ends nothing.
    assert_eq!(badly(&squad, 1, 2, 5), None);
    well(&squad, 1, 2, 5);
    assert!(squad.is_out(1));
    // Ten seconds later one request tries it, and one only.
    assert!(squad.trial(1, at(10_002)).is_none());
    let trial = squad.trial(1, at(10_003)).unwrap();
    assert!(squad.trial(1, at(10_003)).is_none());
    drop(trial); // its client left
    squad.trial(1, at(10_004)).unwrap().failed(at(10_005));
    // It failed: twice as long.
    assert!(squad.trial(1, at(30_004)).is_none());
    squad.trial(1, at(30_005)).unwrap().passed(at(30_010));
    assert!(!squad.is_out(1));
    assert_eq!(picked(&squad, 30_011), [0, 1, 2]);
    // It was well for as long as it was out last: one of the two ejections is forgotten.
    eject(&squad, 1, 30_010 + 20_000);
    assert!(squad.trial(1, at(50_010 + 19_999)).is_none());
    assert!(squad.trial(1, at(50_010 + 20_000)).is_some());
}

#[test]
fn a_share_of_failures_ejects_where_there_are_enough_requests() {
    let squad = squad(2, rules());
    // Every second one fails: never two in a row.
    for number in 0..9 {
        well(&squad, 0, number, number);
        assert_eq!(badly(&squad, 0, number, number), None);
    }
    well(&squad, 0, 9, 9);
    assert_eq!(badly(&squad, 0, 9, 9), Some(Cause::Ratio));
}

#[test]
fn no_more_than_half_of_the_pool_is_out_those_that_are_down_among_them() {
    let squad = squad(5, rules());
    squad.members()[0].backend.condition().set(false, "status 503", instant(0));
    eject(&squad, 1, 0);
    for place in [2, 3, 4, 0] {
        for _ in 0..50 {
            assert_eq!(badly(&squad, place, 1, 1), None);
        }
    }
    assert_eq!(picked(&squad, 2), [2, 3, 4]);
    squad.members()[0].backend.condition().set(true, "check passed", instant(3));
    assert_eq!(badly(&squad, 2, 3, 3), Some(Cause::Consecutive));
}

#[test]
fn a_backend_alone_is_never_ejected() {
    let squad = squad(1, rules());
    assert!((0..100).all(|_| badly(&squad, 0, 1, 1).is_none()));
}

#[test]
fn workers_racing_eject_no_more_than_they_may() {
    for _ in 0..20 {
        let squad = squad(8, rules());
        thread::scope(|scope| {
            for worker in 0..4 {
                let squad = &squad;
                scope.spawn(move || {
                    for number in 0..400 {
                        badly(squad, (worker * 2 + number) % 8, 1, 1);
                    }
                });
            }
        });
        let out = (0..8).filter(|place| squad.is_out(*place)).count();
        assert!(out <= 4, "{out}");
    }
}

#[test]
fn ejected_ones_serve_where_all_the_others_went_down() {
    let squad = squad(4, rules());
    eject(&squad, 0, 0);
    eject(&squad, 1, 0);
    for down in [2, 3] {
        squad.members()[down].backend.condition().set(false, "timeout", instant(1));
    }
    assert_eq!(picked(&squad, 2), [0, 1]);
    // Who allows all of them to be ejected wants to hear that nobody is left.
    let all = Passive { max_ejected: 1.0, ..Passive::default() };
    let squad = self::squad(2, Rules { passive: Some(all), ..rules() });
    eject(&squad, 0, 0);
    eject(&squad, 1, 0);
    assert!(picked(&squad, 1).is_empty());
}

#[test]
fn a_check_that_passes_ends_an_ejection_and_one_request_proves_it() {
    let squad = squad(3, Rules { checked: true, ..rules() });
    eject(&squad, 0, 1_000);
    let selection = squad.select(squad.look(at(1_001)));
    assert_eq!((selection.places, selection.trials), (vec![1, 2], vec![]));
    assert!(squad.trial(0, at(60_000)).is_none(), "it is the check's to try");
    assert_eq!(squad.sentence_left(&squad.members()[0], at(4_000)), Some(7 * SECOND));
    assert!(!squad.check_passed(0, at(999), at(1_400)), "begun before it was ejected");
    assert!(!squad.check_passed(1, at(1_400), at(1_401)), "it is in");
    assert!(squad.check_passed(0, at(1_400), at(1_401)));
    // One request at a time, until one has ended well; a failure ejects at once.
    assert_eq!(shares(&squad, 1_402), [(1, 1), (1, 0), (1, 0)]);
    assert_eq!(badly(&squad, 0, 1_400, 1_403), None, "begun before it was back");
    assert_eq!(badly(&squad, 0, 1_402, 1_403), Some(Cause::Trial));
    assert_eq!(squad.sentence_left(&squad.members()[0], at(1_403)), Some(20 * SECOND));
    assert!(squad.check_passed(0, at(2_000), at(2_001)));
    well(&squad, 0, 2_002, 2_003);
    assert_eq!(shares(&squad, 2_004), [(1, 0), (1, 0), (1, 0)]);
    assert!((0..4).all(|_| badly(&squad, 0, 2_005, 2_006).is_none()));
    // Proving takes a second at most: the first answer may be a long one.
    assert_eq!(badly(&squad, 0, 2_005, 2_006), Some(Cause::Consecutive));
    assert!(squad.check_passed(0, at(3_000), at(3_001)));
    assert_eq!(shares(&squad, 4_000)[0], (1, 1));
    assert_eq!(shares(&squad, 4_001)[0], (1, 0));
}

#[test]
fn without_end_by_check_only_time_and_a_request_end_it() {
    let own = Passive { end_by_check: false, ..Passive::default() };
    let squad = squad(3, Rules { checked: true, passive: Some(own), ..rules() });
    eject(&squad, 2, 0);
    assert!(!squad.check_passed(2, at(1), at(2)));
    assert_eq!(squad.select(squad.look(at(3))).trials, [2]);
    assert!(squad.trial(2, at(10_000)).is_some());
}

#[test]
fn switched_off_nothing_is_ejected_and_what_was_is_back() {
    let members: Vec<Member> = (0..3).map(|number| member(number, 1, 0)).collect();
    let on = Squad::new(members.clone(), rules(), Arc::default());
    eject(&on, 0, 0);
    let off = Squad::new(members, Rules { passive: None, ..rules() }, Arc::clone(on.keeper()));
    assert_eq!(picked(&off, 1), [0, 1, 2]);
    assert!((0..100).all(|_| badly(&off, 1, 1, 1).is_none()) && !off.is_out(0));
    // A reload alone changes nothing.
    let again = Squad::new(on.members().to_vec(), rules(), Arc::clone(on.keeper()));
    assert_eq!(picked(&again, 2), [1, 2]);
}

#[test]
fn much_slower_than_the_median_is_ejected() {
    let own = Passive { latency_factor: 3.0, ..Passive::default() };
    let squad = squad(4, Rules { passive: Some(own), ..rules() });
    let answer = |place: usize, ms: u64, times: u64| {
        for _ in 0..times {
            let backend = &squad.members()[place].backend;
            backend.latency().record(Duration::from_millis(ms), at(100));
            well(&squad, place, 100, 100);
        }
    };
    for (place, ms) in [(0, 10), (1, 12), (2, 28), (3, 31)] {
        answer(place, ms, 19);
    }
    assert!(squad.judge_latency(at(101)).is_empty(), "of few answers little is known");
    for (place, ms) in [(0, 10), (1, 12), (2, 28), (3, 45)] {
        answer(place, ms, 100);
    }
    assert_eq!(squad.judge_latency(at(102)), [3]);
    assert!(squad.is_out(3) && squad.judge_latency(at(103)).is_empty());
    assert!(self::squad(2, rules()).judge_latency(at(1)).is_empty());
}

#[test]
fn in_panic_all_are_used() {
    let squad = squad(4, Rules { panic_threshold: 0.5, ..rules() });
    let up = |place: usize, up: bool| {
        let backend = &squad.members()[place].backend;
        backend.set_address(Some(([10, 0, 0, 1], 80).into()));
        backend.condition().set(up, "told so", instant(0));
    };
    eject(&squad, 0, 0);
    up(1, false);
    let selection = squad.select(squad.look(at(1)));
    assert_eq!((selection.panics, selection.places), (false, vec![2, 3]), "half is not below half");
    up(2, false);
    let selection = squad.select(squad.look(at(1)));
    assert_eq!((selection.panics, selection.places, selection.trials), (true, vec![0, 1, 2, 3], vec![0]));
    // A name that never resolved cannot be sent to.
    squad.members()[2].backend.set_address(None);
    assert_eq!(picked(&squad, 1), [0, 1, 3]);
}

#[test]
fn shares_and_limits_grow_in_slow_start() {
    let members = [(1, 0), (3, 50), (2, 200)];
    let members: Vec<Member> =
        members.iter().zip(0..).map(|((weight, limit), number)| member(number, *weight, *limit)).collect();
    let squad = Squad::new(members, Rules { slow_start: 20 * SECOND, ..rules() }, Arc::default());
    assert_eq!(shares(&squad, 0), [(1, 0), (3, 50), (2, 200)], "not at the start of the process");
    let backend = &squad.members()[2].backend;
    backend.condition().set(true, "check passed", instant(500));
    assert_eq!(shares(&squad, 500)[2], (2, 200), "the first result is no recovery");
    backend.condition().set(false, "timeout", instant(600));
    backend.condition().set(true, "check passed", instant(1_000));
    // All are multiplied while one grows: 33 times, for the heaviest is to have about a hundred steps.
    for (ms, grown) in [(1_000, (1, 2)), (3_000, (6, 20)), (11_000, (33, 100)), (20_999, (65, 198))] {
        assert_eq!(shares(&squad, ms), [(33, 0), (99, 50), grown], "{ms}");
        assert!(squad.look_again(&squad.look(at(ms)), at(ms)).unwrap() <= Duration::from_millis(201));
    }
    assert_eq!(shares(&squad, 21_000), [(1, 0), (3, 50), (2, 200)]);
    assert_eq!(squad.look_again(&squad.look(at(21_000)), at(21_000)), None);
    // After an ejection too, and for who joins.
    eject(&squad, 0, 30_000);
    squad.trial(0, at(40_000)).unwrap().passed(at(41_000));
    assert_eq!(shares(&squad, 51_000), [(16, 0), (99, 50), (66, 200)]);
    squad.members()[1].backend.condition().join(instant(61_000));
    assert_eq!(shares(&squad, 66_000), [(33, 0), (24, 12), (66, 200)]);
}

#[test]
fn what_is_shown_says_why() {
    let squad = squad(3, Rules { slow_start: 10 * SECOND, ..rules() });
    eject(&squad, 0, 0);
    squad.members()[1].backend.condition().join(instant(1_000));
    let seen = squad.look(at(3_000));
    let aside = |place: usize| squad.aside(place, seen[place]).map(|(state, why)| (state.name(), why));
    assert_eq!(aside(0), Some(("ejected", "5 failures in a row; for 10s".into())));
    assert_eq!(aside(1), Some(("slow_start", "comes up: 20 % of its share".into())));
    assert_eq!(aside(2), None);
}

#[test]
fn who_asks_for_a_pause_has_it_unless_all_do() {
    let squad = squad(3, rules());
    squad.pause(1, 5 * SECOND, at(1_000));
    let seen = squad.look(at(1_001));
    assert_eq!(squad.aside(1, seen[1]).map(|(state, _)| state.name()), Some("paused"));
    assert_eq!(squad.look_again(&seen, at(1_001)), Some(Duration::from_millis(5_000)));
    assert_eq!((squad.select(seen).places, squad.may_stay(1)), (vec![0, 2], true));
    assert_eq!(picked(&squad, 6_000), [0, 1, 2]);
    // At most half a minute, however long it asks for.
    squad.pause(0, Duration::MAX, at(7_000));
    assert_eq!((picked(&squad, 36_999), picked(&squad, 37_000)), (vec![1, 2], vec![0, 1, 2]));
    squad.pause(0, Duration::ZERO, at(40_000));
    assert_eq!(picked(&squad, 40_000), [0, 1, 2]);
    // All of those that are left.
    eject(&squad, 2, 50_000);
    squad.pause(0, SECOND, at(50_000));
    assert_eq!(picked(&squad, 50_001), [1]);
    squad.pause(1, SECOND, at(50_001));
    assert_eq!(picked(&squad, 50_002), [0, 1]);
    assert_eq!(picked(&squad, 51_000), [0]);
    // Another machine has not asked.
    squad.members()[1].backend.set_address(Some(([10, 0, 0, 9], 80).into()));
    assert_eq!(picked(&squad, 50_002), [1]);
    let off = Squad::new(squad.members().to_vec(), Rules { passive: None, ..rules() }, Arc::default());
    off.pause(0, SECOND, at(60_000));
    assert_eq!(picked(&off, 60_001), [0, 1, 2]);
}
