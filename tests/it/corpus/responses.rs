//! Responses: what of them reaches the client, and whether the backend's connection is used again.

use super::case::{Case, Expected};
use super::lane::{Lane, Script, is_own_id, remove};
use crate::client::connect;
use crate::message::{Framing, Head, Wire};

/// What the client must get.
#[derive(Debug, Default)]
struct Outcome {
    /// Heads before the final one.
    interim: Vec<Vec<String>>,
    expected: Expected,
    /// The status of an answer of our own.
    own: Option<u16>,
    /// The response breaks off.
    cut: bool,
}

/// Runs one case; says what went wrong.
pub(super) fn run(lane: &Lane, case: &Case, pieces: Option<u64>) -> Result<(), String> {
    if case.has("whole") && pieces.is_some() {
        return Ok(()); // what comes late behind a response cannot be told from the next one
    }
    let outcome = outcome(case);
    let bytes = case.bytes("<", ".");
    let minor = bytes.get(7).copied();
    *lane.script.lock().unwrap() = Some(Script { bytes, close: case.has("fin"), pieces });
    let ask = ask(case);
    let mut wire = connect(lane.address("connect"));
    wire.send(&ask).map_err(|error| error.to_string())?;
    let arrived = lane.next().ok_or("the request did not arrive")?;
    let method = String::from_utf8_lossy(&ask).split(' ').next().unwrap_or_default().to_owned();
    let is_open = answer(&mut wire, &outcome, &method, minor)?;
    // The next request, on the same connection where it is kept.
    let mut next = if is_open { wire } else { connect(lane.address("connect")) };
    let said = next.get("/sync").map_err(|error| format!("out of step: {error}"))?;
    let followed = lane.next().ok_or("the next request did not arrive")?;
    if said.text() != "GET /sync 0" || followed.head.first().is_none_or(|start| start != "GET /sync HTTP/1.1")
    {
        return Err(format!("out of step: {:?} {:?} for {followed:?}", said.head, said.text()));
    }
    match (case.has("reused"), case.has("dropped"), followed.connection == arrived.connection) {
        (true, false, true) | (false, true, false) => Ok(()),
        (true, false, false) => Err("the backend's connection was not used again".into()),
        (false, true, true) => Err("the backend's connection was used again".into()),
        _ => panic!("{}: reused or dropped?", case.name),
    }
}

fn ask(case: &Case) -> Vec<u8> {
    let asked = case.bytes("ask", "");
    let asked = if asked.is_empty() { b"GET / HTTP/1.1\r\n".to_vec() } else { asked };
    let host = if asked.starts_with(b"CONNECT") { &b"Host: b:1\r\n\r\n"[..] } else { b"Host: a\r\n\r\n" };
    [&asked, host].concat()
}

fn outcome(case: &Case) -> Outcome {
    let mut outcome = Outcome::default();
    for line in &case.lines {
        match line.sigil.as_str() {
            "ask" | "<" | "." | "fin" | "whole" | "reused" | "dropped" => {}
            "cut" => outcome.cut = true,
            "=" => outcome.own = Some(line.latin1().parse().unwrap()),
            // An empty line ends an interim head.
            ">" if line.text.is_empty() => {
                outcome.interim.push(std::mem::take(&mut outcome.expected.head));
            }
            _ if outcome.expected.take(line, ">") => {}
            other => panic!("{}: what does «{other}» mean?", case.name),
        }
    }
    let begins = !outcome.expected.head.is_empty();
    // Both: what breaks off may do so before anything of it was sent.
    assert!(outcome.own.is_some() != begins || outcome.cut, "{}: one of both", case.name);
    outcome
}

/// Reads what the client gets. Says whether its connection is kept.
fn answer(wire: &mut Wire, outcome: &Outcome, method: &str, minor: Option<u8>) -> Result<bool, String> {
    for interim in &outcome.interim {
        let head = head(wire)?;
        if lines(&head) != *interim {
            return Err(format!("interim {head:?} instead of {interim:?}"));
        }
    }
    let head = head(wire)?;
    let closes = head.field("connection") == Some("close");
    if let Some(status) = outcome.own.filter(|own| *own == head.status() || !outcome.cut) {
        let (body, _) = wire.body(head.response_framing(method)).map_err(|error| error.to_string())?;
        let own = String::from_utf8_lossy(&body).starts_with(&status.to_string()) || method == "HEAD";
        let fits = head.status() == status && own && closes == outcome.expected.close;
        return if fits { Ok(!closes) } else { Err(format!("answered {head:?} instead of {status}")) };
    }
    let mut found = lines(&head);
    let expected = &outcome.expected;
    remove(&mut found, "X-Request-Id", is_own_id)?;
    let via = if minor == Some(b'0') { "Via: 1.0 equipoise" } else { "Via: 1.1 equipoise" };
    remove(&mut found, via, |line| line == via)?;
    if !expected.head.iter().any(|line| line.to_ascii_lowercase().starts_with("date:")) {
        remove(&mut found, "Date", |line| line.starts_with("Date: ") && line.ends_with(" GMT"))?;
    }
    if found != expected.head {
        return Err(format!("the client got {found:?}\nexpected {:?}", expected.head));
    }
    if head.status() == 101 || method == "CONNECT" && head.status() < 300 {
        let raw = wire.rest().map_err(|error| error.to_string())?;
        return same_body(&raw, &[], expected).map(|()| false);
    }
    let framing = head.response_framing(method);
    if outcome.cut {
        return breaks_off(wire, framing, expected).map(|()| false);
    }
    let (body, trailers) = wire.body(framing).map_err(|error| format!("no whole body: {error}"))?;
    same_body(&body, &trailers, expected)?;
    if expected.close != closes && !(expected.close && framing == Framing::UntilClose) {
        return Err(format!("Connection: close is {closes} in {head:?}"));
    }
    if expected.close && !wire.is_at_end() {
        return Err("no end, or more before it".into());
    }
    Ok(!expected.close)
}

fn head(wire: &mut Wire) -> Result<Head, String> {
    let head = wire.head().map_err(|error| format!("no head: {error}"))?;
    head.ok_or_else(|| "the end instead of a head".into())
}

/// The head as lines, the values without the white space around them.
fn lines(head: &Head) -> Vec<String> {
    let fields = head.fields.iter().map(|(name, value)| format!("{name}: {value}").trim_end().to_owned());
    std::iter::once(head.start.clone()).chain(fields).collect()
}

fn same_body(body: &[u8], trailers: &[(String, String)], expected: &Expected) -> Result<(), String> {
    let trailers: Vec<_> = trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if body == expected.body && trailers == expected.trailers {
        return Ok(());
    }
    let (body, wanted) = (body.escape_ascii(), expected.body.escape_ascii());
    Err(format!("body {body} {trailers:?}\nexpected {wanted} {:?}", expected.trailers))
}

/// The response ends so that nobody can take its end for the end of the body.
fn breaks_off(wire: &mut Wire, framing: Framing, expected: &Expected) -> Result<(), String> {
    let ended = loop {
        match wire.fill() {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
            Err(error) => return Err(format!("no end: {error}")),
        }
    };
    // A reset may throw away what had come; what is there must be the body's beginning.
    let rest = wire.ahead();
    let visible = match framing {
        Framing::None => false,
        Framing::UntilClose => ended,
        Framing::Length(length) => ended || rest.len() < length,
        Framing::Chunked => ended || !rest.ends_with(b"0\r\n\r\n"),
    };
    let begins = framing == Framing::Chunked || expected.body.starts_with(rest);
    if visible && begins {
        return Ok(());
    }
    Err(format!("not broken off visibly: {framing:?} {} (reset: {ended})", rest.escape_ascii()))
}
