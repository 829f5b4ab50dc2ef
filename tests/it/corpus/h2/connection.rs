//! Sections 3 to 7: the preface, frames, streams, windows, settings.

use super::Want::{Closed, Gone, Refused, Reset, Status};
use super::{Frameset, code, preface};
use crate::frames::{
    CONTINUATION, DATA, END, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, WHOLE, WINDOW_UPDATE, WITH_PRIORITY, asking, block, frame, get, settings,
};

/// A POST whose body is still to come; at `/cut`, for it may have gone to a backend when its stream breaks.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &block(&asking("POST", "/cut")))
}

fn whole_post(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &block(&asking("POST", "/")))
}

fn increment(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A frame that says it is so long.
fn announced(kind: u8, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = frame(kind, 0, stream, &[]);
    bytes[..3].copy_from_slice(&length.to_be_bytes()[1..]);
    bytes
}

pub(super) fn cases() -> Vec<Frameset> {
    let mut cases = prefaces();
    cases.extend(frame_forms());
    cases.extend(fragments());
    cases.extend(stream_states());
    cases.extend(windows());
    cases.extend(control());
    cases
}

/// 3.4
fn prefaces() -> Vec<Frameset> {
    let case = |name, bytes, want| Frameset::new(name, bytes, want).raw();
    let mut wrong = PREFACE.to_vec();
    wrong[20] = b'X';
    vec![
        case("3.4 preface and SETTINGS", vec![preface(), get(1, "/")], Status(200)),
        case("3.4 no SETTINGS behind the preface", vec![PREFACE.to_vec(), get(1, "/")], Status(200)),
        case("3.4 a preface with another last octet", vec![wrong, get(1, "/")], Closed),
        case("3.4 SETTINGS without a preface", vec![settings(&[]), get(1, "/")], Closed),
        case("3.4 the preface twice", vec![PREFACE.to_vec(), preface()], Closed),
    ]
}

/// 4.1, 4.2, 6: lengths, flags, reserved bits, unknown frames, padding
fn frame_forms() -> Vec<Frameset> {
    let case = Frameset::new;
    let mut reserved = get(1, "/");
    reserved[5] |= 0x80;
    let padded = |pad: u8, octets: usize| {
        let mut payload = vec![pad];
        payload.extend(block(&asking("GET", "/")));
        payload.extend(vec![0; octets]);
        frame(HEADERS, END | WHOLE | PADDED, 1, &payload)
    };
    let prioritised = |on: u32| {
        let mut payload = on.to_be_bytes().to_vec();
        payload.push(15);
        payload.extend(block(&asking("GET", "/")));
        frame(HEADERS, END | WHOLE | WITH_PRIORITY, 1, &payload)
    };
    vec![
        case(
            "4.1 an unknown frame is passed over",
            vec![frame(0xbe, 0xff, 0, b"?"), get(1, "/")],
            Status(200),
        ),
        case("4.1 an unknown frame on a stream", vec![frame(0x10, 0, 1, b"u=1"), get(1, "/")], Status(200)),
        case(
            "4.1 unknown flags are passed over",
            vec![frame(PING, 0xf0, 0, &[1; 8]), get(1, "/")],
            Status(200),
        ),
        case("4.1 the reserved bit of the stream is passed over", vec![reserved], Status(200)),
        case(
            "4.2 DATA above the largest frame",
            vec![post(1), announced(DATA, 1, 16_385)],
            Gone(code::FRAME_SIZE),
        ),
        case(
            "4.2 HEADERS above the largest frame",
            vec![announced(HEADERS, 1, 16_385)],
            Gone(code::FRAME_SIZE),
        ),
        case(
            "4.2 SETTINGS of the greatest length",
            vec![announced(SETTINGS, 0, 0xff_ffff)],
            Gone(code::FRAME_SIZE),
        ),
        case(
            "4.2 an unknown frame above the largest",
            vec![announced(0x77, 0, 16_385)],
            Gone(code::FRAME_SIZE),
        ),
        case("6.1 DATA on stream 0", vec![frame(DATA, 0, 0, b"x")], Gone(code::PROTOCOL)),
        case(
            "6.1 padding as long as the payload",
            vec![post(1), frame(DATA, PADDED, 1, &[3, 0, 0])],
            Gone(code::PROTOCOL),
        ),
        case(
            "6.1 padded DATA without its length",
            vec![post(1), frame(DATA, PADDED, 1, &[])],
            Gone(code::PROTOCOL),
        ),
        case(
            "6.1 padded DATA",
            vec![whole_post(1), frame(DATA, PADDED | END, 1, b"\x02hi\0\0")],
            Status(200),
        ),
        case(
            "6.1 nothing but padding",
            vec![whole_post(1), frame(DATA, PADDED | END, 1, &[255; 256])],
            Status(200),
        ),
        case("6.2 padded HEADERS", vec![padded(7, 7)], Status(200)),
        case("6.2 padding beyond the payload", vec![padded(200, 0)], Gone(code::PROTOCOL)),
        case("6.2 HEADERS on stream 0", vec![get(0, "/")], Gone(code::PROTOCOL)),
        case("6.2 HEADERS with a priority", vec![prioritised(0)], Status(200)),
        case("6.2 HEADERS that depend on themselves", vec![prioritised(1)], Refused),
        case(
            "6.2 HEADERS shorter than their priority",
            vec![frame(HEADERS, END | WHOLE | WITH_PRIORITY, 1, &[0; 3])],
            Gone(code::PROTOCOL),
        ),
        case("6.3 PRIORITY", vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]), get(1, "/")], Status(200)),
        case("6.3 PRIORITY on stream 0", vec![frame(PRIORITY, 0, 0, &[0; 5])], Gone(code::PROTOCOL)),
        case("6.3 PRIORITY of 4 octets", vec![frame(PRIORITY, 0, 1, &[0; 4])], Closed),
        case("6.3 PRIORITY of 6 octets", vec![frame(PRIORITY, 0, 1, &[0; 6])], Closed),
        case("6.4 RST_STREAM on stream 0", vec![frame(RST_STREAM, 0, 0, &[0; 4])], Gone(code::PROTOCOL)),
        case("6.4 RST_STREAM of 3 octets", vec![post(1), frame(RST_STREAM, 0, 1, &[0; 3])], Closed),
        case("6.4 RST_STREAM of 5 octets", vec![post(1), frame(RST_STREAM, 0, 1, &[0; 5])], Closed),
        case(
            "6.4 RST_STREAM of a stream that was never opened",
            vec![frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])],
            Gone(code::PROTOCOL),
        ),
        case(
            "6.6 PUSH_PROMISE of a client",
            vec![post(1), frame(PUSH_PROMISE, WHOLE, 1, &[0, 0, 0, 2])],
            Closed,
        ),
        case("6.7 PING of 7 octets", vec![frame(PING, 0, 0, &[0; 7])], Closed),
        case("6.7 PING of 9 octets", vec![frame(PING, 0, 0, &[0; 9])], Closed),
        case("6.7 PING on a stream", vec![frame(PING, 0, 1, &[0; 8])], Gone(code::PROTOCOL)),
        case("6.7 an answer to no PING", vec![frame(PING, END, 0, &[7; 8]), get(1, "/")], Status(200)),
        case("6.8 GOAWAY on a stream", vec![frame(GOAWAY, 0, 1, &[0; 8])], Gone(code::PROTOCOL)),
        case("6.8 GOAWAY of 7 octets", vec![frame(GOAWAY, 0, 0, &[0; 7])], Closed),
    ]
}

/// 4.3, 6.2, 6.10: heads in several frames, and their compression
fn fragments() -> Vec<Frameset> {
    let case = Frameset::new;
    let whole = block(&asking("GET", "/"));
    let (first, second) = whole.split_at(11);
    let begun = |flags| frame(HEADERS, flags, 1, first);
    let ended = |stream| frame(CONTINUATION, WHOLE, stream, second);
    let bytewise = {
        let mut frames = vec![frame(HEADERS, END, 1, &whole[..whole.len() - 3])];
        frames.extend((2..4).rev().map(|at| frame(CONTINUATION, 0, 1, &[whole[whole.len() - at]])));
        frames.push(frame(CONTINUATION, WHOLE, 1, &whole[whole.len() - 1..]));
        frames
    };
    let flood = |payload: &[u8]| {
        let mut frames = vec![begun(END)];
        frames.extend(std::iter::repeat_n(frame(CONTINUATION, 0, 1, payload), 2000));
        frames
    };
    let of = |octets: &[u8]| vec![frame(HEADERS, END | WHOLE, 1, octets)];
    let with = |octets: &[u8]| of(&[&whole, octets].concat());
    let behind = |between: Vec<u8>| vec![begun(END), between, ended(1)];
    vec![
        case("6.10 a head in two frames", vec![begun(END), ended(1)], Status(200)),
        case("6.10 a head in five frames", bytewise, Status(200)),
        case("6.10 an empty CONTINUATION between", behind(frame(CONTINUATION, 0, 1, &[])), Status(200)),
        case("6.10 DATA within a head", behind(frame(DATA, 0, 1, b"x")), Gone(code::PROTOCOL)),
        case("6.10 PING within a head", behind(frame(PING, 0, 0, &[0; 8])), Gone(code::PROTOCOL)),
        case("6.10 an unknown frame within a head", behind(frame(0xbe, 0, 1, b"x")), Gone(code::PROTOCOL)),
        case("6.10 HEADERS of another stream within a head", behind(get(3, "/")), Gone(code::PROTOCOL)),
        case("6.10 CONTINUATION of another stream", vec![begun(END), ended(3)], Gone(code::PROTOCOL)),
        case("6.10 CONTINUATION on stream 0", vec![begun(END), ended(0)], Gone(code::PROTOCOL)),
        case("6.10 CONTINUATION behind nothing", vec![ended(1)], Gone(code::PROTOCOL)),
        case(
            "6.10 CONTINUATION behind a whole head",
            vec![post(1), frame(CONTINUATION, WHOLE, 1, &[])],
            Gone(code::PROTOCOL),
        ),
        case("6.10 empty CONTINUATION without end", flood(&[]), Gone(code::CALM)),
        case("6.10 CONTINUATION of one octet without end", flood(&[0]), Closed),
        case("4.3 a block that ends within a field", of(&whole[..whole.len() - 1]), Closed),
        case("4.3 an index beyond the tables", with(&[0xff, 0x80, 0x01]), Closed),
        case("4.3 index 0", with(&[0x80]), Closed),
        case(
            "4.3 a table larger than allowed",
            of(&[&[0x3f, 0xe1, 0xff, 0x03][..], &whole].concat()),
            Closed,
        ),
        case("4.3 a table of 0", of(&[&[0x20][..], &whole].concat()), Status(200)),
        case("4.3 another size of the table in the midst", with(&[0x20]), Closed),
        case("4.3 a string longer than the block", with(&[0, 1, b'a', 0x7f, 0xff, 0x7f]), Closed),
        case(
            "4.3 an integer without end",
            with(&[0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Closed,
        ),
        case(
            "4.3 Huffman's end of string as text",
            with(&[0, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xff]),
            Closed,
        ),
    ]
}

/// 5.1, 5.1.1
fn stream_states() -> Vec<Frameset> {
    let case = Frameset::new;
    let trailers = |flags| frame(HEADERS, flags, 1, &block(&[("x", "y")]));
    vec![
        case(
            "5.1 DATA on a stream that was never opened",
            vec![frame(DATA, END, 1, b"x")],
            Gone(code::PROTOCOL),
        ),
        case(
            "5.1 WINDOW_UPDATE on a stream that was never opened",
            vec![increment(1, 1)],
            Gone(code::PROTOCOL),
        ),
        case("5.1 DATA behind the end of a stream", vec![get(1, "/cut"), frame(DATA, 0, 1, b"x")], Closed),
        case("5.1 HEADERS behind the end of a stream", vec![get(1, "/cut"), trailers(END | WHOLE)], Refused),
        case("5.1 WINDOW_UPDATE behind the end of a stream", vec![get(1, "/"), increment(1, 9)], Status(200)),
        case(
            "5.1 RST_STREAM behind the end of a stream",
            vec![get(1, "/cut"), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), get(3, "/")],
            Status(200),
        )
        .stream(3),
        case(
            "5.1 DATA behind a reset",
            vec![post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(DATA, 0, 1, b"x"), get(3, "/")],
            Status(200),
        )
        .stream(3),
        case("5.1.1 a stream of the server's numbers", vec![get(2, "/")], Gone(code::PROTOCOL)),
        case("5.1.1 numbers that go down", vec![get(3, "/cut"), get(1, "/cut")], Gone(code::PROTOCOL)),
        case("5.1.1 numbers that leave some out", vec![get(101, "/")], Status(200)).stream(101),
        case("5.1.1 the same number again", vec![get(1, "/cut"), get(1, "/cut")], Closed),
    ]
}

/// 5.2, 6.9
fn windows() -> Vec<Frameset> {
    let case = Frameset::new;
    let chunks = |count: usize| frame(DATA, 0, 1, &[b'x'; 16_384]).repeat(count);
    vec![
        case("6.9 an increment of 0 on the connection", vec![increment(0, 0)], Gone(code::PROTOCOL)),
        case("6.9 an increment of 0 on a stream", vec![post(1), increment(1, 0)], Refused),
        case("6.9 WINDOW_UPDATE of 3 octets", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], Closed),
        case(
            "6.9.1 a window of the connection beyond 2^31-1",
            vec![increment(0, 0x7fff_ffff)],
            Gone(code::FLOW_CONTROL),
        ),
        case(
            "6.9.1 a window of a stream beyond 2^31-1",
            vec![post(1), increment(1, 0x7fff_ffff)],
            Reset(code::FLOW_CONTROL),
        ),
        case(
            "6.9 windows that are opened",
            vec![increment(0, 1000), get(1, "/"), increment(1, 1000)],
            Status(200),
        ),
        case(
            "6.9.2 a first window of 0",
            vec![settings(&[(4, 0)]), get(1, "/"), increment(1, 100), settings(&[(4, 100)])],
            Status(200),
        ),
        case(
            "6.9.2 a first window of 1 that grows",
            vec![settings(&[(4, 1)]), get(1, "/"), settings(&[(4, 65_535)])],
            Status(200),
        ),
        // Nobody reads them: the head is refused.
        case(
            "6.9.1 more than the connection's window",
            vec![frame(HEADERS, WHOLE, 1, &block(&asking("TRACE", "/"))), chunks(5)],
            Gone(code::FLOW_CONTROL),
        ),
    ]
}

/// A head of 72 KiB in a few octets, but for the first: a field of 4000 in the table, and eighteen times its index.
fn too_large(stream: u32) -> Vec<u8> {
    let mut octets = block(&asking("GET", "/cut"));
    if stream == 1 {
        octets.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        octets.extend([b'y'; 4000]);
    }
    octets.extend([0xbe; 18]);
    frame(HEADERS, END | WHOLE, stream, &octets)
}

/// 6.5, 6.7, 6.8, 7, and floods
fn control() -> Vec<Frameset> {
    let case = Frameset::new;
    let set = |id, value| vec![settings(&[(id, value)]), get(1, "/")];
    let flood = |one: Vec<u8>, count: usize| vec![one.repeat(count)];
    let reset = |stream: u32| [get(stream, "/cut"), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat();
    vec![
        case("6.5 SETTINGS on a stream", vec![frame(SETTINGS, 0, 1, &[])], Gone(code::PROTOCOL)),
        case("6.5 SETTINGS of 5 octets", vec![frame(SETTINGS, 0, 0, &[0; 5])], Closed),
        case("6.5 an acknowledgement with a payload", vec![frame(SETTINGS, END, 0, &[0; 6])], Closed),
        case(
            "6.5 an acknowledgement of nothing",
            vec![frame(SETTINGS, END, 0, &[]).repeat(2)],
            Gone(code::PROTOCOL),
        ),
        case("6.5.2 a push that is neither 0 nor 1", set(2, 2), Closed),
        case("6.5.2 a window above 2^31-1", set(4, 0x8000_0000), Closed),
        case("6.5.2 frames smaller than 16384", set(5, 16_383), Closed),
        case("6.5.2 frames larger than 2^24-1", set(5, 0x0100_0000), Closed),
        case("6.5.2 the largest frames", set(5, 0xff_ffff), Status(200)),
        case("6.5.2 an unknown setting", set(0xff, 7), Status(200)),
        case("6.5.2 no streams of ours", set(3, 0), Status(200)),
        case("6.5.2 no list of fields", set(6, 0), Status(200)),
        case(
            "6.5 twenty settings in one frame",
            vec![settings(&[(4, 70_000); 20]), get(1, "/")],
            Status(200),
        ),
        case("6.7 some PINGs", vec![frame(PING, 0, 0, &[1; 8]).repeat(50), get(1, "/")], Status(200)),
        case("6.8 GOAWAY, and the rest is served", vec![get(1, "/"), frame(GOAWAY, 0, 0, &[0; 8])], Closed)
            .arrives(),
        case("10.5 PINGs without end", flood(frame(PING, 0, 0, &[1; 8]), 3000), Gone(code::CALM)),
        case(
            "10.5 answers to no PING without end",
            flood(frame(PING, END, 0, &[1; 8]), 3000),
            Gone(code::CALM),
        ),
        case("10.5 SETTINGS without end", flood(settings(&[(4, 65_535)]), 3000), Gone(code::CALM)),
        case(
            "10.5 PRIORITY without end",
            flood(frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]), 3000),
            Gone(code::CALM),
        ),
        case("10.5 unknown frames without end", flood(frame(0xbe, 0, 0, &[]), 3000), Gone(code::CALM)),
        case("10.5 WINDOW_UPDATE without end", flood(increment(0, 1), 3000), Gone(code::CALM)),
        case(
            "10.5 streams opened and reset without end",
            vec![(0..600).flat_map(|n| reset(2 * n + 1)).collect()],
            Gone(code::CALM),
        ),
        case(
            "10.5 empty DATA without end",
            vec![post(1), frame(DATA, 0, 1, &[]).repeat(3000)],
            Gone(code::CALM),
        ),
        case(
            "10.5 heads that are refused without end",
            vec![(0..60).map(|n| n * 2 + 1).flat_map(too_large).collect()],
            Gone(code::CALM),
        ),
        case(
            "5.4.2 wrong requests without end",
            vec![
                (0..600)
                    .flat_map(|n| frame(HEADERS, END | WHOLE, 2 * n + 1, &block(&[(":method", "GET")])))
                    .collect(),
            ],
            Gone(code::CALM),
        ),
    ]
}
