//! Bodies: the decoder against a reference encoder, in any pieces, and what it refuses.

use proptest::prelude::*;

use super::super::{Body, Decoder, Invalid, Step, write_chunk_head, write_last_chunk};
use super::cases;

/// What came of a body that arrived in pieces.
#[derive(Debug, PartialEq)]
struct Read {
    data: Vec<u8>,
    /// Bytes that belong to the message.
    used: usize,
    done: bool,
    trailers: Vec<u8>,
}

/// Feeds `wire`, cut at `cuts`, as a connection's buffer would: what was not used stays before the next piece.
fn read(body: Body, wire: &[u8], cuts: &[usize]) -> Result<Read, Invalid> {
    let mut decoder = Decoder::new(body);
    let (mut data, mut used) = (Vec::new(), 0);
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect();
    ends.sort_unstable();
    'pieces: for end in ends {
        loop {
            match decoder.step(&wire[used..end])? {
                Step::Data { start, end: stop } => {
                    assert!(
                        start < stop && used + stop <= end,
                        "data is never empty and never beyond the input"
                    );
                    data.extend_from_slice(&wire[used + start..used + stop]);
                    used += stop;
                }
                Step::More(n) => {
                    used += n;
                    assert_eq!(used, end, "everything given is used up before more is asked for");
                    break;
                }
                Step::Done(n) => {
                    used += n;
                    break 'pieces;
                }
            }
        }
    }
    Ok(Read { data, used, done: decoder.is_done(), trailers: decoder.trailers().to_vec() })
}

fn chunked(wire: &[u8]) -> Result<Read, Invalid> {
    read(Body::Chunked, wire, &[])
}

#[test]
fn legal_chunks_are_read() {
    let table: &[(&str, &str, &str)] = &[
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("1\r\na\r\n0002\r\nbc\r\n0000\r\n\r\n", "abc", ""),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
        ("1;a\r\nx\r\n0;b=c;d=\"e; f\"\r\n\r\n", "x", ""),
        ("1 ;a\r\nx\r\n0\t \t;b\r\n\r\n", "x", ""),
        ("1;\u{e9}\r\nx\r\n0\r\n\r\n", "x", ""),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ("0\r\nX-Sum: 1\r\nx-b:2 \r\n\r\n", "", "X-Sum: 1\r\nx-b: 2\r\n"),
        (
            "0\r\nContent-Length: 5\r\nX: 1\r\nTransfer-Encoding: x\r\nHost: b\r\nSet-Cookie: a\r\nX_Forwarded_For: 1\r\n\
          Authorization: x\r\nTE: x\r\nConnection: X\r\nif-match: x\r\n\r\n",
            "",
            "X: 1\r\n",
        ),
    ];
    for (wire, data, trailers) in table {
        let read = chunked(wire.as_bytes()).unwrap_or_else(|e| panic!("{e}: {}", wire.escape_debug()));
        assert_eq!((read.data.as_slice(), read.used, read.done), (data.as_bytes(), wire.len(), true));
        assert_eq!(read.trailers, trailers.as_bytes());
    }
}

#[test]
fn malformed_chunks_are_refused_where_they_are_wrong() {
    for wire in [
        "\r\n",
        "x",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        ";a\r\n",
        "1\n",
        "1\ra",
        "1 \r\n",
        "1 a\r\n",
        "1;a\n",
        "1;a\rb",
        "1;\u{0}",
        "1;\u{7f}",
        "1\r\nxy",
        "1\r\nx\n",
        "1\r\nx\ra",
        "1\r\nx\r\n\r\n",
        "10000000000000000\r\n",
        "00000000000000001",
        "fffffffffffffffff",
        "0\r\n\n",
        "0\r\nA: b\n",
        "0\r\nA: b\rc",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA\r\n\r\n",
        "0\r\nA: \u{0}\r\n\r\n",
        "0\r\n: b\r\n\r\n",
    ] {
        assert!(chunked(wire.as_bytes()).is_err(), "{}", wire.escape_debug());
    }
}

#[test]
fn the_largest_size_is_no_overflow() {
    let read = chunked(b"ffffffffffffffff\r\nabc").unwrap();
    assert_eq!((read.data.as_slice(), read.done), (&b"abc"[..], false));
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |n: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(n)).into_bytes();
    assert!(chunked(&extension(16 * 1024 - 1)).is_ok());
    assert!(chunked(&extension(16 * 1024)).is_err());
    let many = "1;e\r\nx\r\n".repeat(16 * 1024).into_bytes();
    assert!(chunked(&many).is_err(), "over all chunks of a message");
    let trailers = |n: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(n)).into_bytes();
    assert!(chunked(&trailers(64)).is_ok());
    assert!(chunked(&trailers(65)).is_err());
    assert!(chunked(format!("0\r\nA: {}", "b".repeat(16 * 1024)).as_bytes()).is_err());
}

#[test]
fn other_framings_end_where_they_say() {
    let length = read(Body::Length(3), b"abcdef", &[1]).unwrap();
    assert_eq!((length.data.as_slice(), length.used, length.done), (&b"abc"[..], 3, true));
    let short = read(Body::Length(9), b"abc", &[]).unwrap();
    assert_eq!((short.used, short.done), (3, false));
    let none = read(Body::None, b"abc", &[]).unwrap();
    assert_eq!((none.used, none.done), (0, true));
    let close = read(Body::UntilClose, b"abc", &[2]).unwrap();
    assert_eq!((close.used, close.done), (3, false));
    assert!(Decoder::new(Body::UntilClose).may_end_by_close());
    assert!(!Decoder::new(Body::Chunked).may_end_by_close());
    assert!(!Decoder::new(Body::Length(1)).may_end_by_close());
    assert_eq!(Decoder::new(Body::Length(7)).remaining(), Some(7));
    assert_eq!(Decoder::new(Body::Chunked).remaining(), None);
}

#[test]
fn chunk_heads_are_hex() {
    for (len, text) in
        [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (65_536, "10000\r\n"), (0xabc, "abc\r\n")]
    {
        let mut out = Vec::new();
        write_chunk_head(len, &mut out);
        assert_eq!(out, text.as_bytes());
    }
    let mut out = Vec::new();
    write_last_chunk(b"A: b\r\n", &mut out);
    assert_eq!(out, b"0\r\nA: b\r\n\r\n");
}

/// A chunk as some encoder might write it: its data, the case of its digits, zeros in front, an extension.
fn chunk() -> impl Strategy<Value = (Vec<u8>, bool, usize, String)> {
    let data = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 1..40),
        1 => proptest::collection::vec(any::<u8>(), 300..600),
        1 => "[\r\n0]{1,8}".prop_map(String::into_bytes),
    ];
    (data, any::<bool>(), 0..8_usize, "(;[a-z]{1,4}(=[a-z0-9]{1,3})?){0,2}")
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_encoding_in_any_pieces_gives_the_data(
        chunks in proptest::collection::vec(chunk(), 0..8),
        trailers in proptest::collection::vec("X-[A-Z]{1,4}: [a-z]{0,6}\r\n", 0..4),
        rest in proptest::collection::vec(any::<u8>(), 0..9),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut wire = Vec::new();
        for (data, upper, zeros, extension) in &chunks {
            let size = if *upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            wire.extend_from_slice(format!("{}{size}{extension}\r\n", "0".repeat(*zeros)).as_bytes());
            wire.extend_from_slice(data);
            wire.extend_from_slice(b"\r\n");
        }
        let trailers: String = trailers.concat();
        wire.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        let used = wire.len();
        wire.extend_from_slice(&rest);
        let data = chunks.iter().flat_map(|(data, ..)| data.clone()).collect();
        let expected = Read { data, used, done: true, trailers: trailers.into_bytes() };
        prop_assert_eq!(read(Body::Chunked, &wire, &cuts), Ok(expected));
    }

    #[test]
    fn what_we_encode_is_decoded(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..99), 0..9)) {
        let mut wire = Vec::new();
        for piece in &pieces {
            write_chunk_head(piece.len(), &mut wire);
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        write_last_chunk(b"", &mut wire);
        let read = chunked(&wire).unwrap();
        prop_assert_eq!((read.data, read.used, read.done), (pieces.concat(), wire.len(), true));
    }

    #[test]
    fn pieces_decide_nothing_even_of_garbage(
        wire in "([0-3a;]|\r\n|[\r\nx:]|0\r\n|2\r\nab\r\n|A: b\r\n){0,20}",
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = read(Body::Chunked, wire.as_bytes(), &[]);
        prop_assert_eq!(read(Body::Chunked, wire.as_bytes(), &cuts), whole);
    }
}
