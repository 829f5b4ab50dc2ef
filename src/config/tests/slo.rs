use super::*;

/// A file with this `slo` in its pool; the value begins at 6:7.
fn with(slo: &str) -> String {
    format!("{SMALL}slo = {slo}\n")
}

#[test]
fn objectives_are_shares_of_requests() {
    let slo = "{ availability = 99.9, latency = '300ms', latency_ratio = 99, window = '7d' }";
    let read = config(&with(slo)).pools[0].slo.unwrap();
    assert_eq!(read.availability, Some(0.999));
    assert_eq!(read.latency, Some((Duration::from_millis(300), 0.99)));
    assert_eq!(read.window, Duration::from_secs(7 * 86_400));

    let fine = config(&with("{ availability = 99.9999999999 }")).pools[0].slo.unwrap();
    assert!(fine.availability.is_some_and(|share| share < 1.0));
    let read = config(&with("{ availability = 99 }")).pools[0].slo.unwrap();
    assert_eq!((read.latency, read.window), (None, Duration::from_secs(30 * 86_400)));
    assert_eq!(config(SMALL).pools[0].slo, None);
    let route = config(&format!(
        "{SMALL}[[route]]\npool = 'crm'\n[route.slo]\nlatency = '1s'\nlatency_ratio = 50.5\n"
    ));
    assert_eq!(route.routes[0].slo.unwrap().availability, None);
}

#[test]
fn what_promises_nothing_or_what_none_can_keep_is_refused() {
    for (slo, expected) in [
        ("{}", "6:1 missing-key"),
        ("{ window = '30d' }", "6:1 missing-key"),
        ("{ availability = 100 }", "6:24 bad-value"),
        ("{ availability = 0.0 }", "6:24 bad-value"),
        ("{ availability = nan }", "6:24 bad-value"),
        ("{ availability = '99' }", "6:24 wrong-type"),
        ("{ latency = '1s' }", "6:9 missing-key"),
        ("{ latency_ratio = 99 }", "6:9 missing-key"),
        ("{ latency = '61s', latency_ratio = 99 }", "6:19 bad-value"),
        ("{ availability = 99, window = '59m' }", "6:37 bad-value"),
        ("{ availabilty = 99 }", "6:9 unknown-key"),
        ("99.9", "6:7 wrong-type"),
    ] {
        assert!(found(&with(slo)).iter().any(|one| one == expected), "{slo}: {:?}", found(&with(slo)));
    }
}

#[test]
fn a_state_file_may_not_exist_yet_but_must_not_be_something_else() {
    let file = |name: &str| format!("{SMALL}[server]\nstate_file = '{name}'\n");
    let read = config(&file("/none/state.json"));
    assert_eq!(read.server.state_file.as_deref(), Some(Path::new("/none/state.json")));
    assert_eq!(config(SMALL).server.state_file, None);
    for name in ["/", "/dev/null"] {
        assert_eq!(found(&file(name)), ["7:14 unreadable"], "{name}");
    }
}
