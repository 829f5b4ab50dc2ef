//! One pick of each algorithm of the registry among 4, 64 and 1,024 candidates of mixed weights: by one worker, and by two
//! at once, who share what the algorithm keeps for the process. Hashing also with a bound on the load; what takes turns among
//! equals also where all are.
//!
//! What is counted is processor time of the thread that picks, so that a machine that is busy otherwise tells the same.

#![allow(missing_docs, reason = "criterion's macros make public items that nobody reads about")]

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use equipoise::backend::{Backend, Identity, Lease};
use equipoise::balance::{Algorithm, Balancer, Candidate, Memory, Pick, REGISTRY, Settings, find};
use rustix::time::{ClockId, clock_gettime};

/// Between two picks, so that time passes: 10,000 requests per second.
const BETWEEN: Duration = Duration::from_micros(100);

criterion_group!(benches, picks);
criterion_main!(benches);

fn picks(criterion: &mut Criterion) {
    let begun = Instant::now();
    for algorithm in REGISTRY {
        group(criterion, algorithm.name, algorithm, Settings::default(), &|count| busy(count, begun));
    }
    let bounded = Settings { balance_factor: Some(1.25) };
    if let Some(hash) = find("hash") {
        group(criterion, "hash, factor 1.25", hash, bounded, &|count| busy(count, begun));
    }
    for name in ["least-connections", "least-response-time"] {
        if let Some(algorithm) = find(name) {
            let name = format!("{name}, all equal");
            group(criterion, &name, algorithm, Settings::default(), &|count| {
                (equal(count, begun), Vec::new())
            });
        }
    }
}

/// Makes so many candidates, and holds what is in flight at them.
type Make<'a> = &'a dyn Fn(u16) -> (Vec<Candidate>, Vec<Lease>);

fn group(criterion: &mut Criterion, name: &str, algorithm: &Algorithm, settings: Settings, make: Make<'_>) {
    let begun = Instant::now();
    let mut group = criterion.benchmark_group(name);
    for count in [4, 64, 1_024] {
        let (candidates, _leases) = make(count);
        let balancer = (algorithm.build)(&candidates, &Arc::new(Memory::default()), settings);
        let mut worker = Worker::new(1, begun);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|picks| worker.work(&*balancer, picks));
        });
        group.bench_function(BenchmarkId::new("two workers", count), |bencher| {
            bencher.iter_custom(|picks| at_once(&*balancer, picks, begun));
        });
    }
    group.finish();
}

/// How long it takes two workers to make so many picks each, both at the same time: the slower one counts.
fn at_once(balancer: &dyn Balancer, picks: u64, begun: Instant) -> Duration {
    let gate = Barrier::new(2);
    let work = |seed| {
        let mut worker = Worker::new(seed, begun);
        gate.wait();
        worker.work(balancer, picks)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| work(2));
        let own = work(1);
        other.join().map_or(own, |other| own.max(other))
    })
}

/// One who picks, as a worker of the daemon does it.
struct Worker {
    random: fastrand::Rng,
    now: Instant,
}

impl Worker {
    fn new(seed: u64, now: Instant) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), now }
    }

    /// The processor time that so many picks take.
    fn work(&mut self, balancer: &dyn Balancer, picks: u64) -> Duration {
        let from = processor_time();
        for _ in 0..picks {
            black_box(self.pick(balancer));
        }
        processor_time() - from
    }

    fn pick(&mut self, balancer: &dyn Balancer) -> Option<usize> {
        let key = self.random.u64(..);
        self.now += BETWEEN;
        balancer.pick(&mut Pick { key, tried: &[], random: &mut self.random, now: self.now })
    }
}

/// Of this thread, so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Of mixed weights and as in a pool at work: a failure now and then, and requests in flight.
fn busy(count: u16, now: Instant) -> (Vec<Candidate>, Vec<Lease>) {
    let mut leases = Vec::new();
    let mut candidates = equal(count, now);
    for (number, candidate) in candidates.iter_mut().enumerate() {
        if number % 8 == 3 {
            candidate.backend.latency().record_failure(Duration::from_micros(90), now);
        }
        for _ in 0..number % 3 {
            leases.extend(Lease::take(&candidate.backend, 0, now));
        }
        candidate.weight = number as u16 % 4 + 1;
    }
    (candidates, leases)
}

/// That have nothing to do and answer about as fast.
fn equal(count: u16, now: Instant) -> Vec<Candidate> {
    let candidate = |number: u16| {
        let identity = Identity {
            pool: Arc::from("bench"),
            name: Arc::from(format!("app{number}")),
            address: Arc::from(format!("10.0.{}.{}:80", number / 256, number % 256)),
        };
        let backend = Backend::new(identity, true);
        backend.latency().record(Duration::from_micros(200 + 7 * u64::from(number)), now);
        Candidate { backend, weight: 1, limit: 0 }
    };
    (0..count).map(candidate).collect()
}
