use std::sync::Arc;

use super::*;
use crate::admin::view::BackendView;
use crate::admin::{BurnView, QueueView, SloView, TrafficView};
use crate::backend::{Backend, Identity};
use crate::observe::{BackendSeries, MethodLabel, Metrics, Outcome, PoolSeries};

struct Stage {
    pool: Arc<PoolSeries>,
    backends: Vec<Arc<BackendSeries>>,
}

impl Stage {
    fn new() -> Self {
        let metrics = Metrics::new(1);
        let backend = |name: &str| {
            let identity = Identity { pool: "crm".into(), name: name.into(), address: "10.0.0.1:80".into() };
            metrics.backend(&Backend::new(identity, true), Instant::now())
        };
        Self { pool: metrics.pool("crm"), backends: vec![backend("a"), backend("b")] }
    }

    fn serve(&self, place: usize, times: u32, code: u16, took_ms: u64) {
        for _ in 0..times {
            self.backends[place].outcome(0, Outcome::Code(code));
            self.backends[place].response_time(0, Duration::from_millis(took_ms));
        }
    }

    fn look(&self, live: &mut Live, now: Instant) -> LivePool {
        self.look_at_all(live, now).pools.remove(0)
    }

    fn look_at_all(&self, live: &mut Live, now: Instant) -> Look {
        let backends = self.backends.iter().map(|one| BackendView::of(one, 1, 0, now)).collect();
        let pool = PoolView::of(&self.pool, "random", Some(0), QueueView::default(), backends, now);
        live.look(vec![pool], Vec::new(), now)
    }
}

fn near(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found / expected - 1.0).abs() < 0.05)
}

#[test]
fn what_was_before_the_first_look_counts_for_nothing() {
    let (stage, mut live, begun) = (Stage::new(), Live::default(), Instant::now());
    stage.serve(0, 1000, 200, 900);
    let first = stage.look(&mut live, begun);
    assert_eq!((first.pace.rate, first.backends[0].share, first.pace.p99_seconds), (None, None, None));

    stage.serve(0, 30, 200, 10);
    stage.serve(1, 10, 503, 40);
    let second = stage.look(&mut live, begun + Duration::from_secs(2));
    let [a, b] = &second.backends[..] else { panic!("{second:?}") };
    assert_eq!((a.pace.rate, a.pace.failed_rate, a.pace.failed_ratio), (Some(15.0), Some(0.0), Some(0.0)));
    assert_eq!((b.pace.rate, b.pace.failed_rate, b.pace.failed_ratio), (Some(5.0), Some(5.0), Some(1.0)));
    assert_eq!((a.share, b.share), (Some(0.75), Some(0.25)));
    assert!(near(a.pace.p99_seconds, 0.01) && near(b.pace.p50_seconds, 0.04), "{second:?}");
    assert!(near(second.pace.p50_seconds, 0.01) && near(second.pace.p99_seconds, 0.04), "{second:?}");
}

#[test]
fn all_pools_together_are_more_than_the_mean_of_them() {
    let (stages, mut live, begun) = ([Stage::new(), Stage::new()], Live::default(), Instant::now());
    let mut look = |traffic: [(u64, u64); 2], now: Instant| {
        let pools = stages.iter().zip(["a", "b"]).zip(traffic).map(|((stage, name), (succeeded, failed))| {
            let backends = stage.backends.iter().map(|one| BackendView::of(one, 1, 0, now)).collect();
            let pool = PoolView::of(&stage.pool, "random", Some(0), QueueView::default(), backends, now);
            let traffic = TrafficView { succeeded, failed, success_ratio: None };
            PoolView { name: name.to_owned(), traffic, ..pool }
        });
        live.look(pools.collect(), Vec::new(), now).pace
    };
    assert_eq!(look([(1000, 7), (0, 0)], begun), Pace::default(), "what was before counts for nothing");
    stages[0].serve(0, 90, 200, 10);
    stages[1].serve(0, 10, 200, 500);
    let whole = look([(1010, 7), (0, 10)], begun + Duration::from_secs(2));
    assert_eq!((whole.rate, whole.failed_rate, whole.failed_ratio), (Some(10.0), Some(5.0), Some(0.5)));
    assert!(near(whole.p50_seconds, 0.01) && near(whole.p99_seconds, 0.5), "{whole:?}");
}

#[test]
fn what_is_older_than_twenty_seconds_is_forgotten() {
    let (stage, mut live, begun) = (Stage::new(), Live::default(), Instant::now());
    stage.look(&mut live, begun);
    stage.serve(0, 100, 200, 500);
    for second in 1..=10 {
        let read = stage.look(&mut live, begun + Duration::from_secs(second));
        assert!(near(read.backends[0].pace.p99_seconds, 0.5), "{second}: {read:?}");
    }
    stage.serve(0, 100, 200, 5);
    let both = stage.look(&mut live, begun + Duration::from_secs(11));
    assert!(near(both.backends[0].pace.p99_seconds, 0.5), "{both:?}");
    for second in 12..=21 {
        stage.look(&mut live, begun + Duration::from_secs(second));
    }
    stage.serve(0, 100, 200, 5);
    let read = stage.look(&mut live, begun + Duration::from_secs(22));
    assert!(near(read.backends[0].pace.p99_seconds, 0.005), "{read:?}");
    assert_eq!(read.backends[0].pace.rate, Some(100.0));
}

#[test]
fn who_begins_anew_or_goes_leaves_nothing_behind() {
    let (mut stage, mut live, begun) = (Stage::new(), Live::default(), Instant::now());
    stage.serve(0, 100, 200, 5);
    stage.look(&mut live, begun);
    stage.backends = Stage::new().backends;
    let read = stage.look(&mut live, begun + Duration::from_secs(1));
    assert_eq!(read.backends[0].pace.rate, Some(0.0));
    stage.backends.remove(1);
    stage.look(&mut live, begun + Duration::from_secs(2));
    assert_eq!((live.backends.len(), live.pools.len()), (1, 1));
    live.forget();
    assert_eq!(stage.look(&mut live, begun + Duration::from_secs(3)).pace.rate, None);
}

#[test]
fn routes_have_their_own_pace_by_name_and_listener() {
    let (metrics, mut live, begun) = (Metrics::new(1), Live::default(), Instant::now());
    let listeners = ["plain", "tls"].map(Arc::<str>::from);
    let mut look = |traffic: [(u64, u64, u64); 2], now: Instant| {
        let routes = listeners.iter().zip(traffic).map(|(listener, (succeeded, failed, took_ms))| {
            let series = metrics.route(listener, "default");
            (0..succeeded)
                .for_each(|_| series.request(0, MethodLabel::Get, 200, Duration::from_millis(took_ms)));
            let account = metrics.route_account(Some(listener), "default");
            let view =
                RouteView::of(&account, std::slice::from_ref(listener), "crm", series.durations(), now);
            RouteView { traffic: TrafficView { succeeded, failed, success_ratio: Some(0.5) }, ..view }
        });
        live.look(Vec::new(), routes.collect(), now).routes
    };
    let first = look([(10, 0, 900), (0, 0, 0)], begun);
    assert_eq!(first.iter().map(|one| one.pace.rate).collect::<Vec<_>>(), [None, None]);
    let second = look([(30, 10, 10), (8, 0, 40)], begun + Duration::from_secs(2));
    let [plain, tls] = &second[..] else { panic!("{second:?}") };
    assert_eq!(
        (plain.pace.rate, plain.pace.failed_rate, plain.pace.failed_ratio),
        (Some(15.0), Some(5.0), Some(0.3333))
    );
    assert_eq!((tls.pace.rate, tls.pace.failed_ratio), (Some(4.0), Some(0.0)));
    assert!(near(plain.pace.p99_seconds, 0.01) && near(tls.pace.p50_seconds, 0.04), "{second:?}");
    live.look(Vec::new(), Vec::new(), begun + Duration::from_secs(3));
    assert!(live.routes.is_empty(), "who has gone leaves nothing behind");
    let account = metrics.route_account(Some("plain"), "default");
    let alike = [(); 2].map(|()| {
        let durations = metrics.route("plain", "default").durations();
        RouteView::of(&account, &listeners[..1], "crm", durations, begun)
    });
    let told = live.look(Vec::new(), alike.into(), begun + Duration::from_secs(4)).routes;
    assert_eq!(told.len(), 1, "those that are counted as one are told as one");
}

#[test]
fn the_budget_that_is_told_is_the_one_of_which_less_is_left() {
    let burn = |left| BurnView {
        objective_ratio: 0.99,
        budget_remaining_ratio: left,
        burn_rate_5m: 0.0,
        burn_rate_1h: 0.0,
        burn_rate_6h: 0.0,
    };
    let traffic = TrafficView { succeeded: 0, failed: 0, success_ratio: None };
    let told = |availability: Option<BurnView>, latency: Option<BurnView>| {
        let slo = SloView { window_seconds: 60.0, availability, latency, latency_seconds: None };
        let record = serde_json::to_value(Record::of(None, &traffic, Some(slo))).unwrap();
        record["budget_remaining_ratio"].as_f64()
    };
    assert_eq!(told(Some(burn(0.9)), Some(burn(-0.5))), Some(-0.5));
    assert_eq!(told(Some(burn(0.9)), None), Some(0.9));
    assert_eq!(told(None, None), None);
}
