//! What the fuzz targets have in common.

#[allow(dead_code, reason = "the corpus test uses more of it")]
#[path = "../../it/corpus/case.rs"]
mod case;
pub mod heads;
pub mod house;
pub mod proxy_header;
pub mod seeds;
mod strict;

/// Takes the first octet as a number; 0 where there is none.
pub fn take(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    *first
}

/// Three places to cut `len` octets at, from a seed: how bytes may arrive.
pub fn cuts(len: usize, seed: u8) -> [usize; 3] {
    let seed = usize::from(seed);
    let mut cuts = [seed, seed * 7 + 1, seed * 31 + 3].map(|cut| cut % (len + 1));
    cuts.sort_unstable();
    cuts
}
