//! Checks of a listener that need more than one key.

use super::{SMALL, config, found};

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
