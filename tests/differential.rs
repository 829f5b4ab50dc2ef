//! What the codec accepts, others read the same way: httparse, hyper's server and client, and the strict
//! reader of the fuzz targets. A message that another refuses is no finding; one that it reads differently is.
//!
//! The messages are those of `tests/data/http/`, changed at random. EQUIPOISE_SEED repeats a run,
//! EQUIPOISE_CASES multiplies the number of messages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test cannot do must fail the test"
)]

#[allow(dead_code, reason = "the corpus test uses more of it")]
#[path = "it/corpus/case.rs"]
mod case;
#[path = "differential/mutate.rs"]
mod mutate;
#[path = "differential/others.rs"]
mod others;
#[allow(dead_code, reason = "the fuzz targets use more of it")]
#[path = "fuzz/src/strict.rs"]
mod strict;

use equipoise::http::{
    Body, Decoder, HeadLimits, HeadPolicy, Interim, Known, Method, Parsed, RequestHead, ResponseHead, Step,
    Underscores, Version, write_chunk_head, write_last_chunk,
};

use mutate::Source;
use others::Seen;

const LIMITS: HeadLimits = HeadLimits { max_size: 65_536, max_fields: 90 };

/// Nothing is dropped, so that all can be compared.
const POLICY: HeadPolicy = HeadPolicy { underscores: Underscores::Allow, allow_connect: false };

/// Messages of one run, of each kind.
const MESSAGES: u64 = 20_000;

/// The shares of these that must be accepted by us, and by hyper too: without them the test would show little.
const LEAST_ACCEPTED: f64 = 0.3;
const LEAST_COMPARED: f64 = 0.25;

/// A body as it was read, and where the message ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Read {
    body: Vec<u8>,
    trailers: Vec<u8>,
    end: usize,
}

#[test]
fn accepted_requests_are_read_alike() {
    let mut source = Source::new("requests-");
    let runtime = others::runtime();
    let (mut accepted, mut compared) = (0, 0);
    let count = source.scaled(MESSAGES);
    for _ in 0..count {
        let wire = source.message();
        let mut head = RequestHead::new();
        let Ok(Parsed::Complete(used)) = head.parse(&wire, LIMITS, POLICY) else { continue };
        let Some(read) = body(head.body, &wire, used, false) else { continue };
        accepted += 1;
        let seed = source.told(&wire);
        same_as_httparse(&head, &wire, used, &seed);
        let forwarded = forwarded(&mut head, &read);
        same_as_strict(&head, &read, &forwarded, &seed);
        compared += u64::from(same_as_hyper(&runtime, &head, &read, &wire[..read.end], true, &seed));
        assert!(
            same_as_hyper(&runtime, &head, &read, &forwarded, false, &seed) || !is_plain(&head),
            "{seed}\nhyper refuses what we forward: {}",
            forwarded.escape_ascii()
        );
    }
    enough(accepted, compared, count);
}

#[test]
fn accepted_responses_are_read_alike() {
    let mut source = Source::new("responses-");
    let runtime = others::runtime();
    let (mut accepted, mut compared) = (0, 0);
    let count = source.scaled(MESSAGES);
    for nth in 0..count {
        let wire = source.message();
        let method = if nth % 8 == 0 { Method::Head } else { Method::Get };
        let Some((head, start, used)) = final_head(&wire, method) else { continue };
        let Some(read) = body(head.body, &wire, used, true) else { continue };
        accepted += 1;
        let seed = source.told(&wire);
        same_response_as_httparse(&head, &wire[start..used], &seed);
        let is_head = method == Method::Head;
        let Some(seen) = others::response(&runtime, &wire[..read.end], is_head) else { continue };
        compared += 1;
        assert_eq!(seen.status, head.status, "{seed}");
        assert_eq!(seen.body, read.body, "{seed}");
        assert!(trailers(&read.trailers).iter().all(|field| seen.trailers.contains(field)), "{seed}");
        let ours = head.fields.iter().filter(|field| !frames(field.known));
        let ours: Vec<_> = ours.map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec())).collect();
        let theirs: Vec<_> =
            seen.fields.into_iter().filter(|(name, _)| !frames(Known::from_name(name))).collect();
        assert_eq!(sorted(theirs), sorted(ours), "{seed}");
    }
    enough(accepted, compared, count);
}

fn enough(accepted: u64, compared: u64, count: u64) {
    println!("{count} messages, {accepted} accepted, {compared} compared with hyper");
    assert!(accepted as f64 >= count as f64 * LEAST_ACCEPTED, "only {accepted} of {count} were accepted");
    assert!(compared as f64 >= count as f64 * LEAST_COMPARED, "hyper read only {compared} of {count}");
}

/// Reads the body that follows a head; `None` where it is malformed or incomplete.
fn body(framing: Body, wire: &[u8], used: usize, ended: bool) -> Option<Read> {
    let mut decoder = Decoder::new(framing);
    decoder.set_underscores(Underscores::Allow);
    let mut read = Read { end: used, ..Read::default() };
    loop {
        match decoder.step(&wire[read.end..]).ok()? {
            Step::Data { start, end } => {
                read.body.extend_from_slice(&wire[read.end + start..read.end + end]);
                read.end += end;
            }
            Step::More(_) if ended && decoder.may_end_by_close() => return Some(read),
            Step::More(_) => return None,
            Step::Done(n) => {
                read.end += n;
                read.trailers = decoder.trailers().to_vec();
                return Some(read);
            }
        }
    }
}

/// Passes over interim heads; gives the final one, where it begins and where it ends.
fn final_head(wire: &[u8], method: Method) -> Option<(ResponseHead, usize, usize)> {
    let mut start = 0;
    loop {
        let mut head = ResponseHead::new();
        let Ok(Parsed::Complete(used)) = head.parse(&wire[start..], LIMITS, method, None) else {
            return None;
        };
        if head.interim == Interim::No {
            return Some((head, start, start + used));
        }
        start += used;
    }
}

/// The request as it goes to a backend.
fn forwarded(head: &mut RequestHead, read: &Read) -> Vec<u8> {
    if head.host().is_empty() {
        head.set_host(b"backend");
    }
    head.strip_hop_by_hop();
    let mut out = Vec::new();
    head.emit(&mut out);
    if head.body == Body::Chunked {
        if !read.body.is_empty() {
            write_chunk_head(read.body.len(), &mut out);
            out.extend_from_slice(&read.body);
            out.extend_from_slice(b"\r\n");
        }
        write_last_chunk(&read.trailers, &mut out);
    } else {
        out.extend_from_slice(&read.body);
    }
    out
}

/// Compares the lines: those that the codec has rewritten by their names alone.
fn same_as_httparse(head: &RequestHead, wire: &[u8], used: usize, seed: &str) {
    let mut room = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut room);
    match request.parse(wire) {
        Err(httparse::Error::Version) => return, // HTTP/1.2 to 1.9
        parsed => assert_eq!(parsed, Ok(httparse::Status::Complete(used)), "{seed}"),
    }
    assert_eq!(request.method.unwrap().as_bytes(), head.method_token(), "{seed}");
    assert_eq!(request.version == Some(0), head.version == Version::Http10, "{seed}");
    let (target, path) = (request.path.unwrap().as_bytes(), head.target());
    let is_absolute = target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
    assert!(target.ends_with(path) || is_absolute, "{seed}: {}", path.escape_ascii());
    let theirs = request.headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec()));
    let ours = head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec()));
    let compared = |list: Vec<strict::Field>| {
        let kept = list.into_iter().filter(|(name, _)| !is_rewritten(Known::from_name(name)));
        kept.collect::<Vec<_>>()
    };
    assert_eq!(compared(theirs.collect()), compared(ours.collect()), "{seed}");
}

fn same_response_as_httparse(head: &ResponseHead, wire: &[u8], seed: &str) {
    let mut room = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut room);
    match response.parse(wire) {
        Err(httparse::Error::Version) => return, // HTTP/1.2 to 1.9
        parsed => assert_eq!(parsed, Ok(httparse::Status::Complete(wire.len())), "{seed}"),
    }
    assert_eq!(response.code, Some(head.status), "{seed}");
    let theirs = response.headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec()));
    let ours = head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec()));
    let keep = |(name, _): &strict::Field| !frames(Known::from_name(name));
    assert_eq!(theirs.filter(keep).collect::<Vec<_>>(), ours.filter(keep).collect::<Vec<_>>(), "{seed}");
}

/// What goes to a backend is read back as it was meant, to its last octet.
fn same_as_strict(head: &RequestHead, read: &Read, forwarded: &[u8], seed: &str) {
    let message = strict::request(forwarded)
        .unwrap_or_else(|fault| panic!("{seed}\n{fault:?}: {}", forwarded.escape_ascii()));
    assert_eq!(message.used, forwarded.len(), "{seed}");
    assert_eq!(
        (&message.start[0][..], &message.start[1][..]),
        (head.method_token(), head.target()),
        "{seed}"
    );
    let fields = head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec()));
    assert_eq!(message.fields, fields.collect::<Vec<_>>(), "{seed}");
    assert_eq!(
        (&message.body, message.trailers.len()),
        (&read.body, trailers(&read.trailers).len()),
        "{seed}"
    );
}

/// Says whether hyper took the message: then it saw what we saw, and nothing behind it.
fn same_as_hyper(
    runtime: &tokio::runtime::Runtime,
    head: &RequestHead,
    read: &Read,
    wire: &[u8],
    raw: bool,
    seed: &str,
) -> bool {
    let seen = others::requests(runtime, wire);
    let [first, rest @ ..] = &seen[..] else { return false };
    let Seen::Whole { method, target, fields, body, trailers: theirs } = first else { return false };
    assert!(rest.is_empty(), "{seed}\nhyper sees more: {rest:?}");
    assert_eq!(method, head.method_token(), "{seed}");
    if !raw {
        assert_eq!(target, head.target(), "{seed}");
    }
    assert_eq!(body, &read.body, "{seed}");
    // What must not stand in trailers is gone from ours.
    let ours = trailers(&read.trailers);
    assert!(
        ours.iter().all(|field| theirs.contains(field)) && (raw || ours == *theirs),
        "{seed}\n{theirs:?}"
    );
    let ours = head.fields.iter().filter(|field| !raw || !is_changed(field.known));
    let ours: Vec<_> = ours.map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec())).collect();
    let theirs = fields.iter().filter(|(name, _)| !raw || !is_changed(Known::from_name(name))).cloned();
    // What Connection names is gone from ours by now.
    let theirs: Vec<_> = theirs.filter(|field| !raw || ours.contains(field)).collect();
    assert_eq!(sorted(theirs), sorted(ours), "{seed}");
    true
}

/// hyper refuses some targets and names that RFC 9110 leaves room for, and some that it does not.
fn is_plain(head: &RequestHead) -> bool {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"/?=&._-%".contains(octet);
    let host = head.fields.by_name("host").unwrap_or_default();
    head.target().starts_with(b"/")
        && head.target().iter().all(plain)
        && host.iter().all(|octet| octet.is_ascii_alphanumeric())
        && head.fields.len() < 90
        && head.method_token().len() < 16
        && head.fields.iter().all(|field| field.name.len() < 1024)
}

/// Fields whose values the codec may write anew when it judges a head.
fn is_rewritten(known: Known) -> bool {
    frames(known) || matches!(known, Known::Host | Known::Expect | Known::MaxForwards)
}

/// Fields that are changed on the way to a backend.
fn is_changed(known: Known) -> bool {
    is_rewritten(known)
        || matches!(
            known,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::Upgrade
                | Known::Te
                | Known::Http2Settings
        )
}

fn frames(known: Known) -> bool {
    matches!(known, Known::ContentLength | Known::TransferEncoding)
}

/// Trailer lines as fields, with names in lower case.
fn trailers(lines: &[u8]) -> Vec<strict::Field> {
    let mut rest = lines;
    let mut fields = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let colon = rest.iter().position(|octet| *octet == b':').unwrap();
        fields.push((rest[..colon].to_ascii_lowercase(), rest[colon + 2..end].to_vec()));
        rest = &rest[end + 2..];
    }
    sorted(fields)
}

fn sorted(mut fields: Vec<strict::Field>) -> Vec<strict::Field> {
    fields.sort();
    fields
}
