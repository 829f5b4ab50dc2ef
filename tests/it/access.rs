//! The access log: every format against real requests, and nothing that becomes of its place stops one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::certificates::Authority;
use crate::client::{connect, get, once};
use crate::config::{Config, over};
use crate::daemon::{Daemon, pause, until};
use crate::load;
use crate::origin::{Gate, Origin, nowhere};
use crate::tls::{fetch, tls};

mod troubles;

/// A log in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = dir.path().join("access.log");
        Self { dir, path }
    }

    /// The keys of a log that goes there.
    fn keys(&self, keys: &str) -> String {
        format!("\n[log.access]\npath = \"{}\"\n{keys}\n", self.path.display())
    }

    /// The lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        until("the lines are written", || {
            let text = fs::read_to_string(&self.path).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            assert!(lines.len() <= count, "{lines:#?}");
            (lines.len() == count && text.ends_with('\n')).then_some(lines)
        })
    }

    fn json(&self, count: usize) -> Vec<Value> {
        self.lines(count).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

fn logging(origin: &Origin, place: &Place, keys: &str) -> Config {
    over(&[origin.address]).and(&place.keys(keys))
}

fn milliseconds(line: &Value, names: &[&str]) -> f64 {
    names.iter().map(|name| line[*name].as_f64().unwrap_or_else(|| panic!("{name}: {line}"))).sum()
}

#[test]
fn json_tells_what_happened_to_each_request() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            match request.head.target() {
                "/reset" => return visit.reset(),
                "/missing" => visit.answer(404, "no")?,
                _ => visit.answer(200, "0123456789")?,
            }
        }
        Ok(())
    });
    let place = Place::new();
    let fields = "format = \"json\"\nfields = [\"time\", \"epoch\", \"client\", \"peer\", \"listener\", \"route\", \"pool\", \
        \"backend\", \"method\", \"host\", \"target\", \"protocol\", \"scheme\", \"status\", \"reason\", \"termination\", \"bytes_in\", \
        \"bytes_out\", \"body_out\", \"retries\", \"receive_ms\", \"queue_ms\", \"connect_ms\", \"response_ms\", \"transfer_ms\", \
        \"first_byte_ms\", \"total_ms\", \"request_id\", \"request_header:x-tenant\", \"response_header:content-length\", \"unread\"]";
    let config = logging(&origin, &place, fields).listener("trusted_proxies = \"127.0.0.1\"");
    let daemon = Daemon::start(&config.pool("retry.on = []"));
    let mut wire = connect(daemon.web);
    let request = "POST /a?b=\"c HTTP/1.1\r\nHost: crm\r\nX-Tenant: \u{e9}\r\nX-Forwarded-For: 10.9.8.7\r\n\
        X-Request-Id: trace-7\r\nContent-Length: 4\r\n\r\nbody";
    wire.send(request).unwrap();
    let answer = wire.response("POST").unwrap();
    assert_eq!(answer.text(), "0123456789");
    let line = place.json(1).remove(0);
    for (name, value) in [
        ("client", "10.9.8.7"),
        ("peer", "127.0.0.1"),
        ("listener", "web"),
        ("route", "default"),
        ("pool", "crm"),
        ("backend", &origin.address.to_string()),
        ("method", "POST"),
        ("host", "crm"),
        ("target", "/a?b=\"c"),
        ("protocol", "HTTP/1.1"),
        ("scheme", "http"),
        ("termination", "--"),
        ("request_id", "trace-7"),
        ("request_header:x-tenant", "\u{e9}"),
        ("response_header:content-length", "10"),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert_eq!((&line["status"], &line["retries"], &line["body_out"]), (&200.into(), &0.into(), &10.into()));
    assert_eq!(line["bytes_in"], request.len(), "{line}");
    assert!(line["bytes_out"].as_u64().unwrap() > 60 && line.get("reason").is_none(), "{line}");
    let phases = ["receive_ms", "queue_ms", "connect_ms", "response_ms", "transfer_ms"];
    let whole = milliseconds(&line, &["total_ms"]);
    assert!((milliseconds(&line, &phases) - whole).abs() < 0.01, "the phases add up: {line}");
    assert!(milliseconds(&line, &["first_byte_ms"]) <= whole);
    let (time, epoch) = (line["time"].as_str().unwrap(), line["epoch"].as_f64().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(time.len() == 24 && time.ends_with('Z') && (now - epoch).abs() < 30.0, "{line}");

    // On the same connection the next one is measured from its own beginning.
    wire.get("/missing").unwrap();
    let line = place.json(2).remove(1);
    let asked = "GET /missing HTTP/1.1\r\nHost: test\r\n\r\n".len();
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["body_out"]),
        (&404.into(), &asked.into(), &2.into())
    );
    assert!(line.get("reason").is_none(), "the backend's own answer: {line}");

    once(daemon.web, "GET /reset HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let line = place.json(3).remove(2);
    assert_eq!(
        (&line["status"], &line["reason"], &line["termination"]),
        (&502.into(), &"reset".into(), &"SH".into())
    );
    assert!(line.get("response_ms").is_none() && line["connect_ms"].is_number(), "{line}");

    let bad = once(daemon.web, "GET /x?y HTTP/1.1\r\nBad : 1\r\n\r\n").unwrap();
    let line = place.json(4).remove(3);
    assert_eq!(
        (&line["status"], &line["reason"], &line["unread"]),
        (&400.into(), &"malformed".into(), &"GET /x?y HTTP/1.1".into())
    );
    assert_eq!(line["request_id"], bad.head.field("x-request-id").unwrap());
    assert!(line.get("method").is_none() && line.get("pool").is_none(), "{line}");
    assert_eq!(fs::metadata(&place.path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
}

#[test]
fn retries_unusable_pools_and_clients_that_leave_are_told() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let gone = nowhere();
    let place = Place::new();
    let tables = format!(
        "[pool.gone]\nbackends = [\"{gone}\"]\nretry.on = []\n[pool.half]\nbackends = [\"{gone}\", \"{0}\"]\n\
         [[route]]\nmatch.path = \"/gone\"\npool = \"gone\"\n[[route]]\nname = \"half\"\nmatch.path = \"/half\"\npool = \"half\"\n",
        origin.address
    );
    let fields = "format = \"json\"\nfields = [\"target\", \"status\", \"reason\", \"termination\", \"retries\", \"backend\"]";
    let daemon = Daemon::start(&logging(&origin, &place, fields).and(&tables));
    assert_eq!(get(daemon.web, "/gone").status(), 502);
    let line = place.json(1).remove(0);
    assert_eq!((&line["reason"], &line["termination"]), (&"connect_error".into(), &"SC".into()));
    assert_eq!([get(daemon.web, "/half").status(), get(daemon.web, "/half").status()], [200, 200]);
    let lines = place.json(3);
    let retried: Vec<_> = lines[1..].iter().filter(|line| line["retries"] == 1).collect();
    assert!(!retried.is_empty(), "{lines:#?}");
    assert_eq!(retried[0]["backend"], origin.address.to_string(), "that of the last try");
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it is at the backend", || (origin.in_flight() == 1).then_some(()));
    wire.reset();
    let line = place.json(4).remove(3);
    assert_eq!(
        (&line["status"], &line["reason"], &line["termination"]),
        (&499.into(), &"client_left".into(), &"CH".into())
    );
    gate.open();
}

#[test]
fn what_the_end_cuts_is_written_too() {
    let origin = Origin::holding(&Gate::default());
    let place = Place::new();
    let mut daemon =
        Daemon::start(&logging(&origin, &place, "format = \"json\"").server("drain_timeout = \"100ms\""));
    let mut wire = connect(daemon.web);
    wire.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it is at the backend", || (origin.in_flight() == 1).then_some(()));
    let served = load::closed(daemon.web, 8, 500);
    assert_eq!(served.failures, [""; 0]);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    let lines = place.json(501);
    let cut: Vec<_> = lines.iter().filter(|line| line["reason"] == "ended").collect();
    assert_eq!(cut.len(), 1);
    assert!(cut[0]["target"] == "/held" && cut[0].get("status").is_none(), "{}", cut[0]);
}

#[test]
fn common_combined_and_haproxy_lines_are_what_their_readers_expect() {
    let origin = Origin::answering("well");
    let request = "GET /p?q=\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"b\r\nReferer: http://r/?s=1\r\nConnection: close\r\n\r\n";
    let show = |keys: &str| {
        let place = Place::new();
        let daemon = Daemon::start(&logging(&origin, &place, keys));
        assert_eq!(once(daemon.web, request).unwrap().status(), 200);
        place.lines(1).remove(0)
    };
    let split = |line: &str| {
        let (before, rest) = line.split_once('[').unwrap();
        let (time, after) = rest.split_once(']').unwrap();
        (before.to_owned(), time.to_owned(), after.to_owned())
    };
    let (before, time, after) = split(&show("format = \"common\""));
    assert_eq!((&*before, &*after), ("127.0.0.1 - - ", " \"GET /p?q=\\x5C HTTP/1.1\" 200 4"));
    assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
    let (_, _, after) = split(&show("format = \"combined\"\nmask_query = true"));
    assert_eq!(after, " \"GET /p?*** HTTP/1.1\" 200 4 \"http://r/?***\" \"a\\x22b\"");
    let (before, time, after) = split(&show("format = \"haproxy\""));
    assert!(before.starts_with("127.0.0.1:") && before.ends_with(' ') && time.len() == 24, "{before}{time}");
    let words: Vec<&str> = after.split(' ').collect();
    assert_eq!(words[1..3], ["web", &format!("crm/{}", origin.address)]);
    assert!(words[3].split('/').count() == 5 && words[3].split('/').all(|time| time.parse::<u32>().is_ok()));
    assert_eq!((words[4], &words[6..9]), ("200", &["-", "-", "----"][..]));
    assert!(words[5].parse::<u32>().unwrap() > 60, "{after}");
    assert_eq!(words[9], "1/1/0/0/0", "one connection, and nothing in flight any more but what is told");
    assert_eq!(words[10..], ["0/0", "\"GET", "/p?q=\\", "HTTP/1.1\""]);
    let line = show("template = \"{{{method}}} {path} {status} {tls} {request_header:user-agent}\"");
    assert_eq!(line, "{GET} /p 200 - a\\x22b");
}

#[test]
fn routes_stay_silent_samples_are_drawn_and_errors_are_always_written() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            let status = if request.head.target().starts_with("/bad") { 500 } else { 200 };
            visit.answer(status, "")?;
        }
        Ok(())
    });
    let place = Place::new();
    let quiet =
        "[[route]]\nmatch.path_prefix = [\"/quiet\", \"/bad/quiet\"]\npool = \"crm\"\naccess_log = false\n";
    let config = logging(&origin, &place, "format = \"json\"\nsample = 0.0").and(quiet);
    let daemon = Daemon::start(&config);
    for target in ["/", "/quiet", "/bad/quiet", "/bad"] {
        get(daemon.web, target);
    }
    let line = place.json(1).remove(0);
    assert_eq!((&line["target"], &line["status"]), (&"/bad".into(), &500.into()));
    daemon.reload(&logging(&origin, &place, "format = \"json\"\nsample = 0.5").and(quiet));
    assert_eq!(load::closed(daemon.web, 8, 2_000).failures, [""; 0]);
    daemon.reload(&logging(&origin, &place, "format = \"off\"").and(quiet));
    let written = until("what was drawn is written", || {
        let count = fs::read_to_string(&place.path).unwrap().lines().count();
        (count > 800).then_some(count)
    });
    assert!(written < 1_200, "{written}");
}

#[test]
fn credentials_and_cookies_are_written_only_where_they_are_named() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.send("HTTP/1.1 200 OK\r\nSet-Cookie: s=SECRET\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let request = "GET /?token=SECRET HTTP/1.1\r\nHost: x\r\nAuthorization: Basic SECRET\r\nCookie: s=SECRET\r\n\
        Proxy-Authorization: SECRET\r\nConnection: close\r\n\r\n";
    for (keys, secrets) in [
        ("format = \"json\"\nmask_query = [\"token\"]", 0),
        ("format = \"combined\"\nmask_query = true", 0),
        ("format = \"haproxy\"\nmask_query = true", 0),
        (
            "format = \"json\"\nfields = [\"status\", \"request_header:cookie\", \"response_header:set-cookie\"]",
            2,
        ),
    ] {
        let place = Place::new();
        let daemon = Daemon::start(&logging(&origin, &place, keys));
        once(daemon.web, request).unwrap();
        let line = place.lines(1).remove(0);
        assert_eq!(line.matches("SECRET").count(), secrets, "{line}");
    }
}

#[test]
fn tls_and_certificates_are_told() {
    let (authority, origin) = (Authority::new(), Origin::answering("0123456789"));
    let own = authority.issue("own", &["crm.test"], 77);
    let place = Place::new();
    let keys = "format = \"json\"\nfields = [\"scheme\", \"tls\", \"sni\", \"bytes_in\", \"body_out\"]";
    let config = logging(&origin, &place, keys).listener(&tls(&[&own], ""));
    let daemon = Daemon::start(&config);
    let shown = daemon.logged("certificate is shown");
    assert_eq!((&shown["name"], &shown["listener"]), (&"crm.test".into(), &"web".into()));
    let (_wire, _) = fetch(daemon.web, &Arc::new(authority.client()), "crm.test").unwrap();
    let line = place.json(1).remove(0);
    assert_eq!(
        (&line["scheme"], &line["tls"], &line["sni"]),
        (&"https".into(), &"TLSv1.3".into(), &"crm.test".into())
    );
    let asked = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".len();
    assert_eq!((&line["bytes_in"], &line["body_out"]), (&asked.into(), &10.into()), "without what TLS adds");
    authority.issue("own", &["crm.test"], 78);
    daemon.reload(&config);
    daemon.logged_where("the new one", |event| {
        event["message"] == "certificate is shown" && event["serial"] != shown["serial"]
    });
    daemon.logged("certificate is no longer shown");
}

/// The time in the pool's queue is none of the connection's.
#[test]
fn the_time_in_the_queue_is_told_apart() {
    let (place, gate) = (Place::new(), Gate::default());
    let origin = Origin::holding(&gate);
    let keys =
        "format = \"json\"\nfields = [\"target\", \"termination\", \"queue_ms\", \"connect_ms\", \"reason\"]";
    let limit = "max_connections = 1\nqueue.timeout = \"300ms\"";
    let daemon = Daemon::start(&logging(&origin, &place, keys).pool(limit));
    let mut busy = connect(daemon.web);
    busy.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("the place is taken", || (origin.in_flight() == 1).then_some(()));
    assert_eq!(get(daemon.web, "/late").status(), 503);
    let late = place.json(1).remove(0);
    assert_eq!((&late["termination"], &late["reason"]), (&"sQ".into(), &"queue_timeout".into()));
    assert!(milliseconds(&late, &["queue_ms"]) >= 300.0, "{late}");
    let mut waits = connect(daemon.web);
    waits.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("it waits", || (daemon.metric("equipoise_queue_length", &[]) == 1.0).then_some(()));
    pause(Duration::from_millis(50));
    gate.open();
    assert_eq!(busy.response("GET").unwrap().status(), 200);
    assert_eq!(waits.response("GET").unwrap().status(), 200);
    let lines = place.json(3);
    let line = lines.iter().find(|line| line["target"] == "/waits").unwrap();
    let (queue, connect) = (milliseconds(line, &["queue_ms"]), milliseconds(line, &["connect_ms"]));
    assert!(queue >= 50.0 && connect < queue && line["termination"] == "--", "{line}");
}

#[test]
fn a_head_that_does_not_end_is_told_from_its_first_byte_on() {
    let (origin, place) = (Origin::answering("well"), Place::new());
    let fields = "format = \"json\"\nfields = [\"status\", \"total_ms\", \"termination\", \"epoch\"]";
    let config = logging(&origin, &place, fields).listener("timeouts.head = \"300ms\"");
    let daemon = Daemon::start(&config);
    let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(once(daemon.web, "GET / HTTP/1.1\r\nHost: x\r\n").unwrap().status(), 408);
    let line = place.json(1).remove(0);
    assert_eq!((&line["status"], &line["termination"]), (&408.into(), &"cR".into()));
    let (took, began) = (line["total_ms"].as_f64().unwrap(), line["epoch"].as_f64().unwrap());
    let answered = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(took >= 300.0 && began + took / 1e3 < answered + 0.01, "{line}");
    assert!(began >= sent - 0.01, "{line}");
    assert!(daemon.metric("equipoise_http_request_duration_seconds_sum", &[]) >= 0.3);
}

#[test]
fn what_is_no_request_is_hardly_shown_and_no_password_is() {
    let (origin, place) = (Origin::answering("well"), Place::new());
    let fields = "format = \"json\"\nfields = [\"unread\", \"status\"]";
    let daemon = Daemon::start(&logging(&origin, &place, fields));
    let long = format!("GET http://me:{}@host/ HTTP/1.1\r\nHost: host\r\n\r\n", "secret".repeat(50));
    let heads = [
        (&*long, "GET http://"),
        ("CONNECT me:secret@host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n", "CONNECT "),
        ("Authorization: Basic c2VjcmV0\r\n\r\n", "Authoriz"),
        ("user=me&password=secret\r\n\r\n", "user=me&"),
        ("GET http://me:secret@host/ HTTP/1.1\r\nHost: host\r\n\r\n", "GET http://"),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a b HTTP/1.1"),
        ("CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n", "CONNECT host:443 HTTP/1.1"),
    ];
    for (nth, (head, shown)) in heads.into_iter().enumerate() {
        let status = once(daemon.web, head).unwrap().status();
        let line = place.json(nth + 1).remove(nth);
        assert_eq!((&line["unread"], &line["status"]), (&shown.into(), &status.into()), "{head}");
    }
}
