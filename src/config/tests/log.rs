//! `[log.access]` and `[tracing]`

use std::path::Path;

use super::{SMALL, config, found, read};
use crate::config::{AccessForm, MaskQuery, TemplatePiece, TlsFlaw, TlsKey, Tracing};

/// What stands for a look into the files of a collector.
pub(super) fn collector_flaws(tracing: &Tracing) -> Vec<TlsFlaw> {
    let flaw = |key, message: &str| vec![TlsFlaw { key, usable: false, message: message.into(), help: None }];
    let is_pem = |pem: &Vec<u8>| pem.starts_with(b"-----");
    match (&tracing.ca, &tracing.own) {
        _ if !tracing.otlp.as_deref().unwrap_or_default().starts_with("http") => {
            flaw(TlsKey::Name, "it is none")
        }
        (Some(ca), _) if !is_pem(ca) => flaw(TlsKey::Authority, "holds no certificate"),
        (_, Some((chain, _))) if !is_pem(chain) => flaw(TlsKey::Chain(0), "holds no certificate"),
        (_, Some((_, key))) if !is_pem(&key.0) => flaw(TlsKey::Key(0), "holds no key"),
        _ => Vec::new(),
    }
}

fn with(lines: &str) -> String {
    format!("{SMALL}[log.access]\n{lines}\n")
}

fn help(lines: &str) -> String {
    read(&with(lines)).report.diagnostics()[0].help.clone().unwrap_or_default()
}

#[test]
fn an_access_log_is_off_until_it_has_a_form() {
    assert_eq!(config(SMALL).log.access, None);
    assert_eq!(config(&with("format = 'off'")).log.access, None);
    assert_eq!(found(&with("sample = 0.5")), ["7:10 unused-key"]);
    let log = config(&with("format = 'json'")).log.access.unwrap();
    assert_eq!(
        (log.form, log.path, log.sample, log.mask_query),
        (AccessForm::Json(vec![]), None, 1.0, MaskQuery::Nothing)
    );
    assert_eq!((log.max_size, log.keep), (0, 5));
}

#[test]
fn what_contradicts_itself_is_refused() {
    assert_eq!(found(&with("format = 'json'\ntemplate = '{status}'")), ["7:10 conflict"]);
    assert_eq!(found(&with("format = 'common'\nfields = ['status']")), ["8:10 conflict"]);
    assert_eq!(found(&with("format = 'json'\nmax_size = '1MiB'")), ["8:12 conflict"]);
    assert_eq!(found(&with("format = 'json'\nfields = ['status', 'status']")), ["8:21 duplicate-name"]);
    assert_eq!(
        found(&with("format = 'json'\nsample = 1.5\nmax_size = '1KiB'")),
        ["8:10 bad-value", "9:12 bad-value"]
    );
}

#[test]
fn unknown_names_are_pointed_at_with_the_one_that_was_meant() {
    assert_eq!(found(&with("template = '{client} {statis}'")), ["7:22 bad-value"]);
    assert_eq!(help("template = '{client} {statis}'"), "did you mean \"status\"?");
    assert_eq!(
        found(&with("template = \"\\t{client} {statis}\"")),
        ["7:12 bad-value"],
        "an escape moves the columns"
    );
    assert_eq!(found(&with("template = '{client'")), ["7:13 bad-value"]);
    assert_eq!(found(&with("template = ''")), ["7:12 bad-value"]);
    assert_eq!(found(&with("template = \"{client}\\n\"")), ["7:12 bad-value"]);
    assert_eq!(found(&with("format = 'json'\nfields = ['status', 'cliant']")), ["8:21 bad-value"]);
    assert_eq!(
        help("format = 'json'\nfields = ['request_heade:x']"),
        "did you mean \"request_header:NAME\"?"
    );
    assert_eq!(found(&with("format = 'json'\nfields = ['request_header:a b']")), ["8:11 bad-value"]);
    assert!(help("template = '{zzzzzz}'").starts_with("the names are client, status"));
    let log = config(&with("template = '{client}: {{{request_header:x-a}}}'")).log.access.unwrap();
    let name = |name: &str| TemplatePiece::Name(name.into());
    let text = |text: &str| TemplatePiece::Text(text.into());
    let wanted = vec![name("client"), text(": {"), name("request_header:x-a"), text("}")];
    assert_eq!(log.form, AccessForm::Template(wanted));
}

#[test]
fn queries_are_masked_whole_or_by_names() {
    let mask = |value: &str| {
        config(&with(&format!("format = 'json'\nmask_query = {value}"))).log.access.unwrap().mask_query
    };
    assert_eq!([mask("true"), mask("false")], [MaskQuery::Whole, MaskQuery::Nothing]);
    assert_eq!(mask("['token', 'key']"), MaskQuery::Named(vec!["token".into(), "key".into()]));
    assert_eq!(mask("'token'"), MaskQuery::Named(vec!["token".into()]));
    assert_eq!(found(&with("format = 'json'\nmask_query = 7")), ["8:14 wrong-type"]);
    assert_eq!(found(&with("format = 'json'\nmask_query = []")), ["8:14 bad-value"]);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("format = 'json'\npath = '{}'", dir.path().join(name).display());
    let log = config(&with(&path("access.log"))).log.access.unwrap();
    assert_eq!(log.path, Some(dir.path().join("access.log")));
    assert!(!dir.path().join("access.log").exists(), "a check leaves nothing behind");
    assert_eq!(found(&with(&path(""))), ["8:8 unreadable"], "a directory");
    assert_eq!(found(&with(&path("no/such/folder"))), ["8:8 unreadable"]);
    assert_eq!(config(&with("format = 'json'\npath = '-'")).log.access.unwrap().path, None);
    assert!(!config(&format!("{SMALL}[[route]]\npool = 'crm'\naccess_log = false\n")).routes[0].access_log);
}

#[test]
fn traces_are_off_until_the_table_stands() {
    assert_eq!(config(SMALL).tracing, None);
    let tracing = config(&format!("{SMALL}[tracing]\n")).tracing.unwrap();
    assert_eq!((tracing.otlp, tracing.sample), (None, 0.01));
    let lines = "[tracing]\notlp = 'http://127.0.0.1:4318'\nsample = 1\n";
    let tracing = config(&format!("{SMALL}{lines}")).tracing.unwrap();
    assert_eq!((tracing.otlp.as_deref(), tracing.sample), (Some("http://127.0.0.1:4318"), 1.0));
    assert_eq!(found(&format!("{SMALL}[tracing]\notlp = 'ftp://a:1'\n")), ["7:8 bad-value"]);
    assert_eq!(found(&format!("{SMALL}[tracing]\nsample = 1.5\n")), ["7:10 bad-value"]);
}

#[test]
fn who_signs_a_collectors_certificate_is_read_where_it_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let [good, bad] = ["good.pem", "bad.pem"].map(|name| dir.path().join(name));
    std::fs::write(&good, "-----BEGIN CERTIFICATE-----").unwrap();
    std::fs::write(&bad, "roots").unwrap();
    let with =
        |otlp: &str, ca: &Path| format!("{SMALL}[tracing]\notlp = '{otlp}://a:1'\nca = '{}'\n", ca.display());
    let read = config(&with("https", &good));
    assert_eq!(read.tracing.unwrap().ca.as_deref(), Some(&b"-----BEGIN CERTIFICATE-----"[..]));
    assert!(read.files.iter().any(|file| file.path == good), "a change of it is noticed");
    assert_eq!(found(&with("https", &bad)), ["8:6 bad-value"]);
    assert_eq!(found(&with("https", &dir.path().join("none.pem"))), ["8:6 unreadable"]);
    assert_eq!(found(&with("http", &good)), ["8:1 conflict"]);
    let alone = format!("{SMALL}[tracing]\nca = '{}'\n", good.display());
    assert_eq!(found(&alone), ["7:1 conflict"]);

    // What we prove ourselves by.
    let own = |otlp: &str, cert: &Path, key: &Path| {
        let (cert, key) = (cert.display(), key.display());
        format!("{SMALL}[tracing]\notlp = '{otlp}://a:1'\ncert = '{cert}'\nkey = '{key}'\n")
    };
    let (chain, key) = config(&own("https", &good, &good)).tracing.unwrap().own.unwrap();
    assert!(chain.starts_with(b"-----") && key.0 == chain && !format!("{key:?}").contains("45"));
    assert_eq!(found(&own("https", &bad, &good)), ["8:8 bad-value"]);
    assert_eq!(found(&own("https", &good, &bad)), ["9:7 bad-value"]);
    assert_eq!(found(&own("http", &good, &good)), ["8:1 conflict", "9:1 conflict"]);
    let half = format!("{SMALL}[tracing]\notlp = 'https://a:1'\ncert = '{}'\n", good.display());
    assert_eq!(found(&half), ["8:1 conflict"]);
}

#[test]
fn fields_for_a_collector_are_read_from_the_file_and_from_one_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pipe) = (dir.path().join("headers"), dir.path().join("pipe"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let with = |lines: &str| format!("{SMALL}[tracing]\notlp = 'http://a:1'\n{lines}\n");
    let from = |text: &str| {
        std::fs::write(&file, text).unwrap();
        with(&format!("headers_file = '{}'", file.display()))
    };
    let shown = |text: &str| -> Vec<(String, String)> {
        let read = config(text);
        assert!(!format!("{read:?}").contains("Basic"), "a secret is shown");
        let fields = read.tracing.unwrap().headers.into_iter();
        fields.map(|field| (field.name, String::from_utf8(field.value.0).unwrap())).collect()
    };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let both = "headers = { X-Scope = 'crm' }\n";
    let text = from("# keys\n\nAuthorization:  Basic a:b \r\nx-key:1")
        .replace("headers_file", &format!("{both}headers_file"));
    // The text of the file is part of the description; the secrets are in none.
    assert_eq!(shown(&text), [own("x-scope", "crm"), own("authorization", "Basic a:b"), own("x-key", "1")]);
    assert!(config(&text).files.iter().any(|named| named.path == file), "a change of it is noticed");
    for (line, places) in [
        ("headers = { host = 'a' }", "8:13 bad-value"),
        ("headers = { 'a b' = 'a' }", "8:13 bad-value"),
        ("headers = { a = '' }", "8:17 bad-value"),
        ("headers = { a = \"a\\nb\" }", "8:17 bad-value"),
        ("headers = { a = 1 }", "8:17 wrong-type"),
        ("headers = 'a: b'", "8:11 wrong-type"),
        ("headers = { a = 'b', A = 'c' }", "8:22 duplicate-name"),
        ("headers_file = 'no/such/file'", "8:16 unreadable"),
        // One that nobody writes would be waited for without end.
        (&*format!("headers_file = '{}'", pipe.display()), "8:16 unreadable"),
    ] {
        assert_eq!(found(&with(line)), [places], "{line}");
    }
    for text in [
        "Basic c2VjcmV0",
        "a b: c2VjcmV0",
        "Content-Length: 3",
        "a:",
        "a: c2VjcmV0\u{7}",
        "a: 1\nA: 2",
        "\u{fc}: c2VjcmV0",
    ] {
        let report = read(&from(text)).report;
        assert_eq!(report.diagnostics().len(), 1, "{text:?}");
        let told = format!("{report:?}");
        assert!(!told.contains("c2VjcmV0") && told.contains("line "), "{told}");
    }
    let alone = format!("{SMALL}[tracing]\nheaders = {{ a = 'b' }}\nheaders_file = '{}'\n", file.display());
    std::fs::write(&file, "b: c").unwrap();
    assert_eq!(found(&alone), ["7:1 conflict", "8:1 conflict"]);
    std::fs::write(&file, (0..33).map(|n| format!("n{n}: v\n")).collect::<String>()).unwrap();
    assert_eq!(found(&with(&format!("headers_file = '{}'", file.display()))), ["8:16 bad-value"]);
}
