//! Keeps the pool's median response time current.

use super::Candidate;
use super::draws::SCANNED_MAX;
use crate::backend::{Moment, Norm};

/// Works the median out again if it is due: of everyone's average, or of [`SCANNED_MAX`] neighbours from a
/// random place on, so that it costs the one pick in 100 ms no more than a scan.
pub(super) fn renew(norm: &Norm, candidates: &[Candidate], random: &mut fastrand::Rng, now: Moment) {
    if candidates.is_empty() || !norm.is_due(now) {
        return;
    }
    let start = if candidates.len() > SCANNED_MAX { random.usize(..candidates.len()) } else { 0 };
    let mut known = [0.0; SCANNED_MAX];
    let mut len = 0;
    let looked_at = candidates.iter().cycle().skip(start).take(candidates.len().min(SCANNED_MAX));
    for (place, us) in known.iter_mut().zip(looked_at.filter_map(|it| it.backend.latency().last_average_us()))
    {
        *place = us;
        len += 1;
    }
    let Some(known) = known.get_mut(..len).filter(|known| !known.is_empty()) else { return };
    // Of an even number the faster of the two in the middle: of two backends the slow one is the odd one.
    let middle = (known.len() - 1) / 2;
    let median = *known.select_nth_unstable_by(middle, f32::total_cmp).1;
    norm.set(Some(median), now);
}
