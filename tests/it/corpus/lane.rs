//! Lanes: each has a backend and listeners of its own, so that cases run side by side and what arrives at a
//! backend can only be of the case that runs in its lane.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use fastrand::Rng;

use crate::config::over;
use crate::daemon::Daemon;
use crate::message::{Framing, PATIENCE, Wire};
use crate::origin::{Origin, Visit};

/// Lanes that run side by side.
const LANES: usize = 8;

/// Listeners of a lane: the word of `on`, and what is special about it.
const LISTENERS: [(&str, &str); 10] = [
    ("safe", ""),
    ("allow", "underscores = \"allow\""),
    ("drop", "underscores = \"drop\""),
    ("reject", "underscores = \"reject\""),
    ("connect", "allow_connect = true"),
    ("h2-safe", "protocols = [\"h1\", \"h2\"]"),
    ("h2-allow", "protocols = [\"h1\", \"h2\"]\nunderscores = \"allow\""),
    ("h2-drop", "protocols = [\"h1\", \"h2\"]\nunderscores = \"drop\""),
    ("h2-reject", "protocols = [\"h1\", \"h2\"]\nunderscores = \"reject\""),
    ("h2-connect", "protocols = [\"h1\", \"h2\"]\nallow_connect = true"),
];

/// A whole message as it arrived, its lines as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// The connection it came on.
    pub(super) connection: u64,
    pub(super) head: Vec<String>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<String>,
    /// It broke off before its end.
    pub(super) cut: bool,
}

/// What a backend says next, where the case and not the default decides it.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) bytes: Vec<u8>,
    pub(super) close: bool,
    /// Seed of the sizes of the pieces; whole without.
    pub(super) pieces: Option<u64>,
}

/// One lane, for whoever runs cases in it.
pub(super) struct Lane {
    name: String,
    pub(super) arrivals: Receiver<Arrived>,
    pub(super) script: Arc<Mutex<Option<Script>>>,
    origin: Origin,
    addresses: Vec<SocketAddr>,
}

impl Lane {
    fn new(number: usize) -> Self {
        let (sender, arrivals) = channel();
        let script = Arc::new(Mutex::new(None));
        let (sender, scripts) = (Mutex::new(sender), Arc::clone(&script));
        let origin = Origin::new(move |visit| {
            let sender = sender.lock().unwrap().clone();
            record(visit, &sender, &scripts)
        });
        Self { name: format!("lane{number}"), arrivals, script, origin, addresses: Vec::new() }
    }

    /// The address of one of its listeners.
    pub(super) fn address(&self, listener: &str) -> SocketAddr {
        let place = LISTENERS.iter().position(|(name, _)| *name == listener);
        self.addresses[place.unwrap_or_else(|| panic!("no listener «{listener}»"))]
    }

    /// The next message that arrives, or nothing for too long. What breaks off may be told when its case is
    /// long over: by its target it is known, and passed over.
    pub(super) fn next(&self) -> Option<Arrived> {
        loop {
            let arrived = self.arrivals.recv_timeout(PATIENCE).ok()?;
            if !(arrived.cut && arrived.head.first().is_some_and(|start| start.contains(" /cut "))) {
                return Some(arrived);
            }
        }
    }

    fn tables(&self) -> String {
        let (name, address) = (&self.name, self.origin.address);
        let mut text = format!("[pool.{name}]\nbackends = \"{address}\"\nretry.on = []\n");
        for (listener, lines) in LISTENERS {
            let _ = write!(
                text,
                "[[listener]]\nname = \"{name}-{listener}\"\nbind = \"127.0.0.1:0\"\npool = \"{name}\"\n{lines}\n"
            );
        }
        text
    }
}

/// Starts a daemon with lanes, and runs `work` in each of them side by side.
pub(super) fn in_lanes(work: impl Fn(&Lane, usize, usize) + Sync) {
    let mut lanes: Vec<Lane> = (0..LANES).map(Lane::new).collect();
    let tables: String = lanes.iter().map(Lane::tables).collect();
    let config = over(&[lanes[0].origin.address]).server("workers = 1").and(&tables);
    let daemon = Daemon::start(&config);
    for lane in &mut lanes {
        let address = |(listener, _)| daemon.listener(&format!("{}-{listener}", lane.name));
        lane.addresses = LISTENERS.map(address).into();
    }
    std::thread::scope(|scope| {
        for (number, lane) in lanes.into_iter().enumerate() {
            let work = &work;
            scope.spawn(move || work(&lane, number, LANES));
        }
    });
}

/// A backend: tells each message that arrives, and answers it.
fn record(visit: &mut Visit, sender: &Sender<Arrived>, scripts: &Mutex<Option<Script>>) -> io::Result<()> {
    loop {
        let mut message = Arrived { connection: visit.number, ..Arrived::default() };
        let read = read(&mut visit.wire, &mut message);
        if read.is_err() && message.head.is_empty() && visit.wire.ahead().is_empty() {
            return read;
        }
        message.cut = read.is_err();
        let start = message.head.first().cloned().unwrap_or_default();
        let answer = answer(&start, &message.body);
        sender.send(message).map_err(|_| io::ErrorKind::BrokenPipe)?;
        read?;
        let Some(script) = scripts.lock().unwrap().take_if(|_| !start.contains(" /sync")) else {
            visit.send(answer)?;
            continue;
        };
        send(&mut visit.wire, &script.bytes, script.pieces)?;
        if script.close {
            return Ok(());
        }
    }
}

/// The text that a request is answered with.
pub(super) fn echo(start: &str, body: &[u8]) -> String {
    let mut words = start.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{method} {target} {}", body.len())
}

fn answer(start: &str, body: &[u8]) -> Vec<u8> {
    let (text, status) = (echo(start, body), if start.starts_with("CONNECT ") { 403 } else { 200 });
    let shown = if start.starts_with("HEAD ") { "" } else { &text };
    let bytes = format!("HTTP/1.1 {status} Well\r\nContent-Length: {}\r\n\r\n{shown}", text.len());
    bytes.chars().map(|c| c as u8).collect()
}

/// Reads one message, by rules that leave no choice; a head that could be read in two ways is a panic, and
/// fails the case for want of an answer.
fn read(wire: &mut Wire, message: &mut Arrived) -> io::Result<()> {
    loop {
        let line = wire.line()?;
        if line.is_empty() {
            break;
        }
        message.head.push(line);
    }
    let framing = framing(&message.head).unwrap_or_else(|what| panic!("{what}: {:?}", message.head));
    let (body, trailers) = wire.body(framing)?;
    message.body = body;
    message.trailers = trailers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok(())
}

fn framing(head: &[String]) -> Result<Framing, &'static str> {
    let mut found = Framing::None;
    let mut seen = 0;
    for line in &head[1..] {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        // What frames must be spelt plainly: a space, and the value.
        let value = value.strip_prefix(' ').unwrap_or("odd");
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                seen += 1;
                let plain = value == "0" || !value.starts_with('0');
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) && plain;
                let length = value.parse().ok().filter(|_| digits).ok_or("an odd length")?;
                found = if length == 0 { Framing::None } else { Framing::Length(length) };
            }
            "transfer-encoding" => {
                seen += 1;
                found = if value == "chunked" { Framing::Chunked } else { return Err("an odd coding") };
            }
            _ => {}
        }
    }
    if seen > 1 { Err("framed twice") } else { Ok(found) }
}

/// Writes bytes whole, or in pieces of random sizes.
pub(super) fn send(wire: &mut Wire, bytes: &[u8], pieces: Option<u64>) -> io::Result<()> {
    let Some(seed) = pieces else { return wire.send(bytes) };
    let mut rng = Rng::with_seed(seed);
    let longest = (bytes.len() / 40).max(3);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.usize(1..=longest).min(rest.len()));
        wire.send(piece)?;
        rest = after;
    }
    Ok(())
}

/// Removes a line that must be there once; says what is wrong where it is not.
pub(super) fn remove(head: &mut Vec<String>, line: &str, fits: impl Fn(&str) -> bool) -> Result<(), String> {
    let Some(at) = head.iter().rposition(|found| fits(found)) else {
        return Err(format!("no line «{line}» in {head:?}"));
    };
    head.remove(at);
    Ok(())
}

/// Whether a line is X-Request-Id with an id of ours.
pub(super) fn is_own_id(line: &str) -> bool {
    line.strip_prefix("X-Request-Id: ")
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
