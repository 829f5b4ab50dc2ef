//! What `hash_balance_factor` promises.

use super::*;

fn bounded(name: &str, candidates: &[Candidate], factor: f64) -> Box<dyn Balancer> {
    let settings = Settings { balance_factor: Some(factor) };
    (find(name).unwrap().build)(candidates, &Arc::default(), settings)
}

/// The most that a candidate may have in flight, where `total` are in flight at all of them.
fn most(candidates: &[Candidate], index: usize, factor: f64, total: usize) -> f64 {
    let weights: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    (factor * total as f64 * f64::from(candidates[index].weight) / weights - 1e-9).ceil()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nobody_takes_more_than_the_factor_allows(
        weights in prop::collection::vec(1u16..20, 1..50),
        factor in 1.0f64..3.0,
        keys in prop::collection::vec(0u64..3, 200),
        seed in any::<u64>(),
    ) {
        let candidates = candidates(&weights);
        let balancer = bounded("hash", &candidates, factor);
        let mut client = Client::new(seed);
        let mut leases: Vec<Lease> = Vec::new();
        for number in keys {
            // Everything that is looked at is of this millisecond.
            client.now += MS;
            let index = client.pick_key(&*balancer, &[], key(&number.to_le_bytes())).unwrap();
            leases.push(Lease::take(&candidates[index].backend, 0, client.now).unwrap());
            let in_flight = f64::from(candidates[index].backend.in_flight());
            prop_assert!(in_flight <= most(&candidates, index, factor, leases.len()), "{in_flight}");
            if client.random.u8(..) < 60 {
                leases.swap_remove(client.random.usize(..leases.len()));
            }
        }
    }
}

#[test]
fn a_key_goes_to_the_next_in_its_own_order_and_comes_back_when_the_load_falls() {
    for (name, count) in [("hash", 4), ("ip-hash", 40)] {
        let candidates = candidates(&vec![1; count]);
        let (plain, balancer) = (build(name, &candidates), bounded(name, &candidates, 1.25));
        let mut client = Client::new(3);
        for number in 0..200u32 {
            client.now += MS;
            let key = key(&number.to_le_bytes());
            let owner = client.pick_key(&*plain, &[], key).unwrap();
            assert_eq!(client.pick_key(&*balancer, &[], key), Some(owner), "{name}: nothing is in flight");
            // Two in flight: of the third one each may have one.
            let busy: Vec<Lease> =
                (0..2).map(|_| Lease::take(&candidates[owner].backend, 0, client.now).unwrap()).collect();
            client.now += MS;
            let next = client.pick_key(&*plain, &[owner], key);
            assert_eq!(client.pick_key(&*balancer, &[], key), next, "{name}");
            drop(busy);
            client.now += MS;
            assert_eq!(client.pick_key(&*balancer, &[], key), Some(owner), "{name}");
        }
    }
}

#[test]
fn above_the_bound_is_better_than_nowhere() {
    let mut candidates = candidates(&[1, 1, 1]);
    let mut client = Client::new(3);
    let owner = client.pick_key(&*bounded("hash", &candidates, 1.0), &[], 7).unwrap();
    // It has all of the load, and the others may have none.
    let mut leases: Vec<Lease> =
        (0..6).filter_map(|_| Lease::take(&candidates[owner].backend, 0, client.now)).collect();
    for (index, candidate) in candidates.iter_mut().enumerate().filter(|(index, _)| *index != owner) {
        candidate.limit = 1;
        leases.extend(Lease::take(&candidate.backend, 1, client.now));
        assert_eq!(candidate.backend.in_flight(), 1, "{index}");
    }
    let balancer = bounded("hash", &candidates, 1.0);
    assert_eq!(client.pick_key(&*balancer, &[], 7), Some(owner));
    assert_eq!(client.pick_key(&*balancer, &[owner], 7), None);
}

#[test]
fn many_in_one_tick_are_counted_once() {
    let candidates = candidates(&[1; 64]);
    let balancer = bounded("hash", &candidates, 1.0);
    let mut client = Client::new(3);
    let owner = client.pick_key(&*balancer, &[], 7).unwrap();
    let _busy: Vec<Lease> =
        (0..64).filter_map(|index| Lease::take(&candidates[index].backend, 0, client.now)).collect();
    // By what was in flight before nobody has room; the exact sum is asked for then, by which everybody has.
    assert_eq!(client.pick_key(&*balancer, &[], 7), Some(owner));
    let _more = Lease::take(&candidates[owner].backend, 0, client.now).unwrap();
    assert_ne!(client.pick_key(&*balancer, &[], 7), Some(owner));
}
