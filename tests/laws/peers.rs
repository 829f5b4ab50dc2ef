//! Rules to compare with: an oracle, and what nginx and Traefik publish of theirs.

use std::collections::VecDeque;
use std::time::Duration;

use equipoise::balance::Candidate;
use equipoise::simulate::{Chooser, View};

/// Knows every queue and how fast every server is, and sends where the answer will be first.
#[derive(Default)]
pub(crate) struct Oracle {
    listed: Vec<usize>,
}

impl Chooser for Oracle {
    fn relist(&mut self, listed: &[usize], _candidates: &[Candidate]) {
        self.listed = listed.to_vec();
    }

    fn choose(&mut self, view: &View<'_>, _random: &mut fastrand::Rng) -> Option<usize> {
        self.listed.iter().copied().min_by_key(|server| view.expected(*server))
    }
}

/// nginx's `least_time header` with a shared zone: the average is 0.05 of the new sample and 0.95 of itself,
/// a server without one has 0; it counts in whole buckets of 20 ms, × (1 + connections) / weight. Every answer is
/// a sample, a 500 too. Ties in turn.
#[derive(Default)]
pub(crate) struct Nginx {
    listed: Vec<usize>,
    average_ms: Vec<f64>,
    turn: usize,
}

impl Chooser for Nginx {
    fn relist(&mut self, listed: &[usize], _candidates: &[Candidate]) {
        self.listed = listed.to_vec();
        let len = listed.iter().max().map_or(0, |last| last + 1).max(self.average_ms.len());
        self.average_ms.resize(len, 0.0);
    }

    fn choose(&mut self, view: &View<'_>, _random: &mut fastrand::Rng) -> Option<usize> {
        self.turn += 1;
        let buckets = |server: usize| (self.average_ms[server] / 20.0).ceil();
        let cost = |server: usize| buckets(server) * (1.0 + f64::from(view.in_flight(server)));
        least_from(&self.listed, self.turn, cost)
    }

    fn ended(&mut self, server: usize, took: Duration, _good: bool) {
        let took_ms = took.as_secs_f64() * 1e3;
        let average = &mut self.average_ms[server];
        *average = if *average == 0.0 { took_ms } else { *average * 0.95 + took_ms * 0.05 };
    }
}

/// Traefik's `leasttime`: the mean of the last 100 times to the first byte × (1 + in flight) / weight. A
/// server without a sample counts 0. Every answer is a sample, a 500 too. Ties in turn.
#[derive(Default)]
pub(crate) struct Traefik {
    listed: Vec<usize>,
    samples: Vec<VecDeque<f64>>,
    turn: usize,
}

impl Chooser for Traefik {
    fn relist(&mut self, listed: &[usize], _candidates: &[Candidate]) {
        self.listed = listed.to_vec();
        let len = listed.iter().max().map_or(0, |last| last + 1).max(self.samples.len());
        self.samples.resize(len, VecDeque::new());
    }

    fn choose(&mut self, view: &View<'_>, _random: &mut fastrand::Rng) -> Option<usize> {
        self.turn += 1;
        let mean = |server: usize| {
            let samples = &self.samples[server];
            samples.iter().sum::<f64>() / samples.len().max(1) as f64
        };
        least_from(&self.listed, self.turn, |server| mean(server) * (1.0 + f64::from(view.in_flight(server))))
    }

    fn ended(&mut self, server: usize, took: Duration, _good: bool) {
        let samples = &mut self.samples[server];
        if samples.len() == 100 {
            samples.pop_front();
        }
        samples.push_back(took.as_secs_f64() * 1e3);
    }
}

/// The first of the least, looking from the turn on.
fn least_from(listed: &[usize], turn: usize, cost: impl Fn(usize) -> f64) -> Option<usize> {
    let start = turn % listed.len().max(1);
    let (before, after) = listed.split_at(start);
    after.iter().chain(before).copied().min_by(|one, other| cost(*one).total_cmp(&cost(*other)))
}
