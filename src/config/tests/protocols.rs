//! `[[listener]] protocols`, `protocol` of pools and what goes with it.

use super::{SMALL, config, found};
use crate::config::{HealthKind, Protocol, Protocols};

#[test]
fn protocols_are_both_by_themselves_only_with_tls() {
    let spoken = |line: &str| {
        config(&SMALL.replace("pool = 'crm'", &format!("pool = 'crm'\n{line}"))).listeners[0].protocols
    };
    let certificates = concat!(
        "tls.certificates = [{ cert = '",
        env!("CARGO_MANIFEST_DIR"),
        "/Cargo.toml', key = '",
        env!("CARGO_MANIFEST_DIR"),
        "/Cargo.toml' }]"
    );
    assert_eq!(spoken(""), Protocols { h1: true, h2: false });
    assert_eq!(spoken(certificates), Protocols { h1: true, h2: true });
    assert_eq!(spoken("protocols = 'h2'"), Protocols { h1: false, h2: true });
    assert_eq!(spoken("protocols = ['h2', 'h1']"), Protocols { h1: true, h2: true });
    assert_eq!(spoken(&format!("protocols = ['h1']\n{certificates}")), Protocols { h1: true, h2: false });
    let wrong = |line: &str| found(&SMALL.replace("pool = 'crm'", &format!("pool = 'crm'\n{line}")));
    assert_eq!(wrong("protocols = ['h1', 'h3']"), ["4:20 bad-value"]);
    assert_eq!(wrong("protocols = []"), ["4:13 bad-value"]);
}

#[test]
fn a_pool_speaks_http1_unless_it_says_otherwise() {
    let spoken = |line: &str| config(&format!("{SMALL}{line}\n")).pools[0].protocol;
    assert_eq!(spoken(""), Protocol::H1);
    assert_eq!(spoken("protocol = 'h1'"), Protocol::H1);
    assert_eq!(spoken("protocol = 'h2'"), Protocol::H2);
    assert_eq!(spoken("protocol = 'auto'"), Protocol::Auto);
    let wrong = |lines: &str| found(&format!("{SMALL}{lines}\n"));
    assert_eq!(wrong("protocol = 'h3'"), ["6:12 bad-value"]);
    assert_eq!(wrong("protocol = 'h2'\nproxy_protocol = 'v2'"), ["7:1 conflict"]);
    assert_eq!(wrong("protocol = 'h2'\nproxy_protocol = 'off'"), [""; 0]);
    assert_eq!(wrong("protocol = 'auto'\nproxy_protocol = 'v1'"), [""; 0]);
}

#[test]
fn checks_of_grpc_need_http2_and_name_a_service() {
    let file = |protocol: &str, lines: &str| {
        format!("{SMALL}protocol = '{protocol}'\n[pool.crm.health]\ntype = 'grpc'\n{lines}")
    };
    let health = config(&file("h2", "service = 'crm.v1.Contacts'\nhost = 'crm'\n")).pools.remove(0).health;
    let health = health.unwrap();
    assert_eq!((health.kind, health.service.as_str()), (HealthKind::Grpc, "crm.v1.Contacts"));
    assert_eq!(config(&file("auto", "")).pools[0].health.as_ref().unwrap().service, "");
    assert_eq!(found(&file("h1", "")), ["8:8 conflict"]);
    assert_eq!(found(&file("h2", "path = '/'\nexpect_status = 200\n")), ["9:1 conflict", "10:1 conflict"]);
    assert_eq!(found(&file("h2", "service = 'a b'\n")), ["9:11 bad-value"]);
    let http = format!("{SMALL}[pool.crm.health]\nservice = 'a'\n");
    assert_eq!(found(&http), ["7:1 conflict"]);
}
