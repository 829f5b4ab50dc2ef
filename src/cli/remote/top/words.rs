//! Numbers and states in few letters. What is not known is a dash.

use super::told::Words;
use crate::cli::remote::table;

pub(super) use table::span;

const NONE: &str = "-";

/// The states: mark, word, and how bad it is. Each has another shape, so that no colour is needed to tell them apart.
const STATES: [(&str, &str, &str, u8); 9] = [
    ("up", "●", "up", 0),
    ("slow_start", "▲", "slow start", 2),
    ("paused", "‖", "paused", 3),
    ("drain", "◐", "drain", 4),
    ("maintenance", "■", "maintenance", 5),
    ("ejected", "◆", "ejected", 6),
    ("down", "✕", "down", 7),
    ("unknown", "○", "unknown", 1),
    ("", "○", "unknown", 1),
];

/// A state as a mark and a word; one that is not known here by the balancer's word.
pub(super) fn state(state: &Words) -> String {
    match STATES.iter().find(|(name, ..)| *name == state.raw()) {
        Some((_, mark, word, _)) => format!("{mark} {word}"),
        None => format!("○ {state}"),
    }
}

/// How bad a state is, from 0.
pub(super) fn severity(state: &str) -> u8 {
    STATES.iter().find(|(name, ..)| *name == state).map_or(1, |(.., severity)| *severity)
}

/// So many a second.
pub(super) fn rate(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if value == 0.0 || (100.0..1e5).contains(&value) => format!("{value:.0}"),
        Some(value) if value < 100.0 => format!("{:.1}", value.max(0.1)),
        Some(value) if value < 1e7 => format!("{:.0}k", value / 1e3),
        Some(value) => format!("{:.0}M", value / 1e6),
    }
}

/// A time that somebody waits.
pub(super) fn delay(seconds: Option<f64>) -> String {
    match seconds {
        None => NONE.to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.2}ms", seconds * 1e3),
        Some(seconds) if seconds < 0.1 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2}s"),
    }
}

/// A share of a whole; what is not nothing is not shown as nothing, what is not all not as all.
pub(super) fn percent(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => NONE.to_owned(),
        Some(share) if share > 0.0 && share < 10.0 => format!("{:.1}%", share.max(0.1)),
        Some(share) if share < 100.0 => format!("{:.0}%", share.min(99.0)),
        Some(share) => format!("{share:.0}%"),
    }
}

/// An availability: never rounded up to 100 where something is missing.
pub(super) fn available(ratio: Option<f64>) -> String {
    match ratio {
        None => NONE.to_owned(),
        Some(ratio) if ratio >= 1.0 => "100%".to_owned(),
        Some(ratio) if ratio > 0.99 => format!("{:.3}%", (ratio * 1e5).floor() / 1e3),
        Some(ratio) => format!("{:.1}%", (ratio * 1e3).floor() / 10.0),
    }
}

/// Whether a pool or a route can be served, as a mark and a word.
pub(super) fn standing(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "● up",
        Some(false) => "✕ DOWN",
        None => "○ unknown",
    }
}

/// What is left of an error budget: less than nothing where it is overdrawn.
pub(super) fn budget(left: Option<f64>) -> String {
    left.map_or_else(|| NONE.to_owned(), |left| format!("{:.0}%", (left * 100.0).floor()))
}

/// One or several of something.
pub(super) fn many(count: u64, one: &str) -> String {
    if count == 1 { format!("{count} {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_do_not_flatter() {
        let rates = [None, Some(0.0), Some(0.04), Some(12.34), Some(1234.5), Some(123_456.0), Some(2e7)];
        assert_eq!(rates.map(rate), ["-", "0", "0.1", "12.3", "1234", "123k", "20M"]);
        let delays = [Some(0.001_234), Some(0.0123), Some(0.123), Some(1.5), None];
        assert_eq!(delays.map(delay), ["1.23ms", "12.3ms", "123ms", "1.50s", "-"]);
        let shares = [Some(0.0), Some(0.000_1), Some(0.05), Some(0.5), Some(0.999), Some(1.0)];
        assert_eq!(shares.map(percent), ["0%", "0.1%", "5.0%", "50%", "99%", "100%"]);
        assert_eq!([Some(0.999), Some(-0.255), None].map(budget), ["99%", "-26%", "-"]);
        assert_eq!([Some(0.999_999_9), Some(0.5), Some(1.0)].map(available), ["99.999%", "50.0%", "100%"]);
    }

    #[test]
    fn every_state_of_the_balancer_has_a_mark_of_its_own() {
        let all = ["up", "slow_start", "paused", "drain", "maintenance", "ejected", "down", "unknown"];
        let marks: std::collections::BTreeSet<_> =
            all.iter().filter_map(|name| state(&Words::from(*name)).chars().next()).collect();
        assert_eq!(marks.len(), all.len());
        assert_eq!(state(&"new\u{1b}".into()), "○ new\\u{1b}");
        assert!(severity("down") > severity("slow_start") && severity("slow_start") > severity("up"));
    }
}
