//! `queue`, `max_connections` and `priority`.

use super::*;

#[test]
fn a_thousand_may_wait_for_five_seconds() {
    let written = |lines: &str| config(&format!("{SMALL}max_connections = 7\n{lines}")).pools[0].queue;
    assert_eq!(written(""), Queue { max: 1024, timeout: Duration::from_secs(5) });
    assert_eq!(written("queue = { max = 0 }\n"), Queue { max: 0, timeout: Duration::from_secs(5) });
    assert_eq!(written("queue.timeout = '1m30s'\n"), Queue { max: 1024, timeout: Duration::from_secs(90) });
}

#[test]
fn nobody_waits_for_ever_and_not_everybody_may() {
    for line in ["queue.timeout = '0s'", "queue.timeout = 5", "queue.max = 1048577", "queue.max = '1KiB'"] {
        let all = found(&format!("{SMALL}max_connections = 7\n{line}\n"));
        assert!(all.len() == 1 && all[0].starts_with("7:"), "{line}: {all:?}");
    }
}

#[test]
fn a_queue_that_nobody_can_stand_in_is_told_of() {
    assert_eq!(found(&format!("{SMALL}queue.max = 9\n")), ["6:1 unused-key"]);
    let limited = SMALL.replace("'b:80'", "{ address = 'b:80', max_connections = 3 }");
    assert_eq!(found(&format!("{limited}queue.max = 9\n")), [""; 0]);
}

#[test]
fn a_route_is_low_normal_or_high() {
    let route = |line: &str| format!("{SMALL}[[route]]\npool = 'crm'\n{line}\n");
    for (line, priority) in [
        ("", Priority::Normal),
        ("priority = 'low'", Priority::Low),
        ("priority = 'normal'", Priority::Normal),
        ("priority = 'high'", Priority::High),
    ] {
        assert_eq!(config(&route(line)).routes[0].priority, priority, "{line}");
    }
    assert_eq!(found(&route("priority = 'urgent'")), ["8:12 bad-value"]);
}

#[test]
fn a_limit_is_a_number_or_adaptive_and_a_backends_own_counts() {
    let text = SMALL.replace("'b:80'", "{ address = 'b:80', max_connections = 3 }");
    let pool = &config(&format!("{text}max_connections = 'adaptive'\n")).pools[0];
    assert_eq!(pool.max_connections, MaxConnections::Adaptive);
    assert!(pool.backends.iter().any(|backend| backend.max_connections == MaxConnections::AtMost(3)));
    let text = SMALL.replace("'b:80'", "{ address = 'b:80', max_connections = 'adaptive' }");
    let pool = &config(&text).pools[0];
    assert_eq!(pool.max_connections, MaxConnections::AtMost(0));
    assert!(pool.backends.iter().any(|backend| backend.max_connections == MaxConnections::Adaptive));
    assert_eq!(found(&format!("{SMALL}max_connections = 'adaptiv'\n")), ["6:19 bad-value"]);
    assert_eq!(found(&format!("{SMALL}max_connections = 'adaptive'\nqueue.max = 9\n")), [""; 0]);
}
