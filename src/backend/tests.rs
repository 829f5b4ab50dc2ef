//! The laws of the numbers that balancers go by.

use std::thread;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn unmeasured() -> Arc<Backend> {
    Backend::new(Identity { pool: "crm".into(), name: "a".into(), address: "a:80".into() }, true)
}

fn backend(norm_us: Option<f32>) -> (Arc<Backend>, Arc<Norm>) {
    let norm = Arc::new(Norm::default());
    norm.set(norm_us, Moment::of(epoch()));
    let backend = unmeasured();
    backend.latency().measure_by(&norm);
    (backend, norm)
}

#[track_caller]
fn assert_close(is: f32, should: f32) {
    assert!((is - should).abs() <= should.abs() / 50.0 + 1e-3, "{is} should be {should}");
}

/// As many samples as make an average believed.
fn settle(latency: &Latency, time: Duration, now: Instant) {
    (0..1_000).for_each(|_| latency.record(time, now));
}

#[test]
fn one_sample_never_counts_for_much() {
    let start = epoch();
    let (backend, _) = backend(Some(10_000.0));
    let latency = backend.latency();
    let average = |at: Instant| latency.average_us(10_000.0, Moment::of(at));
    assert_eq!(average(start), None);
    // Of the first sample a part of 32 is believed, and 5 s count as 100 ms.
    latency.record(5_000 * MS, start);
    assert_close(average(start).unwrap(), 10_000.0 + 90_000.0 / 32.0);
    settle(latency, 10 * MS, start);
    assert_close(average(start).unwrap(), 10_000.0);
    let later = start + 30_000 * MS;
    latency.record(5_000 * MS, later);
    assert_close(average(later).unwrap(), 10_000.0 + 90_000.0 / 8.0);
}

#[test]
fn an_average_of_few_samples_is_their_mean() {
    let latency = Latency::new();
    [30, 10, 5, 15].into_iter().for_each(|ms| latency.record(ms * MS, epoch()));
    assert_close(latency.last_average_us().unwrap(), 15_000.0);
}

#[test]
fn a_busy_backends_change_shows_within_a_few_hundred_samples() {
    let start = epoch();
    let (backend, _) = backend(Some(10_000.0));
    settle(backend.latency(), 10 * MS, start);
    for number in 0..300 {
        backend.latency().record(100 * MS, start + number * MS);
    }
    assert!(backend.latency().last_average_us().unwrap() > 85_000.0);
}

#[test]
fn without_samples_an_average_goes_to_the_median() {
    let start = epoch();
    let (backend, norm) = backend(None);
    for (own_ms, norm_us) in [(80, 10_000.0), (1, 10_000.0)] {
        norm.set(None, Moment::of(start));
        let latency = Latency::new();
        settle(&latency, own_ms * MS, start);
        let own_us = own_ms as f32 * 1e3;
        let after = |seconds: u64| {
            latency.average_us(norm_us, Moment::of(start + Duration::from_secs(seconds))).unwrap()
        };
        assert_close(after(0), own_us);
        assert_close(after(10), norm_us + (own_us - norm_us) / std::f32::consts::E);
        assert_close(after(200), norm_us);
    }
    drop(backend);
}

#[test]
fn failures_add_up_fade_and_are_outweighed() {
    let start = epoch();
    let (backend, _) = backend(Some(10_000.0));
    let latency = backend.latency();
    let failing = |at: Instant| latency.failing(Moment::of(at));
    latency.record_failure(MS, start);
    assert_close(failing(start), 0.05);
    for _ in 0..100 {
        latency.record_failure(MS, start);
    }
    assert!(failing(start) > 0.99);
    assert_close(failing(start + 10_000 * MS), failing(start) / std::f32::consts::E);
    for _ in 0..200 {
        latency.record(10 * MS, start);
    }
    assert_eq!(failing(start), 0.0);
    assert_close(latency.last_average_us().unwrap(), 10_000.0);
}

#[test]
fn one_lost_request_counts_as_long_as_a_good_one_and_of_many_half_are_left_then() {
    let start = epoch();
    let (backend, norm) = backend(Some(10_000.0));
    let latency = backend.latency();
    let lost = |ms: u32| latency.lost(Moment::of(start + ms * MS));
    latency.record_failure(Duration::ZERO, start);
    assert_eq!([lost(0), lost(9), lost(11)], [1, 1, 0]);
    for _ in 0..64 {
        latency.record_failure(Duration::ZERO, start + 20 * MS);
    }
    assert_eq!([lost(20), lost(30), lost(40), lost(120)], [64, 32, 16, 0]);
    // One that took as long as a good one has counted long enough.
    latency.record_failure(11 * MS, start + 200 * MS);
    assert_eq!(lost(200), 0);
    // However long a good one takes, no more than 5 s.
    norm.set(Some(60e6), Moment::of(start));
    latency.record_failure(Duration::ZERO, start + 300 * MS);
    assert_eq!([lost(5_200), lost(5_400)], [1, 0]);
}

#[test]
fn a_wait_ends_with_the_answer_or_with_the_lease() {
    let start = epoch();
    let (backend, _) = backend(None);
    let age = |ms: u32| backend.latency().mean_age_us(Moment::of(start + ms * MS));
    let first = Lease::take(&backend, 0, start).unwrap();
    let second = Lease::take(&backend, 0, start + 100 * MS).unwrap();
    assert_close(age(200), 150_000.0);
    assert_eq!(age(20), 0.0, "a reading from before the second began");
    first.answered(200 * MS, start + 200 * MS);
    assert_close(age(300), 200_000.0);
    drop(first);
    assert_close(age(300), 200_000.0);
    assert_eq!(backend.in_flight(), 1);
    drop(second);
    assert_eq!((age(300), backend.in_flight()), (0.0, 0));
}

/// A reload may bring a balancer that reads times while requests are in flight.
#[test]
fn a_lease_from_before_the_first_measure_takes_no_wait_off_the_count() {
    let start = epoch();
    let backend = unmeasured();
    let latency = backend.latency();
    let early = Lease::take(&backend, 0, start).unwrap();
    early.answered(MS, start + MS);
    early.failed(MS, start + MS);
    assert_eq!((latency.last_average_us(), latency.failing(Moment::of(start))), (None, 0.0));
    let pending = [(); 2].map(|()| Lease::take(&backend, 0, start).unwrap());
    let norm = Arc::new(Norm::default());
    latency.measure_by(&norm);
    let counted = Lease::take(&backend, 0, start + 100 * MS).unwrap();
    let age = || latency.mean_age_us(Moment::of(start + 200 * MS));
    assert_close(age(), 100_000.0);
    let [answered, dropped] = pending;
    answered.answered(10 * MS, start + 110 * MS);
    drop((answered, dropped));
    assert_close(age(), 100_000.0);
    assert_close(latency.last_average_us().unwrap(), 10_000.0);
    drop((early, counted));
    assert_eq!((age(), backend.in_flight()), (0.0, 0));
}

#[test]
fn waits_of_many_threads_add_up_to_nothing() {
    let (backend, _) = backend(None);
    thread::scope(|scope| {
        for worker in 0..4 {
            let backend = &backend;
            scope.spawn(move || {
                for number in 0..5_000u32 {
                    let lease = Lease::take(backend, 0, epoch() + (number * 7 + worker) * MS).unwrap();
                    if number % 2 == 0 {
                        lease.answered(MS, epoch() + number * MS);
                    }
                }
            });
        }
    });
    assert_eq!(backend.latency().mean_age_us(Moment::of(epoch() + 3_600_000 * MS)), 0.0);
    assert_eq!(backend.in_flight(), 0);
}

/// Room that comes of anything but an end is told to those who wait: nobody else would call them.
#[test]
fn a_found_limit_makes_room_for_tunnels_and_calls_who_waits() {
    use std::task::{Context, Poll, Waker};

    use crate::queue::{Ask, Class, Queue, Wants, Word};

    let (backend, queue, now) = (unmeasured(), Arc::<Queue>::default(), Instant::now());
    backend.serves(&queue);
    assert_eq!(backend.found_limit(), None, "it has another limit, or none");
    let take = || Lease::take(&backend, ADAPTIVE, now);
    let leases: Vec<Lease> = (0..20).map(|_| take().unwrap()).collect();
    assert!(take().is_none() && !backend.has_room(ADAPTIVE) && backend.has_room(0));
    let ask = Ask {
        class: Class::Normal,
        again: false,
        wants: Wants::Any,
        expires: now + Duration::from_secs(60),
        max: 10,
    };
    let mut spot = queue.join(ask, now).unwrap();
    spot.in_vain(Wants::Any);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(spot.poll(|| now, &mut cx), Poll::Pending);
    let tunnel = backend.open_tunnel();
    assert_eq!(spot.poll(|| now, &mut cx), Poll::Ready(Word::Try));
    assert!(take().is_some());
    drop((tunnel, leases));
    assert_eq!(backend.in_flight(), 0);
}

#[test]
fn an_older_clock_reading_does_not_turn_time_back() {
    let start = epoch();
    let (backend, _) = backend(None);
    let latency = backend.latency();
    settle(latency, 10 * MS, start + 5_000 * MS);
    latency.record(10 * MS, start + 4_000 * MS);
    assert!(!latency.is_silent_for(1_000 * MS, Moment::of(start + 5_999 * MS)));
    assert!(latency.is_silent_for(1_000 * MS, Moment::of(start + 6_000 * MS)));
    assert_eq!(latency.average_us(1.0, Moment::of(start + 3_000 * MS)), Some(10_000.0));
}

proptest! {
    #[test]
    fn an_average_stays_between_its_samples(
        samples in prop::collection::vec((1u64..5_000_000, 0u64..20_000), 1..50),
    ) {
        let latency = Latency::new();
        let mut now = epoch();
        let (mut shortest, mut longest) = (u64::MAX, 0);
        for (sample_us, gap_ms) in samples {
            now += Duration::from_millis(gap_ms);
            (shortest, longest) = (shortest.min(sample_us), longest.max(sample_us));
            latency.record(Duration::from_micros(sample_us), now);
            let average = latency.last_average_us().unwrap();
            prop_assert!(average <= longest as f32 * 1.001 && average >= shortest as f32 * 0.999);
        }
    }
}
