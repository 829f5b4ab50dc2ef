//! TLS between the balancer and its backends.

use std::sync::Arc;

use crate::certificates::{Authority, Files};
use crate::client::{connect, get};
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::origin::Origin;

fn answering(authority: &Authority, files: &Files, asks: bool, body: &'static str) -> Origin {
    Origin::secured(Arc::new(authority.server(files, asks)), move |visit| {
        while visit.request()?.is_some() {
            visit.answer(200, body)?;
        }
        Ok(())
    })
}

fn to(origin: &Origin, lines: &str) -> Config {
    over(&[origin.address]).pool(&format!("[pool.crm.tls]\n{lines}"))
}

fn tls_errors(daemon: &Daemon) -> f64 {
    daemon.metric("equipoise_backend_requests_total", &[("code", "tls_error")])
}

#[test]
fn a_backend_that_proves_its_name_is_used_and_its_connection_kept() {
    let authority = Authority::new();
    let origin =
        answering(&authority, &authority.issue("own", &["127.0.0.1", "crm.internal"], 1), false, "well");
    let ca = authority.ca();
    let daemon = Daemon::start(&to(&origin, &format!("ca = {ca:?}")));
    let mut wire = connect(daemon.web);
    for _ in 0..20 {
        assert_eq!(wire.get("/").unwrap().text(), "well");
    }
    // The tickets that a server of TLS 1.3 sends are no strays.
    assert_eq!(origin.connections(), 1);
    assert_eq!(daemon.metric("equipoise_backend_strays_total", &[]), 0.0);
    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    wire.send(post).unwrap();
    assert_eq!(wire.response("POST").unwrap().text(), "well");
    daemon.reload(&to(&origin, &format!("ca = {ca:?}\nserver_name = \"crm.internal\"")));
    assert_eq!(wire.get("/").unwrap().text(), "well");
    until("what was agreed on before is not used any more", || (origin.connections() == 2).then_some(()));
}

#[test]
fn a_backend_that_does_not_is_not_sent_a_byte() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ca, foreign) = (authority.ca(), stranger.ca());
    let origin = answering(&authority, &authority.issue("own", &["crm.internal"], 1), false, "well");
    let daemon = Daemon::start(&to(&origin, &format!("ca = {ca:?}")));
    assert_eq!(get(daemon.web, "/").status(), 502, "the certificate does not hold 127.0.0.1");
    assert!(tls_errors(&daemon) >= 1.0);
    daemon.reload(&to(&origin, &format!("ca = {foreign:?}\nserver_name = \"crm.internal\"")));
    assert_eq!(get(daemon.web, "/").status(), 502, "nobody we know has signed it");
    daemon.reload(&to(&origin, ""));
    assert_eq!(get(daemon.web, "/").status(), 502, "no root of the system has signed it");
    assert_eq!(origin.requests(), 0);
    daemon.reload(&to(&origin, &format!("ca = {ca:?}\nserver_name = \"crm.internal\"")));
    assert_eq!(get(daemon.web, "/").text(), "well");
}

/// What `openssl req -x509` makes is both: an authority, and the certificate of the server itself.
#[test]
fn a_backend_that_signs_itself_is_known_by_its_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (names, status) in [(["crm.internal"], 502), (["127.0.0.1"], 200)] {
        let own = authority.sign_itself("itself", &names, 2090);
        let origin = answering(&authority, &own, false, "well");
        let daemon = Daemon::start(&to(&origin, &format!("ca = {:?}", own.cert)));
        assert_eq!(get(daemon.web, "/").status(), status, "{names:?}");
        daemon.reload(&to(&origin, &format!("ca = {:?}", stranger.ca())));
        assert_eq!(get(daemon.web, "/").status(), 502);
    }
    let old = authority.sign_itself("old", &["127.0.0.1"], 2020);
    let origin = answering(&authority, &old, false, "well");
    let daemon = Daemon::start(&to(&origin, &format!("ca = {:?}", old.cert)));
    assert_eq!(get(daemon.web, "/").status(), 502, "it has expired");
}

#[test]
fn without_verification_anybody_is_believed_and_it_is_warned_of() {
    let authority = Authority::new();
    let origin = answering(&authority, &authority.issue("own", &["crm.internal"], 1), false, "well");
    let config = to(&origin, "verify = false");
    let daemon = Daemon::start(&config);
    assert_eq!(get(daemon.web, "/").text(), "well");
    daemon.write(&config.text());
    let answer = daemon.ask_to_reload();
    assert!(answer.status() == 200 && answer.text().contains("unverified"), "{}", answer.text());
    // Once it is verified, a connection from before must not be used.
    let mut wire = connect(daemon.web);
    assert_eq!(wire.get("/").unwrap().text(), "well");
    daemon.reload(&to(&origin, &format!("ca = {:?}", authority.ca())));
    assert_eq!(wire.get("/").unwrap().status(), 502);
}

#[test]
fn a_backend_that_asks_for_a_certificate_gets_ours() {
    let authority = Authority::new();
    let origin = answering(&authority, &authority.issue("own", &["127.0.0.1"], 1), true, "well");
    let (ca, ours) = (authority.ca(), authority.issue("ours", &["balancer"], 2));
    let mutual = format!("ca = {ca:?}\ncert = {:?}\nkey = {:?}", ours.cert, ours.key);
    let daemon = Daemon::start(&to(&origin, &mutual));
    assert_eq!(get(daemon.web, "/").text(), "well");
    daemon.reload(&to(&origin, &format!("ca = {ca:?}")));
    assert_eq!(get(daemon.web, "/").status(), 502);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn checks_speak_tls_too() {
    let authority = Authority::new();
    let origin = answering(&authority, &authority.issue("own", &["127.0.0.1"], 1), false, "well");
    let health = "[pool.crm.health]\npath = \"/healthz\"\ninterval = \"100ms\"\ninitial = \"down\"";
    let config = to(&origin, &format!("ca = {:?}\n{health}", authority.ca()));
    let daemon = Daemon::start(&config);
    let name = origin.address.to_string();
    until("it is up", || (daemon.backend(&name)["state"] == "up").then_some(()));
    let stranger = Authority::new();
    daemon.reload(&to(&origin, &format!("ca = {:?}\n{health}", stranger.ca())));
    until("it is down", || (daemon.backend(&name)["state"] == "down").then_some(()));
    let reason = daemon.backend(&name)["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("TLS"), "{reason}");
    let tcp = "[pool.crm.health]\ntype = \"tcp\"\ninterval = \"100ms\"";
    daemon.reload(&to(&origin, &format!("ca = {:?}\n{tcp}", authority.ca())));
    until("a handshake is enough", || (daemon.backend(&name)["state"] == "up").then_some(()));
}

/// Where only the end of the connection ends a body, one without close_notify was cut.
#[test]
fn a_body_that_a_backend_cut_is_not_taken_for_whole() {
    let authority = Authority::new();
    let files = authority.issue("own", &["127.0.0.1"], 1);
    let origin = Origin::secured(Arc::new(authority.server(&files, false)), |visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        visit.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall that there is")?;
        match request.head.target() {
            // The socket ends in good order; TLS does not.
            "/cut" => Err(std::io::ErrorKind::Other.into()),
            _ => Ok(()),
        }
    });
    let daemon = Daemon::start(&to(&origin, &format!("ca = {:?}", authority.ca())));
    assert_eq!(get(daemon.web, "/whole").text(), "all that there is");
    let mut wire = connect(daemon.web);
    assert!(wire.get("/cut").is_err());
}
