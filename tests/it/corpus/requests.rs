//! Requests: what of them reaches a backend, and what the client is answered.

use std::io;
use std::net::Shutdown;

use super::case::{Case, Expected};
use super::lane::{Arrived, Lane, echo, is_own_id, remove, send};
use crate::client::connect;
use crate::message::Wire;

/// What must become of one request of a case.
#[derive(Debug)]
enum Outcome {
    /// It arrives at the backend so.
    Forwarded(Expected),
    /// We answer it; `None`: the connection ends without an answer.
    Own { status: Option<u16>, kept: bool },
}

/// Runs one case; says what went wrong.
pub(super) fn run(lane: &Lane, case: &Case, pieces: Option<u64>) -> Result<(), String> {
    let listener = case.lines.iter().find(|line| line.sigil == "on").map(|line| line.latin1());
    let address = lane.address(listener.as_deref().unwrap_or("safe"));
    let outcomes = outcomes(case);
    let bytes = case.bytes(">", ".");
    let mut wire = connect(address);
    // A refusal may come, and with it the end, while the rest is still on its way.
    let _ = send(&mut wire, &bytes, pieces);
    if case.has("fin") {
        let _ = wire.stream.shutdown(Shutdown::Write);
    }
    let mut open = true;
    for outcome in &outcomes {
        if !open {
            return Err("the case goes on behind the end of the connection".into());
        }
        open = match outcome {
            Outcome::Forwarded(expected) => forwarded(lane, &mut wire, expected, address.port())?,
            Outcome::Own { status, kept } => own(&mut wire, *status, *kept, &bytes)?,
        };
    }
    if open && case.has("fin") {
        open = false; // what closes then is for the tests of half-close
    } else if !open {
        is_at_end(&mut wire)?;
    }
    synchronise(lane, if open { wire } else { connect(address) })
}

fn outcomes(case: &Case) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut in_head = false;
    for line in &case.lines {
        // An empty line ends a head.
        if line.sigil == "<" && line.text.is_empty() {
            in_head = false;
            continue;
        }
        let begins = line.sigil == "<" && !in_head;
        in_head = line.sigil == "<";
        if begins {
            outcomes.push(Outcome::Forwarded(Expected::default()));
        }
        match (line.sigil.as_str(), outcomes.last_mut()) {
            (">" | "." | "on" | "fin", _) => {}
            ("=", _) => {
                let text = line.latin1();
                let mut words = text.split(' ');
                let status = words.next().filter(|word| *word != "none").map(|word| word.parse().unwrap());
                outcomes.push(Outcome::Own { status, kept: words.next() == Some("kept") });
            }
            ("cut", Some(Outcome::Own { .. })) => {
                let named = case.bytes(">", ".").windows(6).any(|part| part == b" /cut ");
                assert!(named, "{}: its target is not /cut", case.name);
            }
            (_, Some(Outcome::Forwarded(expected))) => {
                assert!(expected.take(line, "<"), "{}: what does «{}» mean here?", case.name, line.sigil);
            }
            _ => panic!("{}: what does «{}» mean here?", case.name, line.sigil),
        }
    }
    assert!(!outcomes.is_empty(), "{}: nothing is expected", case.name);
    outcomes
}

/// Checks a request that must arrive, and the answer to it. Says whether the connection is kept.
fn forwarded(lane: &Lane, wire: &mut Wire, expected: &Expected, port: u16) -> Result<bool, String> {
    let arrived = lane.next().ok_or_else(|| format!("nothing arrived\n{}", answer_text(wire)))?;
    let start = expected.head[0].clone();
    compare(arrived, expected, port)?;
    let method = start.split(' ').next().unwrap_or_default();
    let answer = read(wire, method)?;
    let text = if method == "HEAD" { String::new() } else { echo(&start, &expected.body) };
    let found: String = answer.body.iter().map(|octet| *octet as char).collect();
    let close = answer.head.field("connection") == Some("close");
    if found != text || close != expected.close {
        return Err(format!("answered {:?} {found:?} instead of {text:?}", answer.head));
    }
    Ok(!expected.close)
}

fn compare(mut arrived: Arrived, expected: &Expected, port: u16) -> Result<(), String> {
    let head = &mut arrived.head;
    let start = head.first().cloned().unwrap_or_default();
    remove(head, "X-Forwarded-For", |line| line == "X-Forwarded-For: 127.0.0.1")?;
    remove(head, "X-Forwarded-Proto", |line| line == "X-Forwarded-Proto: http")?;
    remove(head, "X-Forwarded-Port", |line| line == format!("X-Forwarded-Port: {port}"))?;
    remove(head, "X-Request-Id", is_own_id)?;
    remove(head, "Via", |line| line == "Via: 1.1 equipoise" || line == "Via: 1.0 equipoise")?;
    let host = |line: &str| line.split_once(": ").map(|(_, host)| host.trim_end().to_owned());
    let own_host = expected.head.iter().any(|line| line == "Host: BACKEND");
    if own_host {
        // A request without Host gets the backend's, and nothing is told of a host that was not there.
        let Some(at) = head.iter().position(|line| line.starts_with("Host: 127.0.0.1:")) else {
            return Err(format!("no Host of the backend in {head:?}"));
        };
        head[at] = "Host: BACKEND".into();
    } else {
        let told = head.iter().rposition(|line| line.starts_with("X-Forwarded-Host: "));
        let told = told.map(|at| head.remove(at)).ok_or("no X-Forwarded-Host")?;
        let hosts = head.iter().filter(|line| line.to_ascii_lowercase().starts_with("host:"));
        let hosts: Vec<_> = hosts.map(|line| line[5..].trim().to_owned()).collect();
        if hosts != [host(&told).unwrap_or_default()] {
            return Err(format!("hosts {hosts:?}, and {told:?}"));
        }
    }
    let Arrived { head, body, trailers, cut, .. } = arrived;
    if cut || head != expected.head || body != expected.body || trailers != expected.trailers {
        return Err(format!(
            "arrived{}: {head:?} {:?} {trailers:?}\nexpected: {:?} {:?} {:?}",
            if cut { " and broke off" } else { "" },
            body.escape_ascii().to_string(),
            expected.head,
            expected.body.escape_ascii().to_string(),
            expected.trailers
        ));
    }
    if start.is_empty() { Err("an empty head".into()) } else { Ok(()) }
}

/// Checks an answer of our own. Says whether the connection is kept.
fn own(wire: &mut Wire, status: Option<u16>, kept: bool, sent: &[u8]) -> Result<bool, String> {
    let Some(status) = status else { return Ok(false) };
    let first = sent.split(|octet| *octet == b' ').next().unwrap_or_default();
    let answer = read(wire, if first == b"HEAD" { "HEAD" } else { "GET" })?;
    let closes = answer.head.field("connection") == Some("close");
    if answer.status() != status || closes == kept {
        return Err(format!("answered {:?} instead of {status}, kept: {kept}", answer.head));
    }
    Ok(kept)
}

fn read(wire: &mut Wire, method: &str) -> Result<crate::message::Message, String> {
    wire.response(method).map_err(|error| format!("no answer: {error}"))
}

/// What the client got instead of what was awaited.
fn answer_text(wire: &mut Wire) -> String {
    let _ = wire.fill();
    format!("the client got: {}", wire.ahead().escape_ascii())
}

/// The connection ends, and nothing more came on it.
fn is_at_end(wire: &mut Wire) -> Result<(), String> {
    match wire.rest() {
        Ok(rest) if rest.is_empty() => Ok(()),
        Ok(rest) => Err(format!("more came before the end: {}", rest.escape_ascii())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(format!("no end: {error}")),
    }
}

/// One request more: it is answered well, and nothing else has arrived before it.
fn synchronise(lane: &Lane, mut wire: Wire) -> Result<(), String> {
    let said = wire.get("/sync").map_err(|error| format!("out of step: {error}"))?;
    if said.text() != "GET /sync 0" {
        return Err(format!("out of step: {:?} {:?}", said.head, said.text()));
    }
    let arrived = lane.next().ok_or("the next request did not arrive")?;
    if arrived.head.first().is_some_and(|start| start == "GET /sync HTTP/1.1") && !arrived.cut {
        return Ok(());
    }
    Err(format!("arrived and should not have: {arrived:?}"))
}
