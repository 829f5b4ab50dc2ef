//! Spares: when they serve, and when no more.

use super::*;

/// Members of these priorities.
fn tiers(priorities: &[u8], rules: Rules) -> Squad {
    let mut members: Vec<Member> = (0..).take(priorities.len()).map(|number| member(number, 1, 0)).collect();
    for (member, priority) in members.iter_mut().zip(priorities) {
        member.priority = *priority;
        member.backend.set_address(Some(([10, 0, 0, 1], 80).into()));
        member.backend.condition().set(true, "check passed", instant(0));
    }
    Squad::new(members, rules, Arc::default())
}

fn mark(squad: &Squad, place: usize, up: bool, ms: u64) {
    squad.members()[place].backend.condition().set(up, "told so", instant(ms));
}

#[test]
fn backups_serve_and_panic_for_themselves() {
    let mut members: Vec<Member> = (0..4).map(|number| member(number, 1, 0)).collect();
    (members[2].priority, members[3].priority) = (1, 1);
    let squad = Squad::new(members, Rules { panic_threshold: 0.6, ..rules() }, Arc::default());
    assert_eq!(picked(&squad, 0), [0, 1]);
    for place in [0, 1] {
        squad.members()[place].backend.set_address(Some(([10, 0, 0, 1], 80).into()));
        squad.members()[place].backend.condition().set(false, "timeout", instant(0));
    }
    let selection = squad.select(squad.look(at(1)));
    assert_eq!((selection.panics, selection.places), (false, vec![2, 3]));
    squad.members()[3].backend.condition().set(false, "timeout", instant(0));
    squad.members()[2].backend.condition().set(false, "timeout", instant(0));
    let selection = squad.select(squad.look(at(1)));
    assert_eq!((selection.panics, selection.places), (true, vec![0, 1]));
}

#[test]
fn the_first_priority_that_has_somebody_serves() {
    let squad = tiers(&[2, 0, 1, 0, 7], rules());
    assert_eq!(picked(&squad, 1), [1, 3]);
    mark(&squad, 1, false, 2);
    assert_eq!(picked(&squad, 2), [3], "one is enough");
    mark(&squad, 3, false, 3);
    assert_eq!(picked(&squad, 3), [2]);
    mark(&squad, 2, false, 4);
    assert_eq!((picked(&squad, 4), squad.keeper().tier()), (vec![0], Some(2)));
    mark(&squad, 0, false, 5);
    assert_eq!(picked(&squad, 5), [4]);
    mark(&squad, 4, false, 6);
    assert!(picked(&squad, 6).is_empty());
    // Whoever comes first serves at once.
    mark(&squad, 0, true, 7);
    assert_eq!(picked(&squad, 7), [0]);
    // An order is as good as being down.
    let squad = tiers(&[0, 1], rules());
    order(&squad, 0, Duty::Drain, None);
    assert_eq!(picked(&squad, 1), [1]);
    order(&squad, 0, Duty::Ready, None);
    assert_eq!(picked(&squad, 2), [0], "who gives an order means it now");
}

#[test]
fn traffic_comes_back_when_one_has_stayed_up() {
    let squad = tiers(&[0, 0, 1], rules());
    let _ = [0, 1].map(|place| mark(&squad, place, false, 1_000));
    assert_eq!(picked(&squad, 1_000), [2]);
    // It comes and goes: the spare serves on.
    for ms in [2_000, 3_500, 5_000] {
        mark(&squad, 0, true, ms);
        let seen = squad.look(at(ms + 400));
        assert_eq!(squad.look_again(&seen, at(ms + 400)), Some(Duration::from_millis(1_601)));
        assert_eq!(squad.select(seen.clone()).places, [2]);
        let why = "comes back: spares serve until it has been up for 2s";
        assert_eq!(squad.aside(0, seen[0]), Some((State::Up, why.to_owned())));
        mark(&squad, 0, false, ms + 500);
        assert_eq!(picked(&squad, ms + 500), [2]);
    }
    mark(&squad, 0, true, 7_000);
    assert_eq!(picked(&squad, 8_999), [2]);
    assert_eq!(picked(&squad, 9_000), [0]);
    assert_eq!((squad.keeper().tier(), squad.aside(0, squad.look(at(9_000))[0])), (Some(0), None));
    // The second of them need not wait: its priority serves already.
    mark(&squad, 1, true, 9_100);
    assert_eq!(picked(&squad, 9_100), [0, 1]);
}

#[test]
fn nobody_waits_for_one_who_is_not_there() {
    // The spare goes while the first one settles.
    let squad = tiers(&[0, 1], rules());
    mark(&squad, 0, false, 1_000);
    assert_eq!(picked(&squad, 1_000), [1]);
    mark(&squad, 0, true, 2_000);
    assert_eq!(picked(&squad, 2_100), [1]);
    mark(&squad, 1, false, 2_200);
    assert_eq!(picked(&squad, 2_200), [0]);
    // And comes back: that takes nothing from the first.
    mark(&squad, 1, true, 2_300);
    assert_eq!(picked(&squad, 2_300), [0]);
    // Both were away; the spare was there first, and the other one settles as ever.
    let _ = [0, 1].map(|place| mark(&squad, place, false, 10_000));
    mark(&squad, 1, true, 11_000);
    assert_eq!(picked(&squad, 11_000), [1]);
    mark(&squad, 0, true, 12_000);
    for (ms, serves) in [(12_000, 1), (13_000, 1), (13_999, 1), (14_000, 0)] {
        assert_eq!(picked(&squad, ms), [serves], "{ms}");
    }
}

#[test]
fn slow_start_and_ejections_settle_too_and_a_reload_changes_nothing() {
    let slow = Rules { slow_start: 20 * SECOND, ..rules() };
    let squad = tiers(&[0, 0, 1], slow.clone());
    let _ = [0, 1].map(|place| mark(&squad, place, false, 1_000));
    assert_eq!(picked(&squad, 1_000), [2]);
    mark(&squad, 0, true, 2_000);
    let again = Squad::new(squad.members().to_vec(), slow, Arc::clone(squad.keeper()));
    assert_eq!(picked(&again, 21_999), [2]);
    assert_eq!(picked(&again, 22_000), [0]);

    let all = Passive { max_ejected: 1.0, ..Passive::default() };
    let squad = tiers(&[0, 1], Rules { passive: Some(all), ..rules() });
    eject(&squad, 0, 1_000);
    assert_eq!(picked(&squad, 1_001), [1]);
    squad.trial(0, at(11_000)).unwrap().passed(at(11_100));
    assert_eq!(picked(&squad, 13_099), [1]);
    assert_eq!(picked(&squad, 13_100), [0]);
    squad.pause(0, SECOND, at(14_000));
    assert_eq!(picked(&squad, 14_001), [0], "who asks for a pause is not down");
}

#[test]
fn of_ejected_ones_the_first_that_are_up_serve_where_the_rest_went_down() {
    let squad = tiers(&[0, 0, 3, 3], rules());
    eject(&squad, 2, 1_000);
    eject(&squad, 3, 1_000);
    let _ = [0, 1].map(|place| mark(&squad, place, false, 1_001));
    let selection = squad.select(squad.look(at(1_002)));
    assert_eq!((selection.places, selection.priority), (vec![2, 3], 3));
}
