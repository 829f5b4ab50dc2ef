//! How a backend is chosen: keys of the pool and of its backends.

use super::*;

#[test]
fn a_bound_is_a_factor_of_at_least_one_and_only_hashing_reads_it() {
    let hash = |lines: &str| format!("{SMALL}balance = 'ip-hash'\n{lines}");
    assert_eq!(config(&hash("")).pools[0].hash_balance_factor, None);
    for (written, factor) in [("1.25", 1.25), ("2", 2.0), ("1.0", 1.0), ("100", 100.0)] {
        let pool = &config(&hash(&format!("hash_balance_factor = {written}\n"))).pools[0];
        assert_eq!(pool.hash_balance_factor, Some(factor));
    }
    for written in ["0.99", "125", "-2", "nan", "inf"] {
        assert_eq!(
            found(&hash(&format!("hash_balance_factor = {written}\n"))),
            ["7:23 bad-value"],
            "{written}"
        );
    }
    assert_eq!(found(&hash("hash_balance_factor = '1.25'\n")), ["7:23 wrong-type"]);
    assert_eq!(found(&format!("{SMALL}hash_balance_factor = 1.25\n")), ["6:1 unused-key"]);
}

#[test]
fn spares_have_a_priority_and_backup_is_the_first() {
    let with = |keys: &str| SMALL.replace("'b:80'", &format!("{{ address = 'b:80'{keys} }}"));
    for (keys, priority) in [
        ("", 0),
        (", backup = false", 0),
        (", backup = true", 1),
        (", priority = 0", 0),
        (", priority = 255", 255),
    ] {
        let pool = &config(&with(keys)).pools[0];
        assert_eq!([pool.backends[0].priority, pool.backends[1].priority], [0, priority], "{keys}");
    }
    assert_eq!(found(&with(", priority = 256")), ["5:52 bad-value"]);
    assert_eq!(found(&with(", priority = 2, backup = true")), ["5:41 conflict"]);
    assert_eq!(
        found(&with(", priority = 1").replace("'a:80'", "{ address = 'a:80', priority = 2 }")),
        ["5:1 no-active-backend"]
    );
}

#[test]
fn a_load_is_reported_in_a_field_that_nobody_else_needs() {
    let with = |value: &str| format!("{SMALL}load_header = {value}\n");
    assert_eq!(config(SMALL).pools[0].load_header, None);
    assert_eq!(config(&with("'X-Backend-Load'")).pools[0].load_header.as_deref(), Some("x-backend-load"));
    for value in ["''", "'a b'", "'x:y'", "'Content-Length'", "'transfer-encoding'", "'Set-Cookie'"] {
        assert_eq!(found(&with(value)), ["6:15 bad-value"], "{value}");
    }
}

#[test]
fn an_agent_has_a_port_and_is_asked_every_five_seconds() {
    let with = |agent: &str| format!("{SMALL}[pool.crm.health]\nagent = {agent}\n");
    let read = |agent: &str| config(&with(agent)).pools[0].health.clone().unwrap().agent;
    let seconds = Duration::from_secs;
    assert_eq!(read("{ port = 9001 }"), Some(Agent { port: 9001, interval: seconds(5) }));
    assert_eq!(read("{ port = 1, interval = '2s' }"), Some(Agent { port: 1, interval: seconds(2) }));
    assert_eq!(config(&format!("{SMALL}[pool.crm.health]\n")).pools[0].health.clone().unwrap().agent, None);
    assert_eq!(found(&with("{}")), ["7:9 missing-key"]);
    assert_eq!(found(&with("{ port = 0 }")), ["7:18 bad-value"]);
    assert_eq!(found(&with("{ port = 9, interval = '0s' }")), ["7:32 bad-value"]);
}
