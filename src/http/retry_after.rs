//! Retry-After (RFC 9110 10.2.3): for how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

use super::field::Known;
use super::fields::Fields;

/// How long the response's Retry-After asks for; `None` where it has none, an unreadable one, or a date that has passed.
/// A date is counted from the response's own Date, so that the clocks of two machines need not agree; without one, from
/// `now`.
pub fn retry_after(fields: &Fields, now: SystemTime) -> Option<Duration> {
    let value = std::str::from_utf8(fields.by_name("retry-after")?).ok()?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are as good as for ever.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let due = httpdate::parse_http_date(value).ok()?;
    let date = fields.first(Known::Date).and_then(|date| std::str::from_utf8(date).ok());
    let from = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    due.duration_since(from).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let read = |lines: &[(Known, &str, &str)]| {
            let mut fields = Fields::default();
            for (known, name, value) in lines {
                fields.append(*known, name, &[value.as_bytes()]);
            }
            retry_after(&fields, now)
        };
        let told = |value: &str| read(&[(Known::Other, "RETRY-after", value)]);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (value, time) in [
            ("5", seconds(5)),
            ("007", seconds(7)),
            ("0", seconds(0)),
            ("99999999999999999999999", seconds(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:57 GMT", seconds(20)),
            ("Sunday, 06-Nov-94 08:49:57 GMT", seconds(20)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", None),
            ("-5", None),
            ("5.5", None),
            ("+5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(told(value), time, "{value}");
        }
        let dated = |date| {
            read(&[
                (Known::Date, "Date", date),
                (Known::Other, "Retry-After", "Sun, 06 Nov 1994 09:49:37 GMT"),
            ])
        };
        assert_eq!(dated("Sun, 06 Nov 1994 09:49:27 GMT"), seconds(10), "its own clock is an hour ahead");
        assert_eq!(dated("yesterday"), seconds(3600));
        assert_eq!(read(&[]), None);
    }
}
