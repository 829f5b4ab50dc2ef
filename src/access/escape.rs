//! Bytes of strangers, made harmless: whatever comes in, the line goes on.

/// How bytes that could be taken for something else are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// As JSON wants it. Bytes that are no UTF-8 become `\u00XX` each.
    Json,
    /// `\xHH`, as nginx and Apache do in their access logs.
    Hex,
    /// `#HH`, as HAProxy does.
    Hash,
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Which bytes stand as they are: bit 0 in JSON, bit 1 with `\xHH`, bit 2 with `#HH`.
static PLAIN: [u8; 256] = plain();

const fn plain() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        let (quote, slash, hash) = (byte == b'"', byte == b'\\', byte == b'#');
        let json = !quote && !slash;
        table[byte as usize] = json as u8 | (json as u8) << 1 | ((!quote && !hash) as u8) << 2;
        byte += 1;
    }
    table
}

impl Escape {
    /// Writes `bytes`, at most `most` of them; what is cut ends in three dots.
    pub(super) fn put(self, bytes: &[u8], most: usize, out: &mut Vec<u8>) {
        let (shown, cut) = match bytes.get(..most) {
            Some(shown) if bytes.len() > most => (shown, true),
            _ => (bytes, false),
        };
        let bit = match self {
            Self::Json => 1,
            Self::Hex => 2,
            Self::Hash => 4,
        };
        if shown.iter().all(|byte| PLAIN[usize::from(*byte)] & bit != 0) {
            out.extend_from_slice(shown);
        } else {
            match self {
                Self::Json => json(shown, out),
                Self::Hex => bytewise(shown, bit, b"\\x", out),
                Self::Hash => bytewise(shown, bit, b"#", out),
            }
        }
        if cut {
            out.extend_from_slice(b"...");
        }
    }
}

fn bytewise(bytes: &[u8], bit: u8, mark: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if PLAIN[usize::from(byte)] & bit != 0 {
            out.push(byte);
        } else {
            out.extend_from_slice(mark);
            hex(byte, out);
        }
    }
}

fn json(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => out.extend([b'\\', letter as u8]),
                // Also those above ASCII, and the marks that turn the direction of the text: a terminal obeys them.
                _ if letter.is_control() || is_unseen(letter) => unit(letter as u32, out),
                _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|byte| unit(u32::from(*byte), out));
    }
}

/// Ends of lines and paragraphs, and marks that turn the direction of the text.
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `\uHHHH`; what is written so stands in the first plane.
fn unit(code: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    hex((code >> 8) as u8, out);
    hex(code as u8, out);
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}
