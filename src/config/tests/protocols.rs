//! `[[listener]] protocols`

use super::{SMALL, config, found};
use crate::config::Protocols;

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
