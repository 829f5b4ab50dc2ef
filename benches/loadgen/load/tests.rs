//! The loop against servers that behave as each test wants. Nothing is timed but what must be longer than something.

use super::*;
use crate::options::Options;
use clap::Parser as _;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;

mod secure;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that gives each connection to `serve`, with its number, until the test's process ends.
fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(number, stream.unwrap()));
        }
    });
    address
}

/// Reads one request without body; false at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        seen.push(byte[0]);
    }
    true
}

fn polite(_: usize, mut stream: TcpStream) {
    while read_request(&mut stream) {
        stream.write_all(ANSWER).unwrap();
    }
}

fn measure(address: SocketAddr, words: &str) -> Value {
    let line = format!("loadgen --address {address} --expect 2 {words}");
    run(&Options::try_parse_from(line.split(' ')).unwrap().plan().unwrap()).unwrap()
}

#[test]
fn a_number_of_requests_is_asked_exactly() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let address = server(move |number, stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        polite(number, stream);
    });
    let told = measure(address, "kept --connections 3 --requests 100");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(100), &json!(0)), "{told}");
    assert_eq!(told["bytes"], json!(200));
    assert_eq!(opened.swap(0, Ordering::SeqCst), 3);

    let told = measure(address, "each --connections 3 --requests 100 --sources 5");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(100), &json!(0)), "{told}");
    assert_eq!(opened.load(Ordering::SeqCst), 100);
}

#[test]
fn each_connection_of_its_own_is_closed_by_the_client_first() {
    let (ended, ends) = mpsc::channel();
    let address = server(move |_, mut stream| {
        assert!(read_request(&mut stream));
        stream.write_all(ANSWER).unwrap();
        ended.send(stream.read(&mut [0]).ok()).unwrap();
    });
    let told = measure(address, "each --connections 1 --requests 20");
    assert_eq!(told["requests"], json!(20), "{told}");
    for _ in 0..20 {
        // A clean end and nothing else: no second request, no reset.
        assert_eq!(ends.recv_timeout(Duration::from_secs(10)).unwrap(), Some(0));
    }
}

#[test]
fn what_is_wrong_with_answers_is_counted_by_kind() {
    let address = server(|number, mut stream| {
        let answer: &[u8] = match number {
            0 => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            1 => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
            2 => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
            _ => return polite(number, stream),
        };
        assert!(read_request(&mut stream));
        stream.write_all(answer).unwrap();
    });
    let told = measure(address, "kept --connections 1 --requests 10");
    assert_eq!(told["requests"], json!(7), "{told}");
    assert_eq!(told["errors"], json!({ "status": 1, "length": 1, "closed": 1 }), "{told}");
}

#[test]
fn a_connection_that_the_server_ends_after_an_answer_is_no_failure() {
    let address = server(|_, mut stream| {
        assert!(read_request(&mut stream));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
    });
    let told = measure(address, "kept --connections 2 --requests 20");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(20), &json!(0)), "{told}");
}

#[test]
fn an_open_loop_asks_on_while_nothing_is_answered() {
    const HELD: usize = 20;
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let address = server(move |_, mut stream| {
        let (count, changed) = &*asked;
        while read_request(&mut stream) {
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            // Nobody gets an answer before so many have asked: a closed loop over two connections would hang.
            drop(changed.wait_while(count, |count| *count < HELD).unwrap());
            stream.write_all(ANSWER).unwrap();
        }
    });
    let told = measure(address, "rate --rate 500 --seconds 0.1 --connections 2 --most 64");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(50), &json!(0)), "{told}");
    // The first one waited until the twentieth was due.
    let longest = told["max_us"].as_f64().unwrap();
    assert!(longest >= 38_000.0, "{told}");
}

#[test]
fn what_could_not_be_sent_in_time_is_told() {
    let address = server(|_, mut stream| {
        // Reads, and never answers.
        while read_request(&mut stream) {}
    });
    let words = "--patience 0.3 rate --rate 1000 --seconds 0.02 --connections 4 --most 4";
    let line = format!("loadgen --address {address} {words}");
    let told = run(&Options::try_parse_from(line.split(' ')).unwrap().plan().unwrap()).unwrap();
    assert_eq!((&told["requests"], &told["failed"]), (&json!(0), &json!(20)), "{told}");
    assert!(told["errors"]["timeout"].as_u64().unwrap() >= 4, "{told}");
}

#[test]
fn a_dead_server_ends_the_run_with_its_time() {
    // Bound, so that nobody else gets the port, and not listening.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    let told = measure(address, "each --connections 1 --seconds 0.2");
    assert_eq!(told["requests"], json!(0), "{told}");
    assert!(told["errors"]["connect"].as_u64().unwrap() >= 1, "{told}");
}
