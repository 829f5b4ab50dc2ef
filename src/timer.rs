//! Deadlines of a worker, kept as plain instants and checked lazily.
//!
//! A tokio timer armed and dropped around every wait costs about 600 instructions, and a proxy waits four
//! times a request. Here arming is a store: a connection's [`Timer`] stands in the queue once, at a time
//! no later than its deadline; when that time comes and the deadline has moved on, it is queued again.
//! Resolution is [`TICK`]; a deadline never fires early.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How late a deadline may fire.
pub const TICK: Duration = Duration::from_millis(TICK_MS);

const TICK_MS: u64 = 10;

/// Entries kept for the next timers. A reused one keeps its place in the queue: without this a stream of
/// short connections would leave one dead place each, for as long as the longest timeout.
const MAX_SPARE: usize = 4096;

/// Not in the queue.
const NEVER: u64 = u64::MAX;

/// The deadlines of one worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wheel(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    queue: RefCell<BTreeMap<u64, Vec<Weak<Entry>>>>,
    spare: RefCell<Vec<Rc<Entry>>>,
    earlier: Notify,
}

#[derive(Debug)]
struct Entry {
    /// An instant: most deadlines move on before they come, and ticks cost a subtraction of instants.
    deadline: Cell<Option<Instant>>,
    /// The tick since the wheel's start at which it stands in the queue, and the instant that this was worked out for.
    queued: Cell<u64>,
    queued_for: Cell<Option<Instant>>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One deadline, of one task.
#[derive(Debug)]
pub struct Timer {
    wheel: Wheel,
    entry: Rc<Entry>,
}

impl Wheel {
    /// An empty wheel; [`Self::run`] must be polled by the same worker.
    pub fn new() -> Self {
        Self::starting(Instant::now())
    }

    fn starting(start: Instant) -> Self {
        Self(Rc::new(Inner {
            start,
            queue: RefCell::new(BTreeMap::new()),
            spare: RefCell::default(),
            earlier: Notify::new(),
        }))
    }

    /// A timer without a deadline.
    pub fn timer(&self) -> Timer {
        let entry = self.0.spare.borrow_mut().pop().unwrap_or_else(|| {
            Rc::new(Entry {
                deadline: Cell::new(None),
                queued: Cell::new(NEVER),
                queued_for: Cell::new(None),
                fired: Cell::new(false),
                waker: RefCell::new(None),
            })
        });
        Timer { wheel: self.clone(), entry }
    }

    /// Fires deadlines as they come, for ever.
    pub async fn run(&self) {
        loop {
            let next = self.0.queue.borrow().keys().next().copied();
            let earlier = self.0.earlier.notified();
            match next {
                None => earlier.await,
                Some(tick) => {
                    let at = self.0.start + Duration::from_millis(tick.saturating_mul(TICK_MS));
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => self.fire(tick),
                        () = earlier => {}
                    }
                }
            }
        }
    }

    fn fire(&self, now: u64) {
        let due = {
            let mut queue = self.0.queue.borrow_mut();
            let later = queue.split_off(&(now + 1));
            std::mem::replace(&mut *queue, later)
        };
        for entry in due.into_values().flatten().filter_map(|weak| weak.upgrade()) {
            if entry.queued.get() > now {
                continue; // a second, later place of an entry that was queued again for an earlier time
            }
            entry.queued.set(NEVER);
            entry.queued_for.set(None);
            let Some(deadline) = entry.deadline.get() else { continue };
            if self.tick_of(deadline) <= now {
                entry.deadline.set(None);
                entry.fired.set(true);
                if let Some(waker) = &*entry.waker.borrow() {
                    waker.wake_by_ref();
                }
            } else {
                self.enqueue(&entry, deadline);
            }
        }
    }

    #[cold]
    fn enqueue(&self, entry: &Rc<Entry>, at: Instant) {
        let tick = self.tick_of(at);
        entry.queued_for.set(Some(at));
        if tick >= entry.queued.get() {
            return; // it stands there already
        }
        entry.queued.set(tick);
        let mut queue = self.0.queue.borrow_mut();
        let first = queue.keys().next().copied();
        queue.entry(tick).or_default().push(Rc::downgrade(entry));
        if first.is_none_or(|first| tick < first) {
            self.0.earlier.notify_one();
        }
    }

    fn tick_of(&self, at: Instant) -> u64 {
        const TICKS_PER_SECOND: u64 = 1_000 / TICK_MS;
        // In 64 bits: a division of 128 bits costs as much as all the rest.
        let elapsed = at.saturating_duration_since(self.0.start);
        elapsed.as_secs() * TICKS_PER_SECOND + u64::from(elapsed.subsec_nanos().div_ceil(TICK.subsec_nanos()))
    }
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer {
    /// Sets the task that is woken when the deadline has passed.
    pub fn wake(&self, waker: &Waker) {
        *self.entry.waker.borrow_mut() = Some(waker.clone());
    }

    /// Sets the deadline, in place of the one before.
    pub fn arm(&self, at: Instant) {
        self.entry.fired.set(false);
        self.entry.deadline.set(Some(at));
        if self.entry.queued_for.get().is_none_or(|queued_for| at < queued_for) {
            self.wheel.enqueue(&self.entry, at);
        }
    }

    /// Takes the deadline away.
    pub fn disarm(&self) {
        self.entry.deadline.set(None);
        self.entry.fired.set(false);
    }

    /// Whether the deadline has passed since it was set.
    pub fn has_fired(&self) -> bool {
        self.entry.fired.get()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.disarm();
        self.entry.waker.borrow_mut().take();
        let mut spare = self.wheel.0.spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(Rc::clone(&self.entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    async fn fired(timer: &Timer) {
        poll_fn(|cx| {
            timer.wake(cx.waker());
            if timer.has_fired() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_fires_once_it_has_passed_and_never_early() {
        let wheel = Wheel::starting(now());
        let timer = wheel.timer();
        let start = now();
        timer.arm(start + Duration::from_millis(250));
        tokio::select! {
            () = wheel.run() => unreachable!(),
            () = fired(&timer) => {}
        }
        let waited = now() - start;
        assert!(waited >= Duration::from_millis(250) && waited <= Duration::from_millis(270), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_is_kept_both_ways() {
        let wheel = Wheel::starting(now());
        let (later, sooner) = (wheel.timer(), wheel.timer());
        let start = now();
        later.arm(start + Duration::from_millis(100));
        later.arm(start + Duration::from_secs(5));
        sooner.arm(start + Duration::from_secs(60));
        sooner.arm(start + Duration::from_millis(300));
        tokio::select! {
            () = wheel.run() => unreachable!(),
            () = fired(&sooner) => {}
        }
        assert!(now() - start < Duration::from_millis(330));
        assert!(!later.has_fired());
        tokio::select! {
            () = wheel.run() => unreachable!(),
            () = fired(&later) => {}
        }
        let waited = now() - start;
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_millis(5030), "{waited:?}");
    }

    /// 2^32 ticks are 497 days.
    #[tokio::test(start_paused = true)]
    async fn a_worker_that_has_run_for_years_fires_no_deadline_early() {
        tokio::time::advance(Duration::from_secs(600 * 86_400)).await;
        let start = now();
        let wheel = Wheel::starting(start - Duration::from_secs(600 * 86_400));
        let timer = wheel.timer();
        timer.arm(start + Duration::from_secs(1));
        tokio::select! {
            () = wheel.run() => unreachable!(),
            () = fired(&timer) => {}
        }
        assert!(now() - start >= Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disarmed_timer_stays_silent() {
        let wheel = Wheel::starting(now());
        let timer = wheel.timer();
        timer.arm(now() + Duration::from_millis(50));
        timer.disarm();
        let waited = tokio::time::timeout(Duration::from_secs(1), wheel.run()).await;
        assert!(waited.is_err() && !timer.has_fired());
    }
}
