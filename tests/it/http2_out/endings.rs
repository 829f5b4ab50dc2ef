//! Exchanges that end before they are whole, by their client or by their backend.

use super::backend::{Backend, Kind};
use super::to;
use crate::client::{connect, get};
use crate::daemon::{Daemon, until};
use crate::frames::{Frames, RST_STREAM, frame, get as get2};

#[test]
fn a_client_that_leaves_ends_its_stream_and_nothing_else() {
    let backend = Backend::new(Kind::default(), |mut call| async move {
        if call.path() == "/gone" {
            assert_eq!(call.canceled().await, h2::Reason::CANCEL);
            return None;
        }
        call.answer(200, &[], "well")
    });
    let daemon = Daemon::start(&to(&[&backend]).listener("protocols = [\"h1\", \"h2\"]"));
    let mut wire = connect(daemon.web);
    wire.send("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    until("it is there", || (backend.in_flight() == 1).then_some(()));
    wire.reset();
    until("it is given up", || (backend.canceled() == 1).then_some(()));
    let mut frames = Frames::connect(daemon.web);
    frames.send(get2(1, "/gone")).unwrap();
    until("the other is there", || (backend.in_flight() == 1).then_some(()));
    frames.send(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).unwrap();
    until("it is given up too", || (backend.canceled() == 2).then_some(()));
    assert_eq!(get(daemon.web, "/").text(), "well");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn an_answer_before_the_end_of_the_request_is_whole() {
    let backend = Backend::new(Kind { window: Some(1000), ..Kind::default() }, |mut call| async move {
        // What is dropped unread is reset with NO_ERROR behind the answer (RFC 9113 8.1).
        call.answer(413, &[], "too much")
    });
    let daemon = Daemon::start(&to(&[&backend]));
    for _ in 0..3 {
        let mut wire = connect(daemon.web);
        wire.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        let _ = wire.send([b'x'; 50_000]);
        let answer = wire.response("POST").unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (413, "too much"));
    }
    assert_eq!((backend.connections(), backend.requests()), (1, 3));
}
