//! The Date field (RFC 9110 6.6.1).

use std::time::{Duration, SystemTime};

/// The current IMF-fixdate, rendered once a second at most.
#[derive(Debug)]
pub struct DateCache {
    text: String,
    second: u64,
}

impl DateCache {
    /// An empty cache; the first [`Self::at`] fills it.
    pub fn new() -> Self {
        Self { text: String::new(), second: u64::MAX }
    }

    /// The date text, for a new time or the last one.
    pub fn text(&mut self, now: Option<SystemTime>) -> &str {
        match now {
            Some(now) => self.at(now),
            None => &self.text,
        }
    }

    /// The date text for a time.
    pub fn at(&mut self, now: SystemTime) -> &str {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if second != self.second {
            self.second = second;
            self.text = httpdate::fmt_http_date(now);
        }
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}
