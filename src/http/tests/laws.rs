//! Laws of heads, tried on many random ones.

use proptest::prelude::*;

use super::super::{HeadLimits, Method, Parsed, Refusal, RequestHead, ResponseHead};
use super::{LIMITS, POLICY, cases, emitted, emitted_response, upgrade};

/// Field lines that no rule edits, with all the white space that is legal.
fn plain_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[Aa]-[A-Za-z0-9!#$%&'*+.^`|~-]{0,12}";
    let value = "[ \t]{0,3}([!-~]([ \t!-~]{0,20}[!-~])?)?[ \t]{0,3}";
    proptest::collection::vec((name, value), 0..12)
}

/// Bytes that look like heads often enough to get past the first line.
fn almost_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"POST http://b/ HTTP/1.0\r\n".to_vec()),
        Just(b"GET / HTTP/1.".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Connection: upgrade, a\r\n".to_vec()),
        Just(b"Upgrade: websocket\r\n".to_vec()),
        Just(b"Expect: 100-continue\r\n".to_vec()),
        Just(b"A:\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b":".to_vec()),
        proptest::collection::vec(any::<u8>(), 1..4),
        "[A-Za-z/*:.]{1,6}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Reads a head as it comes: cut at `cuts`, then whole. The outcome of the last attempt that was made.
fn in_pieces(wire: &[u8], cuts: &[usize]) -> (RequestHead, Result<Parsed, Refusal>) {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect();
    ends.sort_unstable();
    let mut head = RequestHead::new();
    let mut outcome = Ok(Parsed::Partial);
    for end in ends {
        outcome = head.parse(&wire[..end], LIMITS, POLICY);
        if outcome != Ok(Parsed::Partial) {
            break;
        }
    }
    (head, outcome)
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn legal_fields_pass_byte_for_byte(fields in plain_fields(), at in any::<usize>(), target in "/[!-\"$-~]{0,20}") {
        let mut lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        lines.insert(at % (lines.len() + 1), "hOST:  a \r\n".into());
        let text = format!("PUT {target} HTTP/1.1\r\n{}\r\n", lines.concat());
        let mut head = RequestHead::new();
        prop_assert_eq!(head.parse(text.as_bytes(), LIMITS, POLICY), Ok(Parsed::Complete(text.len())));
        prop_assert_eq!(&emitted(&head), &text);
        for ((name, value), field) in fields.iter().zip(head.fields.iter().filter(|f| f.name != b"hOST")) {
            prop_assert_eq!((field.name, field.value), (name.as_bytes(), value.trim().as_bytes()));
        }
        // What belongs to the connection may stand anywhere; the rest closes ranks.
        lines.insert(at % (lines.len() + 1), "Connection: close\r\n".into());
        lines.insert((at >> 8) % (lines.len() + 1), "Keep-Alive: 5\r\n".into());
        let more = format!("PUT {target} HTTP/1.1\r\n{}\r\n", lines.concat());
        prop_assert_eq!(head.parse(more.as_bytes(), LIMITS, POLICY), Ok(Parsed::Complete(more.len())));
        head.strip_hop_by_hop();
        prop_assert_eq!(&emitted(&head), &text);

        let answer = format!("HTTP/1.1 200 x\r\n{}\r\n", lines.concat());
        let mut response = ResponseHead::new();
        let parsed = response.parse(answer.as_bytes(), LIMITS, Method::Get, None);
        prop_assert_eq!(parsed, Ok(Parsed::Complete(answer.len())));
        prop_assert_eq!(emitted_response(&response), answer);
    }

    #[test]
    fn pieces_decide_nothing(wire in almost_a_head(), cuts in proptest::collection::vec(any::<usize>(), 0..10)) {
        let mut whole = RequestHead::new();
        let at_once = whole.parse(&wire, LIMITS, POLICY);
        let (head, outcome) = in_pieces(&wire, &cuts);
        match (at_once, outcome) {
            (Ok(Parsed::Complete(used)), piecemeal) => {
                prop_assert_eq!(piecemeal, Ok(Parsed::Complete(used)));
                prop_assert_eq!(emitted(&head), emitted(&whole));
                prop_assert_eq!((head.body, head.keep_alive), (whole.body, whole.keep_alive));
            }
            // A fault may be seen later where the bytes come slowly, but never be taken for a request.
            (Err(_), piecemeal) => prop_assert!(!matches!(piecemeal, Ok(Parsed::Complete(_)))),
            (Ok(Parsed::Partial), piecemeal) => prop_assert_eq!(piecemeal, Ok(Parsed::Partial)),
        }
    }

    #[test]
    fn what_is_emitted_is_read_the_same(wire in almost_a_head()) {
        let mut head = RequestHead::new();
        if let Ok(Parsed::Complete(_)) = head.parse(&wire, LIMITS, POLICY) {
            head.strip_hop_by_hop();
            let text = emitted(&head);
            let mut again = RequestHead::new();
            // An HTTP/1.0 request may go without Host; whoever sends it on adds one.
            let text = if head.host().is_empty() { text.replacen("\r\n", "\r\nHost: a\r\n", 1) } else { text };
            prop_assert_eq!(again.parse(text.as_bytes(), LARGE, POLICY), Ok(Parsed::Complete(text.len())));
            prop_assert_eq!((again.body, again.target()), (head.body, head.target()));
            prop_assert_eq!(emitted(&again), text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(wire in almost_a_head(), other in almost_a_head(), asked in any::<bool>()) {
        let mut request = RequestHead::new();
        let mut response = ResponseHead::new();
        let asked = if asked { upgrade("websocket") } else { None };
        let tight = HeadLimits { max_size: 40, max_fields: 2 };
        for bytes in [&wire, &other, &wire] {
            for limits in [LIMITS, tight] {
                let parsed = request.parse(bytes, limits, POLICY);
                let _ = (request.fields.iter().count(), request.path(), request.host(), request.method_token());
                if let Ok(Parsed::Complete(used)) = parsed {
                    prop_assert!(used <= bytes.len());
                    request.strip_hop_by_hop();
                    let _ = (emitted(&request), request.path(), request.host(), request.method_token());
                }
                if let Ok(Parsed::Complete(used)) = response.parse(bytes, limits, Method::Get, asked.as_ref()) {
                    prop_assert!(used <= bytes.len());
                    response.strip_hop_by_hop();
                    let _ = (response.frame_for(super::super::Version::Http10), emitted_response(&response));
                }
            }
        }
    }

    #[test]
    fn an_accepted_request_is_one_to_a_second_parser(wire in almost_a_head()) {
        let mut head = RequestHead::new();
        if let Ok(Parsed::Complete(_)) = head.parse(&wire, LIMITS, POLICY) {
            let mut text = Vec::new();
            head.emit(&mut text);
            let lines = text.strip_suffix(b"\r\n\r\n").unwrap().split(|b| *b == b'\n');
            prop_assert!(lines.into_iter().all(|l| !l.strip_suffix(b"\r").unwrap_or(l).contains(&b'\r')));
            let mut room = [httparse::EMPTY_HEADER; 64];
            let mut second = httparse::Request::new(&mut room);
            prop_assert_eq!(second.parse(&text), Ok(httparse::Status::Complete(text.len())));
            let seen: Vec<_> = second.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
            let ours: Vec<_> = head.fields.iter().map(|f| (f.name, f.value)).collect();
            prop_assert_eq!(seen, ours);
        }
    }
}

/// Room for what emission adds.
const LARGE: HeadLimits = HeadLimits { max_size: 8192, max_fields: 80 };

#[test]
fn a_head_that_comes_byte_by_byte_costs_no_square() {
    let text = super::with_fields(&"A: b\r\n".repeat(40));
    let mut head = RequestHead::new();
    for end in 1..text.len() {
        assert_eq!(head.parse(&text.as_bytes()[..end], LIMITS, POLICY), Ok(Parsed::Partial), "{end}");
    }
    assert_eq!(head.parse(text.as_bytes(), LIMITS, POLICY), Ok(Parsed::Complete(text.len())));
    assert_eq!(emitted(&head), text);
}
