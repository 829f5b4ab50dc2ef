//! One pick of each algorithm of the registry among 4, 64 and 1,024 candidates of mixed weights.

#![allow(missing_docs, reason = "criterion's macros make public items that nobody reads about")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use equipoise::backend::{Backend, Identity};
use equipoise::balance::{Candidate, Memory, Pick, REGISTRY};

criterion_group!(benches, picks);
criterion_main!(benches);

fn picks(criterion: &mut Criterion) {
    let mut random = fastrand::Rng::with_seed(1);
    let now = Instant::now();
    for algorithm in REGISTRY {
        let mut group = criterion.benchmark_group(algorithm.name);
        for count in [4, 64, 1_024] {
            let candidates = candidates(count, now);
            let balancer = (algorithm.build)(&candidates, &Arc::new(Memory::default()));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| {
                    let key = random.u64(..);
                    let mut pick = Pick { key, tried: &[], random: &mut random, now };
                    black_box(balancer.pick(&mut pick))
                });
            });
        }
        group.finish();
    }
}

fn candidates(count: u16, now: Instant) -> Vec<Candidate> {
    (0..count)
        .map(|number| {
            let identity = Identity {
                pool: Arc::from("bench"),
                name: Arc::from(format!("app{number}")),
                address: Arc::from(format!("10.0.{}.{}:80", number / 256, number % 256)),
            };
            let backend = Backend::new(identity, true);
            backend.latency().record(Duration::from_micros(200 + u64::from(number)), now);
            Candidate { backend, weight: number % 4 + 1, limit: 0 }
        })
        .collect()
}
