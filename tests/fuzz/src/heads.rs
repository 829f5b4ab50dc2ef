//! The codec on one message from memory, held against the strict reader.

use equipoise::http::{
    Body, Decoder, Forwarding, HeadLimits, HeadPolicy, Interim, Method, Origin, Parsed, RequestHead,
    ResponseHead, Step, Underscores, Version, client_address, normal_path, write_chunk_head,
    write_last_chunk,
};

use crate::strict::{self, Fault};
use crate::{cuts, take};

const LIMITS: HeadLimits = HeadLimits { max_size: 4096, max_fields: 32 };

/// A body as it was decoded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    body: Vec<u8>,
    trailers: Vec<u8>,
    used: usize,
}

/// A request: parsed at once and in pieces, edited, emitted, and read back.
pub fn request(mut data: &[u8]) {
    let (flags, seed) = (take(&mut data), take(&mut data));
    let policy = HeadPolicy { underscores: underscores(flags), allow_connect: flags & 4 != 0 };
    let mut head = RequestHead::new();
    let at_once = head.parse(data, LIMITS, policy);
    let mut slow = RequestHead::new();
    let mut piecemeal = Ok(Parsed::Partial);
    for end in cuts(data.len(), seed).into_iter().chain([data.len()]) {
        piecemeal = slow.parse(&data[..end], LIMITS, policy);
        if piecemeal != Ok(Parsed::Partial) {
            break;
        }
    }
    let Ok(Parsed::Complete(used)) = at_once else {
        assert!(!matches!(piecemeal, Ok(Parsed::Complete(_))), "only in pieces it is a request");
        return;
    };
    assert_eq!(piecemeal, at_once, "in pieces it is another");
    let _ = normal_path(head.path());
    let host = head.host().to_vec();
    edit(&mut head, flags & 8 != 0);
    let mut out = Vec::new();
    head.emit(&mut out);
    let read = decode(head.body, &data[used..], policy.underscores, seed);
    let Some(read) = read else { return };
    encode(head.body, &read, &mut out);
    let message = strict::request(&out).unwrap_or_else(|fault| panic!("{fault:?}: {}", out.escape_ascii()));
    assert_eq!(message.used, out.len(), "the message ends elsewhere");
    assert_eq!(message.start[0], head.method_token());
    assert_eq!(message.start[1], head.target());
    assert_eq!(message.body, read.body);
    let hosts = strict::values(&message.fields, "host");
    assert!(host.is_empty() || hosts == [&host[..]], "another host: {hosts:?}");
    let fields: Vec<_> =
        head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
    assert_eq!(message.fields, fields);
    for gone in ["keep-alive", "proxy-connection", "http2-settings"] {
        assert!(strict::values(&message.fields, gone).is_empty(), "{gone} was passed on");
    }
    let h2c = strict::values(&message.fields, "upgrade").concat().to_ascii_lowercase();
    assert!(!h2c.starts_with(b"h2c"), "h2c was passed on");
}

fn edit(head: &mut RequestHead, trusted: bool) {
    let origin = Origin::new(std::net::SocketAddr::from(([192, 0, 2, 1], 1)), 80, false, trusted);
    let _ = client_address(&head.fields, &origin, |_| trusted);
    if head.host().is_empty() {
        head.set_host(b"backend");
    }
    head.strip_hop_by_hop();
    Forwarding::default().apply(head, &origin, 7, true);
}

/// A response: parsed at once and in pieces, edited, emitted, and read back.
pub fn response(mut data: &[u8]) {
    let (flags, seed) = (take(&mut data), take(&mut data));
    let method = [Method::Get, Method::Head, Method::Connect, Method::Post][usize::from(flags & 3)];
    let name: &[u8] = [&b"GET"[..], b"HEAD", b"CONNECT", b"POST"][usize::from(flags & 3)];
    let version = if flags & 4 != 0 { Version::Http10 } else { Version::Http11 };
    let asked = if flags & 8 != 0 { asked() } else { None };
    let mut head = ResponseHead::new();
    let at_once = head.parse(data, LIMITS, method, asked.as_ref());
    for end in cuts(data.len(), seed) {
        match ResponseHead::new().parse(&data[..end], LIMITS, method, asked.as_ref()) {
            Ok(Parsed::Partial) => {}
            Ok(complete) => assert_eq!(Ok(complete), at_once, "in pieces it is another"),
            Err(_) => assert!(at_once.is_err(), "refused only in pieces"),
        }
    }
    let Ok(Parsed::Complete(used)) = at_once else { return };
    let switching = head.interim == Interim::Switching;
    assert!(!switching || asked.is_some() || method == Method::Connect, "nobody asked to switch");
    head.strip_hop_by_hop();
    head.add_via();
    let framing = head.frame_for(version);
    let Some(read) = decode_response(head.body, &data[used..], seed) else { return };
    let mut out = Vec::new();
    head.emit(&mut out);
    encode(framing, &read, &mut out);
    let message = strict::response(&out, name, true)
        .unwrap_or_else(|fault| panic!("{fault:?}: {}", out.escape_ascii()));
    assert_eq!(message.used, out.len(), "the message ends elsewhere");
    assert_eq!(message.start[1], head.status.to_string().as_bytes());
    assert_eq!(message.body, read.body);
}

/// A chunked body: in any pieces it is the same, and so it is when it has been written anew.
pub fn chunks(mut data: &[u8]) {
    let (flags, seed) = (take(&mut data), take(&mut data));
    let underscores = underscores(flags);
    let whole = decode_in(Body::Chunked, data, underscores, &[]);
    let pieces = decode_in(Body::Chunked, data, underscores, &cuts(data.len(), seed));
    assert_eq!(whole, pieces, "in pieces it is another");
    let Ok(Some(read)) = whole else { return };
    let mut out = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let head = out.clone();
    encode(Body::Chunked, &read, &mut out);
    let message = strict::request(&out).unwrap_or_else(|fault| panic!("{fault:?}: {}", out.escape_ascii()));
    assert_eq!((message.used, &message.body), (out.len(), &read.body));
    // Where the strict reader takes the original too, it is the same to it.
    let original = [&head, data].concat();
    match strict::request(&original) {
        Ok(other) => assert_eq!((other.used - head.len(), &other.body), (read.used, &read.body)),
        Err(fault) => assert_ne!(fault, Fault::Short, "it has not ended yet"),
    }
}

fn underscores(flags: u8) -> Underscores {
    [Underscores::Safe, Underscores::Allow, Underscores::Drop, Underscores::Reject][usize::from(flags & 3)]
}

/// What a request asks for that asks for a WebSocket.
fn asked() -> Option<equipoise::http::Upgrade> {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut head = RequestHead::new();
    head.parse(text, LIMITS, HeadPolicy::default()).ok()?;
    head.upgrade
}

fn decode(body: Body, wire: &[u8], underscores: Underscores, seed: u8) -> Option<Read> {
    let whole = decode_in(body, wire, underscores, &[]);
    assert_eq!(whole, decode_in(body, wire, underscores, &cuts(wire.len(), seed)), "in pieces it is another");
    whole.ok().flatten()
}

fn decode_response(body: Body, wire: &[u8], seed: u8) -> Option<Read> {
    if body == Body::UntilClose {
        return Some(Read { body: wire.to_vec(), trailers: Vec::new(), used: wire.len() });
    }
    decode(body, wire, Underscores::Safe, seed)
}

/// Decodes what comes in pieces; `Ok(None)` where it is not complete.
fn decode_in(body: Body, wire: &[u8], underscores: Underscores, cuts: &[usize]) -> Result<Option<Read>, ()> {
    let mut decoder = Decoder::new(body);
    decoder.set_underscores(underscores);
    let mut read = Read::default();
    for end in cuts.iter().copied().chain([wire.len()]) {
        loop {
            match decoder.step(&wire[read.used..end.max(read.used)]).map_err(|_| ())? {
                Step::Data { start, end } => {
                    assert!(start < end, "no data");
                    read.body.extend_from_slice(&wire[read.used + start..read.used + end]);
                    read.used += end;
                }
                Step::More(n) => {
                    read.used += n;
                    break;
                }
                Step::Done(n) => {
                    read.used += n;
                    read.trailers = decoder.trailers().to_vec();
                    return Ok(Some(read));
                }
            }
        }
    }
    Ok(None)
}

fn encode(framing: Body, read: &Read, out: &mut Vec<u8>) {
    if framing == Body::Chunked {
        if !read.body.is_empty() {
            write_chunk_head(read.body.len(), out);
            out.extend_from_slice(&read.body);
            out.extend_from_slice(b"\r\n");
        }
        write_last_chunk(&read.trailers, out);
    } else {
        out.extend_from_slice(&read.body);
    }
}
