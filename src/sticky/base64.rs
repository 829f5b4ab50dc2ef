//! Base64 with the letters that a cookie may hold (RFC 4648 5), without padding: whole groups only.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NONE: u8 = 0xff;

/// Letter → its six bits.
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut at = 0;
    while at < LETTERS.len() {
        table[LETTERS[at] as usize] = at as u8;
        at += 1;
    }
    table
}

/// The letters of whole groups of three bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    debug_assert!(bytes.len().is_multiple_of(3));
    let group = |three: &[u8]| three.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let letters = |three: &[u8]| [18, 12, 6, 0].map(|shift| char::from(LETTERS[group(three) >> shift & 63]));
    bytes.chunks_exact(3).flat_map(letters).collect()
}

/// The bytes of so many letters; `None` where there are more or fewer, or others.
pub(super) fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() * 3 != N * 4 {
        return None;
    }
    let mut bytes = [0; N];
    for (four, three) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let values = [0, 1, 2, 3].map(|at| VALUES[usize::from(four[at])]);
        if values.contains(&NONE) {
            return None;
        }
        let sum = values.iter().fold(0, |sum: u32, value| sum << 6 | u32::from(*value));
        three.copy_from_slice(&sum.to_be_bytes()[1..]);
    }
    Some(bytes)
}
