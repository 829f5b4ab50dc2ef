//! The cookie that keeps a client at its backend.
//!
//! It says when it was made and which backend is meant, by its name, sealed under a secret that every node has
//! (`key_file`) and bound to one pool: the client learns nothing of it, cannot make one up, and every node and
//! every later configuration reads it. Nothing is kept here of who holds one. Nothing here reads a clock.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

mod base64;
mod seal;
#[cfg(test)]
mod tests;

use seal::{MARK, Mark, Seal};

/// How far in the future a cookie may have been made: by a node whose clock is ahead of ours.
const MAX_AHEAD_S: u64 = 24 * 60 * 60;

/// The stickiness of one pool.
pub struct Sticky {
    cookie: Box<str>,
    /// `; Path=/; …`, in clear and over TLS.
    attributes: [Box<str>; 2],
    ttl_s: Option<u64>,
    /// The first makes cookies, all read them.
    seals: Vec<Seal>,
    marks: Vec<Mark>,
    places: HashMap<Mark, usize>,
}

/// What a cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The backend's place among the pool's.
    pub place: u32,
    /// It is good still, but the client is to have a new one: half of its time is over, or its secret is on its
    /// way out.
    pub renew: bool,
}

impl Sticky {
    /// The stickiness of the pool of this name whose backends have these names, in their order.
    pub fn new<'a>(
        (pool, cookie): (&str, &str),
        secrets: &[Vec<u8>],
        ttl: Option<Duration>,
        backends: impl Iterator<Item = &'a str>,
    ) -> Self {
        let marks: Vec<Mark> = backends.map(mark).collect();
        let ttl_s = ttl.map(|ttl| ttl.as_secs().max(1));
        let lasting = ttl_s.map(|ttl| format!("; Max-Age={ttl}")).unwrap_or_default();
        // Lax: a link from elsewhere leads to the client's backend too.
        let attributes = ["", "; Secure"]
            .map(|secure| format!("; Path=/{lasting}; HttpOnly; SameSite=Lax{secure}").into_boxed_str());
        Self {
            cookie: cookie.into(),
            attributes,
            ttl_s,
            seals: secrets.iter().map(|secret| Seal::new(secret, pool)).collect(),
            places: marks.iter().enumerate().map(|(place, mark)| (*mark, place)).collect(),
            marks,
        }
    }

    /// The cookie's name.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Whether a value could be one of ours, told at no cost: only then is it worth [`Self::read`].
    pub fn is_likely(&self, value: &[u8]) -> bool {
        value.len() == seal::LEN
    }

    /// What a cookie says; `now_s`: seconds since the epoch. `None` where it is not ours, was changed, is of another pool,
    /// has expired, or names a backend that is gone.
    pub fn read(&self, value: &[u8], now_s: u64) -> Option<Found> {
        let opened = self.seals.iter().enumerate().find_map(|(n, seal)| Some((n, seal.open(value)?)));
        let (n, (made_s, mark)) = opened?;
        let place = u32::try_from(*self.places.get(&mark)?).ok()?;
        let Some(ttl_s) = self.ttl_s else { return Some(Found { place, renew: n > 0 }) };
        let age_s = now_s.saturating_sub(made_s);
        // Whole seconds are compared: one that was made late in its second must not die before its time.
        let is_good = age_s <= ttl_s && made_s <= now_s.saturating_add(MAX_AHEAD_S);
        is_good.then_some(Found { place, renew: n > 0 || age_s >= ttl_s.div_ceil(2) })
    }

    /// The value of the Set-Cookie field that keeps a client at the backend of a place; `secure`: only over TLS.
    /// `None` where the system has no randomness to give: then the client stays with what it has.
    pub fn write(&self, place: usize, secure: bool, now_s: u64) -> Option<String> {
        let value = self.seals.first()?.close(now_s, *self.marks.get(place)?)?;
        Some(format!("{}={value}{}", self.cookie, self.attributes[usize::from(secure)]))
    }
}

/// What a backend is called in a cookie: of one length, whatever its name.
fn mark(name: &str) -> Mark {
    let mut mark = [0; MARK];
    mark.copy_from_slice(&Sha256::digest(name.as_bytes())[..MARK]);
    mark
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cookie, ttl_s, .. } = self;
        f.debug_struct("Sticky").field("cookie", cookie).field("ttl_s", ttl_s).finish_non_exhaustive()
    }
}
