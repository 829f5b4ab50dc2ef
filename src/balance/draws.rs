//! The best of a few, where looking at everyone would take too long.

use super::random::Lots;
use super::{Candidate, Pick};

/// Up to so many candidates are all looked at.
pub(super) const SCANNED_MAX: usize = 32;

/// Of more, so many are drawn. Two would do to even out what is in flight; with four, one candidate of two
/// that is slow or failing is chosen once in sixteen times instead of once in four.
const DRAWN: usize = 4;

/// Of a few open candidates drawn by weight, the one with the least load; the first of equals.
pub(super) fn best_drawn(
    lots: &Lots,
    pick: &mut Pick<'_>,
    load: impl Fn(&Candidate) -> f32,
) -> Option<usize> {
    let mut best: Option<(f32, usize)> = None;
    for _ in 0..DRAWN {
        let Some((index, candidate)) = lots.draw_once(pick) else { continue };
        let load = load(candidate);
        if best.is_none_or(|(least, _)| load < least) {
            best = Some((load, index));
        }
    }
    match best {
        Some((_, index)) => Some(index),
        // Nearly everyone is tried or full.
        None => lots.draw(pick, None),
    }
}
