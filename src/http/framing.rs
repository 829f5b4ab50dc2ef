//! Where a body ends (RFC 9112 6): read one way only, or refused.

use super::field::{Kinds, Known};
use super::fields::Fields;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes; at least 1.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// All until the peer closes: responses only.
    UntilClose,
}

/// What the fields say of the framing, before the kind of message is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// What is wrong with the framing fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramingError {
    /// Ambiguous or malformed.
    Bad(&'static str),
    /// A transfer coding that we do not know.
    UnknownCoding,
}

/// Reads Content-Length and Transfer-Encoding. Repeated lengths are refused even where they agree, and
/// a length beside a coding always: two parties that read such a message differently are how requests
/// are smuggled (RFC 9112 6.1, 11.2).
pub(super) fn declared(fields: &Fields, is_http_10: bool) -> Result<Declared, FramingError> {
    const FRAMING: Kinds = Kinds::of(&[Known::ContentLength, Known::TransferEncoding]);
    if !fields.may_have(FRAMING) {
        return Ok(Declared::Nothing);
    }
    let mut length = None;
    let mut coded = false;
    let mut unknown = false;
    for field in fields.iter() {
        match field.known {
            Known::ContentLength => {
                let value = parse_length(field.value).ok_or(FramingError::Bad("malformed Content-Length"))?;
                if length.replace(value).is_some() {
                    return Err(FramingError::Bad("repeated Content-Length"));
                }
            }
            Known::TransferEncoding => {
                if coded {
                    return Err(FramingError::Bad("repeated Transfer-Encoding"));
                }
                coded = true;
                unknown = !is_chunked_alone(field.value)?;
            }
            _ => {}
        }
    }
    match (length, coded) {
        (Some(_), true) => Err(FramingError::Bad("both Content-Length and Transfer-Encoding")),
        (None, true) if is_http_10 => Err(FramingError::Bad("Transfer-Encoding in HTTP/1.0")),
        (None, true) if unknown => Err(FramingError::UnknownCoding),
        (None, true) => Ok(Declared::Chunked),
        (Some(length), false) => Ok(Declared::Length(length)),
        (None, false) => Ok(Declared::Nothing),
    }
}

/// One run of digits that fits 64 bits; no sign, no space, no list.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d <= 9)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Whether the value is `chunked` and nothing else. `Ok(false)`: some coding is not `chunked`.
fn is_chunked_alone(value: &[u8]) -> Result<bool, FramingError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let mut foreign = false;
    for coding in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        let name = coding.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        if name.is_empty() || !name.iter().all(|b| super::parse::is_token_byte(*b)) {
            return Err(FramingError::Bad("malformed Transfer-Encoding"));
        }
        foreign |= !name.eq_ignore_ascii_case(b"chunked");
    }
    if foreign { Ok(false) } else { Err(FramingError::Bad("Transfer-Encoding other than one chunked")) }
}
