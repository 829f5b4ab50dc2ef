//! ip-hash and hash: the same key always finds the same backend.
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker
//! 2005) over 65,536 slots: a key falls into a slot, and the slot belongs to the backend with the best
//! score for it. A score depends on the slot and on that one backend (name, address, weight), so that
//! adding or removing one of n moves about 1/n of the keys and none between the others, a weight change
//! moves only that backend's share, and every node and every restart agrees.
//!
//! Scoring all backends for each request would cost microseconds at 1,024 of them: a slot's owner is worked
//! out when the slot is first asked for, and kept. Owners are found by arithmetic alone, so that workers
//! which race for the same slot write the same value.
//!
//! With a balance factor a backend that has more than that multiple of its share of the pool's load is passed over for
//! as long as it has: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bound::Bound;
use super::choices::Choices;
use super::{Algorithm, Balancer, Candidate, KeySource, Memory, Pick, Settings};
use crate::backend::Moment;

pub(super) const BY_ADDRESS: Algorithm = Algorithm {
    name: "ip-hash",
    summary: "consistent hash of the client's address",
    key: KeySource::ClientIp,
    score: SCORE,
    build,
};

pub(super) const BY_KEY: Algorithm = Algorithm {
    name: "hash",
    summary: "consistent hash of what hash_key names",
    key: KeySource::HashKey,
    score: SCORE,
    build,
};

const SCORE: &str =
    "-ln(hash of key and backend) / weight; the least is taken, with hash_balance_factor while it has room";

/// Slots of one table. Fixed, and part of what nodes must agree on: another number moves every key.
const SLOTS: usize = 1 << 16;

/// With a bound on the load, at most so many owners of a slot are kept: of a thousand to look for the next one takes
/// microseconds, and with a bound it is asked for often. Where two of five are above theirs, all of eight are once in
/// 1,500 times. 2 MiB a pool.
const KEPT: usize = 8;

// Fixed for the same reason: nodes of different versions may stand side by side during an upgrade.
const KEY_SEED: u64 = 0x6571_7569_706f_6973;
const BACKEND_SEED: u64 = 0x6261_636b_656e_6473;
const SLOT_SEED: u64 = 0x736c_6f74_736c_6f74;

/// The hash of a request's key for [`Pick::key`]; the same on every node, in every version.
pub fn key(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, KEY_SEED)
}

/// The hash of a client's address for [`Pick::key`]. An IPv4 address counts the same when it came over an
/// IPv6 socket (RFC 4291 2.5.5.2). All of the address is hashed, not the first three octets as nginx's
/// ip_hash does: behind a company's address range that would send everybody to one backend.
pub fn address_key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => key(&address.octets()),
        IpAddr::V6(address) => key(&address.octets()),
    }
}

fn build(candidates: &[Candidate], memory: &Arc<Memory>, settings: Settings) -> Box<dyn Balancer> {
    let first = candidates.first().map(|candidate| candidate.weight);
    let kept = if settings.balance_factor.is_some() { KEPT.min(candidates.len()) } else { 1 };
    Box::new(Hash {
        choices: Choices::new(candidates),
        bound: settings.balance_factor.map(|factor| Bound::new(factor, candidates, memory)),
        seeds: candidates.iter().map(seed).collect(),
        equal: candidates.iter().all(|candidate| Some(candidate.weight) == first),
        kept,
        owners: (0..SLOTS * kept).map(|_| AtomicU32::new(0)).collect(),
    })
}

/// What a backend is to the hash. The length keeps name and address apart: «a» + «bc» is not «ab» + «c».
fn seed(candidate: &Candidate) -> u64 {
    let identity = candidate.backend.identity();
    let mut bytes = Vec::with_capacity(8 + identity.name.len() + identity.address.len());
    bytes.extend_from_slice(&(identity.name.len() as u64).to_le_bytes());
    bytes.extend_from_slice(identity.name.as_bytes());
    bytes.extend_from_slice(identity.address.as_bytes());
    xxh3_64_with_seed(&bytes, BACKEND_SEED)
}

#[derive(Debug)]
struct Hash {
    choices: Choices,
    bound: Option<Bound>,
    seeds: Box<[u64]>,
    equal: bool,
    /// How many owners of each slot are kept.
    kept: usize,
    /// For each slot, index + 1 of its owner and of those after it; 0 while nobody asked.
    owners: Box<[AtomicU32]>,
}

impl Balancer for Hash {
    fn pick(&self, pick: &mut Pick<'_>) -> Option<usize> {
        let slot = (pick.key >> 48) as usize;
        if let Some(bound) = &self.bound {
            return self.pick_within(bound, slot, pick);
        }
        let owner = self.ranked(slot, 0)?;
        if self.choices.is_open(owner, pick.tried) {
            return Some(owner);
        }
        // The next best score among the rest: where the key would go if the owner did not exist.
        self.best(slot, |index| self.choices.is_open(index, pick.tried))
    }

    fn score(&self, index: usize, pick: &Pick<'_>) -> Option<f64> {
        let weight = f64::from(self.choices.list().get(index)?.weight.max(1));
        let slot = mix(u64::from((pick.key >> 48) as u16) ^ SLOT_SEED);
        Some(-ln(unit(mix(self.seeds.get(index)? ^ slot))) / weight)
    }
}

impl Hash {
    /// The first in the key's order that is open and within its bound.
    fn pick_within(&self, bound: &Bound, slot: usize, pick: &Pick<'_>) -> Option<usize> {
        let (list, now) = (self.choices.list(), Moment::of(pick.now));
        let takes = |index: usize, total: u64| {
            let has_room = list.get(index).is_some_and(|candidate| bound.has_room(candidate, total));
            has_room && self.choices.is_open(index, pick.tried)
        };
        let total = bound.recent_total(list, now);
        let mut kept = (0..self.kept).map_while(|rank| self.ranked(slot, rank));
        if let Some(index) = kept.find(|index| takes(*index, total)) {
            return Some(index);
        }
        let total = bound.exact_total(list, now);
        self.best(slot, |index| takes(index, total))
            // Whoever has room was tried or has its max_connections: better above the bound than nowhere.
            .or_else(|| self.best(slot, |index| self.choices.is_open(index, pick.tried)))
    }

    /// Who has the slot (0), or would have it if those before did not exist.
    fn ranked(&self, slot: usize, rank: usize) -> Option<usize> {
        let held = self.owners.get(slot * self.kept + rank)?;
        match held.load(Ordering::Relaxed) {
            0 => {
                let before: Vec<usize> = (0..rank).map_while(|rank| self.ranked(slot, rank)).collect();
                let owner = self.best(slot, |index| !before.contains(&index))?;
                held.store(owner as u32 + 1, Ordering::Relaxed);
                Some(owner)
            }
            owner => Some(owner as usize - 1),
        }
    }

    /// The wanted candidate with the best score for `slot`; the first of equals.
    fn best(&self, slot: usize, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let slot = mix(slot as u64 ^ SLOT_SEED);
        let hashes = self.seeds.iter().map(|seed| mix(seed ^ slot)).enumerate();
        let wanted = hashes.filter(|(index, _)| wanted(*index));
        if self.equal {
            // With equal weights the order of the scores is the order of the hashes.
            return wanted
                .reduce(|best, next| if next.1 > best.1 { next } else { best })
                .map(|(index, _)| index);
        }
        let mut best: Option<(f64, usize)> = None;
        for (index, hash) in wanted {
            let weight =
                self.choices.list().get(index).map_or(1.0, |candidate| f64::from(candidate.weight.max(1)));
            let unit = unit(hash);
            // −ln x is at least 1 − x: without the logarithm of nearly every loser a slot of 1,024 weighted
            // backends is settled some ten times faster. The margin keeps rounding out of it.
            if best.is_some_and(|(least, _)| 1.0 - unit > least * weight * (1.0 + 1e-9)) {
                continue;
            }
            // Exponentially distributed with the weight as its rate, so that the least of several belongs to
            // each with its weight's share.
            let cost = -ln(unit) / weight;
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, index));
            }
        }
        best.map(|(_, index)| index)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit moves every output bit.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The hash as a number in (0, 1]: its upper 53 bits and a half, so that 0 is not reached.
fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// The natural logarithm of a positive normal number, from additions, multiplications and divisions alone:
/// IEEE 754 rounds those the same everywhere, while `f64::ln` may differ in its last bit from platform to
/// platform, and nodes would disagree on a key now and then.
fn ln(value: f64) -> f64 {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln m = 2 artanh((m − 1) / (m + 1)); the argument is below 1/3, and 15 terms leave less than 1e-15.
    let argument = (mantissa - 1.0) / (mantissa + 1.0);
    let square = argument * argument;
    let series = (0..15).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * argument * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let value = (rng.f64() + f64::EPSILON) * 10f64.powi(rng.i32(-18..1));
            assert!((ln(value) - value.ln()).abs() <= 1e-13 * value.ln().abs().max(1.0), "{value}");
        }
    }

    #[test]
    fn an_address_counts_the_same_over_both_socket_families() {
        let v4: IpAddr = "192.0.2.7".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(address_key(v4), address_key(mapped));
    }

    #[test]
    fn hashes_never_change_between_versions() {
        // Written down once: a change here moves every session of every user at an upgrade.
        assert_eq!(key(b"customer-42"), 6_978_736_132_675_152_647);
        assert_eq!(mix(1), 6_238_072_747_940_578_789);
    }
}
