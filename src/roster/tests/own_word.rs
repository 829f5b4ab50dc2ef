//! What a backend says of itself: by its agent, and by the load that it reports.

use super::*;
use crate::backend::Advice;

fn advise(squad: &Squad, place: usize, advice: Advice, said: &str, ms: u64) -> bool {
    squad.members()[place].backend.heed(advice, Some(said), instant(ms))
}

fn shown(squad: &Squad, place: usize, ms: u64) -> Option<(&'static str, String)> {
    squad.aside(place, squad.look(at(ms))[place]).map(|(state, why)| (state.name(), why))
}

#[test]
fn an_agent_scales_the_weight_and_lowers_the_limit() {
    let members = [(1, 0), (3, 50), (2, 200)];
    let members: Vec<Member> =
        members.iter().zip(0..).map(|((weight, limit), number)| member(number, *weight, *limit)).collect();
    let squad = Squad::new(members, rules(), Arc::default());
    let whole = Advice::default();
    assert!(advise(&squad, 1, Advice { percent: 75, limit: 60, ..whole }, "75% maxconn:60", 1));
    assert!(
        !advise(&squad, 1, Advice { percent: 75, limit: 60, ..whole }, "75% maxconn:60", 2),
        "nothing new"
    );
    // All are multiplied by 33, so that three quarters of a small weight are three quarters.
    assert_eq!(shares(&squad, 3), [(33, 0), (74, 50), (66, 200)]);
    assert_eq!(shown(&squad, 1, 3), Some(("up", "agent: 75% maxconn:60".into())));
    advise(&squad, 1, Advice { limit: 7, ..whole }, "100% maxconn:7", 4);
    advise(&squad, 0, Advice { limit: 9, ..whole }, "maxconn:9", 4);
    advise(&squad, 2, Advice { percent: 300, ..whole }, "300%", 4);
    assert_eq!(shares(&squad, 5), [(33, 9), (99, 7), (198, 200)]);
    // Nothing of its weight is a drain: new clients stay away, and those that are there stay.
    advise(&squad, 2, Advice { percent: 0, ..whole }, "0%", 6);
    assert_eq!((picked(&squad, 7), squad.may_stay(2)), (vec![0, 1], true));
    assert_eq!(shown(&squad, 2, 7), Some(("drain", "agent: 0%".into())));
    assert!((0..30).all(|ms| badly(&squad, 2, 8 + ms, 8 + ms).is_none()), "who drains is not ejected");
}

#[test]
fn an_agent_orders_as_an_operator_does_and_the_stricter_holds() {
    let squad = squad(3, Rules { panic_threshold: 1.0, ..rules() });
    let duty = |duty| Advice { duty, ..Advice::default() };
    advise(&squad, 0, duty(Duty::Drain), "drain", 1);
    advise(&squad, 1, duty(Duty::Maintenance), "maint", 1);
    assert_eq!((picked(&squad, 2), [0, 1].map(|place| squad.may_stay(place))), (vec![2], [true, false]));
    assert_eq!(shown(&squad, 0, 2), Some(("drain", "agent: drain".into())));
    assert_eq!(shown(&squad, 1, 2), Some(("maintenance", "agent: maint".into())));
    order(&squad, 0, Duty::Maintenance, None);
    assert_eq!(shown(&squad, 0, 3), Some(("maintenance", "by an operator".into())));
    order(&squad, 1, Duty::Drain, None);
    assert_eq!(shown(&squad, 1, 3).unwrap().0, "maintenance");
    let _ = [0, 1].map(|place| advise(&squad, place, duty(Duty::Ready), "ready", 4));
    assert_eq!(picked(&squad, 5), [2], "the operator has not taken it back");
    let _ = [0, 1].map(|place| order(&squad, place, Duty::Ready, None));
    assert_eq!(picked(&squad, 6), [0, 1, 2]);
}

#[test]
fn an_agent_that_calls_it_down_outweighs_checks_and_slow_start_follows() {
    let squad = squad(2, Rules { slow_start: 10 * SECOND, ..rules() });
    let down = Advice { down: true, ..Advice::default() };
    let condition = squad.members()[0].backend.condition();
    condition.set(true, "check passed", instant(0));
    advise(&squad, 0, down, "down#no disk", 1_000);
    assert_eq!((picked(&squad, 1_000), squad.may_stay(0)), (vec![1], false));
    assert_eq!((condition.shown().0, &*condition.reason()), (State::Down, "agent: down#no disk"));
    assert!(!condition.set(true, "check passed", instant(1_500)), "it is down");
    assert!(!condition.set(false, "status 500", instant(1_600)));
    assert_eq!(&*condition.reason(), "status 500", "what checks find is said first");
    advise(&squad, 0, Advice::default(), "up", 2_000);
    assert!(picked(&squad, 2_000) == [1], "checks still fail");
    assert!(condition.set(true, "check passed", instant(3_000)));
    assert_eq!(shares(&squad, 8_000), [(50, 0), (100, 0)]);
    // And the other way round.
    advise(&squad, 0, down, "fail", 20_000);
    advise(&squad, 0, Advice::default(), "up", 21_000);
    assert_eq!(shares(&squad, 26_000), [(50, 0), (100, 0)]);
}

#[test]
fn a_load_takes_of_the_weight_what_it_says_and_never_all() {
    let squad = squad(3, Rules { loads: true, ..rules() });
    let report =
        |place: usize, load: f32, ms: u64| squad.members()[place].backend.load().report(load, at(ms));
    assert_eq!(shares(&squad, 1), [(1, 0), (1, 0), (1, 0)]);
    report(0, 0.25, 1);
    report(1, 1.0, 1);
    assert_eq!(shares(&squad, 2), [(75, 0), (10, 0), (100, 0)]);
    assert_eq!(squad.look_again(&squad.look(at(2)), at(2)), Some(Duration::from_millis(1_001)));
    // With the agent's word it is multiplied.
    advise(&squad, 0, Advice { percent: 50, ..Advice::default() }, "50%", 3);
    assert_eq!(shares(&squad, 4), [(37, 0), (10, 0), (100, 0)]);
    // For want of reports it is forgotten: who gets no requests can report nothing.
    assert_eq!(shares(&squad, 60_000), [(50, 0), (100, 0), (100, 0)]);
    let deaf = Squad::new(squad.members().to_vec(), rules(), Arc::default());
    report(1, 1.0, 60_000);
    assert_eq!(shares(&deaf, 60_001)[1], (100, 0), "the file names no field any more");
}
