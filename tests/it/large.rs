//! Bodies far larger than memory, both ways at once, with slow readers: nothing is lost and nothing piles up.
//!
//! In full (1 GiB each way at 10 MB/s, twice) with EQUIPOISE_LARGE_BODIES=full, which takes four minutes.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::client::connect;
use crate::config::over;
use crate::daemon::{Daemon, pause};
use crate::message::Wire;
use crate::origin::Origin;

/// What resident memory stays under.
const RESIDENT: u64 = 64 << 20;

/// Bytes that are sent, and read, at one time.
const PIECE: usize = 64 << 10;

/// Bytes a second of a slow reader.
const RATE: f64 = 10e6;

#[derive(Debug, Clone, Copy)]
struct Form {
    /// Bytes each way.
    length: usize,
    /// Bytes that are read slowly, at the beginning.
    slow: usize,
}

impl Form {
    fn asked_for() -> Self {
        match std::env::var("EQUIPOISE_LARGE_BODIES").as_deref() {
            Ok("full") => Self { length: 1 << 30, slow: 1 << 30 },
            _ => Self { length: 64 << 20, slow: 8 << 20 },
        }
    }
}

type Sum = [u8; 32];

/// Sends a body whose every piece is another, framed by chunks or not at all; gives its digest.
fn send(stream: &mut TcpStream, form: Form, chunked: bool) -> io::Result<Sum> {
    let mut digest = Sha256::new();
    let mut piece: Vec<u8> = (0..PIECE).map(|at| (at * at % 251) as u8).collect();
    for number in 0..form.length / PIECE {
        piece[..8].copy_from_slice(&(number as u64).to_be_bytes());
        digest.update(&piece);
        if chunked {
            write!(stream, "{PIECE:x}\r\n")?;
        }
        stream.write_all(&piece)?;
        if chunked {
            stream.write_all(b"\r\n")?;
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(digest.finalize().into())
}

/// Reads a body, slowly at first; gives its digest.
fn receive(wire: &mut Wire, form: Form, chunked: bool) -> io::Result<Sum> {
    let (mut digest, mut read, begun) = (Sha256::new(), 0, Instant::now());
    loop {
        let due = if chunked {
            let line = wire.line()?;
            usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("{line:?}"))
        } else {
            PIECE.min(form.length - read)
        };
        digest.update(wire.take(due)?);
        if chunked {
            assert_eq!(wire.take(2)?, b"\r\n");
        }
        if due == 0 {
            assert_eq!(read, form.length);
            return Ok(digest.finalize().into());
        }
        read += due;
        if read <= form.slow {
            let rightly = Duration::from_secs_f64(read as f64 / RATE);
            pause(rightly.saturating_sub(begun.elapsed()));
        }
    }
}

fn framing(form: Form, chunked: bool) -> String {
    if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", form.length) }
}

/// Sends and reads such bodies at the same time, as client and as backend.
fn exchange(form: Form, chunked: bool) -> u64 {
    let (told, sums) = mpsc::channel();
    let origin = Origin::new(move |visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        let sum = if head.target() == "/down" {
            visit.send(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", framing(form, chunked)))?;
            send(&mut visit.wire.stream, form, chunked)?
        } else {
            let sum = receive(&mut visit.wire, form, chunked)?;
            visit.answer(200, "thanks")?;
            sum
        };
        told.send((head.target().to_owned(), sum)).map_err(io::Error::other)
    });
    let daemon = Daemon::start_alone(&over(&[origin.address]));
    let (mut up, mut down) = (connect(daemon.web), connect(daemon.web));
    let (sent, got) = std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            up.send(format!("POST /up HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", framing(form, chunked))).unwrap();
            let sum = send(&mut up.stream, form, chunked).unwrap();
            assert_eq!(up.response("POST").unwrap().text(), "thanks");
            sum
        });
        down.send("GET /down HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(down.head().unwrap().unwrap().status(), 200);
        let got = receive(&mut down, form, chunked).unwrap();
        (upload.join().unwrap(), got)
    });
    for _ in 0..2 {
        let (target, sum) = sums.recv().unwrap();
        assert!(sum == if target == "/down" { got } else { sent }, "{target}: another digest");
    }
    daemon.peak_resident()
}

#[test]
fn large_bodies_with_slow_readers_pass_whole_and_cost_no_memory() {
    let form = Form::asked_for();
    for chunked in [false, true] {
        let begun = Instant::now();
        let peak = exchange(form, chunked);
        println!("{form:?} both ways, chunked {chunked}: {:?}, at most {} KiB", begun.elapsed(), peak >> 10);
        assert!(peak < RESIDENT, "{peak} bytes");
    }
}
