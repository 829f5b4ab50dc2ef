//! What least-connections and least-response-time promise.

use super::*;

#[test]
fn least_connections_ties_go_round_past_a_busy_one() {
    let candidates = candidates(&[1, 1, 1]);
    let balancer = build("least-connections", &candidates);
    let busy = Lease::take(&candidates[1].backend, 0, Instant::now());
    let counts = Client::new(1).counts(&*balancer, 3, 100);
    assert_eq!(counts, [50, 0, 50]);
    drop(busy);
}

/// Answers of 10 ms from all but those named here.
fn answer(candidates: &[Candidate], client: &mut Client, slow: &[(usize, u32)]) {
    for _ in 0..200 {
        client.now += MS * 10;
        for (index, candidate) in candidates.iter().enumerate() {
            let ms = slow.iter().find(|(slow, _)| *slow == index).map_or(10, |(_, ms)| *ms);
            candidate.backend.latency().record(MS * ms, client.now);
        }
    }
}

#[test]
fn least_response_time_prefers_the_fast_and_places_newcomers_in_the_middle() {
    let candidates = candidates(&[1; 4]);
    let mut client = Client::new(1);
    let balancer = build("least-response-time", &candidates);
    answer(&candidates[..3], &mut client, &[(2, 90)]);
    let mut leases = Vec::new();
    for _ in 0..15 {
        let index = client.pick(&*balancer, &[]).unwrap();
        leases.push(Lease::take(&candidates[index].backend, 0, client.now));
    }
    let in_flight: Vec<u32> = candidates.iter().map(|candidate| candidate.backend.in_flight()).collect();
    assert_eq!(in_flight, [5, 5, 0, 5]);
}

#[test]
fn least_response_time_tries_an_idle_one_again_but_seldom() {
    let candidates = candidates(&[1; 4]);
    let mut client = Client::new(1);
    let balancer = build("least-response-time", &candidates);
    answer(&candidates, &mut client, &[(2, 90)]);
    client.now += 2_000 * MS;
    for index in [0, 1, 3] {
        candidates[index].backend.latency().record(MS * 10, client.now);
    }
    let tries = client.counts(&*balancer, 4, 100_000)[2];
    assert!((5..=100).contains(&tries), "{tries}");
    // One that has just been heard of needs no trial.
    candidates[2].backend.latency().record(MS * 90, client.now);
    assert_eq!(client.counts(&*balancer, 4, 10_000)[2], 0);
}

#[test]
fn a_backend_that_fails_fast_does_not_attract() {
    let candidates = candidates(&[1, 1]);
    let mut client = Client::new(1);
    let balancer = build("least-response-time", &candidates);
    answer(&candidates, &mut client, &[]);
    let fail = |client: &Client| {
        candidates[1].backend.latency().record_failure(Duration::from_micros(50), client.now);
    };
    fail(&client);
    assert_eq!(client.counts(&*balancer, 2, 50), [25, 25], "one failure moves nothing");
    fail(&client);
    fail(&client);
    assert_eq!(client.counts(&*balancer, 2, 50), [50, 0]);
}

#[test]
fn a_backend_that_hangs_is_avoided_before_it_answers() {
    let candidates = candidates(&[1, 1]);
    let mut client = Client::new(1);
    let balancer = build("least-response-time", &candidates);
    answer(&candidates, &mut client, &[]);
    let _hanging = Lease::take(&candidates[1].backend, 0, client.now);
    let _streaming: Vec<Lease> = (0..3)
        .map(|_| {
            let lease = Lease::take(&candidates[0].backend, 0, client.now).unwrap();
            lease.answered(MS * 10, client.now);
            lease
        })
        .collect();
    assert_eq!(client.counts(&*balancer, 2, 10), [0, 10], "as long as it is young, it is one against three");
    client.now += MS * 100;
    assert_eq!(client.counts(&*balancer, 2, 10), [10, 0]);
}

#[test]
fn least_connections_counts_a_failed_request_for_as_long_as_a_good_one_takes() {
    let candidates = candidates(&[1, 1]);
    let mut client = Client::new(1);
    let balancer = build("least-connections", &candidates);
    answer(&candidates, &mut client, &[]);
    let lease = Lease::take(&candidates[0].backend, 1, client.now).unwrap();
    lease.failed(MS, client.now);
    drop(lease);
    assert_eq!(candidates[0].backend.in_flight(), 0);
    assert_eq!(client.counts(&*balancer, 2, 10), [0, 10]);
    client.now += MS * 8;
    assert_eq!(client.counts(&*balancer, 2, 10), [0, 10]);
    client.now += MS * 2;
    assert_eq!(client.counts(&*balancer, 2, 10), [5, 5]);
}

#[test]
fn above_32_the_better_of_a_few_is_taken() {
    for name in ["least-connections", "least-response-time"] {
        let candidates = candidates(&[1; 60]);
        let balancer = build(name, &candidates);
        let mut client = Client::new(11);
        let leases: Vec<Lease> = (0..6_000)
            .map(|_| {
                let index = client.pick(&*balancer, &[]).unwrap();
                Lease::take(&candidates[index].backend, 0, client.now).unwrap()
            })
            .collect();
        assert!(
            candidates.iter().all(|candidate| candidate.backend.in_flight().abs_diff(100) <= 3),
            "{name}"
        );
        drop(leases);
    }
}
