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
