//! What the request path pays for being counted, and what a scrape costs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use equipoise::backend::{Backend, Identity};
use equipoise::observe::{Distribution, Form, Histogram, MethodLabel, Metrics, Objective, Outcome, Phase};

fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("observe");
    let histogram = Histogram::default();
    let mut ns = 1u64;
    group.bench_function("histogram record", |b| {
        b.iter(|| {
            ns = ns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            histogram.record(Duration::from_nanos(black_box(ns >> 34)));
        });
    });

    let metrics = Metrics::new(2);
    let route = metrics.route("web", "api");
    group.bench_function("request", |b| {
        b.iter(|| route.request(black_box(1), MethodLabel::Get, 200, Duration::from_millis(3)));
    });
    let backend = metrics.backend(&backend(0), Instant::now());
    group.bench_function("outcome and response time", |b| {
        b.iter(|| {
            backend.outcome(black_box(1), Outcome::Code(200));
            backend.response_time(black_box(1), Duration::from_millis(3));
        });
    });

    let mut read = Distribution::default();
    read.add(&histogram);
    group.bench_function("quantile", |b| b.iter(|| read.quantile(black_box(0.999))));
}

fn scrape(c: &mut Criterion) {
    let metrics = Metrics::new(2);
    let routes = (0..1_000).map(|n| metrics.route("web", &format!("route-{n}"))).collect::<Vec<_>>();
    let backends = (0..1_000).map(|n| metrics.backend(&backend(n), Instant::now())).collect::<Vec<_>>();
    for worker in 0..2 {
        for route in &routes {
            route.request(worker, MethodLabel::Get, 200, Duration::from_millis(3));
            Phase::ALL.iter().for_each(|&phase| route.phases(worker).took(phase, Duration::from_millis(1)));
        }
        for backend in &backends {
            backend.outcome(worker, Outcome::Code(200));
            backend.response_time(worker, Duration::from_millis(3));
        }
    }
    c.bench_function("observe/scrape of 1,000 routes and 1,000 backends", |b| {
        b.iter(|| metrics.render(Instant::now(), Form::OpenMetrics).map(|page| page.len()));
    });
}

/// What the control thread does once a second.
fn tick(c: &mut Criterion) {
    let (metrics, now) = (Metrics::new(2), Instant::now());
    let objective = Objective {
        availability: Some(0.999),
        latency: Some((Duration::from_millis(300), 0.99)),
        window: Duration::from_secs(30 * 86_400),
    };
    let series = (0..1_000).map(|n| metrics.route("web", &format!("route-{n}"))).collect::<Vec<_>>();
    let routes: Vec<_> = series
        .iter()
        .map(|series| {
            let account = Arc::new(metrics.route_account(None, series.route()));
            account.follow(std::slice::from_ref(series), Some(objective), now);
            account
        })
        .collect();
    let backends = (0..64).map(|n| metrics.backend(&backend(n), now)).collect::<Vec<_>>();
    let held: Vec<_> = backends.iter().map(|series| Arc::clone(series.backend())).collect();
    metrics.hold(&held, &[], routes, now);
    c.bench_function("observe/tick of 1,000 routes with objectives and 64 backends, all busy", |b| {
        b.iter(|| {
            for route in &series {
                route.request(0, MethodLabel::Get, 200, Duration::from_millis(3));
            }
            for backend in &backends {
                backend.outcome(0, Outcome::Code(200));
            }
            let (now, wall) = (Instant::now(), SystemTime::now());
            metrics.tick(now, wall);
            metrics.journal(now, wall, false).len()
        });
    });
}

fn backend(n: usize) -> Arc<Backend> {
    let name = format!("app{n}");
    Backend::new(
        Identity { pool: "crm".into(), name: name.as_str().into(), address: name.as_str().into() },
        true,
    )
}

criterion_group!(benches, record, scrape, tick);
criterion_main!(benches);
