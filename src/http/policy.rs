//! What HTTP leaves to whoever runs a listener.

use super::field::Known;

/// What a listener lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadPolicy {
    /// What becomes of field names with underscores.
    pub underscores: Underscores,
    /// Whether CONNECT is passed on.
    pub allow_connect: bool,
}

/// What becomes of a request's field names with underscores. CGI and WSGI turn `-` and `_` into the same
/// character, so that an application behind them takes `X_Forwarded_For` for the field that we set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Underscores {
    /// A field is dropped whose name, `_` read as `-`, is one that we set, strip or frame by.
    #[default]
    Safe,
    /// They pass as they are.
    Allow,
    /// Every field with an underscore in its name is dropped.
    Drop,
    /// A request with such a name is refused.
    Reject,
}

/// What becomes of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Drop,
    Refuse,
}

impl Underscores {
    /// Judges a name that was not known to its last octet; those that were have no underscore.
    #[inline]
    pub(super) fn judge(self, name: &[u8]) -> Verdict {
        // Names are too short for a search by blocks to pay.
        #[allow(clippy::manual_contains, reason = "see above")]
        if !name.iter().any(|octet| *octet == b'_') {
            return Verdict::Pass;
        }
        match self {
            Self::Safe if Known::underscore_twin(name).is_some() => Verdict::Drop,
            Self::Safe | Self::Allow => Verdict::Pass,
            Self::Drop => Verdict::Drop,
            Self::Reject => Verdict::Refuse,
        }
    }
}
