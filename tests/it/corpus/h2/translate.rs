//! The requests of the corpus of HTTP/1.1 that HTTP/2 can say, said in HTTP/2: the backend hears the same.

use super::{Frameset, Want};
use crate::corpus::case::{Case, Expected};
use crate::corpus::lane::Arrived;
use crate::frames::{DATA, END, block, frame, head};

/// Fields that HTTP/2 does not know: a request with one of them is refused (RFC 9113 8.2.2).
const OF_CONNECTION: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"];

/// What the library judges otherwise than our codec, before we see it. None of it lets a backend hear what it
/// would not have heard.
const OTHERWISE: [(&str, Want); 5] = [
    // It takes 19 digits of a length at most.
    ("requests-framing: a length with zeros in front is spelt plainly", Want::Refused),
    // It takes no `^` and the like in a path, and no percent sign in a host.
    ("requests-target: characters that a URI should have escaped pass", Want::Refused),
    ("requests-target: a Host with an escape", Want::Refused),
    // It cuts fragments off.
    ("requests-target: a fragment", Want::Status(200)),
    ("requests-target: a fragment behind the query", Want::Status(200)),
];

/// A body above this would need windows that the case does not open.
const MAX_BODY: usize = 60_000;

pub(super) fn cases() -> Vec<Frameset> {
    let all = Case::read_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/http"), "requests-");
    all.iter().enumerate().filter_map(|(number, case)| translate(case, number % 2 == 0)).collect()
}

/// A request as its parts.
struct Parts {
    method: Vec<u8>,
    target: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

fn translate(case: &Case, by_authority: bool) -> Option<Frameset> {
    let on = match case.lines.iter().find(|line| line.sigil == "on").map(|line| line.latin1()).as_deref() {
        None => "h2-safe",
        Some("allow") => "h2-allow",
        Some("drop") => "h2-drop",
        Some("reject") => "h2-reject",
        Some(_) => return None,
    };
    let parts = parts(&case.bytes(">", "."))?;
    let (mut want, mut expected) = wanted(case, &parts)?;
    let mut arrives = expected.is_some();
    if let Some((name, otherwise)) = OTHERWISE.iter().find(|(name, _)| case.name == *name) {
        // In the field of that name it is left to us.
        if by_authority || !name.ends_with("a Host with an escape") {
            (want, expected, arrives) = (*otherwise, None, *otherwise == Want::Status(200));
        }
    }
    let mut set = Frameset::new(&case.name, vec![frames(&parts, by_authority)], want).on(on);
    set.arrives = arrives;
    set.expected = expected;
    Some(set)
}

/// Reads the one request of a case; `None` where it is one that only HTTP/1 can say, or more than one.
fn parts(bytes: &[u8]) -> Option<Parts> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (text, body) = (&bytes[..end], &bytes[end + 4..]);
    if text.ends_with(b"\r") {
        return None;
    }
    let mut lines = text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let words: Vec<&[u8]> = lines.next()?.split(|octet| *octet == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else { return None };
    let own_form = target.first().is_some_and(|first| matches!(first, b'/' | b'*'));
    if method.is_empty()
        || method == b"CONNECT"
        || !own_form
        || text.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r')
    {
        return None;
    }
    let mut fields = Vec::new();
    for line in lines {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || name.iter().any(|octet| b" \t".contains(octet)) || line.contains(&b'\r') {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.to_vec()));
    }
    let sized = fields.iter().any(|(name, _)| name == b"content-length");
    (body.is_empty() || sized && body.len() < MAX_BODY).then(|| Parts {
        method: method.to_vec(),
        target: target.to_vec(),
        fields,
        body: body.to_vec(),
    })
}

/// What must come of it, and how it arrives.
fn wanted(case: &Case, parts: &Parts) -> Option<(Want, Option<Expected>)> {
    let ours: Vec<String> =
        case.lines.iter().filter(|line| line.sigil == "=").map(|line| line.latin1()).collect();
    let heads = case.lines.iter().filter(|line| line.sigil == "<" && line.latin1().ends_with(" HTTP/1.1"));
    let of_connection = |(name, value): &(Vec<u8>, Vec<u8>)| {
        OF_CONNECTION.iter().any(|other| name == other.as_bytes()) || (name == b"te" && value != b"trailers")
    };
    if parts.fields.iter().any(of_connection) {
        return Some((Want::Refused, None));
    }
    match (heads.count(), &ours[..]) {
        (1, []) => {
            let mut expected = Expected::default();
            for line in &case.lines {
                expected.take(line, "<");
            }
            let own_host = expected.head.iter().any(|line| line == "Host: BACKEND");
            let length = parts.fields.iter().find(|(name, _)| name == b"content-length");
            let length: Option<usize> =
                length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
            // What follows the body would be the next request.
            (!own_host && length.unwrap_or(0) == parts.body.len())
                .then_some((Want::Status(200), Some(expected)))
        }
        (0, [one]) if one == "200 kept" => Some((Want::Status(200), None)),
        (0, [one]) if one.starts_with(['4', '5']) && !case.has("cut") => Some((Want::Refused, None)),
        _ => None,
    }
}

fn frames(parts: &Parts, by_authority: bool) -> Vec<u8> {
    let hosts = parts.fields.iter().filter(|(name, _)| name == b"host").count();
    let authority = by_authority && hosts == 1;
    let mut fields = vec![
        (b":method".to_vec(), parts.method.clone()),
        (b":scheme".to_vec(), b"http".to_vec()),
        (b":path".to_vec(), parts.target.clone()),
    ];
    for (name, value) in &parts.fields {
        match authority && name == b"host" {
            true => fields.insert(1, (b":authority".to_vec(), value.clone())),
            false => fields.push((name.clone(), value.clone())),
        }
    }
    let mut bytes = head(1, if parts.body.is_empty() { END } else { 0 }, &block(&fields));
    if !parts.body.is_empty() {
        let pieces = parts.body.chunks(16_384);
        let last = pieces.len() - 1;
        pieces.enumerate().for_each(|(at, piece)| {
            bytes.extend(frame(DATA, if at == last { END } else { 0 }, 1, piece));
        });
    }
    bytes
}

/// Compares what arrived with what arrives of the same in HTTP/1.1: the order of different fields and the case of
/// their names are all that may differ.
pub(super) fn compare(arrived: Arrived, expected: &Expected) -> Result<(), String> {
    let mut found = fields(&arrived.head[1..]);
    for ours in
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id"]
    {
        let at = found.iter().rposition(|(name, _)| name == ours).ok_or(format!("no {ours} in {found:?}"))?;
        found.remove(at);
    }
    let via = found.iter().rposition(|(name, value)| name == "via" && value == "2 equipoise");
    found.remove(via.ok_or(format!("no Via in {found:?}"))?);
    let wanted = fields(&expected.head[1..]);
    if arrived.head[0] == expected.head[0] && found == wanted && arrived.body == expected.body {
        return Ok(());
    }
    Err(format!("arrived: {} {found:?}\nexpected: {} {wanted:?}", arrived.head[0], expected.head[0]))
}

/// Names in lower case and values, by their names; crumbs joined.
fn fields(lines: &[String]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned());
        match fields.iter_mut().find(|(other, _)| name == "cookie" && *other == name) {
            Some((_, crumbs)) => *crumbs = format!("{crumbs}; {value}"),
            None => fields.push((name, value)),
        }
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}
