//! `[pool.NAME.sticky]`

use std::time::Duration;

use super::Secret;

/// `[pool.NAME.sticky]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// At least one: the first makes cookies, all read them.
    pub secrets: Vec<Secret>,
    /// At least a second; `None`: for as long as the browser's session.
    pub ttl: Option<Duration>,
}
