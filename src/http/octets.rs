//! Which octets may stand where, and the walks that find the first one that may not.
//!
//! The walks look at eight octets at a time: they are the innermost loops of the balancer. What they find
//! is judged octet by octet, so that the arithmetic can only cost time and never let something through.

/// May stand in a token (RFC 9110 5.6.2).
const TOKEN: u8 = 1;
/// May stand in a target: visible ASCII but `#`, which no target holds (RFC 9112 3.2).
const TARGET: u8 = 2;
/// May stand in a field value, a reason phrase or a chunk extension (RFC 9110 5.5).
const TEXT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let mut class = 0;
        if byte == b'\t' || byte >= b' ' && byte != 0x7f {
            class |= TEXT;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            class |= TARGET;
        }
        let mark = matches!(
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
        );
        if mark || byte.is_ascii_alphanumeric() {
            class |= TOKEN;
        }
        classes[octet] = class;
        octet += 1;
    }
    classes
};

fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Whether an octet may stand in a token.
pub(super) fn is_token(octet: u8) -> bool {
    is(octet, TOKEN)
}

/// Whether an octet may stand in a field value.
pub(super) fn is_text(octet: u8) -> bool {
    is(octet, TEXT)
}

/// How many octets at the start may stand in a token.
pub(super) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|octet| !is_token(*octet)).unwrap_or(bytes.len())
}

/// How many octets at the start may stand in a target.
pub(super) fn target_len(bytes: &[u8]) -> usize {
    first(
        bytes,
        |word| below(word, 0x21) | is_eq(word, b'#') | is_eq(word, 0x7f) | word & HIGH,
        |octet| !is(octet, TARGET),
    )
}

/// How many octets at the start may stand in a field value.
pub(super) fn text_len(bytes: &[u8]) -> usize {
    first(bytes, |word| below(word, b' ') | is_eq(word, 0x7f), |octet| !is_text(octet))
}

/// How many octets stand before the first colon; all of them where there is none.
pub(super) fn before_colon(bytes: &[u8]) -> usize {
    first(bytes, |word| is_eq(word, b':'), |octet| octet == b':')
}

/// The high bit of each octet of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A word of eight times the same octet.
const fn eight(octet: u8) -> u64 {
    u64::from_ne_bytes([octet; 8])
}

/// Marks the octets that are less than `bound`. Beyond the first that is, others may be marked in error.
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(eight(bound)) & !word & HIGH
}

/// Marks the octets that are `octet`, with the same caution.
fn is_eq(word: u64, octet: u8) -> u64 {
    below(word ^ eight(octet), 1)
}

/// The place of the first octet that `stops`. `marks` marks at least these in a word of eight, by their high
/// bits.
#[inline(always)]
fn first(bytes: &[u8], marks: impl Fn(u64) -> u64, stops: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mut marked = marks(u64::from_le_bytes(*word));
        while marked != 0 {
            let place = marked.trailing_zeros() as usize / 8;
            if stops(word[place]) {
                return index * 8 + place;
            }
            marked &= marked - 1;
        }
    }
    let place = rest.iter().position(|octet| stops(*octet)).unwrap_or(rest.len());
    words.len() * 8 + place
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_of_eight_find_what_single_octets_do(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x20..0x7f_u8, Just(b'\t'), Just(8), Just(0x1f)], 0..60),
        ) {
            let slow = |stops: &dyn Fn(u8) -> bool| bytes.iter().position(|b| stops(*b)).unwrap_or(bytes.len());
            prop_assert_eq!(text_len(&bytes), slow(&|b| b != b'\t' && (b < 0x20 || b == 0x7f)));
            prop_assert_eq!(target_len(&bytes), slow(&|b| b <= 0x20 || b >= 0x7f || b == b'#'));
            prop_assert_eq!(before_colon(&bytes), slow(&|b| b == b':'));
        }
    }

    #[test]
    fn every_octet_stops_where_it_must() {
        for octet in 0..=255_u8 {
            for place in 0..24 {
                let mut bytes = [b'a'; 24];
                bytes[place] = octet;
                let expected = |may: bool| if may { 24 } else { place };
                assert_eq!(text_len(&bytes), expected(octet == 9 || octet >= 32 && octet != 127));
                assert_eq!(target_len(&bytes), expected((33..127).contains(&octet) && octet != b'#'));
                assert_eq!(before_colon(&bytes), expected(octet != b':'));
                let token = octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
                assert_eq!(token_len(&bytes), expected(token));
            }
        }
    }
}
