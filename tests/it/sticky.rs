//! Clients that stay at their backend.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certificates::Authority;
use crate::client::connect;
use crate::config::{Config, over};
use crate::daemon::{Daemon, until};
use crate::message::{Message, Wire};
use crate::origin::{Gate, Origin};
use crate::tls::{dial, tls};

mod lasting;

const ONE: &str = "one one one one one one one one one\n";
const TWO: &str = "two two two two two two two two two\n";

/// A file of secrets.
pub(crate) struct Secrets(tempfile::TempDir);

impl Secrets {
    pub(crate) fn new(lines: &str) -> Self {
        let secrets = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        secrets.write(lines);
        secrets
    }

    fn write(&self, lines: &str) {
        std::fs::write(self.path(), lines).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("sticky.key")
    }

    /// The lines that make the pool sticky.
    pub(crate) fn lines(&self) -> String {
        format!("sticky.key_file = \"{}\"", self.path().display())
    }
}

/// Backends «a», «b», … in front of these origins.
pub(crate) fn named(origins: &[&Origin]) -> Config {
    let table = |(at, origin): (usize, &&Origin)| {
        format!("name = \"{}\", address = \"{}\"", ["a", "b", "c"][at], origin.address)
    };
    origins.iter().enumerate().map(table).fold(over(&[]), |config, table| config.backend(&table))
}

/// A client that keeps our cookie, as a browser does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    /// How often it was given one.
    pub(crate) given: usize,
}

impl Browser {
    /// A GET, on a connection of its own.
    pub(crate) fn get(&mut self, web: SocketAddr) -> Message {
        self.get_on(&mut connect(web))
    }

    pub(crate) fn get_on(&mut self, wire: &mut Wire) -> Message {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: EQ_crm={cookie}\r\n"));
        let fields = cookie.unwrap_or_default();
        wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).unwrap();
        let answer = wire.response("GET").unwrap();
        self.keep(&answer);
        answer
    }

    /// Keeps what an answer sets.
    pub(crate) fn keep(&mut self, answer: &Message) {
        if let Some(cookie) = given(answer) {
            self.cookie = Some(cookie);
            self.given += 1;
        }
    }

    /// The body of the answers to so many requests.
    pub(crate) fn ask(&mut self, web: SocketAddr, times: usize) -> String {
        (0..times).map(|_| self.get(web).text()).collect()
    }
}

/// The value of our cookie that an answer sets; once at most.
fn given(answer: &Message) -> Option<String> {
    let sets = answer.head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let mut ours = sets.filter_map(|(_, value)| value.strip_prefix("EQ_crm="));
    let value = ours.next()?.split(';').next().unwrap().to_owned();
    assert_eq!(ours.next(), None, "set twice: {answer:?}");
    Some(value)
}

/// A request with these Cookie lines.
fn with_cookies(web: SocketAddr, lines: &[String]) -> Message {
    let mut wire = connect(web);
    let lines: String = lines.iter().map(|line| format!("Cookie: {line}\r\n")).collect();
    wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n")).unwrap();
    wire.response("GET").unwrap()
}

#[test]
fn each_client_stays_where_it_was_first_served() {
    let (origins, secrets) = (["a", "b", "c"].map(Origin::answering), Secrets::new(ONE));
    let daemon = Daemon::start(&named(&origins.each_ref()).pool(&secrets.lines()));
    let mut browsers = vec![Browser::default(); 6];
    let first: String = browsers.iter_mut().map(|browser| browser.get(daemon.web).text()).collect();
    assert_eq!(first, "abcabc", "new clients go by the algorithm");
    for (browser, home) in browsers.iter_mut().zip(first.chars()) {
        assert_eq!(browser.ask(daemon.web, 10), home.to_string().repeat(10));
        assert_eq!(browser.given, 1);
    }
    let cookies: Vec<_> = browsers.iter().map(|browser| browser.cookie.clone().unwrap()).collect();
    assert_ne!(cookies[0], cookies[3], "nobody learns who shares a backend");
    for origin in &origins {
        let fields = origin.arrived().into_iter().flat_map(|message| message.head.fields);
        assert!(fields.into_iter().all(|(name, _)| name != "Cookie"), "hidden from the backend");
    }
}

#[test]
fn the_backend_sees_the_other_cookies_and_its_own_reach_the_client() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.send(
                "HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=1; HttpOnly\r\nset-cookie: EQ_crm=chosen\r\n\
                 Set-Cookie: csrf=2\r\nConnection: Set-Cookie\r\nContent-Length: 0\r\n\r\n",
            )?;
        }
        Ok(())
    });
    let secrets = Secrets::new(ONE);
    let daemon = Daemon::start(&named(&[&origin]).pool(&secrets.lines()));
    let answer = with_cookies(daemon.web, &["a=\"1 2\"; EQ_crm=x;  b=2".into(), "EQ_crm".into()]);
    let cookie = given(&answer).unwrap();
    assert_eq!(origin.last().field("cookie"), Some("a=\"1 2\";  b=2"));
    let attributes = answer.head.fields.iter().find(|(_, value)| value.starts_with("EQ_crm")).unwrap();
    assert_eq!(attributes.1, format!("EQ_crm={cookie}; Path=/; HttpOnly; SameSite=Lax"));
    // What the backend sets under our name would take its place, so it goes also where we set nothing.
    assert_eq!(given(&with_cookies(daemon.web, &[format!("EQ_crm={cookie}")])), None);
    let keeps = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit
                .send("HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nSet-Cookie: t=2\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    daemon.reload(&named(&[&keeps]).pool(&secrets.lines()));
    let answer = with_cookies(daemon.web, &["EQ_crm=x".into()]);
    let sets = answer.head.fields.iter().filter(|(name, _)| name == "Set-Cookie");
    let sets: Vec<_> = sets.map(|(_, value)| value.split('=').next().unwrap()).collect();
    assert_eq!(sets, ["s", "t", "EQ_crm"]);
    assert_eq!(keeps.last().field("cookie"), None);
}

#[test]
fn what_is_not_ours_is_a_new_client_and_the_first_good_one_counts() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let daemon = Daemon::start(&named(&origins.each_ref()).pool(&secrets.lines()));
    let (mut first, mut second) = (Browser::default(), Browser::default());
    assert_eq!(first.ask(daemon.web, 1) + &second.ask(daemon.web, 1), "ab");
    let (one, two) = (first.cookie.clone().unwrap(), second.cookie.clone().unwrap());
    let mut changed = two.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for foreign in [&changed, &two[..71], &two.to_lowercase(), "b", "10.0.0.1:80"] {
        let answers = [(); 2].map(|()| with_cookies(daemon.web, &[format!("EQ_crm={foreign}")]));
        assert!(answers.iter().all(|answer| given(answer).is_some()), "{foreign}");
        let served: Vec<_> = answers.iter().map(Message::text).collect();
        assert_ne!(served[0], served[1], "{foreign}: picked anew each time");
    }
    for _ in 0..4 {
        let line = format!("EQ_crm={changed}; EQ_crm=; EQ_crm={two}; EQ_crm={one}");
        assert_eq!(with_cookies(daemon.web, &[line]).text(), "b");
        let lines = [format!("x=1; EQ_crm={changed}"), format!("EQ_crm={one}"), format!("EQ_crm={two}")];
        assert_eq!(with_cookies(daemon.web, &lines).text(), "a");
    }
}

#[test]
fn a_dead_backend_is_left_within_the_request_and_for_good() {
    let (a, b, secrets) = (Origin::answering("a"), Origin::answering("b"), Secrets::new(ONE));
    let address = a.address;
    let daemon = Daemon::start(&named(&[&a, &b]).pool(&secrets.lines()));
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 3), "aaa");
    drop(a);
    let before = browser.cookie.clone();
    assert_eq!(browser.ask(daemon.web, 1), "b", "the first request after it already");
    assert_eq!(browser.given, 2);
    assert_ne!(browser.cookie, before);
    let _back = Origin::answering_at(address, "a");
    assert_eq!(browser.ask(daemon.web, 6), "bbbbbb", "its session is there now");
    assert_eq!(daemon.metric("equipoise_retries_total", &[]), 1.0);
}

#[test]
fn one_that_checks_hold_for_down_or_that_is_ejected_is_left_without_a_try() {
    let (a, b, secrets) = (Origin::answering("a"), Origin::answering("b"), Secrets::new(ONE));
    let health = "health.path = \"/healthz\"\nhealth.interval = \"100ms\"\nhealth.rise = 1\nhealth.fall = 1";
    let checked = named(&[&a, &b]).pool(&secrets.lines()).pool(health);
    let daemon = Daemon::start(&checked);
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 2), "aa");
    a.talk_garbage(true);
    until("down", || (daemon.backend("a")["state"] == "down").then_some(()));
    assert_eq!(browser.ask(daemon.web, 3), "bbb");
    assert_eq!((daemon.metric("equipoise_retries_total", &[]), a.requests()), (0.0, 2));

    let failing = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.answer(500, "a")?;
        }
        Ok(())
    });
    let daemon = Daemon::start(&named(&[&failing, &b]).pool(&secrets.lines()));
    let mut browser = Browser::default();
    assert_eq!(browser.ask(daemon.web, 5), "aaaaa", "a failed request is an answer like any other");
    assert_eq!(browser.ask(daemon.web, 5), "bbbbb", "ejected");
    assert_eq!((browser.given, failing.requests()), (2, 5));
}

#[test]
fn a_full_backend_is_left_for_another() {
    let (gate, b, secrets) = (Gate::default(), Origin::answering("b"), Secrets::new(ONE));
    let a = Origin::holding(&gate);
    let daemon = Daemon::start(&named(&[&a, &b]).pool(&secrets.lines()).pool("max_connections = 1"));
    let mut browser = Browser::default();
    assert_eq!(browser.get(daemon.web).text(), "well");
    until("its place is free again", || (daemon.backend("a")["in_flight"] == 0).then_some(()));
    let mut held = connect(daemon.web);
    let cookie = browser.cookie.clone().unwrap();
    held.send(format!("GET /held HTTP/1.1\r\nHost: x\r\nCookie: EQ_crm={cookie}\r\n\r\n")).unwrap();
    until("held", || (a.in_flight() == 1).then_some(()));
    assert_eq!(browser.ask(daemon.web, 2), "bb");
    assert_eq!(browser.given, 2);
    gate.open();
    assert_eq!(given(&held.response("GET").unwrap()), None, "it was served where it belongs");
}

#[test]
fn websockets_are_given_a_cookie_and_stay_too() {
    let upgrading = |name: &'static str| {
        Origin::new(move |visit| {
            visit.head()?;
            visit.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            )?;
            visit.send(name)?;
            visit.wire.rest().map(drop)
        })
    };
    let (a, b, secrets) = (upgrading("a"), upgrading("b"), Secrets::new(ONE));
    let daemon = Daemon::start(&named(&[&a, &b]).pool(&secrets.lines()));
    let open = |cookie: &str| {
        let mut wire = connect(daemon.web);
        let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{cookie}");
        wire.send(format!("GET /chat HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n")).unwrap();
        let head = wire.head().unwrap().unwrap();
        assert_eq!(head.status(), 101);
        let given = given(&Message { head, ..Message::default() });
        (String::from_utf8(wire.take(1).unwrap()).unwrap(), given)
    };
    let ((first, _), (second, cookie)) = (open(""), open(""));
    assert_eq!(first + &second, "ab");
    let cookie = format!("Cookie: EQ_crm={}\r\n", cookie.unwrap());
    for _ in 0..4 {
        assert_eq!(open(&cookie), ("b".into(), None));
    }
}

/// Another client's jar and another client's frames.
#[test]
fn over_http2_a_client_stays_too() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let daemon = Daemon::start(
        &named(&origins.each_ref()).pool(&secrets.lines()).listener("protocols = [\"h1\", \"h2\"]"),
    );
    let jar = secrets.path().with_file_name("jar");
    let curl = |jar: &Path| {
        let url = format!("http://{}/", daemon.web);
        let jars = [Path::new("-b"), jar, Path::new("-c"), jar];
        let output = Command::new("curl").args(["-s", "--http2-prior-knowledge", &url]).args(jars).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(home) = curl(&jar) else { return println!("SKIPPED: curl is not installed") };
    assert!(["a", "b"].contains(&&*home), "{home:?}");
    for _ in 0..5 {
        assert_eq!(curl(&jar).unwrap(), home);
    }
    let lines = std::fs::read_to_string(&jar).unwrap();
    assert_eq!(lines.matches("#HttpOnly_127.0.0.1").count(), 1, "{lines}");
    let fields = origins.iter().flat_map(Origin::arrived).flat_map(|message| message.head.fields);
    assert!(fields.into_iter().all(|(name, _)| !name.eq_ignore_ascii_case("cookie")), "hidden here too");
}

#[test]
fn over_tls_the_cookie_is_for_tls_alone() {
    let (authority, origin, secrets) = (Authority::new(), Origin::answering("a"), Secrets::new(ONE));
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&named(&[&origin]).pool(&secrets.lines()).listener(&tls(&[&own], "")));
    let mut wire = dial(daemon.web, &Arc::new(authority.client()), "crm.test").unwrap();
    let answer = wire.get("/").unwrap();
    let field = answer.head.field("set-cookie").unwrap();
    assert!(field.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{field}");

    // Where TLS ends before us, a proxy that we trust says so; anybody else may say what he likes.
    let told = |daemon: &Daemon| {
        let request = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n";
        let answer = crate::client::once(daemon.web, request).unwrap();
        answer.head.field("set-cookie").unwrap().ends_with("; Secure")
    };
    let plain = named(&[&origin]).pool(&secrets.lines());
    assert!(!told(&Daemon::start(&plain)));
    assert!(told(&Daemon::start(&plain.listener("trusted_proxies = [\"127.0.0.1\"]"))));
}

/// As much as a head may hold: thousands of cookies, and hundreds that look like ours.
#[test]
fn a_head_full_of_cookies_costs_little_more_than_its_length() {
    let (origins, secrets) = (["a", "b"].map(Origin::answering), Secrets::new(ONE));
    let daemon = Daemon::start_alone(&named(&origins.each_ref()).pool(&secrets.lines()));
    let mut browser = Browser::default();
    let home = browser.ask(daemon.web, 1);
    let ours = format!("EQ_crm={}", browser.cookie.unwrap());
    let many: Vec<_> = (0..6_000).map(|at| format!("c{at}=1")).collect();
    let (many, forged) = (many.join("; "), format!("EQ_crm={}", "A".repeat(72)));
    let forged = [&*forged; 700].join("; ");
    let plain = |lines: &str| with_cookies(daemon.web, &[lines.to_owned()]);
    let timed = |lines: &str| {
        let (began, before) = (Instant::now(), daemon.cpu_seconds());
        (0..200).for_each(|_| assert_eq!(plain(lines).status(), 200));
        println!("{:?}, {:.2} s of processor time", began.elapsed(), daemon.cpu_seconds() - before);
        daemon.cpu_seconds() - before
    };
    assert_eq!(plain(&format!("{many}; {ours}")).text(), home);
    assert_eq!(plain(&format!("{ours}; {many}")).text(), home);
    let seen =
        origins.iter().flat_map(Origin::arrived).filter_map(|m| m.head.field("cookie").map(str::to_owned));
    assert_eq!(seen.collect::<Vec<_>>(), [&*many, &*many], "byte for byte");
    let (well, ill) = (timed(&many), timed(&forged));
    // 200 requests of 60 KiB. Opening each of 700 would be 100 ms for 50 of them.
    assert!(well < 2.0 && ill < 2.0, "{well} s, {ill} s");
}

fn wait(time: Duration) {
    let due = Instant::now() + time;
    until("time has passed", || (Instant::now() >= due).then_some(()));
}
