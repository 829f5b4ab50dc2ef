//! Logins that hold for a connection: the backend's connection is one client's alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::Wire;
use crate::origin::Origin;

/// An application that knows its users by their connections. It answers who is asking, on which connection;
/// a target other than «/open» asks for a login first, in the words of the target.
struct Application {
    origin: Origin,
    ended: Arc<AtomicU64>,
}

impl Application {
    fn start() -> Self {
        let ended = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&ended);
        let origin = Origin::new(move |visit| {
            let mut user = "nobody".to_owned();
            while let Some(request) = visit.request()? {
                let credentials = request.head.field("authorization").unwrap_or_default();
                if let Some((_, name)) = credentials.split_once(' ') {
                    name.clone_into(&mut user);
                }
                let target = request.head.target();
                if user == "nobody" && !target.starts_with("/open") {
                    let challenge = challenge(target);
                    visit.send(format!("HTTP/1.1 401 No\r\n{challenge}\r\nContent-Length: 0\r\n\r\n"))?;
                    continue;
                }
                let status = if target == "/fails" { 503 } else { 200 };
                visit.answer(status, &format!("{user}@{}", visit.number))?;
                if target == "/dies" {
                    break;
                }
            }
            told.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        Self { origin, ended }
    }

    fn address(&self) -> SocketAddr {
        self.origin.address
    }
}

fn challenge(target: &str) -> &'static str {
    match target {
        "/negotiate" => "WWW-Authenticate: Basic realm=\"a, b\",nEgOtIaTe",
        "/lines" => "WWW-Authenticate: Digest nonce=\"1\"\r\nwww-authenticate: NTLM",
        "/proxy" => "Proxy-Authenticate: negotiate YIIJvw==",
        "/basic" => "WWW-Authenticate: Basic realm=\"NTLM\"",
        _ => "WWW-Authenticate: NTLM",
    }
}

/// One worker: its clients share one pool of connections.
fn shared(backends: &[SocketAddr]) -> Config {
    over(backends).server("workers = 1\ndrain_timeout = \"5s\"")
}

/// Who the application takes a client for, and on which connection.
fn who(wire: &mut Wire, target: &str) -> (String, u64) {
    let answer = wire.get(target).unwrap();
    let text = answer.text();
    let (user, number) = text.split_once('@').unwrap_or_else(|| panic!("{target}: {answer:?}"));
    (user.to_owned(), number.parse().unwrap())
}

fn login(wire: &mut Wire, target: &str, credentials: &str) -> (String, u64) {
    let fields = format!("Host: x\r\nAuthorization: {credentials}\r\nContent-Length: 0");
    wire.send(format!("POST {target} HTTP/1.1\r\n{fields}\r\n\r\n")).unwrap();
    let text = wire.response("POST").unwrap().text();
    let (user, number) = text.split_once('@').unwrap();
    (user.to_owned(), number.parse().unwrap())
}

#[test]
fn neither_of_two_clients_gets_the_others_connection() {
    let application = Application::start();
    let daemon = Daemon::start(&shared(&[application.address()]));
    let (mut alice, mut bob) = (connect(daemon.web), connect(daemon.web));
    // What is nobody's is shared.
    assert_eq!(who(&mut alice, "/open"), ("nobody".into(), 0));
    assert_eq!(who(&mut bob, "/open"), ("nobody".into(), 0));

    assert_eq!(alice.get("/").unwrap().status(), 401);
    assert_eq!(who(&mut bob, "/open"), ("nobody".into(), 1), "the offer has made it alice's");
    assert_eq!(login(&mut alice, "/", "NTLM alice"), ("alice".into(), 0), "on the connection of the offer");
    assert_eq!(login(&mut bob, "/", "negotiate bob"), ("bob".into(), 1));
    for _ in 0..3 {
        assert_eq!(who(&mut alice, "/"), ("alice".into(), 0));
        assert_eq!(who(&mut bob, "/"), ("bob".into(), 1));
        assert_eq!(who(&mut connect(daemon.web), "/open").0, "nobody");
    }
    assert_eq!(application.ended.load(Ordering::SeqCst), 0);
    drop(alice);
    until("alice's connection has ended with her", || {
        (application.ended.load(Ordering::SeqCst) == 1).then_some(())
    });
    assert_eq!(who(&mut bob, "/"), ("bob".into(), 1));
    assert_eq!(who(&mut connect(daemon.web), "/open").0, "nobody");
}

#[test]
fn an_offer_is_seen_in_every_form_and_nothing_else_is_one() {
    let application = Application::start();
    let daemon = Daemon::start(&shared(&[application.address()]));
    let mut held = Vec::new();
    for (nth, target) in ["/negotiate", "/lines", "/proxy", "/"].into_iter().enumerate() {
        let mut wire = connect(daemon.web);
        assert_eq!(wire.get(target).unwrap().status(), 401, "{target}");
        held.push(wire);
        let fresh = who(&mut connect(daemon.web), "/open").1;
        assert_eq!(fresh, nth as u64 + 1, "{target}: its connection is not for others");
    }
    let mut basic = connect(daemon.web);
    assert_eq!(basic.get("/basic").unwrap().status(), 401);
    assert_eq!(who(&mut connect(daemon.web), "/open").1, 4, "a login by request is no reason to part");
}

#[test]
fn a_login_outlives_reloads_and_ends_with_its_backend() {
    let application = Application::start();
    let other = Application::start();
    let config = shared(&[application.address(), other.address()]);
    let daemon = Daemon::start(&config);
    let mut alice = connect(daemon.web);
    let logged_in = login(&mut alice, "/", "NTLM alice");
    for balance in ["least-connections", "round-robin", "random"] {
        daemon.reload(&config.clone().pool(&format!("balance = \"{balance}\"")));
        for _ in 0..4 {
            assert_eq!(who(&mut alice, "/"), logged_in, "the same backend, whatever the turn");
        }
    }
    let requests = [&application, &other].map(|one| one.origin.requests());
    assert_eq!((requests.iter().sum::<u64>(), *requests.iter().min().unwrap()), (13, 0));
    let (serving, left) = if requests[0] > 0 { (application, other) } else { (other, application) };
    daemon.reload(&shared(&[left.address()]));
    until("the connection to a removed backend ends", || {
        (serving.ended.load(Ordering::SeqCst) == 1).then_some(())
    });
    assert_eq!(who(&mut alice, "/open").0, "nobody");
}

#[test]
fn a_connection_that_dies_takes_the_login_with_it() {
    let application = Application::start();
    let daemon = Daemon::start(&shared(&[application.address()]));
    let (mut alice, mut bob) = (connect(daemon.web), connect(daemon.web));
    assert_eq!(login(&mut alice, "/", "NTLM alice").1, 0);
    assert_eq!(login(&mut bob, "/", "NTLM bob").1, 1);
    assert_eq!(who(&mut alice, "/dies"), ("alice".into(), 0));
    until("it has ended", || (application.ended.load(Ordering::SeqCst) == 1).then_some(()));
    assert_eq!(alice.get("/").unwrap().status(), 401, "asked to log in again");
    assert_eq!(login(&mut alice, "/", "NTLM alice"), ("alice".into(), 2));
    assert_eq!(who(&mut bob, "/"), ("bob".into(), 1));
    assert_eq!(who(&mut alice, "/dies"), ("alice".into(), 2));
    until("it has ended", || (application.ended.load(Ordering::SeqCst) == 2).then_some(()));
    // Not sent into the dead connection, for it could not be sent twice.
    assert_eq!(login(&mut alice, "/", "NTLM alice"), ("alice".into(), 3));
}

#[test]
fn other_routes_and_pools_have_no_part_in_a_login() {
    let application = Application::start();
    let tables = format!(
        "[[route]]\nname = \"route\"\nmatch.path = \"/open/route\"\npool = \"crm\"\n\
         [[route]]\nname = \"pool\"\nmatch.path = \"/open/pool\"\npool = \"other\"\n\
         [pool.other]\nbackends = \"{}\"\n",
        application.address()
    );
    let daemon = Daemon::start(&shared(&[application.address()]).and(&tables));
    let mut alice = connect(daemon.web);
    assert_eq!(login(&mut alice, "/", "NTLM alice"), ("alice".into(), 0));
    assert_eq!(who(&mut alice, "/open/route"), ("nobody".into(), 1));
    assert_eq!(who(&mut alice, "/open/pool"), ("nobody".into(), 2));
    assert_eq!(who(&mut alice, "/open"), ("alice".into(), 0), "and the login is still hers");
    // Another try elsewhere would be made by nobody.
    daemon.reload(&shared(&[application.address()]).pool("retry.on = [503]").and(&tables));
    let failed = alice.get("/fails").unwrap();
    assert_eq!((failed.status(), failed.text().as_str()), (503, "alice@0"));
    assert_eq!(who(&mut alice, "/open"), ("alice".into(), 0));
}
