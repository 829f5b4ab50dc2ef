//! What the control thread hears of backends, and what becomes of their pools.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::backend::{Backend, Moment};
use crate::health::{Event, What};
use crate::observe::CheckResult;
use crate::snapshot::{self, Snapshot};

/// Between two reviews of the pools lies at least this, however many backends are ejected and come back.
const REVIEW_GAP: Duration = Duration::from_millis(1);

/// The backends that a reload takes away.
pub(super) fn removed(old: &Snapshot, new: &Snapshot) -> Vec<Arc<Backend>> {
    let kept: std::collections::HashSet<u64> = new.backends().map(|backend| backend.id()).collect();
    old.backends().filter(|backend| !kept.contains(&backend.id())).cloned().collect()
}

/// Counts what a probe found; after a change compiles the pool's usable backends anew.
pub(super) fn hear(snapshot: &Snapshot, event: &Event) {
    match &event.what {
        What::Probed { result, elapsed } => {
            let counted = match *result {
                "passed" => CheckResult::Success,
                "timeout" | "connect_timeout" => CheckResult::Timeout,
                _ => CheckResult::Failure,
            };
            let Some((pool, (place, member))) = member_of(snapshot, &event.backend) else { return };
            member.series.health_check(counted);
            let heard = Instant::now();
            let now = Moment::of(heard);
            if counted == CheckResult::Success {
                member.series.release(heard);
                pool.series.release(heard);
                if pool.squad.check_passed(place, now.before(*elapsed), now) {
                    snapshot.changed().notify_one();
                }
            }
        }
        What::Changed { .. } | What::Advised => renew(snapshot, &event.backend),
    }
}

/// Notes that a backend went up or down.
pub(super) fn renew(snapshot: &Snapshot, backend: &Arc<Backend>) {
    let now = Instant::now();
    if let Some((pool, (_, member))) = member_of(snapshot, backend) {
        member.series.note_condition(now);
        pool.review(now);
        // Its share may grow from now on.
        snapshot.changed().notify_one();
    }
}

fn member_of<'a>(
    snapshot: &'a Snapshot,
    backend: &Backend,
) -> Option<(&'a Arc<snapshot::Pool>, (usize, &'a snapshot::Member))> {
    let pool = snapshot.pool(&backend.identity().pool)?;
    Some((pool, pool.member(backend)?))
}

/// Looks at the pools again whenever somebody was ejected or came back, and while a share grows.
pub(super) async fn keep_reviewing(shared: Arc<ArcSwap<Snapshot>>, changed: Arc<Notify>) {
    loop {
        let now = Instant::now();
        let again = shared.load().pools.iter().filter_map(|pool| pool.review(now)).min();
        let waited = async {
            match again {
                Some(again) => tokio::time::sleep(again).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = waited => {}
            () = changed.notified() => {}
        }
        tokio::time::sleep(REVIEW_GAP).await;
    }
}
