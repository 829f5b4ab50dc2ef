//! Bytes → head. httparse finds the tokens; everything it lets pass and we do not is checked here.

use std::mem::MaybeUninit;

use super::field::Known;
use super::fields::Fields;
use super::{Invalid, Refusal};

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of start line and fields, with their line ends.
    pub max_size: usize,
    /// Field lines.
    pub max_fields: usize,
}

/// What became of an attempt to read a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head ended after so many bytes.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

/// Field lines that fit on the stack; a listener that allows more pays for a heap block per head.
const STACK_FIELDS: usize = 256;

/// Bytes of empty lines before a request line that are passed over (RFC 9112 2.2 asks for one).
const MAX_LEADING: usize = 4;

/// Finds the end of the head that begins at 0: past the empty line. `from` is how far an earlier, shorter
/// attempt has looked, so that a head which comes byte by byte is not scanned again each time.
///
/// # Errors
/// An LF without its CR. That no CR lacks its LF is seen when the tokens are read: httparse takes none within
/// a name, a target or a value.
pub(super) fn head_end(buf: &[u8], from: usize) -> Result<Option<usize>, BareLf> {
    let mut at = from;
    while let Some(found) = buf.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let lf = at + found;
        at = lf + 1;
        match buf[..lf] {
            [.., b'\n', b'\r'] => return Ok(Some(at)),
            [.., b'\r'] => {}
            _ => return Err(BareLf),
        }
    }
    Ok(None)
}

/// An LF that no CR stands before: where two parsers disagree on what a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BareLf;

/// Length of the empty lines that a client may send before its request line.
pub(super) fn leading_blank(buf: &[u8]) -> usize {
    let mut skip = 0;
    while skip < MAX_LEADING && buf[skip..].starts_with(b"\r\n") {
        skip += 2;
    }
    skip
}

/// `token` of RFC 9110 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// Runs `parse` with room for `max_fields` headers, on the stack where they fit.
pub(super) fn with_header_room<'b, R>(
    max_fields: usize,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> R,
) -> R {
    if max_fields <= STACK_FIELDS {
        let mut room = [const { MaybeUninit::uninit() }; STACK_FIELDS];
        parse(&mut room[..max_fields])
    } else {
        let mut room = vec![MaybeUninit::uninit(); max_fields];
        parse(&mut room)
    }
}

/// Copies the head's bytes and its parsed lines into `fields`, but for those whose name is to be dropped.
///
/// # Errors
/// A line that ends with a bare LF, which httparse lets pass. Every LF of a parsed head ends a line, so that
/// nothing else needs to be looked at.
pub(super) fn fill(
    fields: &mut Fields,
    head: &[u8],
    headers: &[httparse::Header<'_>],
    dropped: impl Fn(&[u8]) -> bool,
) -> Result<(), BareLf> {
    fields.reset(head);
    let base = head.as_ptr() as usize;
    let Some(last) = head.len().checked_sub(2) else { return Err(BareLf) };
    let first = headers.first().map_or(last, |header| header.name.as_ptr() as usize - base);
    let mut clean = head[..first].ends_with(b"\r\n") && head.ends_with(b"\r\n");
    for (index, header) in headers.iter().enumerate() {
        let line = header.name.as_ptr() as usize - base;
        let end = headers.get(index + 1).map_or(last, |next| next.name.as_ptr() as usize - base);
        let name = header.name.as_bytes();
        let value = (header.value.as_ptr() as usize).wrapping_sub(base);
        // An empty value may be a static slice outside the head: give it a place of its own line.
        let value = if header.value.is_empty() { line + name.len() } else { value };
        clean &= head[line..end].ends_with(b"\r\n");
        if !dropped(name) {
            fields.push_raw(line, name.len(), (value, header.value.len()), end, Known::from_name(name));
        }
    }
    if clean { Ok(()) } else { Err(BareLf) }
}

/// Why a request head is refused, from httparse's word for it.
pub(super) fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal { status: 431, reason: "too many fields" },
        httparse::Error::HeaderName => Refusal::bad("malformed field name"),
        httparse::Error::HeaderValue => Refusal::bad("malformed field value"),
        httparse::Error::NewLine => Refusal::bad("malformed line end"),
        httparse::Error::Token => Refusal::bad("malformed request line"),
        httparse::Error::Version => Refusal::bad("malformed protocol version"),
        httparse::Error::Status => Refusal::bad("malformed request line"),
    }
}

/// Why a response head is invalid, from httparse's word for it.
pub(super) fn invalid(error: httparse::Error) -> Invalid {
    Invalid(match error {
        httparse::Error::TooManyHeaders => "too many fields in the response",
        httparse::Error::HeaderName => "malformed field name in the response",
        httparse::Error::HeaderValue => "malformed field value in the response",
        httparse::Error::NewLine => "malformed line end in the response",
        httparse::Error::Token | httparse::Error::Status => "malformed status line",
        httparse::Error::Version => "malformed protocol version in the response",
    })
}
