//! Requests and responses of random legal shapes: what arrives is what was sent, byte for byte in the
//! body and in order in the fields, outside the documented edits.
//!
//! EQUIPOISE_SHAPES sets the number of requests, EQUIPOISE_SEED repeats a run.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fastrand::Rng;

use crate::client::{connect, get};
use crate::config::over;
use crate::daemon::Daemon;
use crate::message::Wire;
use crate::origin::{Origin, Visit};

mod draw;
mod request;
mod response;

use request::Request;
use response::Response;

/// Requests in a full run.
const REQUESTS: u64 = 100_000;

/// Clients at one time.
const CLIENTS: u64 = 8;

/// Requests that a client sends before it reads.
const MAX_PIPELINED: usize = 8;

/// One exchange: what is sent, and what must arrive.
struct Plan {
    request: Request,
    response: Response,
}

/// What the clients have promised to send, by number.
type Plans = Arc<Mutex<HashMap<u64, Arc<Plan>>>>;

/// What did not arrive as it was sent.
type Findings = Arc<Mutex<Vec<String>>>;

#[test]
fn what_arrives_is_what_was_sent() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed = number("EQUIPOISE_SEED").unwrap_or_else(|| Rng::new().u64(..));
    let requests = number("EQUIPOISE_SHAPES").unwrap_or(REQUESTS);
    println!("EQUIPOISE_SEED={seed} EQUIPOISE_SHAPES={requests}");
    let (plans, findings) = (Plans::default(), Findings::default());
    let (known, found) = (Arc::clone(&plans), Arc::clone(&findings));
    let origin = Origin::new(move |visit| serve(visit, seed, &known, &found));
    let daemon = Daemon::start_alone(&over(&[origin.address]));
    // One that had answered in HTTP/1.0 alone would get no chunks.
    assert_eq!(get(daemon.web, "/first").status(), 200);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (web, plans, findings) = (daemon.web, &plans, &findings);
            let numbers = (client * requests / CLIENTS)..((client + 1) * requests / CLIENTS);
            scope.spawn(move || send(web, Rng::with_seed(seed ^ client), numbers, plans, findings));
        }
    });
    let findings = findings.lock().unwrap();
    assert!(findings.is_empty(), "EQUIPOISE_SEED={seed}\n{}", findings[0]);
    assert!(plans.lock().unwrap().is_empty(), "EQUIPOISE_SEED={seed}: some never arrived");
    assert_eq!(origin.requests(), requests + 1);
}

/// One client: batches of pipelined requests over connections that it changes now and then.
fn send(web: SocketAddr, mut rng: Rng, numbers: std::ops::Range<u64>, plans: &Plans, findings: &Findings) {
    let mut numbers = numbers.peekable();
    let mut wire = connect(web);
    while numbers.peek().is_some() && findings.lock().unwrap().is_empty() {
        if rng.u8(..) < 3 {
            wire = connect(web);
        }
        let size = rng.usize(1..=MAX_PIPELINED);
        let batch: Vec<Arc<Plan>> = numbers.by_ref().take(size).map(|n| plan(n, &mut rng, plans)).collect();
        let bytes: Vec<u8> = batch.iter().flat_map(|plan| plan.request.bytes(&mut rng)).collect();
        let sent = send_split(&mut wire, &bytes, &mut rng);
        let read = sent
            .map_err(|e| e.to_string())
            .and_then(|()| batch.iter().try_for_each(|plan| read_response(&mut wire, plan)));
        if let Err(finding) = read {
            findings.lock().unwrap().push(finding);
        }
    }
}

fn plan(number: u64, rng: &mut Rng, plans: &Plans) -> Arc<Plan> {
    let request = Request::draw(number, rng);
    let response = Response::draw(&request.method, rng);
    let plan = Arc::new(Plan { request, response });
    plans.lock().unwrap().insert(number, Arc::clone(&plan));
    plan
}

fn read_response(wire: &mut Wire, plan: &Plan) -> Result<(), String> {
    let told =
        |what: String| format!("{what}\nsent back: {}\nto: {}", brief(&plan.response), brief(&plan.request));
    for interim in &plan.response.interim {
        let head = wire.head().map_err(|error| told(format!("no interim response: {error}")))?;
        let head = head.ok_or_else(|| told("end instead of an interim response".into()))?;
        interim.compare(&head).map_err(told)?;
    }
    let message =
        wire.response(&plan.request.method).map_err(|error| told(format!("no response: {error}")))?;
    plan.response.compare(&message, &plan.request.method).map_err(told)
}

/// The backend: compares what arrives with what was promised, and answers as planned.
fn serve(visit: &mut Visit, seed: u64, plans: &Plans, findings: &Findings) -> io::Result<()> {
    let mut rng = Rng::with_seed(seed.rotate_left(32) ^ visit.number);
    while let Some(message) = visit.request()? {
        if message.head.target() == "/first" {
            visit.answer(200, "")?;
            continue;
        }
        let number = message.head.field("x-plan").and_then(|number| number.parse().ok());
        let Some(plan) = number.and_then(|number| plans.lock().unwrap().remove(&number)) else {
            findings.lock().unwrap().push(format!("nobody sent this, or it came twice: {}", brief(&message)));
            return Ok(());
        };
        if let Err(what) = plan.request.compare(&message) {
            findings.lock().unwrap().push(format!("{what}\nsent: {}", brief(&plan.request)));
        }
        let bytes = plan.response.bytes(&plan.request.method, &mut rng);
        send_split(&mut visit.wire, &bytes, &mut rng)?;
        if plan.response.closes() {
            return Ok(());
        }
    }
    Ok(())
}

/// Enough to see what it was; the seed tells the rest.
fn brief(value: &impl std::fmt::Debug) -> String {
    format!("{:.2000}", format!("{value:?}"))
}

/// Writes bytes in random pieces, each a segment of its own as far as the kernel plays along.
fn send_split(wire: &mut Wire, bytes: &[u8], rng: &mut Rng) -> io::Result<()> {
    let mut rest = bytes;
    let longest = match rng.u8(..) {
        0..8 if bytes.len() < 600 => 3,
        0..40 => (bytes.len() / 3).max(1),
        _ => return wire.send(bytes),
    };
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.usize(1..=longest).min(rest.len()));
        wire.send(piece)?;
        rest = after;
    }
    Ok(())
}
