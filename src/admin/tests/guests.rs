//! Who gets a place where there are more than the endpoint takes.

use super::*;
use crate::admin::guests::MAX_CONNECTIONS;

/// A connection on which something has been asked that is not answered yet.
async fn asking(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nX-Equipoise: 1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[test]
fn connections_beyond_the_bound_wait_while_all_are_being_answered() {
    let gate = Rc::new(Notify::new());
    let stage = Rc::new(Stage { gate: Some(Rc::clone(&gate)), ..Stage::new() });
    on_stage(stage, |address| async move {
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            held.push(asking(address).await);
        }
        let mut waiting = pin!(ask(address, "GET", "/-/healthy", ""));
        assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err());
        gate.notify_one();
        assert_eq!(waiting.await.0, 200, "who has been answered gives its place");
        drop(held);
        // The reloads run to their end, whoever has left.
        gate.notify_one();
    });
}

#[test]
fn who_wants_nothing_gives_its_place_to_who_comes() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let mut silent = Vec::new();
        for nth in 0..3 * MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // A head that does not end, and one that was answered, are no reason to stay either.
            match nth % 3 {
                0 => {}
                1 => stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap(),
                _ => stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap(),
            }
            silent.push(stream);
        }
        let (status, _) =
            timeout(Duration::from_secs(5), ask(address, "GET", "/-/healthy", "")).await.unwrap();
        assert_eq!(status, 200);
        let mut first = [0; 1];
        assert!(matches!(silent[0].read(&mut first).await, Ok(0) | Err(_)), "the oldest has been sent away");
    });
}

#[test]
fn where_nobody_comes_nobody_is_sent_away() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        let mut kept = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            kept.push(stream);
        }
        let mut rest = Vec::new();
        let ended = kept[0].read_to_end(&mut rest);
        assert!(timeout(Duration::from_millis(600), ended).await.is_err(), "the oldest is still there");
    });
}
