//! Who counts, and that each request counts once.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::observe::tally::{Tallied, Timed};

#[test]
fn a_request_counts_once_where_two_routes_share_a_name() {
    let mut stage = Stage::new();
    let Process { pool, route, requests, .. } = &stage.process;
    pool.follow(&[&**route], &[Arc::clone(requests), Arc::clone(requests)], Some(objective()), stage.now);
    stage.requests(200, 3);
    stage.requests(503, 1);
    stage.pass(ms(2_000));
    assert_eq!(stage.process.pool.account().tally(), Tally { good: 3, failed: 1 });
}

/// A worker that counts a request at each moment that somebody looks.
#[derive(Debug, Default)]
struct Busy(AtomicU64);

impl Tallied for Busy {
    fn tally(&self) -> Tally {
        Tally { good: self.0.fetch_add(1, Ordering::Relaxed) + 1, failed: 0 }
    }

    fn timed(&self, _within: Duration) -> Timed {
        Timed::default()
    }
}

#[test]
fn a_reload_under_load_loses_no_request() {
    let stage = Stage::new();
    let account = stage.process.pool.account();
    let busy = Arc::new(Busy::default());
    let source = || vec![Arc::downgrade(&busy) as Weak<dyn Tallied>];
    account.set_sources(source(), stage.now);
    let lost = || busy.0.load(Ordering::Relaxed) - account.tally().good;
    let before = lost();
    for _ in 0..10 {
        account.set_sources(source(), stage.now);
    }
    assert_eq!(lost(), before);
}
