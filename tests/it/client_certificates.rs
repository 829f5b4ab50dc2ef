//! What backends are told of the certificates of clients.

use std::sync::Arc;

use crate::certificates::{Authority, Files};
use crate::daemon::Daemon;
use crate::frames::{END, Frames, HEADERS, Outcome, PREFACE, WHOLE, asking, block, frame, settings};
use crate::message::Head;
use crate::origin::Origin;
use crate::tls::{dial, secured, tls};

/// All that a client could say of itself, in all the ways that some application takes for ours.
const FORGED: [(&str, &str); 4] = [
    ("x-client-verify", "SUCCESS"),
    ("x_client_verify", "SUCCESS"),
    ("x-client-cert-subject", "CN=root"),
    ("X-Client_Cert-FINGERPRINT", "00"),
];

fn told(head: &Head) -> Vec<(String, String)> {
    let ours =
        head.fields.iter().filter(|(name, _)| name.to_lowercase().replace('_', "-").starts_with("x-client-"));
    ours.map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
}

#[test]
fn a_certificate_is_told_and_what_clients_say_is_not() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let anna = authority.issue("anna", &["anna.test"], 0x0aff);
    let mutual = |more: &str| {
        tls(&[&own], &format!("client_ca = {:?}\nclient_auth = \"optional\"\n{more}", authority.ca()))
    };
    let lines = |more: &str| secured(&origin, &format!("underscores = \"allow\"\n{}", mutual(more)));
    let daemon = Daemon::start(&lines("client_cert_headers = true").server("workers = 1"));
    let forged: String = FORGED.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let ask = |files: Option<&Files>| {
        let config = Arc::new(authority.client_of(rustls::ALL_VERSIONS, files));
        let mut wire = dial(daemon.web, &config, "crm.test").unwrap();
        wire.send(format!("GET / HTTP/1.1\r\nHost: crm.test\r\n{forged}Connection: X-Client-Verify\r\n\r\n"))
            .unwrap();
        assert_eq!(wire.response("GET").unwrap().text(), "well");
        told(&origin.last())
    };
    let none = [("x-client-verify".to_owned(), "NONE".to_owned())];
    assert_eq!(ask(None), none);
    let shown = ask(Some(&anna));
    let field = |name: &str| {
        shown.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert_eq!(field("x-client-verify"), ["SUCCESS"]);
    assert_eq!(field("x-client-cert-serial"), ["0aff"]);
    assert!(field("x-client-cert-subject")[0].contains("CN="), "{shown:?}");
    assert!(field("x-client-cert-issuer")[0].contains("CN="), "{shown:?}");
    assert_eq!(field("x-client-cert-fingerprint")[0].len(), 64);

    // The same over HTTP/2.
    let mut config = authority.client_of(rustls::ALL_VERSIONS, Some(&anna));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut frames = Frames::over(dial(daemon.web, &Arc::new(config), "crm.test").unwrap());
    let fields = [&asking("GET", "/")[..], &FORGED[..3]].concat();
    frames.send([PREFACE, &settings(&[(1, 0)])].concat()).unwrap();
    frames.send(frame(HEADERS, END | WHOLE, 1, &block(&fields))).unwrap();
    assert!(matches!(frames.outcome(1), Outcome::Answer { status: 200, .. }));
    assert_eq!(told(&origin.last()), shown);

    // Where it is off, these are fields like others.
    daemon.reload(&lines("").server("workers = 1"));
    assert_eq!(ask(Some(&anna)).len(), FORGED.len() - 1, "Connection names one");
}
