//! `[pool.NAME.passive]`, `slow_start` and `panic_threshold`.

use super::*;

#[test]
fn passive_health_is_on_until_it_is_switched_off() {
    let passive = config(SMALL).pools[0].passive.clone().unwrap();
    assert_eq!((passive.consecutive_failures, passive.failure_ratio, passive.min_requests), (5, 0.5, 20));
    let seconds = |time: Duration| time.as_secs();
    assert_eq!((seconds(passive.window), seconds(passive.eject_for)), (10, 10));
    assert_eq!((passive.latency_factor, passive.max_ejected, passive.end_by_check), (0.0, 0.5, true));
    let off = config(&format!("{SMALL}passive.enabled = false\nslow_start = '30s'\npanic_threshold = 0.4\n"));
    assert_eq!(off.pools[0].passive, None);
    assert_eq!((off.pools[0].slow_start, off.pools[0].panic_threshold), (Duration::from_secs(30), 0.4));
}

#[test]
fn what_would_never_or_always_eject_is_refused() {
    for line in [
        "consecutive_failures = 0",
        "failure_ratio = 0.0",
        "failure_ratio = 1.5",
        "min_requests = 0",
        "window = '0s'",
        "window = '25h'",
        "latency_factor = 1.0",
        "latency_factor = 9.0",
        "eject_for = '0s'",
        "eject_for = '301s'",
        "max_ejected = 0",
    ] {
        let text = format!("{SMALL}[pool.crm.passive]\n{line}\n");
        let column = line.find('=').unwrap() + 3;
        assert_eq!(found(&text), [format!("7:{column} bad-value")], "{line}");
    }
    assert_eq!(found(&format!("{SMALL}panic_threshold = 1.1\n")), ["6:19 bad-value"]);
    for line in [
        "latency_factor = 0.0",
        "latency_factor = 1.5",
        "max_ejected = 1",
        "eject_for = '5m'",
        "window = '1d'",
    ] {
        config(&format!("{SMALL}[pool.crm.passive]\n{line}\n"));
    }
}
