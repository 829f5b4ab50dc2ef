//! Where a body ends (RFC 9112 6): read one way only, or refused.

use super::field::{Kinds, Known};
use super::fields::Fields;
use super::octets;

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
    let length = match fields.first(Known::ContentLength) {
        Some(_) if fields.repeats(Kinds::of(&[Known::ContentLength])) => {
            return Err(FramingError::Bad("repeated Content-Length"));
        }
        Some(value) => Some(parse_length(value).ok_or(FramingError::Bad("malformed Content-Length"))?),
        None => None,
    };
    let Some(first) = fields.first(Known::TransferEncoding) else {
        return Ok(length.map_or(Declared::Nothing, Declared::Length));
    };
    if length.is_some() {
        return Err(FramingError::Bad("both Content-Length and Transfer-Encoding"));
    }
    if is_http_10 {
        return Err(FramingError::Bad("Transfer-Encoding in HTTP/1.0"));
    }
    let alone = !fields.repeats(Kinds::of(&[Known::TransferEncoding]));
    if alone && first.eq_ignore_ascii_case(b"chunked") {
        return Ok(Declared::Chunked);
    }
    Err(judge_codings(fields))
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

/// What is wrong with codings that are not one `chunked`. Several lines are one list (RFC 9110 5.3).
fn judge_codings(fields: &Fields) -> FramingError {
    let mut foreign = false;
    for coding in fields.values(Known::TransferEncoding).flat_map(|v| v.split(|b| *b == b',')) {
        let name = coding.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        if name.is_empty() || !name.iter().all(|octet| octets::is_token(*octet)) {
            return FramingError::Bad("malformed Transfer-Encoding");
        }
        foreign |= !name.eq_ignore_ascii_case(b"chunked");
    }
    if foreign {
        FramingError::UnknownCoding
    } else {
        FramingError::Bad("Transfer-Encoding other than one chunked")
    }
}
