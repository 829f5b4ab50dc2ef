//! What the API says of how long requests take, against what those who sent them measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::connect;
use crate::config::over;
use crate::daemon::{Daemon, pause};
use crate::origin::Origin;

/// Requests of each trial: the 99th percentile has 24 above it.
const REQUESTS: u64 = 2400;
const CONNECTIONS: usize = 24;
/// What the API may be off by.
const LAW: f64 = 0.05;

/// How long the nth request takes at the backend: the same times in each run, in an order that is none.
type Times = fn(f64) -> f64;

/// Evenly between 20 and 120 ms.
fn even(share: f64) -> f64 {
    20.0 + 100.0 * share
}

/// Mostly fast, with a long tail: exponential with a mean of 30 ms, above 15, cut at 400.
fn tailed(share: f64) -> f64 {
    (15.0 - 30.0 * (1.0 - share).max(1e-9).ln()).min(400.0)
}

/// Fast, but for two in a hundred.
fn two_humps(share: f64) -> f64 {
    if share < 0.98 { 25.0 + 10.0 * share } else { 300.0 + 20.0 * share }
}

/// A backend that takes its time.
fn backend(times: Times) -> Origin {
    let number = AtomicU64::new(0);
    Origin::new(move |visit| {
        while let Some(request) = visit.request()? {
            if request.head.target() == "/first" {
                visit.answer(200, "well")?;
                continue;
            }
            // Steps of a prime that shares no divisor with the number of requests visit each share once.
            let nth = number.fetch_add(1, Ordering::SeqCst) * 1009 % REQUESTS;
            pause(Duration::from_secs_f64(times((nth as f64 + 0.5) / REQUESTS as f64) / 1e3));
            visit.answer(200, "well")?;
        }
        Ok(())
    })
}

/// How long each request took, from the first byte sent to the last received. The first of each connection is not among
/// them: it waits until the connection has been accepted, which no balancer knows of.
fn measured(address: SocketAddr) -> Vec<Duration> {
    let left = Arc::new(AtomicU64::new(REQUESTS));
    let took = Arc::new(Mutex::new(Vec::new()));
    let all_are_there = Arc::new(Barrier::new(CONNECTIONS));
    let threads = (0..CONNECTIONS).map(|_| {
        let (left, took, all_are_there) = (Arc::clone(&left), Arc::clone(&took), Arc::clone(&all_are_there));
        std::thread::spawn(move || {
            let mut wire = connect(address);
            wire.get("/first").unwrap();
            all_are_there.wait();
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                let began = Instant::now();
                assert_eq!(wire.get("/").unwrap().status(), 200);
                let elapsed = began.elapsed();
                took.lock().unwrap().push(elapsed);
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    let mut took = std::mem::take(&mut *took.lock().unwrap());
    took.sort_unstable();
    took
}

fn latency(daemon: &Daemon, path: &str) -> Value {
    let page: Value = serde_json::from_str(&daemon.page(path).text()).unwrap();
    match path {
        "/api/v1/routes" => page["routes"][0]["latency"].clone(),
        _ => page["latency"].clone(),
    }
}

/// The 50th and 99th percentile of the API, by their distance from those of the clients.
fn distances(times: Times) -> [f64; 2] {
    let origin = backend(times);
    let daemon = Daemon::start_alone(&over(&[origin.address]).level("info"));
    let took = measured(daemon.web);
    let told = latency(&daemon, "/api/v1/routes");
    let pool = latency(&daemon, "/api/v1/pools/crm");
    let all = REQUESTS + CONNECTIONS as u64;
    assert_eq!((&told["count"], &pool["count"]), (&all.into(), &all.into()));
    [("p50_seconds", 50), ("p99_seconds", 99)].map(|(name, percent)| {
        let measured = took[took.len() * percent / 100 - 1].as_secs_f64();
        let (told, at_backend) = (told[name].as_f64().unwrap(), pool[name].as_f64().unwrap());
        assert!(at_backend <= told * 1.0501, "a part is no longer than the whole: {at_backend} of {told}");
        println!(
            "{name}: measured {measured:.4} s, told {told:.4} s, of it at the backend {at_backend:.4} s"
        );
        told / measured - 1.0
    })
}

/// Whoever sends and whoever relays share one machine with others, and a thread that is woken late measures what did not
/// happen to the balancer: the best of a few trials is what the histogram is good for.
fn hold_the_law(times: Times) {
    const TRIALS: usize = 5;
    let mut seen = Vec::new();
    for _ in 0..TRIALS {
        let distances = distances(times);
        if distances.iter().all(|distance| distance.abs() <= LAW) {
            return;
        }
        seen.push(distances);
    }
    panic!("more than {LAW} from what the clients measured, p50 and p99, in {TRIALS} trials: {seen:?}");
}

#[test]
fn quantiles_of_even_times_are_within_five_percent() {
    hold_the_law(even);
}

#[test]
fn quantiles_of_times_with_a_tail_are_within_five_percent() {
    hold_the_law(tailed);
}

#[test]
fn quantiles_of_two_humps_are_within_five_percent() {
    hold_the_law(two_humps);
}
