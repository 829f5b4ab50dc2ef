//! The wall clock, and how it is written.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How old the reading of the wall clock may be, from which others are told by the monotonic one.
const ANCHOR_AGE: Duration = Duration::from_millis(500);

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Turns instants into times of day. The texts of the second are kept: most requests of one second begin in it.
#[derive(Debug)]
pub(super) struct Stamp {
    anchor: Option<(Instant, u64)>,
    second: u64,
    /// `2026-11-21T16:20:42`
    sortable: [u8; 19],
    /// `21/Nov/2026:16:20:42`
    common: [u8; 20],
}

impl Stamp {
    pub(super) fn new() -> Self {
        Self { anchor: None, second: u64::MAX, sortable: [0; 19], common: [0; 20] }
    }

    /// Milliseconds since the epoch at `then`, which is not after `now`.
    pub(super) fn millis(&mut self, then: Instant, now: Instant) -> u64 {
        let (at, millis) = match self.anchor {
            Some(anchor) if now.saturating_duration_since(anchor.0) < ANCHOR_AGE => anchor,
            _ => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let anchor = (Instant::now(), u64::try_from(since.as_millis()).unwrap_or(0));
                self.anchor = Some(anchor);
                anchor
            }
        };
        let later = then.saturating_duration_since(at).as_millis();
        let earlier = at.saturating_duration_since(then).as_millis();
        (millis + later as u64).saturating_sub(earlier as u64)
    }

    /// `2026-11-21T16:20:42.123Z` (RFC 3339, UTC)
    pub(super) fn sortable(&mut self, millis: u64, out: &mut Vec<u8>) {
        self.render(millis / 1000);
        out.extend_from_slice(&self.sortable);
        fraction(millis, out);
        out.push(b'Z');
    }

    /// `21/Nov/2026:16:20:42 +0000`
    pub(super) fn common(&mut self, millis: u64, out: &mut Vec<u8>) {
        self.render(millis / 1000);
        out.extend_from_slice(&self.common);
        out.extend_from_slice(b" +0000");
    }

    /// `21/Nov/2026:16:20:42.123`
    pub(super) fn common_millis(&mut self, millis: u64, out: &mut Vec<u8>) {
        self.render(millis / 1000);
        out.extend_from_slice(&self.common);
        fraction(millis, out);
    }

    fn render(&mut self, second: u64) {
        if second == self.second {
            return;
        }
        self.second = second;
        let (year, month, day) = civil(second / 86_400);
        let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}");
        self.sortable.iter_mut().zip(text.bytes()).for_each(|(slot, byte)| *slot = byte);
        let name = MONTHS[month.clamp(1, 12) as usize - 1];
        self.common[..2].copy_from_slice(&self.sortable[8..10]);
        self.common[2] = b'/';
        self.common[3..6].copy_from_slice(name);
        self.common[6] = b'/';
        self.common[7..11].copy_from_slice(&self.sortable[..4]);
        self.common[11] = b':';
        self.common[12..].copy_from_slice(&self.sortable[11..]);
    }
}

/// A time of day as `2026-11-21T16:20:42.123Z` (RFC 3339, UTC); one before 1970 as its beginning.
pub fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut out = Vec::new();
    Stamp::new().sortable(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Seconds since the epoch with their milliseconds: `1763742042.123`.
pub(super) fn epoch(millis: u64, out: &mut Vec<u8>) {
    super::value::number(millis / 1000, out);
    fraction(millis, out);
}

fn fraction(millis: u64, out: &mut Vec<u8>) {
    let rest = (millis % 1000) as u16;
    out.extend([b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8]);
}

/// Year, month and day of a day since 1 January 1970, in the Gregorian calendar. Counts from 1 March of the year 0 in
/// eras of 400 years, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sortable(millis: u64) -> String {
        let mut out = Vec::new();
        Stamp::new().sortable(millis, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_days_are_written_right() {
        assert_eq!(sortable(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(sortable(951_782_400_007), "2000-02-29T00:00:00.007Z");
        let mut out = Vec::new();
        Stamp::new().common(1_795_278_042_123, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "21/Nov/2026:16:20:42 +0000");
    }

    proptest! {
        #[test]
        fn every_second_is_that_of_httpdate(second in 0..253_402_300_799u64) {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            let text = sortable(second * 1000);
            let day = format!("{} ", &text[8..10]);
            prop_assert!(date[5..].starts_with(&day), "{} {}", date, text);
            prop_assert!(date.contains(&format!("{} {}", &text[..4], &text[11..19])), "{} {}", date, text);
            let mut common = Vec::new();
            Stamp::new().common(second * 1000, &mut common);
            prop_assert_eq!(&common[3..6], &date.as_bytes()[8..11]);
        }
    }

    #[test]
    fn earlier_and_later_instants_are_told_by_the_anchor() {
        let (mut stamp, now) = (Stamp::new(), Instant::now());
        let at = stamp.millis(now, now);
        let before = stamp.millis(now - Duration::from_secs(5), now);
        assert!((4_999..=5_001).contains(&(at - before)), "{at} {before}");
    }
}
