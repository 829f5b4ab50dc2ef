//! HTTP/2: every wait has its deadline, and every flood its bound.

use std::time::{Duration, Instant};

use crate::client::{connect, once};
use crate::config::Config;
use crate::daemon::{Daemon, pause, until};
use crate::frames::{
    DATA, END, Frames, HEADERS, Outcome, PREFACE, RST_STREAM, WHOLE, asking, block, frame, get, settings,
};
use crate::http2::speaking;
use crate::origin::{Gate, Origin};

const INTERNAL_ERROR: u32 = 2;

/// What every timeout is set to here.
const SET: Duration = Duration::from_millis(400);

/// How late it may fire, on a busy machine.
const LATE: Duration = Duration::from_secs(3);

fn in_time(begun: Instant) {
    let took = begun.elapsed();
    assert!(took >= SET && took <= SET + LATE, "{took:?}");
}

fn start(origin: &Origin, lines: &str) -> Daemon {
    Daemon::start(&speaking(origin).listener(lines).pool("retry.on = []"))
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &block(&asking("POST", "/")))
}

/// Reads on until so many bodies have ended.
fn answered(frames: &mut Frames, count: u32) {
    let mut ended = 0;
    while ended < count {
        let came = frames.next().unwrap();
        ended += u32::from(came.kind == DATA && came.flags & END != 0);
    }
}

#[test]
fn half_a_preface_does_not_hang() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, "timeouts.head = \"400ms\"");
    // What is whole of the line is judged as such: it is no version of HTTP/1.
    for (half, status) in [("PRI * HT", 408), ("PRI * HTTP/2.0\r\n\r\nSM", 505)] {
        let begun = Instant::now();
        assert_eq!(once(daemon.web, half).unwrap().status(), status);
        in_time(begun);
    }
    // Nor does a whole one that nothing follows.
    let begun = Instant::now();
    let mut frames = Frames::over(connect(daemon.web));
    frames.send(PREFACE).unwrap();
    frames.end();
    in_time(begun);
}

#[test]
fn half_a_head_does_not_hang() {
    let origin = Origin::answering("well");
    let daemon = start(&origin, "timeouts.head = \"400ms\"");
    let whole = block(&asking("GET", "/"));
    for half in [frame(HEADERS, END, 3, &whole), get(3, "/")[..20].to_vec(), vec![0]] {
        let mut frames = Frames::connect(daemon.web);
        frames.send(get(1, "/")).unwrap();
        // Nothing more is to be acknowledged then.
        assert!(matches!(frames.outcome(1), Outcome::Answer { status: 200, .. }));
        let begun = Instant::now();
        frames.send(half).unwrap();
        frames.end();
        in_time(begun);
    }
    until("all is closed", || (daemon.metric("equipoise_connections_open", &[]) == 0.0).then_some(()));
}

#[test]
fn an_idle_connection_ends_with_keep_alive_and_a_busy_one_does_not() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = start(&origin, "timeouts.keep_alive = \"400ms\"");
    let mut frames = Frames::connect(daemon.web);
    frames.send(get(1, "/held")).unwrap();
    pause(SET * 2);
    gate.open();
    assert!(matches!(frames.outcome(1), Outcome::Answer { status: 200, .. }));
    let begun = Instant::now();
    assert_eq!(frames.end(), Some(0), "told, so that a request on its way is known not to be served");
    in_time(begun);
}

#[test]
fn a_body_that_stops_is_408_and_one_that_drips_too() {
    let origin = Origin::new(|visit| visit.request().map(|_| ()));
    let daemon = start(&origin, "timeouts.body = \"400ms\"");
    let mut frames = Frames::connect(daemon.web);
    let begun = Instant::now();
    frames.send([post(1), frame(DATA, 0, 1, b"begun")].concat()).unwrap();
    assert!(matches!(frames.outcome(1), Outcome::Answer { status: 408, .. }));
    in_time(begun);
    // The other streams of the connection are none the worse.
    frames.send(get(3, "/%00")).unwrap();
    assert!(matches!(frames.outcome(3), Outcome::Answer { status: 400, .. }));
}

/// The client's window stays shut: its stream is given up, and no other.
#[test]
fn a_stream_that_is_not_read_is_given_up() {
    let origin = Origin::new(|visit| {
        while let Some(request) = visit.request()? {
            let length = if request.head.target() == "/large" { 1 << 20 } else { 4 };
            visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
            visit.send("x".repeat(length))?;
        }
        Ok(())
    });
    let daemon = start(&origin, "timeouts.write = \"400ms\"");
    let mut frames = Frames::over(connect(daemon.web));
    frames.send([PREFACE, &settings(&[(1, 0), (4, 1000)]), &get(1, "/large")].concat()).unwrap();
    let begun = Instant::now();
    loop {
        let came = frames.next().unwrap();
        if came.kind == RST_STREAM {
            assert_eq!(came.payload, INTERNAL_ERROR.to_be_bytes());
            break;
        }
    }
    in_time(begun);
    frames.send(get(3, "/")).unwrap();
    assert!(matches!(frames.outcome(3), Outcome::Answer { status: 200, .. }));
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "client_timeout")]), 1.0);
}

/// Windows are open, but nothing is read from the socket: nothing of it goes on for long, and little is held.
#[test]
fn a_connection_that_is_not_read_is_given_up() {
    let origin = Origin::new(|visit| {
        while visit.request()?.is_some() {
            visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20))?;
            for _ in 0..64 {
                visit.send(vec![b'x'; 1 << 20])?;
            }
        }
        Ok(())
    });
    let daemon = start(&origin, "timeouts.write = \"1s\"");
    let before = daemon.resident();
    let mut frames = Frames::over(connect(daemon.web));
    let wide = settings(&[(1, 0), (4, 0x7fff_ffff)]);
    let update = frame(crate::frames::WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes());
    let requests: Vec<u8> = (0..100).flat_map(|n| get(2 * n + 1, "/")).collect();
    frames.send([PREFACE, &wide, &update, &requests].concat()).unwrap();
    until("all is given up", || (daemon.metric("equipoise_connections_open", &[]) == 0.0).then_some(()));
    let grown = daemon.peak_resident().saturating_sub(before);
    // 100 streams of 64 KiB, their relays, and the allocator's slack.
    assert!(grown < 48 << 20, "{} KiB", grown >> 10);
    until("no stream is left", || (daemon.metric("equipoise_backend_in_flight", &[]) == 0.0).then_some(()));
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_be_tried_again() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = start(&origin, "");
    let mut frames = Frames::connect(daemon.web);
    let streams = |count: u32| (0..count).map(|n| 2 * n + 1);
    frames.send(streams(128).flat_map(|stream| get(stream, "/held")).collect::<Vec<u8>>()).unwrap();
    until("all are there", || (origin.in_flight() == 128).then_some(()));
    frames.send(get(301, "/free")).unwrap();
    assert_eq!(frames.outcome(301), Outcome::Reset(7), "REFUSED_STREAM");
    gate.open();
    answered(&mut frames, 128);
    frames.send(get(303, "/free")).unwrap();
    assert!(matches!(frames.outcome(303), Outcome::Answer { status: 200, .. }));
}

/// Each stream may hold a connection to a backend, as each client of HTTP/1 may: together they are bounded alike. But
/// whoever has one stream has it.
#[test]
fn streams_beside_others_are_bounded_over_all_connections() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let daemon = start(&origin, "limits.max_connections = 4");
    let mut greedy = Frames::connect(daemon.web);
    greedy.send((0..5).flat_map(|n| get(2 * n + 1, "/held")).collect::<Vec<u8>>()).unwrap();
    until("all are there", || (origin.in_flight() == 5).then_some(()));
    let (mut first, mut second) = (Frames::connect(daemon.web), Frames::connect(daemon.web));
    for frames in [&mut first, &mut second] {
        frames.send(get(1, "/held")).unwrap();
    }
    until("these too", || (origin.in_flight() == 7).then_some(()));
    for frames in [&mut greedy, &mut first, &mut second] {
        frames.send(get(31, "/free")).unwrap();
        assert_eq!(frames.outcome(31), Outcome::Reset(7), "REFUSED_STREAM");
    }
    assert_eq!(daemon.metric("equipoise_rejected_total", &[("reason", "connection_limit")]), 3.0);
    gate.open();
    answered(&mut greedy, 5);
    answered(&mut first, 1);
    first.send([get(33, "/free"), get(35, "/free")].concat()).unwrap();
    assert!(matches!(first.outcome(33), Outcome::Answer { status: 200, .. }));
}

/// A few octets can stand for many: heads that are not paid for in the budget are refused before anything is done.
#[test]
fn heads_are_of_the_budget() {
    let gate = Gate::default();
    let origin = Origin::holding(&gate);
    let config: Config =
        speaking(&origin).server("workers = 1\nbuffer_memory = \"1MiB\"").pool("retry.on = []");
    let daemon = Daemon::start(&config);
    let mut frames = Frames::connect(daemon.web);
    // One field of 4000 octets into the table, then twelve times its index.
    let mut first = block(&asking("GET", "/held"));
    first.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    first.extend(vec![b'y'; 4000]);
    let mut more = block(&asking("GET", "/held"));
    more.extend(vec![0xbe; 12]);
    frames.send(frame(HEADERS, END | WHOLE, 1, &first)).unwrap();
    frames
        .send((1..100).flat_map(|n| frame(HEADERS, END | WHOLE, 2 * n + 1, &more)).collect::<Vec<u8>>())
        .unwrap();
    let refused = loop {
        let came = frames.next().unwrap();
        if came.kind == RST_STREAM {
            break came;
        }
    };
    assert_eq!(refused.payload, [0, 0, 0, 7], "REFUSED_STREAM");
    gate.open();
    assert!(matches!(frames.outcome(1), Outcome::Answer { status: 200, .. }));
}

/// Each message of a stream is a frame of its own to many clients, and they come at once. The library would end a
/// connection on which too many lie unread.
#[test]
fn many_small_frames_of_a_body_that_come_at_once_pass() {
    const FRAMES: usize = 4000;
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::new(move |visit| {
        let Some(head) = visit.head()? else { return Ok(()) };
        held.pass();
        let (body, _) = visit.wire.body(head.request_framing())?;
        visit.answer(200, &body.len().to_string())
    });
    let daemon = Daemon::start(&speaking(&origin).pool("timeouts.idle = \"60s\""));
    let mut frames = Frames::connect(daemon.web);
    let head = frame(HEADERS, WHOLE, 1, &block(&asking("POST", "/up")));
    let crumb = frame(DATA, 0, 1, b"ten octets");
    frames.send([head, crumb.repeat(FRAMES)].concat()).unwrap();
    until("it is there", || (origin.in_flight() == 1).then_some(()));
    frames.send(frame(DATA, END, 1, b"")).unwrap();
    gate.open();
    let whole = (FRAMES * 10).to_string();
    assert!(
        matches!(frames.outcome(1), Outcome::Answer { status: 200, body, .. } if body == whole.as_bytes())
    );
}
