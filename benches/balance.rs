//! One pick of each algorithm of the registry among 4, 64 and 1,024 candidates of mixed weights.

#![allow(missing_docs, reason = "criterion's macros make public items that nobody reads about")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use equipoise::backend::{Backend, Identity, Lease};
use equipoise::balance::{Candidate, Memory, Pick, REGISTRY, Settings};

/// Between two picks, so that time passes: 10,000 requests per second.
const BETWEEN: Duration = Duration::from_micros(100);

criterion_group!(benches, picks);
criterion_main!(benches);

fn picks(criterion: &mut Criterion) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut now = Instant::now();
    for algorithm in REGISTRY {
        let mut group = criterion.benchmark_group(algorithm.name);
        for count in [4, 64, 1_024] {
            let (candidates, _leases) = candidates(count, now);
            let balancer = (algorithm.build)(&candidates, &Arc::new(Memory::default()), Settings::default());
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| {
                    let key = random.u64(..);
                    now += BETWEEN;
                    let mut pick = Pick { key, tried: &[], random: &mut random, now };
                    black_box(balancer.pick(&mut pick))
                });
            });
        }
        group.finish();
    }
}

fn candidates(count: u16, now: Instant) -> (Vec<Candidate>, Vec<Lease>) {
    let mut leases = Vec::new();
    let candidates = (0..count)
        .map(|number| {
            let identity = Identity {
                pool: Arc::from("bench"),
                name: Arc::from(format!("app{number}")),
                address: Arc::from(format!("10.0.{}.{}:80", number / 256, number % 256)),
            };
            let backend = Backend::new(identity, true);
            backend.latency().record(Duration::from_micros(200 + 7 * u64::from(number)), now);
            // As in a pool at work: a failure now and then, and requests in flight.
            if number % 8 == 3 {
                backend.latency().record_failure(Duration::from_micros(90), now);
            }
            for _ in 0..number % 3 {
                leases.extend(Lease::take(&backend, 0, now));
            }
            Candidate { backend, weight: number % 4 + 1, limit: 0 }
        })
        .collect();
    (candidates, leases)
}
