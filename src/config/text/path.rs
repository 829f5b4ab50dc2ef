//! Paths to match and targets to ask for.

use super::{Fault, printable};

/// A longer one would not fit into any request head.
const PATH_MAX: usize = 64 << 10;

/// The normal form in which paths are compared: unreserved octets decoded (RFC 3986 6.2.2.2), dot
/// segments removed (5.2.4), the remaining escapes in upper case (6.2.2.1). `%2F`, `%5C` and `//` stay.
/// Requests are read into the same form by the HTTP room.
///
/// # Errors
/// What no request path can be, or what requests are refused for: dot segments above the root, `%00`.
pub(super) fn normal(word: &str) -> Result<String, Fault> {
    check(word, "a path")?;
    if let Some(at) = word.find(['?', '#']) {
        let fault = Fault::new(format!("\"{}\": the query is no part of the path", printable(word)));
        return Err(fault.help(format!("did you mean \"{}\"?", printable(&word[..at]))));
    }
    let decoded = decode(word)?;
    let mut out: Vec<&str> = Vec::new();
    let mut segments = decoded[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                if out.pop().is_none() {
                    return Err(Fault::new(format!("\"{}\" goes above the root", printable(word))));
                }
            }
            _ => {
                out.push(segment);
                continue;
            }
        }
        // A dot segment at the end leaves its slash: `/a/.` is `/a/`.
        if last {
            out.push("");
        }
    }
    Ok(format!("/{}", out.join("/")))
}

/// A request target in origin form (RFC 9112 3.2.1), as written.
///
/// # Errors
/// What cannot stand in a request line.
pub(super) fn target(word: &str) -> Result<String, Fault> {
    check(word, "a target")?;
    if word.contains('#') {
        return Err(Fault::new(format!("\"{}\": a fragment is never sent", printable(word))));
    }
    Ok(word.to_owned())
}

fn check(word: &str, what: &str) -> Result<(), Fault> {
    if !word.starts_with('/') {
        let fault = Fault::new(format!("\"{}\": {what} begins with `/`", printable(word)));
        return Err(fault.help(format!("did you mean \"/{}\"?", printable(word))));
    }
    if word.len() > PATH_MAX {
        return Err(Fault::new(format!("{what} is at most 64 KiB long")));
    }
    if word.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Ok(());
    }
    let encoded: String = word.bytes().fold(String::new(), |mut out, byte| {
        if (0x21..=0x7e).contains(&byte) {
            out.push(byte.into())
        } else {
            out.push_str(&format!("%{byte:02X}"))
        }
        out
    });
    let fault =
        Fault::new(format!("\"{}\": spaces, controls and non-ASCII come percent-encoded", printable(word)));
    Err(fault.help(format!("did you mean \"{}\"?", printable(&encoded))))
}

/// Decodes the unreserved octets (RFC 3986 2.3) and leaves the other escapes.
fn decode(word: &str) -> Result<String, Fault> {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let octet = rest.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(octet) = octet.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return Err(Fault::new(format!("\"{}\": `%` begins an escape such as %20", printable(word))));
        };
        match octet {
            0 => return Err(Fault::new("%00 is refused in every request")),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte.into()),
            // Case of the hex digits does not matter: one normal form (RFC 3986 6.2.2.1).
            _ => out.push_str(&rest[at..at + 3].to_ascii_uppercase()),
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Ok(out)
}
