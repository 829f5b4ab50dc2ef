//! W3C Trace Context: `traceparent`, and whether a `tracestate` may be passed on.

use crate::http;

/// What a request says of the trace that it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Of the whole trace; never 0.
    pub trace_id: u128,
    /// Of the span that the message comes from; never 0.
    pub span_id: u64,
    /// The flags that we know.
    pub flags: u8,
}

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 0x01;
/// The flag of an id that is random (level 2).
const RANDOM: u8 = 0x02;

/// Bytes of a traceparent of version 00.
const LEN: usize = 55;
/// Members that a tracestate may have.
const MAX_MEMBERS: usize = 32;
/// Bytes of a key and of a value of it.
const MAX_PART: usize = 256;

impl Context {
    /// A trace that begins with these random numbers.
    pub fn begin(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        let flags = if sampled { SAMPLED | RANDOM } else { RANDOM };
        Self { trace_id: trace_id.max(1), span_id: span_id.max(1), flags }
    }

    /// Reads a traceparent. One of a later version is read as far as it is like version 00.
    pub fn read(text: &[u8]) -> Option<Self> {
        if text.len() < LEN || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
            return None;
        }
        let number = |from: usize, to: usize| hexadecimal(&text[from..to]);
        let version = number(0, 2)?;
        let more = text.get(LEN);
        if version == 0xff || version == 0 && more.is_some() || more.is_some_and(|byte| *byte != b'-') {
            return None;
        }
        let (trace_id, span_id) = (number(3, 35)?, number(36, 52)? as u64);
        let flags = number(53, LEN)? as u8 & (SAMPLED | RANDOM);
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// Whether it is to be recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The traceparent of a message that comes from this span.
    pub fn write(&self, span_id: u64) -> [u8; LEN] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        text[3..35].copy_from_slice(&http::request_id(self.trace_id));
        text[36..52].copy_from_slice(&http::request_id(u128::from(span_id))[16..]);
        text[54] += self.flags & (SAMPLED | RANDOM);
        text
    }
}

/// Whether the members of a tracestate, which may stand in several lines, are so that it may be passed on.
pub fn is_tracestate<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut keys, mut count) = ([&b""[..]; MAX_MEMBERS], 0);
    for member in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue; // allowed, and no member
        }
        let Some(key) = key_of(member).filter(|key| count < MAX_MEMBERS && !keys[..count].contains(key))
        else {
            return false;
        };
        keys[count] = key;
        count += 1;
    }
    count > 0
}

/// The key of a member; `None`: it is none.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr(b'=', member)?;
    let (key, value) = (&member[..at], &member[at + 1..]);
    let fine = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let begins_well = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let at_signs = key.iter().filter(|byte| **byte == b'@').count();
    let is_key = begins_well && key.len() <= MAX_PART && at_signs <= 1 && key.iter().all(fine);
    let is_value = (1..=MAX_PART).contains(&value.len())
        && value.iter().all(|byte| (0x20..0x7f).contains(byte) && !matches!(byte, b',' | b'='));
    (is_key && is_value).then_some(key)
}

/// A number in lower-case hexadecimal digits, which is all that the standard allows.
fn hexadecimal(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_standard_allows_is_read() {
        let read = Context::read(GOOD.as_bytes()).unwrap();
        assert_eq!(read.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((read.span_id, read.flags), (0x00f0_67aa_0ba9_02b7, 1));
        assert!(read.is_sampled());
        assert_eq!(read.write(read.span_id), GOOD.as_bytes());
        // A later version may say more.
        for later in [GOOD.replacen("00", "cc", 1), GOOD.replacen("00", "01", 1) + "-more"] {
            assert_eq!(Context::read(later.as_bytes()).unwrap(), read, "{later}");
        }
        let unknown_flags = GOOD[..53].to_owned() + "fe";
        assert_eq!(Context::read(unknown_flags.as_bytes()).unwrap().flags, 2);
    }

    #[test]
    fn all_else_is_refused() {
        let zeros = |from: usize, to: usize| {
            let mut text = GOOD.to_owned();
            text.replace_range(from..to, &"0".repeat(to - from));
            text
        };
        for wrong in [
            String::new(),
            GOOD[..54].into(),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            format!("{GOOD}-more"),
            GOOD.replacen("00", "01", 1) + "more",
            format!(" {GOOD}"),
            GOOD.replace('-', "_"),
            GOOD.replacen("4b", "g0", 1),
            zeros(3, 35),
            zeros(36, 52),
            GOOD[..53].to_owned() + "0x",
        ] {
            assert_eq!(Context::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn tracestates_are_passed_on_where_they_are_valid() {
        let is = |lines: &[&str]| is_tracestate(lines.iter().map(|line| line.as_bytes()));
        let many = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for right in [
            &["congo=t61rcWkgMzE"][..],
            &["rojo=00f067aa0ba902b7 , congo=t61"],
            &["a=1", "b=2"],
            &["fw529a3039@dt=FfAz"],
            &["a=1,,b=2"],
            &[&many(32)],
        ] {
            assert!(is(right), "{right:?}");
        }
        let (long_key, long_value) = (format!("{}=1", "k".repeat(257)), format!("k={}", "v".repeat(257)));
        for wrong in [
            &[][..],
            &[""],
            &["a"],
            &["=1"],
            &["a="],
            &["A=1"],
            &["a=1=2"],
            &["a=1,b=2,a=1"],
            &["a=1", "a=2"],
            &["a=\u{fc}"],
            &["a@b@c=1"],
            &["@a=1"],
            &[&many(33)],
            &[&many(20), &many(20)],
            &[&long_key],
            &[&long_value],
        ] {
            assert!(!is(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id: u128, span_id: u64, sampled: bool) {
            let context = Context::begin(trace_id, span_id, sampled);
            prop_assert_eq!(Context::read(&context.write(context.span_id)), Some(context));
        }

        #[test]
        fn nothing_upsets_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Context::read(&bytes), is_tracestate([&bytes[..]].into_iter()));
        }
    }
}
