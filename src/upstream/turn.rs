//! How often a worker's thread has asked the kernel for events: what came before the last time is known, without a call.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

thread_local! {
    static TURN: Cell<u64> = const { Cell::new(0) };
    /// What is known of the looks that tokio takes between two tasks, and tells no hook of.
    static BETWEEN: Cell<Between> = const { Cell::new(Between::Ignored) };
    static COUNTER: Waker = Waker::from(Arc::new(Counter));
}

/// Whether looks between two tasks are counted. That costs each burst of work one look more, so it is done only where one
/// has been missed, and until the thread waits again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    /// They are not.
    Ignored,
    /// One that was missed has cost a call: they are to be.
    Wanted,
    /// The next one will be.
    Awaited,
}

/// To be called each time a worker's thread comes back from waiting for events.
pub fn events_were_read() {
    TURN.set(TURN.get() + 1);
    BETWEEN.set(Between::Ignored);
}

/// How often events were read so far, as far as it was counted.
pub(super) fn current() -> u64 {
    TURN.get()
}

/// To be called by one who had to ask the kernel because the turn had not changed.
pub(super) fn was_missed() {
    if BETWEEN.get() == Between::Ignored {
        BETWEEN.set(Between::Wanted);
        note();
    }
}

/// To be called by one to whom the next change of the turn will matter.
#[inline]
pub(super) fn note() {
    if BETWEEN.get() == Between::Wanted {
        count_next();
    }
}

#[cold]
fn count_next() {
    BETWEEN.set(Between::Awaited);
    // tokio wakes whoever has yielded right after its next look at events. It does not promise that, so a test holds it
    // to it.
    let yielding = pin!(tokio::task::yield_now());
    let _ = COUNTER.with(|waker| yielding.poll(&mut Context::from_waker(waker)));
}

struct Counter;

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        TURN.set(TURN.get() + 1);
        // Not to be asked for from here: whoever yields while it is woken is woken again, for ever.
        BETWEEN.set(Between::Wanted);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::task::Poll;

    use tokio::io::Interest;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Lets another task run, without a look at events.
    async fn pass() {
        let mut passed = false;
        poll_fn(|cx| match std::mem::replace(&mut passed, true) {
            true => Poll::Ready(()),
            false => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    async fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        // Readiness from before its first read says nothing.
        let _ = stream
            .try_io(Interest::READABLE, || std::io::Result::<()>::Err(std::io::ErrorKind::WouldBlock.into()));
        (stream, peer)
    }

    /// What was there before it was asked for a turn has been told of when the turn has come.
    #[tokio::test]
    async fn when_a_turn_is_counted_the_events_before_it_are_known() {
        for busy in [0, 1, 7, 200] {
            let (stream, mut peer) = pair().await;
            peer.write_all(b"x").unwrap();
            let before = current();
            was_missed();
            note();
            let mut passed = 0;
            while current() == before {
                // With others that are ready it looks after a number of tasks, without them at once.
                if passed < busy {
                    pass().await
                } else {
                    tokio::task::yield_now().await
                }
                passed += 1;
                assert!(passed < 10_000, "no turn is counted");
            }
            assert_eq!(current(), before + 1, "one look is one turn");
            assert!(stream.try_io(Interest::READABLE, || Ok(())).is_ok(), "{busy}: counted without a look");
            events_were_read();
        }
    }
}
