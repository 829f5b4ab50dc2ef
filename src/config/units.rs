//! Durations and sizes, as the file writes them.

use std::time::Duration;

/// A wait beyond a year is a slip of the hand, and `Instant` arithmetic with centuries would overflow.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// From the largest, because "1m30s" is written in this order.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is no duration or size, and the text that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitError {
    /// What is wrong.
    pub message: String,
    /// A right text near the wrong one.
    pub meant: Option<String>,
}

/// Reads "1m30s": integers with d, h, m, s, ms, each unit at most once and from the largest.
///
/// # Errors
/// Anything else, with the text that was probably meant where one is near; also what exceeds a year.
pub(super) fn duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut previous = u64::MAX;
    if text.is_empty() {
        return Err(UnitError { message: "the text is empty".into(), meant: None });
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        rest = &rest[digits + letters..];
        let Some(&(_, factor)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(odd_duration(text, unit));
        };
        if digits == 0 || factor >= previous {
            return Err(odd_duration(text, unit));
        }
        previous = factor;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        let Some(sum) = part.and_then(|part| millis.checked_add(part)) else {
            return Err(too_long());
        };
        millis = sum;
    }
    let value = Duration::from_millis(millis);
    if value > DURATION_MAX { Err(too_long()) } else { Ok(value) }
}

/// Reads "64KiB": one integer with B, KiB, MiB or GiB.
///
/// # Errors
/// Anything else, with the text that was probably meant where one is near.
pub(super) fn size(text: &str) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Some(&(_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).filter(|_| digits > 0) else {
        return Err(odd_size(number, unit));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| UnitError { message: "the size exceeds 16 EiB".into(), meant: None })
}

/// Writes a duration so that [`duration`] reads it back (whole milliseconds).
pub(super) fn duration_text(value: Duration) -> String {
    let mut rest = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, factor) in TIME_UNITS {
        if rest >= factor {
            text.push_str(&format!("{}{name}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Writes a size with the largest unit that needs no fraction, so that [`size`] reads it back.
pub(super) fn size_text(bytes: u64) -> String {
    match SIZE_UNITS.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => "0B".into(),
    }
}

/// The duration that a bare number most likely means: seconds, or milliseconds where seconds would be
/// longer than anyone waits.
pub(super) fn likely_duration(number: u64) -> String {
    if number >= 1000 { format!("{number}ms") } else { format!("{number}s") }
}

fn too_long() -> UnitError {
    UnitError { message: "longer than a year (365d)".into(), meant: None }
}

fn odd_duration(text: &str, unit: &str) -> UnitError {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if let Ok(number) = dense.parse::<u64>() {
        return UnitError { message: "the unit is missing".into(), meant: Some(likely_duration(number)) };
    }
    let lower = dense.to_ascii_lowercase();
    let spelled = respell(&lower);
    let meant = [dense, lower, spelled]
        .into_iter()
        .find(|other| other != text && duration(other).is_ok())
        .or_else(|| without_fraction(text));
    let message = if unit.is_empty() || TIME_UNITS.iter().any(|(name, _)| *name == unit) {
        "integers with units, the largest first, joined without spaces".into()
    } else {
        format!("`{}` is no unit; the units are ms, s, m, h, d", super::report::printable(unit))
    };
    UnitError { message, meant }
}

/// "10sec" and "5 minutes" → "10s", "5m"
fn respell(text: &str) -> String {
    const SPELLINGS: [(&str, &str); 5] = [
        ("ms", "milliseconds millisecond millis msecs msec"),
        ("s", "seconds second secs sec"),
        ("m", "minutes minute mins min"),
        ("h", "hours hour hrs hr"),
        ("d", "days day"),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, word) = text.split_at(digits);
    SPELLINGS
        .iter()
        .find(|(_, words)| !word.is_empty() && words.split(' ').any(|other| other == word))
        .map(|(unit, _)| format!("{number}{unit}"))
        .unwrap_or_default()
}

/// "1.5s" → "1s500ms"
fn without_fraction(text: &str) -> Option<String> {
    let cut = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(cut);
    let number: f64 = number.trim().parse().ok().filter(|_| number.contains('.'))?;
    let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
    let seconds = number * (*factor as f64) / 1000.0;
    let value = Duration::try_from_secs_f64(seconds).ok().filter(|value| *value <= DURATION_MAX)?;
    let millis = Duration::from_millis(u64::try_from(value.as_millis()).ok()?);
    (!millis.is_zero()).then(|| duration_text(millis))
}

fn odd_size(number: &str, unit: &str) -> UnitError {
    let binary = |unit: &str| match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => Some("KiB"),
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        "b" | "byte" | "bytes" => Some("B"),
        _ => None,
    };
    if number.is_empty() {
        return UnitError { message: "an integer comes first".into(), meant: None };
    }
    if unit.is_empty() {
        let meant = number.parse().ok().map(size_text);
        return UnitError { message: "the unit is missing".into(), meant };
    }
    let message = match unit.trim() {
        "KB" | "MB" | "GB" | "kB" => "is it 1000 or 1024 bytes? Sizes here are binary".into(),
        other => {
            format!("`{}` is no unit; the units are B, KiB, MiB, GiB", super::report::printable(other))
        }
    };
    UnitError { message, meant: binary(unit).map(|unit| format!("{number}{unit}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_integers_with_units_from_the_largest() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1d2h3m4s5ms"), Ok(Duration::from_millis(93_784_005)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "s",
            "-1s",
            "1s1s",
            "30s1m",
            "1.5s",
            "10 s",
            " 10s",
            "10S",
            "10",
            "366d",
            "99999999999999999999s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_cure_is_named() {
        let meant = |text| duration(text).unwrap_err().meant.unwrap_or_default();
        assert_eq!(meant("30"), "30s");
        assert_eq!(meant("30000"), "30000ms");
        assert_eq!(meant("10 s"), "10s");
        assert_eq!(meant("10S"), "10s");
        assert_eq!(meant("5 minutes"), "5m");
        assert_eq!(meant("1.5s"), "1s500ms");
        let meant = |text| size(text).unwrap_err().meant.unwrap_or_default();
        assert_eq!(meant("64KB"), "64KiB");
        assert_eq!(meant("64k"), "64KiB");
        assert_eq!(meant("65536"), "64KiB");
        assert_eq!(meant("1 GB"), "1GiB");
    }

    #[test]
    fn sizes_have_one_unit() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("0B"), Ok(0));
        for wrong in ["", "KiB", "1KiB1B", "1.5MiB", "-1B", "17179869184GiB", "1kib"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(millis in 0..=365 * 86_400_000u64) {
            let value = Duration::from_millis(millis);
            prop_assert_eq!(duration(&duration_text(value)), Ok(value));
        }

        #[test]
        fn sizes_round_trip(bytes: u64) {
            prop_assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[0-9]{1,22}[a-zA-Z ]{0,6}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
