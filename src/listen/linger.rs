//! The end of a connection whose last answer must arrive.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::drive::Drive;

/// How long a connection is read on after its last answer. Closing with unread bytes resets the
/// connection, and the reset may overtake the answer (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Bytes thrown away meanwhile. Beyond it the client is left to its full buffers for the rest of the time: a
/// close would reset the connection while its answer may not have been read.
const MAX_LINGER: u64 = 1024 * 1024;

impl Drive {
    /// Writes what is left, sends our FIN, and reads on until the client's, within bounds.
    pub(super) async fn linger(&mut self) {
        self.client.timer.arm(Instant::now() + self.listener.write_timeout);
        let mut told = false;
        let mut discarded = 0;
        poll_fn(|cx| {
            if self.client.timer.has_fired() {
                return Poll::Ready(());
            }
            if !told {
                match self.client.poll_flush(cx) {
                    Poll::Pending => {
                        self.client.park(&self.worker.blocks);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(())) => {}
                }
                if self.client.half_closed {
                    return Poll::Ready(());
                }
                if self.client.stream.poll_shutdown(cx).is_pending() {
                    return Poll::Pending;
                }
                told = true;
                self.client.timer.arm(Instant::now() + LINGER);
            }
            loop {
                self.client.buffer.consume(self.client.buffer.len());
                if discarded >= MAX_LINGER {
                    self.client.park(&self.worker.blocks);
                    return Poll::Pending;
                }
                match self.client.poll_fill(&self.worker.blocks, cx) {
                    Poll::Pending => {
                        self.client.park(&self.worker.blocks);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(n)) if n > 0 => discarded += n as u64,
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}
