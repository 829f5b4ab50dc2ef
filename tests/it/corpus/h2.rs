//! What becomes of frames of HTTP/2, well-formed, odd and hostile: a table of cases by the sections of RFC 9113.
//!
//! Each case has a connection of its own. What it must come to is written beside it; whether more reached the
//! backend than may is seen by the request that follows every case.

use std::sync::Mutex;

use super::case::Expected;
use super::lane::{Arrived, Lane, in_lanes};
use crate::client::connect;
use crate::frames::{Frames, Outcome, PREFACE, get, settings};

mod connection;
mod messages;
mod translate;

/// What a case must come to. But for `Gone` the connection serves the next request all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Its last stream is answered with this status; where that is 200 by the backend.
    Status(u16),
    /// Its last stream is reset with this code.
    Reset(u32),
    /// The connection ends with this code.
    Gone(u32),
    /// The connection ends, with whatever word.
    Closed,
    /// Nobody hears of it: an answer of 4xx or 5xx, a reset or the end of the connection.
    Refused,
}

/// One case.
#[derive(Debug, Clone)]
struct Frameset {
    name: String,
    /// What is sent.
    bytes: Vec<u8>,
    /// Which stream is looked at.
    stream: u32,
    want: Want,
    /// The word of the listener.
    on: &'static str,
    /// The preface and SETTINGS are part of the bytes.
    is_raw: bool,
    /// A request arrives at the backend, whatever becomes of the connection.
    arrives: bool,
    /// How it arrives.
    expected: Option<Expected>,
}

impl Frameset {
    fn new(name: &str, bytes: Vec<Vec<u8>>, want: Want) -> Self {
        let bytes = bytes.concat();
        Self {
            name: name.into(),
            bytes,
            stream: 1,
            want,
            on: "h2-safe",
            is_raw: false,
            arrives: want == Want::Status(200),
            expected: None,
        }
    }

    fn stream(mut self, stream: u32) -> Self {
        self.stream = stream;
        self
    }

    fn on(mut self, listener: &'static str) -> Self {
        self.on = listener;
        self
    }

    /// It goes to `/cut`, whose arrival is not looked at.
    fn without_arrival(mut self) -> Self {
        self.arrives = false;
        self
    }

    fn arrives(mut self) -> Self {
        self.arrives = true;
        self
    }

    fn raw(mut self) -> Self {
        self.is_raw = true;
        self
    }
}

/// Error codes (RFC 9113 7).
mod code {
    pub(super) const PROTOCOL: u32 = 1;
    pub(super) const FLOW_CONTROL: u32 = 3;
    pub(super) const FRAME_SIZE: u32 = 6;
    pub(super) const CALM: u32 = 11;
}

#[test]
fn frames_become_what_they_must() {
    let mut cases = connection::cases();
    cases.extend(messages::cases());
    assert!(cases.len() >= 120, "only {} cases", cases.len());
    run_all(cases);
}

#[test]
fn the_corpus_of_http_1_becomes_the_same_in_http_2() {
    let cases = translate::cases();
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    run_all(cases);
}

fn run_all(mut cases: Vec<Frameset>) {
    let mut names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    names.sort();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two cases of one name"));
    if let Ok(wanted) = std::env::var("EQUIPOISE_CASE") {
        cases.retain(|case| case.name.contains(&wanted));
    }
    println!("{} cases", cases.len());
    let findings = Mutex::new(Vec::new());
    in_lanes(|lane, number, lanes| {
        for case in cases.iter().skip(number).step_by(lanes) {
            if let Err(what) = run(lane, case) {
                findings.lock().unwrap().push(format!("{}: {what}", case.name));
                while lane.arrivals.try_recv().is_ok() {}
            }
        }
    });
    let findings = findings.into_inner().unwrap();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n\n"));
}

fn run(lane: &Lane, case: &Frameset) -> Result<(), String> {
    let address = lane.address(case.on);
    let mut frames = match case.is_raw {
        true => Frames::over(connect(address)),
        false => Frames::connect(address),
    };
    // The end may come while the rest is still on its way.
    let _ = frames.send(&case.bytes);
    let mut kept = true;
    match (case.want, outcome(&mut frames, case)) {
        (Want::Status(wanted), Outcome::Answer { status, .. }) if status == wanted => {}
        (Want::Reset(wanted), Outcome::Reset(code)) if code == wanted => {}
        (Want::Gone(wanted), Outcome::Gone(Some(code))) if code == wanted => kept = false,
        (Want::Closed, Outcome::Gone(_)) => kept = false,
        (Want::Refused, Outcome::Answer { status: 400.., .. } | Outcome::Reset(_)) => {}
        (Want::Refused, Outcome::Gone(_)) => kept = false,
        (wanted, found) => return Err(format!("{found:?} instead of {wanted:?}")),
    }
    if case.arrives {
        let arrived = next(lane).ok_or("nothing arrived")?;
        if arrived.cut {
            return Err(format!("arrived and broke off: {arrived:?}"));
        }
        if let Some(expected) = &case.expected {
            translate::compare(arrived, expected)?;
        }
    }
    synchronise(lane, if kept { Some(frames) } else { None })
}

/// What became of the case. Where the connection is to end, that is waited for whatever is said before.
fn outcome(frames: &mut Frames, case: &Frameset) -> Outcome {
    match case.want {
        Want::Gone(_) | Want::Closed => Outcome::Gone(frames.end()),
        _ => frames.outcome(case.stream),
    }
}

/// One request more, on this connection or another: it is answered well, and nothing else has arrived before it.
fn synchronise(lane: &Lane, frames: Option<Frames>) -> Result<(), String> {
    const LAST: u32 = 0x7fff_ffff;
    let mut frames = frames.unwrap_or_else(|| Frames::connect(lane.address("h2-safe")));
    frames.send(get(LAST, "/sync")).map_err(|error| format!("no next request: {error}"))?;
    match frames.outcome(LAST) {
        Outcome::Answer { status: 200, body, .. } if body == b"GET /sync 0" => {}
        other => return Err(format!("the next request: {other:?}")),
    }
    let arrived = next(lane).ok_or("the next request did not arrive")?;
    if arrived.head.first().is_some_and(|start| start == "GET /sync HTTP/1.1") && !arrived.cut {
        return Ok(());
    }
    Err(format!("arrived and should not have: {arrived:?}"))
}

/// What arrives next, but for requests that may arrive or not: what is wrong with their connection may be found
/// sooner or later.
fn next(lane: &Lane) -> Option<Arrived> {
    std::iter::from_fn(|| lane.next())
        .find(|arrived| !arrived.head.first().is_some_and(|start| start.contains(" /cut ")))
}

/// The beginning of a connection.
fn preface() -> Vec<u8> {
    [PREFACE, &settings(&[])].concat()
}
