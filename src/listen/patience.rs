//! The wait for what comes before the first request.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::drive::Newcomer;

/// How long a client that has not yet been spoken with is waited for once the end has been announced, or its place
/// is needed.
const GRACE: Duration = Duration::from_millis(500);

impl Newcomer {
    /// Waits for something of the client until `due`. It is idle meanwhile, and may have to give way.
    pub(super) async fn within<T>(
        &self,
        due: Instant,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        self.timer.arm(due);
        self.chair.doze();
        let mut graced = false;
        let came = poll_fn(|cx| {
            self.timer.wake(cx.waker());
            *self.seat.waker.borrow_mut() = Some(cx.waker().clone());
            if let Poll::Ready(came) = poll(cx) {
                return Poll::Ready(came);
            }
            if self.timer.has_fired() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if !graced && (self.seat.leave.get() || self.worker.is_draining()) {
                graced = true;
                self.timer.arm(due.min(Instant::now() + GRACE));
            }
            Poll::Pending
        })
        .await;
        self.chair.rouse();
        self.timer.disarm();
        came
    }
}
