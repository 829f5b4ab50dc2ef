//! Session tickets: keys that rotate, live outside of any configuration, and may be shared by nodes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::{aead, hmac, rand};
use rand::SecureRandom as _;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use ring::{aead, hmac, rand};

use super::{Flaw, Part};

/// How long a key of our own making seals tickets.
const ROTATE: Duration = Duration::from_hours(6);

/// Keys that still open tickets, the sealing one included: a ticket is good for 6 to 12 hours.
const KEPT: usize = 2;

/// How long clients are told to keep a ticket.
const LIFETIME: Duration = Duration::from_hours(12);

/// Keys of a file; more are a mistake.
const MAX_SECRETS: usize = 16;

/// A shorter secret is guessed.
const MIN_SECRET: usize = 32;

const NAME: usize = 16;
const SALT: usize = 16;

/// The keys that tickets are sealed and opened with; of one process, or of all that have the same file.
pub struct TicketKeys {
    keys: ArcSwap<Vec<Arc<Key>>>,
    rotates: bool,
}

struct Key {
    name: [u8; NAME],
    /// Each ticket's own key is derived from it and a salt: a file's secret may stay for years, and no nonce can
    /// come twice.
    secret: hmac::Key,
    made: Instant,
}

impl TicketKeys {
    /// Keys of our own making, which rotate.
    pub fn random(now: Instant) -> Arc<Self> {
        let keys = Key::random(now).into_iter().map(Arc::new).collect();
        Arc::new(Self { keys: ArcSwap::from_pointee(keys), rotates: true })
    }

    /// The keys of a file: a secret of at least 32 characters on each line. The first seals, all open.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn from_file(text: &[u8], now: Instant) -> Result<Arc<Self>, Flaw> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.collect();
        let help = "openssl rand -base64 48 makes a line; to rotate, add the new one as second line on every node, \
                    then move it to the top, then remove the old one";
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            let message = format!("holds {} lines; expected 1 to {MAX_SECRETS}", secrets.len());
            return Err(Flaw::new(Part::Tickets, message).help(help));
        }
        if let Some(at) = secrets.iter().position(|secret| secret.len() < MIN_SECRET) {
            let message =
                format!("is too short in line {}: expected at least {MIN_SECRET} characters", at + 1);
            return Err(Flaw::new(Part::Tickets, message).help(help));
        }
        let keys = secrets.iter().map(|secret| Arc::new(Key::new(secret, now))).collect();
        Ok(Arc::new(Self { keys: ArcSwap::from_pointee(keys), rotates: false }))
    }

    /// What rustls is given. Tickets are good only where `policy` is the same: a session that was begun without
    /// a certificate of the client must not go on where one is required.
    pub(super) fn under(self: &Arc<Self>, policy: [u8; 32]) -> Arc<dyn ProducesTickets> {
        Arc::new(Ticketer { keys: Arc::clone(self), policy })
    }

    /// The key that seals now.
    fn sealing(&self, now: Instant) -> Option<Arc<Key>> {
        let keys = self.keys.load_full();
        let first = keys.first();
        if !self.rotates || first.is_some_and(|key| now.saturating_duration_since(key.made) < ROTATE) {
            return first.cloned();
        }
        let fresh = Arc::new(Key::random(now)?);
        let rotated: Vec<_> = std::iter::once(fresh).chain(keys.iter().take(KEPT - 1).cloned()).collect();
        // Of workers that rotate at one time the first wins; the others' tickets must be its too.
        self.keys.compare_and_swap(&keys, Arc::new(rotated));
        self.keys.load().first().cloned()
    }

    fn of_name(&self, name: &[u8]) -> Option<Arc<Key>> {
        self.keys.load().iter().find(|key| key.name == name).cloned()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.keys.load().len())
    }
}

impl Key {
    fn new(secret: &[u8], made: Instant) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut name = [0; NAME];
        name.copy_from_slice(&hmac::sign(&secret, b"equipoise ticket name").as_ref()[..NAME]);
        Self { name, secret, made }
    }

    /// `None` where the system has no randomness to give: then there are no tickets.
    fn random(now: Instant) -> Option<Self> {
        let mut secret = [0; 32];
        rand::SystemRandom::new().fill(&mut secret).ok()?;
        Some(Self::new(&secret, now))
    }

    /// The key of one ticket.
    fn derive(&self, salt: &[u8], policy: &[u8; 32]) -> Option<aead::LessSafeKey> {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(b"equipoise ticket");
        context.update(salt);
        context.update(policy);
        aead::UnboundKey::new(&aead::AES_256_GCM, context.sign().as_ref()).ok().map(aead::LessSafeKey::new)
    }
}

/// The keys under one policy.
#[derive(Debug)]
struct Ticketer {
    keys: Arc<TicketKeys>,
    policy: [u8; 32],
}

impl Ticketer {
    /// The salt makes the key one of a kind, so that this nonce is used once with it.
    fn nonce() -> aead::Nonce {
        aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.sealing(Instant::now())?;
        let mut salt = [0; SALT];
        rand::SystemRandom::new().fill(&mut salt).ok()?;
        let sealing = key.derive(&salt, &self.policy)?;
        let mut text = plain.to_vec();
        sealing.seal_in_place_append_tag(Self::nonce(), aead::Aad::from(key.name), &mut text).ok()?;
        Some([&key.name[..], &salt, &text].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        let key = self.keys.of_name(name)?;
        let opening = key.derive(salt, &self.policy)?;
        let mut text = sealed.to_vec();
        let plain = opening.open_in_place(Self::nonce(), aead::Aad::from(key.name), &mut text).ok()?;
        let len = plain.len();
        text.truncate(len);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"first first first first first first\n\nsecond second second second second\n";

    #[test]
    fn a_ticket_opens_while_its_key_is_kept() {
        let start = Instant::now();
        let keys = TicketKeys::random(start);
        let ticketer = keys.under([0; 32]);
        let ticket = ticketer.encrypt(b"session").unwrap();
        assert_eq!(ticketer.decrypt(&ticket).unwrap(), b"session");
        let names: Vec<_> = (1..=2)
            .map(|n| keys.sealing(start + ROTATE * n + Duration::from_secs(1)).unwrap().name)
            .collect();
        assert_ne!(names[0], names[1]);
        assert_eq!(ticketer.decrypt(&ticket), None, "rotated out");
        assert_eq!(keys.keys.load().len(), KEPT);
    }

    #[test]
    fn another_policy_or_a_changed_byte_opens_nothing() {
        let keys = TicketKeys::random(Instant::now());
        let ticket = keys.under([0; 32]).encrypt(b"session").unwrap();
        assert_eq!(keys.under([1; 32]).decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.under([0; 32]).decrypt(&changed), None, "byte {at}");
            assert_eq!(keys.under([0; 32]).decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn nodes_with_the_same_file_share_tickets_and_every_line_opens() {
        let now = Instant::now();
        let (one, other) =
            (TicketKeys::from_file(FILE, now).unwrap(), TicketKeys::from_file(FILE, now).unwrap());
        let ticket = one.under([0; 32]).encrypt(b"session").unwrap();
        assert_eq!(other.under([0; 32]).decrypt(&ticket).unwrap(), b"session");
        let lines: Vec<_> = FILE.split(|byte| *byte == b'\n').rev().collect();
        let turned = TicketKeys::from_file(&lines.join(&b'\n'), now).unwrap();
        assert_eq!(turned.under([0; 32]).decrypt(&ticket).unwrap(), b"session");
        assert_ne!(turned.sealing(now).unwrap().name, one.sealing(now).unwrap().name);
        let later = now + ROTATE * 9;
        assert_eq!(one.sealing(later).unwrap().name, one.sealing(now).unwrap().name, "a file's keys stay");
    }

    #[test]
    fn a_file_without_a_good_secret_is_refused() {
        for text in [&b""[..], b"\n\n", b"short", b"first first first first first first\nshort\n"] {
            assert!(TicketKeys::from_file(text, Instant::now()).is_err());
        }
    }
}
