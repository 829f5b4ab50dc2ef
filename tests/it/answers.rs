//! Answers of our own: what they say, and the pages that may stand in their place.

use crate::client::{connect, get, once};
use crate::config::over;
use crate::daemon::Daemon;
use crate::message::Message;
use crate::origin::{Origin, nowhere};

fn reason(answer: &Message) -> Option<&str> {
    answer.head.field("x-equipoise-reason")
}

/// An origin that fails as its path says.
fn failing() -> Origin {
    Origin::new(|visit| {
        let Some(request) = visit.request()? else { return Ok(()) };
        match request.head.target() {
            "/reset" => visit.reset(),
            "/invalid" => visit.send("nonsense\r\n\r\n"),
            "/cut" => visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"),
            _ => visit.wire.rest().map(|_| ()),
        }
    })
}

#[test]
fn an_answer_of_ours_says_why_and_which_request_it_was() {
    let origin = failing();
    let gone = nowhere();
    let tables = format!(
        "[[route]]\nmatch.path = \"/gone\"\npool = \"gone\"\n\
         [[route]]\nmatch.path = \"/late\"\npool = \"crm\"\ntimeout = \"100ms\"\n\
         [pool.gone]\nbackends = \"{gone}\"\n\
         [[listener]]\nname = \"bare\"\nbind = \"127.0.0.1:0\"\ntrusted_proxies = \"127.0.0.1\"\n"
    );
    let config = over(&[origin.address]).pool("retry.on = []\ntimeouts.response = \"300ms\"");
    let daemon = Daemon::start(&config.listener("limits.max_body_size = \"4B\"").and(&tables));
    for (line, fields, status, word) in [
        ("GET /reset", "", 502, "reset"),
        ("GET /invalid", "", 502, "invalid"),
        ("GET /cut", "", 502, "cut"),
        ("GET /silent", "", 504, "timeout"),
        ("GET /late", "", 504, "deadline"),
        ("GET /gone", "", 502, "connect_error"),
        ("GET /../up", "", 400, "malformed"),
        ("GET /", "Bad : 1\r\n", 400, "malformed"),
        ("POST /", "Content-Length: 5\r\n", 413, "too_large"),
        ("TRACE /", "", 405, "unsupported"),
    ] {
        let answer = once(daemon.web, &format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).unwrap();
        let id = answer.head.field("x-request-id").unwrap_or_default().to_owned();
        assert_eq!((answer.status(), reason(&answer)), (status, Some(word)), "{line}");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}: {id:?}");
        let phrase = answer.head.start.strip_prefix("HTTP/1.1 ").unwrap();
        assert_eq!(answer.text(), format!("{phrase}\nreason: {word}\nrequest: {id}\n"), "{line}");
        assert_eq!(answer.head.field("content-type"), Some("text/plain; charset=utf-8"));
        daemon.logged_where(&id, |event| event["request"] == id.as_str());
    }
    // A trusted peer's id is kept, also where no route is found.
    let asked = "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: trace-7\r\n\r\n";
    let answer = once(daemon.listener("bare"), asked).unwrap();
    assert_eq!((answer.status(), reason(&answer)), (404, Some("no_route")));
    assert_eq!(answer.head.field("x-request-id"), Some("trace-7"));
}

#[test]
fn pages_replace_our_answers_and_a_reload_reads_them_again() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.answer(404, "the application's own")?;
        }
        Ok(())
    });
    let folder = tempfile::tempdir().unwrap();
    let html = folder.path().join("404.html");
    let json = folder.path().join("too-large");
    std::fs::write(&html, "<p>not here").unwrap();
    std::fs::write(&json, "{\"error\": \"large\"}").unwrap();
    let tables = format!(
        "[[listener]]\nname = \"bare\"\nbind = \"127.0.0.1:0\"\nlimits.max_head_size = \"1KiB\"\n\
         error_pages = {{ \"404\" = \"{}\", \"431\" = \"{}\" }}\n",
        html.display(),
        json.display()
    );
    let config = over(&[origin.address]).and(&tables);
    let daemon = Daemon::start(&config);
    let bare = daemon.listener("bare");
    let shown = |answer: &Message| {
        (answer.status(), answer.head.field("content-type").unwrap_or_default().to_owned(), answer.text())
    };
    let mut wire = connect(bare);
    let html_type = "text/html; charset=utf-8";
    let answer = wire.get("/").unwrap();
    assert_eq!(shown(&answer), (404, html_type.into(), "<p>not here".into()));
    assert_eq!(reason(&answer), Some("no_route"), "the field still says why");
    wire.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = wire.response("HEAD").unwrap();
    assert_eq!(answer.head.field("content-length"), Some("11"));
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(2_000));
    let answer = once(bare, &large).unwrap();
    assert_eq!(shown(&answer), (431, "application/json".into(), "{\"error\": \"large\"}".into()));
    assert_eq!(get(daemon.web, "/").text(), "the application's own");

    std::fs::write(&html, "<p>moved").unwrap();
    assert_eq!(wire.get("/").unwrap().text(), "<p>not here", "read at load");
    daemon.reload(&config);
    assert_eq!(wire.get("/").unwrap().text(), "<p>moved");
    std::fs::remove_file(&html).unwrap();
    let refused = daemon.ask_to_reload();
    assert!(refused.status() == 422 && refused.text().contains("404.html"), "{}", refused.text());
    assert_eq!(wire.get("/").unwrap().text(), "<p>moved", "nothing has changed");
}
