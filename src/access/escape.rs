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

impl Escape {
    /// Writes `bytes`, at most `most` of them; what is cut ends in three dots.
    pub(super) fn put(self, bytes: &[u8], most: usize, out: &mut Vec<u8>) {
        let (shown, cut) = match bytes.get(..most) {
            Some(shown) if bytes.len() > most => (shown, true),
            _ => (bytes, false),
        };
        let odd = match self {
            Self::Json | Self::Hex => [b'"', b'\\'],
            Self::Hash => [b'"', b'#'],
        };
        // Without a way out of the loop, so that the compiler looks at many bytes at a time.
        if shown.iter().fold(true, |plain, byte| plain & is_plain(*byte, odd)) {
            out.extend_from_slice(shown);
        } else {
            match self {
                Self::Json => json(shown, out),
                Self::Hex => bytewise(shown, odd, b"\\x", out),
                Self::Hash => bytewise(shown, odd, b"#", out),
            }
        }
        if cut {
            out.extend_from_slice(b"...");
        }
    }
}

/// Whether a byte stands as it is: visible ASCII and the space, but two.
fn is_plain(byte: u8, odd: [u8; 2]) -> bool {
    (0x20..0x7f).contains(&byte) & (byte != odd[0]) & (byte != odd[1])
}

fn bytewise(bytes: &[u8], odd: [u8; 2], mark: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if is_plain(byte, odd) {
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
