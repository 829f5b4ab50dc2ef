mod balancing;
mod listeners;
mod log;
mod slo;

use std::time::Duration;

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key, Kind, Preset};
use super::*;

mod passive;
mod protocols;
mod queue;
mod sticky;

const BALANCE: [&str; 8] = [
    "round-robin",
    "weighted-round-robin",
    "random",
    "power-of-two",
    "least-connections",
    "least-response-time",
    "ip-hash",
    "hash",
];

const ERRORS: [u16; 3] = [404, 502, 503];

const CONTRACT: &str = include_str!("../../tests/data/contract.toml");
const TEN: &str = include_str!("../../tests/data/ten-mistakes.toml");
const SMALL: &str =
    "[[listener]]\nbind = '127.0.0.1:80'\npool = 'crm'\n[pool.crm]\nbackends = ['a:80', 'b:80']\n";

/// Files are looked into elsewhere: see `snapshot` and `tls`.
const VOCABULARY: Vocabulary<'_> = Vocabulary {
    balance: &BALANCE,
    errors: &ERRORS,
    log_variables: &["client", "status", "target"],
    listener_tls: |_| Vec::new(),
    pool_tls: |_, _| Vec::new(),
    otlp: log::collector_flaws,
};

fn read(text: &str) -> Reading {
    super::read("test.toml", text, &VOCABULARY)
}

/// `line:column code` of each finding.
fn found(text: &str) -> Vec<String> {
    let report = read(text).report;
    let line = |one: &Diagnostic| {
        let place = report.place(one.span.clone().unwrap_or(0..0).start);
        format!("{}:{} {}", place.line, place.column, one.code.as_str())
    };
    report.diagnostics().iter().map(line).collect()
}

fn config(text: &str) -> Config {
    let reading = read(text);
    reading.config.unwrap_or_else(|| panic!("{}", reading.report.to_text(false)))
}

fn help(text: &str) -> String {
    let report = read(text).report;
    report.diagnostics().first().and_then(|one| one.help.clone()).unwrap_or_default()
}

#[test]
fn ten_mistakes_are_shown_in_one_run() {
    let expected = [
        "2:17 wrong-type",
        "3:1 unknown-key",
        "6:9 bad-value",
        "11:8 dangling-reference",
        "14:17 bad-value",
        "17:8 duplicate-name",
        "23:21 bad-value",
        "27:11 bad-value",
        "28:9 wrong-type",
        "30:30 bad-value",
    ];
    assert_eq!(found(TEN), expected, "{}", read(TEN).report.to_text(false));
    assert!(read(TEN).config.is_none());
    // A broken line more is one finding more: it hides none of them.
    let broken = TEN.replace("[pool.crm.retry]", "[pool.crm.retry");
    assert_eq!(found(&broken), [&expected[..], &["34:16 syntax"]].concat());
}

#[test]
fn every_broken_line_is_reported_once() {
    assert_eq!(
        found("[[listener]]\nbind = \npool = 'x\n[pool.a]\nbackends = ['a:80'"),
        ["2:8 syntax", "3:10 syntax", "5:19 syntax"]
    );
}

#[test]
fn what_a_broken_header_names_is_not_missed() {
    assert_eq!(found(&SMALL.replace("[pool.crm]", "[pool.crm")), ["4:10 syntax"]);
    let routed =
        format!("{SMALL}[[route]]\npool = 'crm'\nlisteners = 'web'\n[[listener\nname = 'web'\nbind = 1\n");
    assert_eq!(found(&routed), ["9:11 syntax"]);
}

#[test]
fn the_smallest_file_has_all_defaults() {
    let config = config(SMALL);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.admin.bind.to_string(), "127.0.0.1:9900");
    let listener = &config.listeners[0];
    assert_eq!((listener.name.as_str(), listener.pool), ("127.0.0.1:80", Some(0)));
    assert_eq!((listener.limits.max_head_size, listener.limits.max_headers), (65536, 128));
    assert_eq!((listener.limits.max_body_size, listener.limits.min_rate), (0, 256));
    assert_eq!(listener.timeouts.keep_alive, Duration::from_secs(75));
    let pool = &config.pools[0];
    assert_eq!((pool.balance.as_str(), &pool.hash_key), ("round-robin", &HashKey::ClientIp));
    assert_eq!((&pool.pass_host, pool.max_connections), (&PassHost::Client, MaxConnections::AtMost(0)));
    assert_eq!((pool.backends[1].name.as_str(), pool.backends[1].weight), ("b:80", 1));
    assert_eq!(pool.timeouts.tunnel, Duration::from_secs(3600));
    assert!(pool.health.is_none());
    assert!(pool.retry.on.connect && pool.retry.on.reset && pool.retry.on.invalid && !pool.retry.on.timeout);
    assert_eq!((pool.retry.attempts, pool.retry.budget, pool.retry.methods.len()), (2, 0.2, 6));
    assert_eq!(config.sha256.len(), 64);
}

#[test]
fn a_health_table_brings_its_own_defaults() {
    let config = config(&format!("{SMALL}[pool.crm.health]\ninterval = '4s'\n"));
    let health = config.pools[0].health.as_ref().unwrap();
    assert_eq!(health.fast_interval, Duration::from_secs(1));
    assert_eq!(health.down_interval, Duration::from_secs(4));
    assert_eq!((health.rise, health.fall, health.initial_up), (2, 3, true));
    assert_eq!(health.expect_status, [(200, 399)]);
    assert_eq!((health.kind, health.path.as_str(), health.method.as_str()), (HealthKind::Http, "/", "GET"));
}

/// Every key of the contract stands in the table; what is supported takes the contract's example.
#[test]
fn the_contract_is_known() {
    let (table, errors) = DeTable::parse_recoverable(CONTRACT);
    assert!(errors.is_empty());
    let mut count = 0;
    known(table.get_ref(), keys::ROOT, "", &mut count);
    assert!(count > 130, "{count}");
    for one in read(CONTRACT).report.diagnostics() {
        let expected = match one.code {
            // The contract shows files and pools that do not exist here.
            Code::Unreadable => one.message.contains("/etc/equipoise/"),
            Code::DanglingReference => one.message.contains("\"api\""),
            Code::MissingKey => one.message.contains("address"),
            Code::Conflict => one.message.contains("`cert` has no meaning without `key`"),
            other => other == Code::NotSupported,
        };
        assert!(expected, "{one:?}");
    }
}

fn known(table: &DeTable<'_>, keys: &'static [Key], path: &str, count: &mut usize) {
    for (name, value) in table {
        let name = name.get_ref();
        let key = keys.iter().find(|key| key.name == name.as_ref());
        let key = key.unwrap_or_else(|| panic!("{path}.{name} is not in the table of keys"));
        *count += 1;
        let below = key.kind.children();
        let path = format!("{path}.{name}");
        // What holds free names has no keys of its own.
        if below.is_empty() {
            continue;
        }
        let mut tables = vec![value.get_ref()];
        if let DeValue::Array(items) = value.get_ref() {
            tables = items.iter().map(|item| item.get_ref()).collect();
        }
        for table in tables.into_iter().filter_map(|value| value.as_table()) {
            match key.kind {
                Kind::Named(_) => {
                    let members = table.iter().filter_map(|(_, member)| member.get_ref().as_table());
                    members.for_each(|member| known(member, below, &path, count));
                }
                _ => known(table, below, &path, count),
            }
        }
    }
}

#[test]
fn defaults_are_values_of_their_kind() {
    fn check(keys: &'static [Key]) {
        for key in keys {
            if let Preset::Literal(text) = key.default {
                let (value, errors) = DeValue::parse_recoverable(text);
                assert!(errors.is_empty(), "{}", key.name);
                let vocabulary = VOCABULARY;
                let mut reader = Reader { text, vocabulary: &vocabulary, findings: Findings::default() };
                super::value::read(&value, &key.kind, key.name, "", &mut reader);
                assert!(!reader.findings.has_errors(), "{}", key.name);
            }
            check(key.kind.children());
        }
    }
    check(keys::ROOT);
}

#[test]
fn what_was_meant_is_named() {
    assert_eq!(help(&SMALL.replace("bind", "bin")), "did you mean `bind`?");
    // One slip, one error: neither the missing key nor the references that it leaves dangling.
    assert_eq!(found(&SMALL.replace("bind", "bin")), ["2:1 unknown-key"]);
    assert_eq!(found(&SMALL.replace("[pool.crm]", "[pools.crm]")), ["4:2 unknown-key"]);
    assert_eq!(found(&SMALL.replace("[[listener]]", "[[listeners]]")), ["1:3 unknown-key"]);
    assert_eq!(found(&SMALL.replace("[pool.crm]\nbackends", "[pool]\ncrm")), ["5:1 wrong-type"]);
    assert_eq!(help(&SMALL.replace("pool = 'crm'", "pool = 'crn'")), "did you mean \"crm\"?");
    assert!(help(&format!("{SMALL}balance = 'least-conections'\n")).contains("\"least-connections\""));
    assert_eq!(help(&format!("[log]\nlevel = 'warning'\n{SMALL}")), "did you mean \"warn\"?");
    assert_eq!(help(&format!("[server]\ndrain_timeout = 30\n{SMALL}")), "did you mean \"30s\"?");
    assert_eq!(help(&SMALL.replace("[[listener]]", "[listener]")), "write [[listener]]");
    assert!(help(&SMALL.replace("pool =", "max_headers = 3\npool =")).contains("limits.max_headers"));
    assert!(help(&format!("{SMALL}connect = '1s'\n")).contains("timeouts.connect"));
}

#[test]
fn zero_switches_off_only_where_the_contract_says_so() {
    let off = "[server]\nshutdown_delay = '0s'\nwatch_files = '0s'\n[[listener]]\nbind = '127.0.0.1:80'\npool = 'a'\n\
               [listener.limits]\nmax_body_size = '0B'\nmin_rate = '0B'\nmax_connections_per_ip = 0\n\
               [pool.a]\nbackends = 'a:80'\nmax_connections = 0\n";
    assert_eq!(config(off).server.watch_files, None);
    for (table, line) in [
        ("server", "drain_timeout = '0s'"),
        ("server", "shutdown_delay = 0"),
        ("server", "workers = 0"),
        ("pool.crm.timeouts", "connect = '0s'"),
        ("pool.crm.retry", "attempts = 0"),
        ("pool.crm.retry", "buffer = '0B'"),
        ("pool.crm.health", "rise = 0"),
    ] {
        let all = found(&format!("{SMALL}[{table}]\n{line}\n"));
        assert!(all.len() == 1 && all[0].starts_with("7:"), "{line}: {all:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(found(""), ["1:1 missing-key"]);
    assert_eq!(
        found("[[listener]]\n[pool.a]\n[[route]]\n"),
        ["1:1 missing-key", "2:1 missing-key", "3:1 missing-key"]
    );
    assert_eq!(found(&SMALL.replace("'b:80'", "{ weight = 2 }")), ["5:21 missing-key"]);
}

#[test]
fn shapes_are_read_as_the_contract_says() {
    let text = format!(
        "{SMALL}pass_host = 'crm.example.com'\n[pool.crm.retry]\non = ['connect', 502, '503', '500-501', 'timeout']\n\
         budget = 1\n[pool.crm.health]\nexpect_status = 204\n[[route]]\nmatch.host = 'A.example.com:80'\n\
         match.path_prefix = '/%61'\npool = 'crm'\nlisteners = '127.0.0.1:80'\ntimeout = '1m30s'\n"
    );
    let config = config(&text);
    let pool = &config.pools[0];
    assert_eq!(pool.pass_host, PassHost::Fixed("crm.example.com".into()));
    assert_eq!(pool.retry.on.statuses, [500, 501, 502, 503]);
    assert!(pool.retry.on.connect && pool.retry.on.timeout && !pool.retry.on.reset);
    assert_eq!(pool.health.as_ref().unwrap().expect_status, [(204, 204)]);
    let route = &config.routes[0];
    assert_eq!(route.matches.host, [HostPattern::Exact("a.example.com".into())]);
    assert_eq!(route.matches.path_prefix, ["/a"]);
    assert_eq!((route.listeners.as_deref(), route.timeout), (Some(&[0][..]), Some(Duration::from_secs(90))));
}

#[test]
fn later_versions_bring_the_rest() {
    for line in ["strip_prefix = '/a'", "compress = true"] {
        let all = found(&format!("{SMALL}[[route]]\npool = 'crm'\n{line}\n"));
        assert!(all.len() == 1 && all[0].ends_with("not-supported-yet"), "{line}: {all:?}");
    }
    assert_eq!(found("listener = []\n"), ["1:1 missing-key"]);
    assert_eq!(found(&format!("{SMALL}[pool.crm.health]\ntype = 'tcp'\npath = '/'\n")), ["8:1 conflict"]);
}

#[test]
fn doubtful_files_are_taken_with_a_warning() {
    let route = |conditions: &str| format!("[[route]]\n{conditions}\npool = 'crm'\n");
    let warned = |rest: &str| found(&format!("{SMALL}{rest}"));
    assert_eq!(warned("[pool.x]\nbackends = 'a:80'\n"), ["6:1 unused-pool"]);
    assert_eq!(warned("hash_key = 'uri'\n"), ["6:1 unused-key"]);
    assert_eq!(warned("[pool.crm.health]\ntimeout = '3s'\n"), ["7:11 slow-health"]);
    assert_eq!(warned("[pool.crm.retry]\nmethods = ['GET', 'POST']\n"), ["7:19 unsafe-retry"]);
    assert_eq!(warned(&(route("") + &route("match.host = 'a.b'"))), ["9:1 never-matches"]);
    let narrower = route("match.path_prefix = '/api'") + &route("match.path = '/api/x'\nmatch.host = 'a.b'");
    assert_eq!(warned(&narrower), ["9:1 never-matches"]);
    let wider = route("match.path_prefix = '/api/'") + &route("match.path_prefix = '/api'");
    assert!(warned(&wider).is_empty());
    let hosts = route("match.host = '*.a.b'") + &route("match.host = ['x.a.b', '*.y.a.b']");
    assert_eq!(warned(&hosts), ["9:1 never-matches"]);
    assert!(warned(&(route("match.host = '*.a.b'") + &route("match.host = 'a.b'"))).is_empty());
    assert_eq!(warned(&route("match.path = '/a'\nmatch.path_prefix = '/b'")), ["6:1 never-matches"]);
    assert_eq!(warned(&route("name = 'default'\nmatch.host = 'a'")), ["6:1 shared-name"]);
    assert_eq!(warned(&route("name = 'none'\nmatch.host = 'a'")), ["6:1 shared-name"]);
    let spare = SMALL.replace("'a:80', 'b:80'", "{ address = 'a:80', backup = true }");
    assert_eq!(found(&spare), ["5:1 no-active-backend"]);
    let lonely = "[[listener]]\nname = 'x'\nbind = '127.0.0.1:81'\n";
    assert_eq!(found(&format!("{lonely}{SMALL}")), ["1:1 unreachable-listener"]);
}

#[test]
fn files_that_cannot_be_read_are_diagnostics() {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = VOCABULARY;
    let code = |path: &std::path::Path| load(path, &vocabulary).report.diagnostics()[0].code;
    assert_eq!(code(&folder.path().join("none.toml")), Code::Unreadable);
    assert_eq!(code(folder.path()), Code::Unreadable);
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"[log]\n# caf\xe9\n").unwrap();
    let report = load(&latin, &vocabulary).report;
    assert_eq!(
        report.place(report.diagnostics()[0].span.clone().unwrap().start),
        Place { line: 2, column: 6 }
    );

    let token = folder.path().join("token");
    let text = format!("{SMALL}[admin]\ntoken_file = '{}'\n", token.display());
    assert_eq!(found(&text), ["7:14 unreadable"]);
    std::fs::write(&token, " \n").unwrap();
    assert_eq!(found(&text), ["7:14 unreadable"]);
    std::fs::write(&token, "s3cret\n").unwrap();
    assert_eq!(config(&text).admin.token.as_deref(), Some("s3cret"));
}

#[test]
fn the_report_is_bounded() {
    let text: String = (0..1000).map(|at| format!("key{at} = 1\n")).collect();
    let report = read(&text).report;
    assert_eq!((report.diagnostics().len(), report.errors()), (SHOWN_MAX, 1001));
    assert!(report.to_text(false).ends_with("… and 801 more\n\n"));
}

#[test]
fn a_report_shows_the_line_and_the_caret() {
    let text = read(&SMALL.replace("pool = 'crm'", "pool = 'crn'")).report.to_text(false);
    let expected = "error[dangling-reference]: there is no pool named \"crn\"\n \
                    --> test.toml:3:8\n  |\n3 | pool = 'crn'\n  |        ^^^^^ expected the name of a pool\n  |\n  \
                    = help: did you mean \"crm\"?\n\n";
    assert_eq!(text, expected, "{text}");
    assert!(read("\u{feff}x = 1").report.to_text(true).contains('\u{1b}'));
}

#[test]
fn json_has_the_same_places() {
    let json: serde_json::Value = serde_json::from_str(&read("über = 1\n").report.to_json()).unwrap();
    assert_eq!(json[0]["severity"], "error");
    let empty: serde_json::Value = serde_json::from_str(&read(SMALL).report.to_json()).unwrap();
    assert_eq!(empty, serde_json::json!([]));
    let json: serde_json::Value =
        serde_json::from_str(&read(&SMALL.replace("'crm'", "'ü', 1")).report.to_json()).unwrap();
    let first = &json[0];
    assert_eq!((&first["line"], &first["file"]), (&3.into(), &"test.toml".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whole files with one stretch replaced: nothing panics, and every place lies inside the text.
    #[test]
    fn no_text_panics(from in 0usize..12_000, cut in 0usize..200, put in "\\PC{0,8}|[\\[\\]{}=\"'.,\n#a0 ]{0,8}", which in 0..3usize) {
        let mut text = [CONTRACT, TEN, SMALL][which].to_owned();
        let from = text.floor_char_boundary(from % text.len());
        let to = text.floor_char_boundary((from + cut).min(text.len()));
        text.replace_range(from..to.max(from), &put);
        check_places(&text)?;
    }

    #[test]
    fn no_random_text_panics(text in "(\\PC|[\\[\\]{}=\"'.,\r\n#]|listener|pool|bind|\\[\\[route\\]\\]\n){0,40}") {
        check_places(&text)?;
    }
}

fn check_places(text: &str) -> Result<(), TestCaseError> {
    let reading = read(text);
    prop_assert_eq!(reading.config.is_none(), reading.report.has_errors());
    for one in reading.report.diagnostics() {
        let spans = one.notes.iter().filter_map(|note| note.span.clone()).chain(one.span.clone());
        for span in spans {
            prop_assert!(text.get(span.clone()).is_some(), "{:?} {:?}", span, one);
        }
    }
    let _ = (reading.report.to_text(true), reading.report.to_json());
    Ok(())
}
