//! Random legal pieces of messages.

use fastrand::Rng;

pub(super) use crate::message::Field;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// No framing field.
    Bare,
    /// Content-Length.
    Length,
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// `token` of RFC 9110 5.6.2.
const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Names that mean nothing to a proxy.
const ENDS: [&str; 12] = [
    "Accept",
    "accept-encoding",
    "USER-AGENT",
    "Cookie",
    "Authorization",
    "If-None-Match",
    "Content-Type",
    "x-tenant",
    "Set-Cookie",
    "ETag",
    "Cache-Control",
    "Vary",
];

/// Names that belong to one connection; the second list only in requests.
const HOPS: [&str; 3] = ["Keep-Alive", "Proxy-Connection", "X-Hop-Named"];

/// A name that no rule knows.
pub(super) fn name(rng: &mut Rng) -> String {
    match rng.u8(..) {
        0..128 => ENDS[rng.usize(..ENDS.len())].to_owned(),
        _ => {
            let rest: String =
                (0..rng.usize(0..12)).map(|_| TOKEN[rng.usize(..TOKEN.len())] as char).collect();
            format!("q{rest}")
        }
    }
}

/// A value: no white space at its ends, anything legal within, octets above 127 among it.
pub(super) fn value(rng: &mut Rng) -> String {
    let len = match rng.u8(..) {
        0..16 => 0,
        16..240 => rng.usize(1..40),
        _ => rng.usize(40..1_500),
    };
    let text: String = (0..len)
        .map(|_| match rng.u8(..) {
            0..20 => ' ',
            20..24 => '\t',
            24..44 => rng.u8(0x80..) as char,
            _ => rng.u8(0x21..0x7f) as char,
        })
        .collect();
    text.trim_matches([' ', '\t']).to_owned()
}

/// Fields that pass through, and now and then some that belong to one connection.
pub(super) fn fields(rng: &mut Rng, hops: bool) -> Vec<Field> {
    let count = if rng.u8(..) < 8 { rng.usize(20..80) } else { rng.usize(0..10) };
    let mut fields: Vec<Field> = (0..count).map(|_| (name(rng), value(rng))).collect();
    if hops && rng.u8(..) < 40 {
        let named = ["keep-alive, X-Hop-Named", "x-hop-NAMED ,keep-alive"][rng.usize(..2)];
        insert(&mut fields, rng, ("Connection", named));
        for hop in HOPS {
            insert(&mut fields, rng, (hop, "timeout=900"));
        }
    }
    fields
}

/// Leaves one of the fields of a name that may stand once.
pub(super) fn keep_first(fields: &mut Vec<Field>, single: &str) {
    let mut seen = false;
    fields.retain(|(name, _)| !name.eq_ignore_ascii_case(single) || !std::mem::replace(&mut seen, true));
}

/// Puts a field at a random place.
pub(super) fn insert(fields: &mut Vec<Field>, rng: &mut Rng, (name, value): (&str, &str)) {
    let name = if rng.bool() { name.to_owned() } else { name.to_ascii_lowercase() };
    fields.insert(rng.usize(..=fields.len()), (name, value.to_owned()));
}

/// Whether a field is for one connection only.
pub(super) fn is_hop(name: &str) -> bool {
    name.eq_ignore_ascii_case("connection") || HOPS.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// A body: mostly small, now and then larger than every buffer on the way.
pub(super) fn body(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.u16(..) {
        0..100 => rng.usize(20_000..150_000),
        100..20_000 => 0,
        _ => rng.usize(1..2_000),
    };
    let mut body = vec![0; len];
    rng.fill(&mut body);
    body
}

/// Trailer fields.
pub(super) fn trailers(rng: &mut Rng) -> Vec<Field> {
    let count = if rng.u8(..) < 60 { rng.usize(1..4) } else { 0 };
    (0..count).map(|nth| (format!("qt{nth}{}", name(rng)), value(rng))).collect()
}

/// Lines of a head or a trailer section, with random white space about the values, and the empty line.
pub(super) fn write_fields(fields: &[Field], rng: &mut Rng, out: &mut Vec<u8>) {
    const SPACE: [&str; 4] = [" ", " ", "", "\t  "];
    for (name, value) in fields {
        write_latin1(&format!("{name}:{}{value}{}\r\n", SPACE[rng.usize(..4)], SPACE[rng.usize(2..4)]), out);
    }
    out.extend(b"\r\n");
}

/// Writes each character as the octet of its number.
pub(super) fn write_latin1(text: &str, out: &mut Vec<u8>) {
    out.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()));
}

/// A body in chunks of random sizes, with extensions, and its trailers.
pub(super) fn write_chunked(body: &[u8], trailers: &[Field], rng: &mut Rng, out: &mut Vec<u8>) {
    const EXTENSIONS: [&str; 4] = ["", "", ";a=b", " ; q=\"x;y\";flag"];
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(1..=(body.len() / 2).max(20)).min(rest.len()));
        let size = if rng.bool() { format!("{:x}", chunk.len()) } else { format!("00{:X}", chunk.len()) };
        out.extend(format!("{size}{}\r\n", EXTENSIONS[rng.usize(..4)]).bytes());
        out.extend(chunk);
        out.extend(b"\r\n");
        rest = after;
    }
    out.extend(format!("0{}\r\n", EXTENSIONS[rng.usize(..4)]).bytes());
    write_fields(trailers, rng, out);
}

/// Compares fields: those that were passed on, in their order, then those that the balancer adds, in
/// whatever order of its own. `*` stands for any value.
pub(super) fn compare(what: &str, passed: &[Field], added: &[Field], found: &[Field]) -> Result<(), String> {
    let told = || Err(format!("{what}: expected {passed:?}\nand {added:?}\nfound {found:?}"));
    if found.len() != passed.len() + added.len() {
        return told();
    }
    let (first, last) = found.split_at(passed.len());
    let is_like = |(e, f): (&Field, &Field)| e.0 == f.0 && (e.1 == "*" || e.1 == f.1);
    let (mut expected, mut last) = (added.to_vec(), last.to_vec());
    expected.sort();
    last.sort();
    if first == passed && expected.iter().zip(&last).all(is_like) { Ok(()) } else { told() }
}
