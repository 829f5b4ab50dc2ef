//! Backends that are much slower than the others.

use super::{Member, Squad};
use crate::backend::Moment;
use crate::resilience::Cause;

impl Squad {
    /// Ejects those whose usual time to answer is above `latency_factor` times the pool's median. Gives
    /// their places. For the control thread, now and then.
    pub fn judge_latency(&self, now: Moment) -> Vec<usize> {
        let Some(passive) = self.rules.passive.as_ref().filter(|passive| passive.latency_factor > 0.0) else {
            return Vec::new();
        };
        let known = |member: &Member| member.backend.latency().last_average_us();
        let mut times: Vec<f32> = self.serving().filter_map(known).collect();
        if times.len() < 2 {
            return Vec::new();
        }
        // Of an even number the faster of the two in the middle: of two backends the slow one is the odd one.
        let middle = (times.len() - 1) / 2;
        let median_us = *times.select_nth_unstable_by(middle, f32::total_cmp).1;
        let most_us = f64::from(median_us) * passive.latency_factor;
        let is_slow = |member: &Member| {
            // Of few answers little is known; for want of new ones the average goes to the median.
            let average_us = member.backend.latency().average_us(median_us, now);
            let heard = member.backend.conduct().tally(self.window, now).requests;
            heard >= passive.min_requests && average_us.is_some_and(|us| f64::from(us) > most_us)
        };
        let slow = self.members.iter().enumerate().filter(|(_, member)| is_slow(member));
        slow.filter(|(_, member)| {
            let standing = member.backend.conduct().standing();
            !standing.is_out() && self.eject(member, standing, Cause::Latency, now).is_some()
        })
        .map(|(place, _)| place)
        .collect()
    }
}
