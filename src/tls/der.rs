//! As much of DER (X.690) as the dates and the number of a certificate need.

/// Seconds since the epoch.
pub(super) type Seconds = i64;

/// What is read of a certificate beyond what rustls gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) serial: Vec<u8>,
    pub(super) not_before: Seconds,
    pub(super) not_after: Seconds,
}

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const ENUMERATED: u8 = 0x0a;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Reads a certificate (RFC 5280 4.1); `None` where it is none.
pub(super) fn certificate(der: &[u8]) -> Option<Fields> {
    let (whole, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(whole, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    let (serial, rest) = expect(rest, INTEGER)?;
    let (_, rest) = expect(rest, SEQUENCE)?; // algorithm
    let (_, rest) = expect(rest, SEQUENCE)?; // issuer
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (kind, not_before, rest) = element(validity)?;
    let not_before = time(kind, not_before)?;
    let (kind, not_after, _) = element(rest)?;
    Some(Fields { serial: serial.to_vec(), not_before, not_after: time(kind, not_after)? })
}

/// Issuer and subject of a certificate: the parts of each.
pub(super) fn names(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (whole, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(whole, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    let (_, rest) = expect(rest, INTEGER)?; // serial
    let (_, rest) = expect(rest, SEQUENCE)?; // algorithm
    let (issuer, rest) = expect(rest, SEQUENCE)?;
    let (_, rest) = expect(rest, SEQUENCE)?; // validity
    let (subject, _) = expect(rest, SEQUENCE)?;
    Some((issuer, subject))
}

/// The status of an OCSP response (RFC 6960 4.2.1), 0 where it holds an answer; `None` where it is none.
pub(super) fn ocsp_status(der: &[u8]) -> Option<u8> {
    let (whole, rest) = expect(der, SEQUENCE)?;
    let (status, _) = expect(whole, ENUMERATED)?;
    (rest.is_empty() && status.len() == 1).then(|| status[0])
}

pub(super) fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content, and what follows.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// UTCTime or GeneralizedTime, in the one form of each that certificates may use (RFC 5280 4.1.2.5).
fn time(kind: u8, text: &[u8]) -> Option<Seconds> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let [month, day, hour, minute, second] = rest.as_chunks::<2>().0 else { return None };
    if rest.len() != 10 {
        return None;
    }
    let (month, day) = (number(month)?, number(day)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_epoch(year, month, day);
    Some(days * 86_400 + number(hour)? * 3_600 + number(minute)? * 60 + number(second)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Days from 1970-01-01 in the Gregorian calendar; the year is counted from March, so that the leap day is its
/// last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, b"20240229123456Z"), Some(1_709_210_096));
        assert_eq!(time(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
        for wrong in [&b"700101000000"[..], b"7001010000Z", b"701301000000Z", b"70010100000xZ", b"Z", b""] {
            assert_eq!(time(UTC_TIME, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_cut_or_no_certificate_is_none() {
        let issued = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let der = issued.cert.der();
        assert!(certificate(der).is_some());
        for len in 0..der.len().min(160) {
            assert_eq!(certificate(&der[..len]), None);
        }
        assert_eq!(certificate(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(ocsp_status(b"\x30\x03\x0a\x01\x06"), Some(6));
        assert_eq!(ocsp_status(b"\x30\x03\x0a\x01"), None);
    }
}
