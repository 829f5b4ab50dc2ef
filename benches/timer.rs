//! What deadlines cost that nobody waits for.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up must stop")]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use equipoise::timer::{Timer, Wheel};

const CONNECTIONS: u32 = 100_000;

/// The default of an idle client connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Every connection asks for something once in [`KEEP_ALIVE`], so that its deadline has always moved on when the sweep
/// comes to it. The time of one pass, divided by [`KEEP_ALIVE`], is the share of a core.
fn sweep(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let now = || runtime.block_on(async { tokio::time::Instant::now().into_std() });
    let wheel = Wheel::new();
    let timers: Vec<Timer> = (0..CONNECTIONS).map(|_| wheel.timer()).collect();
    let arm = |from: Instant| {
        for (timer, place) in timers.iter().zip(0..) {
            timer.arm(from + KEEP_ALIVE + KEEP_ALIVE * place / CONNECTIONS);
        }
    };
    arm(now() - KEEP_ALIVE);
    c.bench_function("timer/sweep of 100,000 idle connections for 75 s", |b| {
        b.iter(|| {
            arm(now());
            runtime.block_on(async { tokio::time::timeout(KEEP_ALIVE, wheel.run()).await }).ok();
        });
    });
}

criterion_group!(benches, sweep);
criterion_main!(benches);
