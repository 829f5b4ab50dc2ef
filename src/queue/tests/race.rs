//! The queue among threads.

use std::sync::atomic::AtomicU32;

use super::*;

/// A call that got lost would leave one asleep for ever.
#[test]
fn nobody_sleeps_beside_a_free_place_where_workers_race() {
    const LIMIT: u32 = 2;
    const ROUNDS: u32 = 3_000;
    let (queue, used, most) = (Arc::<Queue>::default(), AtomicU32::new(0), AtomicU32::new(0));
    let take = || {
        let one_more = |before| (before < LIMIT).then_some(before + 1);
        let taken = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        most.fetch_max(taken.map_or(0, |before| before + 1), Ordering::SeqCst);
        taken.is_ok()
    };
    let wait = |nth: u32| {
        let mut spot = queue.join(ask(Class::Normal), Instant::now()).unwrap();
        let door = Arc::new(Sleeper(std::thread::current()));
        let waker = Waker::from(door);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match spot.poll(Instant::now, &mut Context::from_waker(&waker)) {
                Poll::Ready(Word::Try) if nth.is_multiple_of(7) => return false, // leaves with a call in its hands
                Poll::Ready(Word::Try) if take() => {
                    spot.serve(0);
                    return true;
                }
                Poll::Ready(word) => {
                    assert_eq!(word, Word::Try);
                    spot.in_vain(Wants::Any);
                }
                Poll::Pending => {
                    std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
                    assert!(
                        Instant::now() < until,
                        "asleep beside {} of {LIMIT}: {queue:?}",
                        used.load(Ordering::SeqCst)
                    );
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for nth in 1..=ROUNDS {
                    if (!queue.is_awaited() && take()) || wait(nth) {
                        std::thread::yield_now();
                        used.fetch_sub(1, Ordering::SeqCst);
                        queue.freed(0);
                    }
                }
            });
        }
    });
    assert_eq!((used.load(Ordering::SeqCst), queue.len()), (0, 0));
    assert_eq!(most.load(Ordering::SeqCst), LIMIT);
}

struct Sleeper(std::thread::Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
