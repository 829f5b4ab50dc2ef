//! Certificates as files: their change, their mistakes, and what common tools say to them.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};

use crate::certificates::{Authority, Files};
use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::{BINARY, Daemon, until};
use crate::origin::Origin;
use crate::tls::{fetch, kind, secured, serial, tls};

#[test]
fn a_new_certificate_comes_with_sighup_and_a_wrong_one_does_not() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 7);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let shown = |config: &Arc<ClientConfig>| serial(&fetch(daemon.web, config, "crm.test").unwrap().0);
    let fresh = || Arc::new(authority.client());
    let expiry = |serial: &str| {
        daemon.metric(
            "equipoise_tls_certificate_not_after_timestamp_seconds",
            &[("serial", serial), ("name", "crm.test")],
        )
    };
    let mut kept = fetch(daemon.web, &fresh(), "crm.test").unwrap().0;
    assert_eq!((shown(&fresh()), expiry("07")), (7, 3_786_912_000.0));
    authority.issue("own", &["crm.test"], 8);
    assert_eq!(shown(&fresh()), 7, "nothing is read without a reload");
    daemon.signal(Signal::HUP);
    until("the new one is shown", || (shown(&fresh()) == 8).then_some(()));
    assert_eq!((expiry("07"), expiry("08")), (0.0, 3_786_912_000.0));
    assert_eq!(kept.get("/").unwrap().text(), "well", "an open connection goes on");
    std::fs::copy(authority.issue("other", &["crm.test"], 9).key, &own.key).unwrap();
    let answer = daemon.ask_to_reload();
    assert!(answer.status() == 422 && answer.text().contains("is not the key"), "{}", answer.text());
    assert_eq!(shown(&fresh()), 8);
}

#[test]
fn a_removed_listener_shows_no_certificate_although_something_older_runs() {
    let authority = Authority::new();
    let own = authority.issue("own", &["crm.test"], 7);
    let streaming = Origin::new(|visit| {
        visit.request()?;
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        visit.wire.rest().map(drop)
    });
    let one = over(&[streaming.address]);
    let secure = "[[listener]]\nname = 'secure'\nbind = '127.0.0.1:0'\npool = 'crm'\n";
    let both = one.clone().and(&format!("{secure}{}", tls(&[&own], "")));
    let daemon = Daemon::start(&both);
    let shown = || daemon.page("/metrics").text().contains("listener=\"secure\",name=\"crm.test\"");
    assert!(shown());
    let mut client = connect(daemon.web);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(client.head().unwrap().unwrap().status(), 200);
    daemon.reload(&one);
    assert!(!shown());
}

/// The file of the configuration is not read with them: what stands in it waits for a reload.
#[test]
fn files_that_change_are_read_again_where_they_are_watched() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 7);
    let watched = secured(&origin, &tls(&[&own], "")).server("watch_files = '20ms'");
    let daemon = Daemon::start(&watched);
    let fresh = || Arc::new(authority.client());
    let shown = || serial(&fetch(daemon.web, &fresh(), "crm.test").unwrap().0);
    let reloads = |result| daemon.metric("equipoise_config_reloads_total", &[("result", result)]);
    let mut kept = fetch(daemon.web, &fresh(), "crm.test").unwrap().0;
    assert_eq!(shown(), 7);
    daemon.write(&watched.text().replace("'20ms'", "20"));
    authority.issue("own", &["crm.test"], 8);
    until("the new one is shown", || (shown() == 8).then_some(()));
    assert_eq!(kept.get("/").unwrap().text(), "well", "an open connection goes on");
    std::fs::write(&own.key, "no key").unwrap();
    until("what is wrong is said", || (reloads("rejected") >= 1.0).then_some(()));
    assert_eq!(shown(), 8);
    authority.issue("own", &["crm.test"], 9);
    until("the next one is shown", || (shown() == 9).then_some(()));
    assert_eq!(daemon.ask_to_reload().status(), 422, "the file itself is wrong all the while");
}

#[test]
fn what_is_wrong_with_a_file_is_said_at_the_line_that_names_it() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let (one, other) = (authority.issue("one", &["a.test"], 1), authority.issue("other", &["b.test"], 2));
    let crossed = Files { cert: one.cert.clone(), key: other.key.clone() };
    let absent = Files { cert: one.cert.clone(), key: authority.dir().join("absent.key") };
    let locked = Files { key: authority.dir().join("locked.key"), ..one.clone() };
    let output = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in"])
        .arg(&one.key)
        .arg("-out")
        .arg(&locked.key)
        .output()
        .unwrap();
    assert!(output.status.success());
    for (files, code, said) in [
        (&crossed, "bad-value", "is not the key of the certificate"),
        (&absent, "unreadable", "absent.key cannot be read"),
        (&locked, "bad-value", "locked.key holds an encrypted key"),
    ] {
        let text = secured(&origin, &tls(&[files], "")).text();
        let file = authority.dir().join("wrong.toml");
        std::fs::write(&file, &text).unwrap();
        let output =
            Command::new(BINARY).args(["check", "--format", "json", "-c"]).arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let line = text.lines().position(|line| line.starts_with("certificates")).unwrap() + 1;
        let one = &found[0];
        assert_eq!((&one["code"], &one["line"]), (&code.into(), &line.into()), "{found:#}");
        assert!(one["message"].as_str().unwrap().contains(said), "{found:#}");
        assert_eq!(found.as_array().unwrap().len(), 1, "{found:#}");
    }
}

/// Old connections and sessions go on, new ones come, and no request of any is lost.
/// Ends the load, also where a test fails: it would be waited for.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn certificates_change_under_load() {
    const V12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
    const V13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let stop = AtomicBool::new(false);
    let served: Vec<u64> = std::thread::scope(|scope| {
        let (authority, daemon, stop) = (&authority, &daemon, &stop);
        let load = |versions: &'static [&'static SupportedProtocolVersion]| {
            scope.spawn(move || {
                let fresh = || Arc::new(authority.client_of(versions, None));
                let client = fresh();
                let (mut kept, _) = fetch(daemon.web, &client, "crm.test").unwrap();
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(kept.get("/").unwrap().text(), "well");
                    let (wire, text) = fetch(daemon.web, &client, "crm.test").unwrap();
                    assert_eq!((kind(&wire), &text[..]), (Some(HandshakeKind::Resumed), "well"));
                    let (wire, text) = fetch(daemon.web, &fresh(), "crm.test").unwrap();
                    assert_eq!((kind(&wire), &text[..]), (Some(HandshakeKind::Full), "well"));
                    served += 3;
                }
                served
            })
        };
        let threads: Vec<_> = [V13, V12, V13, V12].map(load).into();
        let end = End(stop);
        for number in 2..22 {
            authority.issue("own", &["crm.test"], number);
            daemon.signal(Signal::HUP);
            // Each look by a client that knows no session: one that goes on shows the certificate it began with.
            let shown = || serial(&fetch(daemon.web, &Arc::new(authority.client()), "crm.test").unwrap().0);
            until("the new one is shown", || (shown() == number).then_some(()));
        }
        drop(end);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    let (wire, _) = fetch(daemon.web, &Arc::new(authority.client()), "crm.test").unwrap();
    assert_eq!(serial(&wire), 21);
}

/// What openssl says of a handshake with these words.
fn openssl(daemon: &Daemon, words: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &daemon.web.to_string(), "-servername", "crm.test", "-brief"])
        .args(words)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn rsa_stands_beside_ecdsa() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let ecdsa = authority.issue("ecdsa", &["crm.test"], 1);
    let rsa = authority.issue_with(&rcgen::PKCS_RSA_SHA256, "rsa", &["crm.test"], 2);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&ecdsa, &rsa], "")));
    let both = openssl(&daemon, &["-sigalgs", "ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256"]);
    assert!(both.contains("Signature type: ECDSA"), "{both}");
    let only = openssl(&daemon, &["-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"]);
    assert!(only.contains("Signature type: RSA-PSS"), "{only}");
}

#[test]
fn the_order_of_suites_is_ours() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let agreed = |words: [&str; 3]| {
        let said = openssl(&daemon, &words);
        let suite = said.lines().find_map(|line| line.strip_prefix("Ciphersuite: "));
        suite.unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    // Each list is the reverse of ours, and then lacks our first.
    let mut asked = ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"];
    assert_eq!(agreed(["-tls1_3", "-ciphersuites", &asked.join(":")]), asked[2]);
    assert_eq!(agreed(["-tls1_3", "-ciphersuites", &asked[..2].join(":")]), asked[1]);
    asked =
        ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    assert_eq!(agreed(["-tls1_2", "-cipher", &asked.join(":")]), asked[2]);
    assert_eq!(agreed(["-tls1_2", "-cipher", &asked[..2].join(":")]), asked[1]);
}

/// From Debian's package; `tests/run install` installs it.
const SSLSCAN: &str = "/usr/bin/sslscan";

#[test]
fn a_scanner_finds_nothing_weak() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let ecdsa = authority.issue("ecdsa", &["crm.test"], 1);
    let rsa = authority.issue_with(&rcgen::PKCS_RSA_SHA256, "rsa", &["crm.test"], 2);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&ecdsa, &rsa], "")));
    let output = Command::new(SSLSCAN)
        .args(["--xml=-", "--timeout=1", "--connect-timeout=10", &daemon.web.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("{SSLSCAN}: {error}"));
    let report = String::from_utf8(output.stdout).unwrap();
    let told = |element: &str, attribute: &str| -> Vec<String> {
        let lines = report.lines().filter(|line| line.trim_start().starts_with(&format!("<{element} ")));
        let value =
            |line: &str| line.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next().map(str::to_owned);
        lines.map(|line| value(line).unwrap_or_else(|| panic!("{attribute} in {line}"))).collect()
    };
    let versions: Vec<_> = told("protocol", "version").into_iter().zip(told("protocol", "enabled")).collect();
    let known = [("2", "0"), ("3", "0"), ("1.0", "0"), ("1.1", "0"), ("1.2", "1"), ("1.3", "1")];
    assert_eq!(versions, known.map(|(version, on)| (version.to_owned(), on.to_owned())), "{report}");
    // Forward secrecy and authenticated encryption, for both kinds of keys; nothing else is taken.
    let mut suites = told("cipher", "cipher");
    suites.sort();
    let of_12 = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
    let mut good: Vec<_> = of_12
        .iter()
        .flat_map(|suite| ["ECDSA", "RSA"].map(|key| format!("ECDHE-{key}-{suite}")))
        .chain(["128_GCM_SHA256", "256_GCM_SHA384"].map(|suite| format!("TLS_AES_{suite}")))
        .chain(["TLS_CHACHA20_POLY1305_SHA256".to_owned()])
        .collect();
    good.sort();
    assert_eq!(suites, good, "{report}");
    let strengths = told("cipher", "strength");
    assert!(strengths.iter().all(|one| one == "strong" || one == "acceptable"), "{report}");
    assert_eq!(told("heartbleed", "vulnerable"), ["0", "0"], "{report}");
    assert_eq!(told("renegotiation", "supported"), ["0"], "{report}");
    let groups = told("group", "bits");
    assert!(groups.len() >= 3 && groups.iter().all(|bits| bits.parse::<u32>().unwrap() >= 128), "{report}");
}

#[test]
fn curl_is_served() {
    let (authority, origin) = (Authority::new(), Origin::answering("well"));
    let own = authority.issue("own", &["crm.test"], 1);
    let daemon = Daemon::start(&secured(&origin, &tls(&[&own], "")));
    let port = daemon.web.port();
    let (url, resolve) = (format!("https://crm.test:{port}/"), format!("crm.test:{port}:127.0.0.1"));
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "10", "--resolve", &resolve, "--cacert"])
            .arg(authority.ca())
            .args(version.split('='))
            .args([&url, &url, &url])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(said, "wellwellwell", "{version}");
    }
    assert_eq!(get(daemon.admin, "/-/healthy").status(), 200);
}
