//! Whatever comes, a line is one line, and the readers that are out there read it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value as Json;

use super::escape::Escape;
use super::format::{Format, Mask, Piece};
use super::record::{Load, Record, Secure, Times};
use super::stamp::Stamp;
use super::value::LINE_MAX;
use crate::http::{HeadLimits, HeadPolicy, Parsed, RequestHead, Underscores};

mod places;

const LIMITS: HeadLimits = HeadLimits { max_size: 64 * 1024, max_fields: 128 };

fn head(text: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    let policy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };
    assert!(matches!(head.parse(text, LIMITS, policy), Ok(Parsed::Complete(_))), "{text:?}");
    head
}

fn record<'a>(request: Option<&'a RequestHead>, unread: &'a [u8]) -> Record<'a> {
    let began = Instant::now();
    let ms = |ms| Some(Duration::from_millis(ms));
    Record {
        began,
        ended: began + Duration::from_millis(109),
        client: IpAddr::from([10, 0, 1, 2]),
        peer: SocketAddr::from(([10, 0, 1, 2], 33317)),
        listener: "http-in",
        route: Some("default"),
        pool: Some("static"),
        backend: Some("srv1"),
        request,
        unread,
        response: None,
        secure: None,
        request_id: b"0123456789abcdef",
        trace: None,
        code: 200,
        reason: "",
        bytes_in: 70,
        bytes_out: 2750,
        head_out: 150,
        retries: 0,
        hedge: "",
        times: Times {
            receive: ms(10),
            queue: ms(0),
            connect: ms(30),
            response: ms(69),
            transfer: ms(0),
            first_byte: ms(109),
        },
        termination: *b"--",
        load: Load { process: 1, listener: 1, pool: 1, backend: 1 },
    }
}

fn line(format: &Format, record: &Record<'_>, mask: &Mask) -> String {
    let mut out = b"before\n".to_vec();
    format.write(record, mask, &mut Stamp::new(), &mut out);
    String::from_utf8(out[7..].to_vec()).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_all() -> Vec<Format> {
    let all: Vec<Piece> = super::VARIABLES.iter().map(|one| Piece::Name(one.name.into())).collect();
    let fields: Vec<String> = super::VARIABLES.iter().map(|one| one.name.to_owned()).collect();
    vec![
        Format::json(&[]),
        Format::json(&fields),
        Format::common(false),
        Format::common(true),
        Format::haproxy(),
        Format::template(&all),
    ]
}

#[test]
fn each_format_looks_as_its_readers_want_it() {
    let head =
        head(b"GET /index.html?a=1 HTTP/1.1\r\nHost: 1wt.eu\r\nUser-Agent: \"x\"\r\nReferer: /r\r\n\r\n");
    let record = record(Some(&head), b"");
    let show = |format: &Format| line(format, &record, &Mask::Nothing);

    let json: Json = serde_json::from_str(&show(&Format::json(&[]))).unwrap();
    assert_eq!(
        (&json["client"], &json["status"], &json["total_ms"]),
        (&"10.0.1.2".into(), &200.into(), &109.0.into())
    );
    assert_eq!((&json["target"], &json["user_agent"]), (&"/index.html?a=1".into(), &"\"x\"".into()));
    assert!(
        json.get("reason").is_none() && json.get("unread").is_none(),
        "what is absent is left out: {json}"
    );
    let chosen = show(&Format::json(&names(&["request_header:host", "path", "query", "tls", "bytes_out"])));
    assert_eq!(
        chosen,
        "{\"request_header:host\":\"1wt.eu\",\"path\":\"/index.html\",\"query\":\"a=1\",\"bytes_out\":2750}\n"
    );

    let common = show(&Format::common(false));
    let (before, rest) = common.split_once(" [").unwrap();
    let (time, after) = rest.split_once("] ").unwrap();
    assert_eq!((before, after), ("10.0.1.2 - -", "\"GET /index.html?a=1 HTTP/1.1\" 200 2600\n"));
    assert_eq!((time.len(), &time[2..3], &time[20..]), (26, "/", " +0000"));
    let combined = show(&Format::common(true));
    assert!(combined.ends_with(" 200 2600 \"/r\" \"\\x22x\\x22\"\n"), "{combined}");

    // The example of HAProxy's documentation, 8.2.3, without its captured fields.
    let haproxy = show(&Format::haproxy());
    let (before, after) = haproxy.split_once("] ").unwrap();
    assert!(
        before.starts_with("10.0.1.2:33317 [") && before.as_bytes()[before.len() - 4] == b'.',
        "{before}"
    );
    let wanted = "http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 \"GET /index.html?a=1 HTTP/1.1\"\n";
    assert_eq!(after, wanted);

    let pieces = [
        Piece::Name("method".into()),
        Piece::Text(" {".into()),
        Piece::Name("sni".into()),
        Piece::Text("}".into()),
    ];
    assert_eq!(show(&Format::template(&pieces)), "GET {-}\n");
}

#[test]
fn what_never_came_so_far_is_shown_as_absent() {
    let mut bad = record(None, b"\x16\x03\x01 \"?token=1");
    bad.times = Times::default();
    (bad.pool, bad.backend, bad.route) = (None, None, None);
    (bad.code, bad.reason, bad.termination) = (400, "malformed", *b"PR");
    bad.secure = Some(Secure { version: "TLSv1.3", sni: Some("crm") });
    let haproxy = line(&Format::haproxy(), &bad, &Mask::Nothing);
    let (_, after) = haproxy.split_once("] ").unwrap();
    assert_eq!(
        after,
        "http-in~ http-in/<NOSRV> -1/-1/-1/-1/109 400 2750 - - PR-- 1/1/1/1/0 0/0 \"<BADREQ>\"\n"
    );
    let combined = line(&Format::common(true), &bad, &Mask::Whole);
    assert!(combined.ends_with("\"\\x16\\x03\\x01 \\x22?***\" 400 2600 \"-\" \"-\"\n"), "{combined}");
    let json: Json = serde_json::from_str(&line(&Format::json(&[]), &bad, &Mask::Nothing)).unwrap();
    assert_eq!(
        (&json["unread"], &json["reason"]),
        (&"\u{16}\u{3}\u{1} \"?token=1".into(), &"malformed".into())
    );
    assert!(json.get("pool").is_none() && json.get("method").is_none());
}

#[test]
fn queries_are_masked_as_a_whole_or_by_the_names_of_parameters() {
    let answer = self::head(b"GET / HTTP/1.1\r\nHost: x\r\nLocation: /cb?code=1\r\n\r\n");
    let head = head(
        b"GET /p?a=1&token=x%20y&%74oken=z&tokens=2&token&b HTTP/1.1\r\nHost: x\r\nReferer: http://y/?token=1&c=2\r\n\r\n",
    );
    let record = Record { response: Some(&answer.fields), ..record(Some(&head), b"") };
    let fields =
        ["target", "query", "referer", "request", "request_header:Referer", "response_header:location"];
    let format = Format::json(&names(&fields));
    let show = |mask: &Mask| -> Json { serde_json::from_str(&line(&format, &record, mask)).unwrap() };
    let named = show(&Mask::Named(vec!["token".into()]));
    assert_eq!(named["request_header:Referer"], named["referer"], "by whatever name it is asked for");
    assert_eq!(named["query"], "a=1&token=***&%74oken=***&tokens=2&token&b");
    assert_eq!(named["target"], "/p?a=1&token=***&%74oken=***&tokens=2&token&b");
    assert_eq!(named["referer"], "http://y/?token=***&c=2");
    let whole = show(&Mask::Whole);
    assert_eq!((&whole["target"], &whole["query"]), (&"/p?***".into(), &"***".into()));
    assert_eq!(
        (&whole["referer"], &whole["request"]),
        (&"http://y/?***".into(), &"GET /p?*** HTTP/1.1".into())
    );
    assert_eq!(whole["response_header:location"], "/cb?***");
}

#[test]
fn a_line_has_a_bound_whatever_its_values_are() {
    let long =
        [b"GET /".to_vec(), vec![b'\\'; 30_000], b" HTTP/1.1\r\nHost: x\r\nA: ".to_vec(), vec![0xff; 30_000]];
    let head = head(&[long.concat(), b"\r\n\r\n".to_vec()].concat());
    let record = record(Some(&head), b"");
    let fields: Vec<String> =
        std::iter::repeat_n("request_header:a".to_owned(), 60).chain(names(&["target", "status"])).collect();
    let text = line(&Format::json(&fields), &record, &Mask::Nothing);
    assert!(text.len() <= LINE_MAX + 4096, "{}", text.len());
    let json: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(json["status"], 200, "what stands behind a long value is still there");
    assert!(json["target"].as_str().unwrap().ends_with("..."));
}

proptest! {
    #[test]
    fn any_bytes_become_one_line_that_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for escape in [Escape::Json, Escape::Hex, Escape::Hash] {
            let mut out = Vec::new();
            escape.put(&bytes, usize::MAX, &mut out);
            prop_assert!(!out.iter().any(|byte| *byte < 0x20 || *byte == 0x7f));
            if escape == Escape::Json {
                let read: String = serde_json::from_slice(&[b"\"", &out[..], b"\""].concat()).unwrap();
                let told: String = bytes.utf8_chunks().map(|chunk| {
                    let odd: String = chunk.invalid().iter().map(|byte| char::from(*byte)).collect();
                    chunk.valid().to_owned() + &odd
                }).collect();
                prop_assert_eq!(read, told);
            } else {
                let mark: &[u8] = if escape == Escape::Hex { b"\\x" } else { b"#" };
                prop_assert_eq!(unescaped(&out, mark), bytes.clone());
                prop_assert!(!out.contains(&b'"'));
            }
        }
    }

    #[test]
    fn any_head_becomes_one_line_in_every_format(
        path in "[!-~]{0,40}",
        value in prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..0x7fu8, 0x80..=0xffu8], 0..60),
        unread in prop::collection::vec(any::<u8>(), 0..60),
        masked in any::<bool>(),
    ) {
        let text = [format!("GET /{path} HTTP/1.1\r\nHost: x\r\nUser-Agent: ").as_bytes(), &value, b"\r\nReferer: ", &value, b"\r\n\r\n"].concat();
        let mut request = RequestHead::new();
        let policy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };
        let good = matches!(request.parse(&text, LIMITS, policy), Ok(Parsed::Complete(_)));
        let mask = if masked { Mask::Named(vec!["a".into()]) } else { Mask::Nothing };
        let record = record(good.then_some(&request), &unread);
        for (nth, format) in of_all().iter().enumerate() {
            let line = line(format, &record, &mask);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            if nth < 2 {
                prop_assert!(serde_json::from_str::<Json>(&line).unwrap().is_object());
            } else {
                prop_assert!(line[..line.len() - 1].bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", line);
            }
            if nth == 3 {
                prop_assert_eq!(line.matches('"').count(), 6, "{}", line);
            }
        }
    }
}

fn unescaped(mut text: &[u8], mark: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        if let Some(code) = text.strip_prefix(mark) {
            out.push(u8::from_str_radix(std::str::from_utf8(&code[..2]).unwrap(), 16).unwrap());
            text = &code[2..];
        } else {
            out.push(*first);
            text = rest;
        }
    }
    out
}

#[test]
fn the_page_of_logs_has_every_name() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logging.md");
    let page = std::fs::read_to_string(file).unwrap();
    let rows = super::VARIABLES.iter().map(|one| format!("| `{}` | {} |\n", one.name, one.doc));
    let default: Vec<String> = super::DEFAULT_FIELDS.iter().map(|name| format!("`{name}`")).collect();
    let default = default.join(", ");
    let table = format!(
        "| name | what |\n| --- | --- |\n{}\nBy default JSON lines hold {default}.\n",
        rows.collect::<String>()
    );
    let (before, rest) = page.split_once("<!-- names -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of names -->").unwrap();
    let wanted = format!("{before}<!-- names -->\n{table}<!-- end of names -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &wanted).unwrap();
    } else {
        assert_eq!(page, wanted, "write it with UPDATE_DOCS=1");
    }
}

#[test]
fn every_default_field_is_a_variable_and_none_holds_secrets() {
    assert!(super::DEFAULT_FIELDS.iter().all(|name| super::VARIABLES.iter().any(|one| one.name == *name)));
    assert!(super::VARIABLES.iter().all(|one| !one.name.contains("cookie") && !one.name.contains("auth")));
}
