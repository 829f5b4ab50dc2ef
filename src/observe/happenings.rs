//! The last things that happened to backends, certificates and the configuration, for those who look at it now.
//!
//! They are events of the event log, kept whatever its level, so that a page can show them without reading a file.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// How many are kept; older ones stand in the event log alone.
pub const MAX_HAPPENINGS: usize = 200;
/// Bytes of each text: a refused configuration may have a lot to say, and has a place of its own for it.
const MAX_TEXT: usize = 500;
/// Fields of each; no event has as many.
const MAX_FIELDS: usize = 12;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Which one it is, counted from 1 since the process began.
    pub number: u64,
    /// When it was.
    pub at: SystemTime,
    /// `error`, `warn` or `info`.
    pub level: &'static str,
    /// The part of the program that tells it, as in the event log.
    pub target: &'static str,
    /// The sentence.
    pub message: String,
    /// What it is about, by name.
    pub fields: Vec<(&'static str, String)>,
}

/// The last [`MAX_HAPPENINGS`] of them.
#[derive(Debug, Default)]
pub struct Happenings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    ring: VecDeque<Happening>,
}

impl Happenings {
    /// Keeps one; its number is given here.
    pub fn note(
        &self,
        at: SystemTime,
        level: &'static str,
        target: &'static str,
        message: String,
        fields: Vec<(&'static str, String)>,
    ) {
        let fields = fields.into_iter().take(MAX_FIELDS).map(|(name, text)| (name, shortened(text)));
        let (message, fields) = (shortened(message), fields.collect());
        let kept = &mut *self.kept();
        kept.last += 1;
        if kept.ring.len() == MAX_HAPPENINGS {
            kept.ring.pop_front();
        }
        kept.ring.push_back(Happening { number: kept.last, at, level, target, message, fields });
    }

    /// The number of the last one; 0 before the first.
    pub fn last(&self) -> u64 {
        self.kept().last
    }

    /// Those that are kept and came after this number, the oldest first.
    pub fn after(&self, number: u64) -> Vec<Happening> {
        self.kept().ring.iter().filter(|one| one.number > number).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(happenings: &Happenings, message: &str) {
        let fields = (0..20).map(|_| ("reason", "é".repeat(400))).collect();
        happenings.note(SystemTime::UNIX_EPOCH, "info", "here", message.to_owned(), fields);
    }

    #[test]
    fn the_last_ones_are_kept_and_numbered() {
        let happenings = Happenings::default();
        assert_eq!((happenings.last(), happenings.after(0).len()), (0, 0));
        (1..=MAX_HAPPENINGS + 5).for_each(|nth| note(&happenings, &nth.to_string()));
        let all = happenings.after(0);
        assert_eq!((all.len(), happenings.last()), (MAX_HAPPENINGS, 205));
        assert_eq!((all[0].number, &*all[0].message), (6, "6"));
        let news: Vec<_> = happenings.after(203).into_iter().map(|one| one.number).collect();
        assert_eq!(news, [204, 205]);
    }

    #[test]
    fn each_is_bounded() {
        let happenings = Happenings::default();
        note(&happenings, &"x".repeat(10_000));
        let one = &happenings.after(0)[0];
        assert_eq!((one.message.len(), one.fields.len()), (MAX_TEXT + '…'.len_utf8(), MAX_FIELDS));
        assert!(one.fields[0].1.ends_with("é…"));
    }
}
