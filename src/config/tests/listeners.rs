//! Checks of a listener that need more than one key.

use super::{Code, SMALL, config, found, read};

/// Of whom else should a PROXY header be believed?
#[test]
fn a_proxy_header_needs_somebody_who_is_trusted() {
    let with = |lines: &str| SMALL.replace("pool = 'crm'", &format!("{lines}\npool = 'crm'"));
    for mode in ["optional", "require"] {
        let line = format!("proxy_protocol = '{mode}'");
        assert_eq!(found(&with(&line)), ["3:18 conflict"]);
        assert_eq!(found(&with(&format!("{line}\ntrusted_proxies = []"))), ["3:18 conflict"]);
        assert_eq!(found(&with(&format!("{line}\ntrusted_proxies = '10.0.0.0/33'"))), ["4:19 bad-value"]);
        config(&with(&format!("{line}\ntrusted_proxies = '10.0.0.0/8'")));
    }
    config(&with("proxy_protocol = 'off'"));
}

#[test]
fn names_and_addresses_stand_once() {
    let two = "[[listener]]\nbind = '127.0.0.1:80'\npool = 'crm'\n";
    assert_eq!(found(&format!("{two}{SMALL}")), ["5:8 duplicate-name", "5:8 duplicate-address"]);
    let admin = "[admin]\nbind = '127.0.0.1:80'\n";
    assert_eq!(found(&format!("{admin}{SMALL}")), ["4:8 duplicate-address"]);
    assert_eq!(found(&SMALL.replace("'b:80'", "'a:80'")), ["5:21 duplicate-name"]);
    let routes = "[[route]]\nname = 'route-2'\nmatch.path = '/a'\npool = 'crm'\n[[route]]\npool = 'crm'\n";
    assert_eq!(found(&format!("{SMALL}{routes}")), ["10:1 duplicate-name"]);
    // The kernel chooses a port for each.
    let free = SMALL.replace(":80'\n", ":0'\nname = 'a'\n");
    config(&format!("[[listener]]\nname = 'b'\nbind = '127.0.0.1:0'\npool = 'crm'\n{free}"));
    let doubled = read(&format!("{SMALL}max_connections = 1\nmax_connections = 2\n[pool.crm]\n")).report;
    let notes: Vec<_> = doubled.diagnostics().iter().map(|one| (one.code, one.notes.len())).collect();
    assert_eq!(notes, [(Code::DuplicateKey, 1), (Code::DuplicateKey, 1)]);
}
