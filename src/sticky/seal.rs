//! One secret: what it closes only those who have it can open, or tell from noise.
//!
//! AES-256-GCM under a key of each cookie's own, derived by HMAC-SHA256 from the secret, the pool's name and a
//! random salt. A secret stays for years, and every client without a cookie is given one: with one key for all of
//! them, random nonces would come twice.

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::{aead, hmac, rand};
use rand::SecureRandom as _;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use ring::{aead, hmac, rand};

use super::base64;

/// Bytes that name a backend.
pub(super) const MARK: usize = 16;

/// A backend's name, in so many bytes.
pub(super) type Mark = [u8; MARK];

/// How a cookie begins; another form would begin with another.
const FORM: u8 = 1;
const SALT: usize = 16;
/// Seconds since the epoch, for the next 34,000 years.
const TIME: usize = 5;
const TAG: usize = 16;
const BODY: usize = TIME + MARK + TAG;
/// A multiple of 3: no bit of the text is left over that could be changed unseen.
const WHOLE: usize = 1 + SALT + BODY;

/// Letters of a cookie.
pub(super) const LEN: usize = WHOLE / 3 * 4;

/// One line of a `key_file`, for one pool.
pub(super) struct Seal(hmac::Key);

impl Seal {
    pub(super) fn new(secret: &[u8], pool: &str) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&secret);
        context.update(b"equipoise sticky ");
        context.update(pool.as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()))
    }

    /// A cookie made at a time that means a backend.
    pub(super) fn close(&self, made_s: u64, mark: Mark) -> Option<String> {
        let mut whole = [0; WHOLE];
        whole[0] = FORM;
        rand::SystemRandom::new().fill(&mut whole[1..=SALT]).ok()?;
        let (head, body) = whole.split_at_mut(1 + SALT);
        let (plain, tag) = body.split_at_mut(TIME + MARK);
        plain[..TIME].copy_from_slice(&made_s.to_be_bytes()[8 - TIME..]);
        plain[TIME..].copy_from_slice(&mark);
        let made = self
            .key(&head[1..])?
            .seal_in_place_separate_tag(nonce(), aead::Aad::from(&[FORM]), plain)
            .ok()?;
        tag.copy_from_slice(made.as_ref());
        Some(base64::encode(&whole))
    }

    /// When a cookie was made, and which backend it means.
    pub(super) fn open(&self, text: &[u8]) -> Option<(u64, Mark)> {
        let mut whole: [u8; WHOLE] = base64::decode(text)?;
        let (head, body) = whole.split_at_mut(1 + SALT);
        let key = self.key(&head[1..]).filter(|_| head[0] == FORM)?;
        let plain = key.open_in_place(nonce(), aead::Aad::from(&[FORM]), body).ok()?;
        let (time, mark) = plain.split_at_checked(TIME)?;
        let made_s = time.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some((made_s, mark.try_into().ok()?))
    }

    /// The key of one cookie.
    fn key(&self, salt: &[u8]) -> Option<aead::LessSafeKey> {
        let key = hmac::sign(&self.0, salt);
        aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).ok().map(aead::LessSafeKey::new)
    }
}

/// The salt makes the key one of a kind, so that this nonce is used once with it.
fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}
