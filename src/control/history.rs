//! Since when the configuration is in force, and how reloads went.

use std::time::SystemTime;

use super::Reloaded;

/// Bytes that are kept of what a reload had to say: more than two hundred findings have.
const MAX_TEXT: usize = 64 * 1024;

/// What is remembered of the configuration in force.
#[derive(Debug, Clone)]
pub struct History {
    /// Since when it is in force.
    pub loaded: SystemTime,
    /// Reloads that took effect.
    pub applied: u64,
    /// Reloads that were refused.
    pub rejected: u64,
    /// The last reload, whatever came of it; `None` before the first.
    pub last: Option<LastReload>,
}

/// How the last reload ended.
#[derive(Debug, Clone)]
pub struct LastReload {
    /// When.
    pub at: SystemTime,
    /// Whether the new configuration is in force.
    pub applied: bool,
    /// Errors and warnings, as text without colours.
    pub text: String,
}

impl History {
    /// Begins with the configuration of the start, which is no reload.
    pub(super) fn begin(at: SystemTime) -> Self {
        Self { loaded: at, applied: 0, rejected: 0, last: None }
    }

    pub(super) fn note(&mut self, reloaded: &Reloaded, at: SystemTime) {
        let applied = reloaded.is_applied();
        if applied {
            self.loaded = at;
            self.applied += 1;
        } else {
            self.rejected += 1;
        }
        let mut text = reloaded.text();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        self.last = Some(LastReload { at, applied, text });
    }
}

impl Reloaded {
    /// All that it has to say, as text without colours.
    pub fn text(&self) -> String {
        let mut text = self.report.to_text(false);
        if let Some(refused) = &self.refused {
            text.push_str(&format!("error: {refused}\n"));
        }
        text
    }
}
