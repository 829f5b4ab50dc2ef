//! What every algorithm of the registry must hold, and what some promise beyond it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::backend::{Identity, Lease, Moment};

mod bound;
mod least;

const MS: Duration = Duration::from_millis(1);

/// The algorithms that give every idle backend its weight's share of the requests. The two others weigh
/// the load: where everyone is idle, least-response-time prefers the weightiest.
const SHARE_BY_WEIGHT: [&str; 6] =
    ["round-robin", "weighted-round-robin", "random", "least-connections", "ip-hash", "hash"];

fn candidate(name: &str, weight: u16, limit: u32) -> Candidate {
    let identity = Identity {
        pool: Arc::from("crm"),
        name: Arc::from(name),
        address: Arc::from(format!("{name}.internal:80")),
    };
    Candidate { backend: Backend::new(identity, true), weight, limit }
}

fn candidates(weights: &[u16]) -> Vec<Candidate> {
    weights.iter().enumerate().map(|(index, weight)| candidate(&format!("b{index}"), *weight, 0)).collect()
}

fn build(name: &str, candidates: &[Candidate]) -> Box<dyn Balancer> {
    (find(name).unwrap().build)(candidates, &Arc::default(), Settings::default())
}

/// Picks with a fresh key each time.
struct Client {
    random: fastrand::Rng,
    now: Instant,
}

impl Client {
    fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), now: Instant::now() }
    }

    fn pick(&mut self, balancer: &dyn Balancer, tried: &[usize]) -> Option<usize> {
        let key = self.random.u64(..);
        self.pick_key(balancer, tried, key)
    }

    fn pick_key(&mut self, balancer: &dyn Balancer, tried: &[usize], key: u64) -> Option<usize> {
        balancer.pick(&mut Pick { key, tried, random: &mut self.random, now: self.now })
    }

    fn counts(&mut self, balancer: &dyn Balancer, candidates: usize, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; candidates];
        for _ in 0..picks {
            counts[self.pick(balancer, &[]).unwrap()] += 1;
        }
        counts
    }
}

#[test]
fn names_are_unique_and_found() {
    for algorithm in REGISTRY {
        assert_eq!(REGISTRY.iter().filter(|other| other.name == algorithm.name).count(), 1);
        assert_eq!(find(algorithm.name).map(|found| found.name), Some(algorithm.name));
        assert!(!algorithm.summary.is_empty());
    }
    assert!(find("round_robin").is_none());
}

#[test]
fn nobody_to_pick_is_none() {
    for algorithm in REGISTRY {
        assert_eq!(Client::new(1).pick(&*build(algorithm.name, &[]), &[]), None, "{}", algorithm.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_pick_is_open_and_found_while_there_is_one(
        weights in prop::collection::vec(prop_oneof![1u16..10, 1u16..=u16::MAX], 1..40),
        facts in prop::collection::vec((any::<bool>(), any::<bool>(), 0u32..3), 40),
        seed in any::<u64>(),
    ) {
        let mut candidates = candidates(&weights);
        let now = Instant::now();
        let mut leases = Vec::new();
        let mut tried = Vec::new();
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let (is_tried, is_known, in_flight) = facts[index];
            candidate.limit = 2;
            leases.extend((0..in_flight).filter_map(|_| Lease::take(&candidate.backend, 2, now)));
            if is_tried { tried.push(index) }
            if is_known { candidate.backend.latency().record(MS * (index as u32 + 1), now) }
        }
        let open: Vec<usize> = (0..candidates.len())
            .filter(|index| !tried.contains(index) && candidates[*index].backend.in_flight() < 2)
            .collect();
        for algorithm in REGISTRY {
            let balancer = build(algorithm.name, &candidates);
            let mut client = Client::new(seed);
            for _ in 0..20 {
                match client.pick(&*balancer, &tried) {
                    Some(index) => prop_assert!(open.contains(&index), "{} {index}", algorithm.name),
                    None => prop_assert!(open.is_empty(), "{}", algorithm.name),
                }
            }
        }
    }

    #[test]
    fn a_round_gives_each_its_weight(weights in prop::collection::vec(1u16..60, 1..20)) {
        let candidates = candidates(&weights);
        let total: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        let counts = Client::new(3).counts(&*build("round-robin", &candidates), weights.len(), total);
        prop_assert_eq!(counts, weights.iter().map(|weight| usize::from(*weight)).collect::<Vec<_>>());
    }

    #[test]
    fn a_walked_round_stays_within_a_few_turns_of_the_shares(
        weights in prop::collection::vec(1u16..=u16::MAX, 2..12),
        start in any::<u64>(),
    ) {
        // A prime beside them keeps the common divisor at 1 and the order too long to be written out.
        let weights: Vec<u16> = weights.into_iter().chain([65_521]).collect();
        let candidates = candidates(&weights);
        let memory = Arc::new(Memory { turn: Apart(AtomicU64::new(start)), ..Memory::default() });
        let balancer = (find("round-robin").unwrap().build)(&candidates, &memory, Settings::default());
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let counts = Client::new(3).counts(&*balancer, weights.len(), 10_000);
        for (count, weight) in counts.into_iter().zip(&weights) {
            let share = 10_000.0 * f64::from(*weight) / total;
            prop_assert!((count as f64 - share).abs() < 12.0, "{count} {share}");
        }
    }
}

#[test]
fn who_is_picked_has_the_best_score() {
    let mut client = Client::new(8);
    for name in ["round-robin", "least-connections", "least-response-time", "ip-hash", "hash"] {
        let candidates = candidates(&[3, 1, 2, 3]);
        let mut leases = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            // In an idle pool least-connections takes turns, whatever the weights.
            leases.extend((0..=index).filter_map(|_| Lease::take(&candidate.backend, 0, client.now)));
        }
        let balancer = build(name, &candidates);
        for _ in 0..200 {
            let key = client.random.u64(..);
            let pick = Pick { key, tried: &[], random: &mut client.random.clone(), now: client.now };
            let scores: Vec<f64> = (0..4).filter_map(|index| balancer.score(index, &pick)).collect();
            let best = scores.iter().copied().fold(f64::INFINITY, f64::min);
            let picked = client.pick_key(&*balancer, &[], key).unwrap();
            assert_eq!((scores.len(), scores[picked]), (4, best), "{name}: {scores:?}, {picked}");
        }
        assert!(!find(name).unwrap().score.is_empty());
    }
}

#[test]
fn a_copied_memory_goes_its_own_way() {
    let memory = Memory { turn: Apart(AtomicU64::new(7)), ..Memory::default() };
    let copy = memory.copied();
    copy.turn.store(9, std::sync::atomic::Ordering::Relaxed);
    copy.norm.set(Some(5.0), Moment::of(Instant::now()));
    assert_eq!((memory.turn.load(std::sync::atomic::Ordering::Relaxed), memory.norm.us()), (7, None));
}

#[test]
fn weights_are_honoured() {
    let weights = [5, 1, 3, 11];
    let candidates = candidates(&weights);
    for name in SHARE_BY_WEIGHT {
        let counts = Client::new(11).counts(&*build(name, &candidates), 4, 40_000);
        for (count, weight) in counts.iter().zip(weights) {
            let share = 40_000.0 * f64::from(weight) / 20.0;
            assert!((*count as f64 - share).abs() < share * 0.06, "{name}: {counts:?}");
        }
    }
}

#[test]
fn loads_follow_the_weights() {
    for name in ["least-connections", "least-response-time"] {
        let candidates = candidates(&[5, 1, 3, 11]);
        let balancer = build(name, &candidates);
        let mut client = Client::new(11);
        let leases: Vec<Lease> = (0..200)
            .map(|_| {
                Lease::take(&candidates[client.pick(&*balancer, &[]).unwrap()].backend, 0, client.now)
                    .unwrap()
            })
            .collect();
        for (candidate, share) in candidates.iter().zip([50i64, 10, 30, 110]) {
            assert!((i64::from(candidate.backend.in_flight()) - share).abs() <= 1, "{name}");
        }
        drop(leases);
    }
}

#[test]
fn power_of_two_evens_loads_out() {
    let candidates = candidates(&[1; 50]);
    let balancer = build("power-of-two", &candidates);
    let mut client = Client::new(5);
    let leases: Vec<Lease> = (0..5_000)
        .map(|_| {
            Lease::take(&candidates[client.pick(&*balancer, &[]).unwrap()].backend, 0, client.now).unwrap()
        })
        .collect();
    // Random alone would spread by some ±30.
    assert!(candidates.iter().all(|candidate| candidate.backend.in_flight().abs_diff(100) <= 5));
    drop(leases);
}

#[test]
fn the_order_is_nginxs() {
    let mut client = Client::new(1);
    let order = |balancer: &dyn Balancer, client: &mut Client| -> String {
        (0..14).map(|_| ["a", "b", "c"][client.pick(balancer, &[]).unwrap()]).collect()
    };
    for (weights, expected) in
        [([5, 1, 1], "aabacaaaabacaa"), ([50, 10, 10], "aabacaaaabacaa"), ([7, 7, 7], "abcabcabcabcab")]
    {
        for name in ["round-robin", "weighted-round-robin", "least-connections"] {
            let candidates = candidates(&weights);
            assert_eq!(order(&*build(name, &candidates), &mut client), expected, "{name} {weights:?}");
        }
    }
}

#[test]
fn a_tried_one_loses_its_turn_to_the_next() {
    let candidates = candidates(&[1, 1, 1]);
    let balancer = build("round-robin", &candidates);
    let mut client = Client::new(1);
    assert_eq!(client.pick(&*balancer, &[0]), Some(1));
    assert_eq!(client.pick(&*balancer, &[1, 2]), Some(0));
    assert_eq!(client.pick(&*balancer, &[0, 1, 2]), None);
}

#[test]
fn many_equal_weights_stay_in_turn() {
    let candidates = candidates(&[9; 5_000]);
    let balancer = build("round-robin", &candidates);
    let mut client = Client::new(1);
    assert!((0..10_000).all(|turn| client.pick(&*balancer, &[]) == Some(turn % 5_000)));
}

#[test]
fn workers_share_one_turn_and_a_new_compilation_goes_on_with_it() {
    let candidates = candidates(&[5, 1, 1]);
    let memory = Arc::new(Memory::default());
    let build = find("round-robin").unwrap().build;
    let counts: Vec<Vec<usize>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|seed| {
                let balancer = build(&candidates, &memory, Settings::default());
                scope.spawn(move || Client::new(seed).counts(&*balancer, 3, 7_000))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sums: Vec<usize> = (0..3).map(|index| counts[0][index] + counts[1][index]).collect();
    assert_eq!(sums, [10_000, 2_000, 2_000]);
    assert_eq!(memory.turn.load(std::sync::atomic::Ordering::Relaxed), 14_000);
}

#[test]
fn hashing_moves_only_the_keys_of_the_one_that_goes() {
    let weights: Vec<u16> = (0..20).map(|index| index % 4 + 1).collect();
    let before = candidates(&weights);
    let after: Vec<Candidate> =
        before.iter().enumerate().filter(|(index, _)| *index != 7).map(|(_, it)| it.clone()).collect();
    let mut client = Client::new(9);
    for name in ["ip-hash", "hash"] {
        let (with, without) = (build(name, &before), build(name, &after));
        let mut moved = 0;
        for number in 0..50_000u32 {
            let key = key(&number.to_le_bytes());
            let old = client.pick_key(&*with, &[], key).unwrap();
            let new = client.pick_key(&*without, &[], key).unwrap();
            let new = if new >= 7 { new + 1 } else { new };
            moved += usize::from(old != new);
            assert!(old == 7 || old == new, "a key moved between two that stayed");
            if old == 7 {
                assert_eq!(client.pick_key(&*with, &[7], key), Some(new), "tried and gone agree");
            }
        }
        let share = 50_000.0 * 4.0 / 50.0;
        assert!((moved as f64 - share).abs() < share * 0.1, "{name}: {moved} of {share}");
    }
}

#[test]
fn hashing_knows_neither_order_nor_process() {
    let mut client = Client::new(9);
    let forth = candidates(&[1, 2, 3, 4, 5]);
    let mut back = candidates(&[1, 2, 3, 4, 5]);
    back.reverse();
    let (one, other) = (build("hash", &forth), build("hash", &back));
    for number in 0..5_000u32 {
        let key = key(&number.to_le_bytes());
        assert_eq!(
            client.pick_key(&*one, &[], key),
            client.pick_key(&*other, &[], key).map(|index| 4 - index)
        );
    }
    // Written down once: a change moves every user's session at an upgrade.
    let picks: Vec<usize> =
        (0..12u32).filter_map(|number| client.pick_key(&*one, &[], key(&number.to_le_bytes()))).collect();
    assert_eq!(picks, [2, 4, 0, 0, 0, 4, 3, 3, 4, 4, 4, 3]);
}
