//! Large bodies from socket to socket without a copy: splice(2) through kernel pipes.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What one pipe may hold. The kernel grants an unprivileged user 64 MiB in all.
const CAPACITY: usize = 512 * 1024;

/// Pipes of one worker, in use and spare: each is two descriptors. A body that gets none is copied.
const MAX_CONDUITS: usize = 64;

/// Empty pipes that are kept for the next large bodies.
const MAX_SPARE: usize = 8;

/// The pipes of one worker.
#[derive(Debug, Clone, Default)]
pub struct Conduits(Rc<RefCell<Store>>);

#[derive(Debug, Default)]
struct Store {
    spare: Vec<Ends>,
    /// Pipes that exist.
    open: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// One pipe, for one body. Goes back when it is dropped, or is closed where it still holds bytes: they must
/// never be another body's.
#[derive(Debug)]
pub struct Conduit {
    store: Conduits,
    ends: Option<Ends>,
    held: usize,
}

impl Conduits {
    /// A pipe; `None` where the kernel or the bound refuses one.
    pub fn take(&self) -> Option<Conduit> {
        let mut store = self.0.borrow_mut();
        let ends = match store.spare.pop() {
            Some(ends) => ends,
            None if store.open >= MAX_CONDUITS => return None,
            None => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
                // A smaller pipe works too, with more calls.
                let _ = fcntl_setpipe_size(&write, CAPACITY);
                store.open += 1;
                Ends { read, write }
            }
        };
        Some(Conduit { store: self.clone(), ends: Some(ends), held: 0 })
    }
}

impl Conduit {
    /// Bytes that have come in and not gone out.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes at most `max` bytes from the socket into the empty pipe; 0 at the end of the stream. Where there
    /// is no socket it is an invalid input, as it is where the kernel cannot do it.
    pub fn poll_fill(
        &mut self,
        source: Option<&TcpStream>,
        max: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(source) = source else { return Poll::Ready(Err(io::ErrorKind::InvalidInput.into())) };
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(CAPACITY);
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        // The pipe is empty: a refusal is the socket's.
        let filled = move_when_ready(source, Interest::READABLE, cx, || shift(source, &ends.write, max));
        if let Poll::Ready(Ok(n)) = filled {
            self.held += n;
        }
        filled
    }

    /// Writes what the pipe holds to the socket, once.
    pub fn poll_drain(&mut self, sink: Option<&TcpStream>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(sink) = sink else { return Poll::Ready(Err(io::ErrorKind::InvalidInput.into())) };
        let (held, Some(ends)) = (self.held, &self.ends) else { return Poll::Ready(Ok(0)) };
        match ready!(move_when_ready(sink, Interest::WRITABLE, cx, || shift(&ends.read, sink, held))) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                self.held -= n;
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Conduit {
    fn drop(&mut self) {
        let mut store = self.store.0.borrow_mut();
        match self.ends.take() {
            Some(ends) if self.held == 0 && store.spare.len() < MAX_SPARE => store.spare.push(ends),
            _ => store.open -= 1,
        }
    }
}

fn shift(from: impl AsFd, to: impl AsFd, max: usize) -> Result<usize, Errno> {
    splice(from, None, to, None, max, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)
}

fn move_when_ready(
    stream: &TcpStream,
    interest: Interest,
    cx: &mut Context<'_>,
    mut call: impl FnMut() -> Result<usize, Errno>,
) -> Poll<io::Result<usize>> {
    loop {
        let ready =
            if interest.is_readable() { stream.poll_read_ready(cx) } else { stream.poll_write_ready(cx) };
        ready!(ready)?;
        let mut outcome = Err(Errno::AGAIN);
        let _ = stream.try_io(interest, || {
            outcome = call();
            match outcome {
                Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                _ => io::Result::Ok(()),
            }
        });
        match outcome {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Poll::Ready(other.map_err(io::Error::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_pass_in_order_and_the_end_is_seen() {
        let (mut sender, source) = pair().await;
        let (sink, mut receiver) = pair().await;
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let sending = async {
            sender.write_all(&sent).await.unwrap();
            drop(sender);
        };
        let receiving = async {
            let mut all = Vec::new();
            receiver.read_to_end(&mut all).await.unwrap();
            assert!(all == sent);
        };
        let mut conduit = Conduits::default().take().unwrap();
        let passing = async {
            while poll_fn(|cx| conduit.poll_fill(Some(&source), u64::MAX, cx)).await.unwrap() > 0 {
                while conduit.held() > 0 {
                    poll_fn(|cx| conduit.poll_drain(Some(&sink), cx)).await.unwrap();
                }
            }
            drop(sink);
        };
        tokio::join!(sending, passing, receiving);
    }

    #[tokio::test]
    async fn a_pipe_that_holds_bytes_is_nobody_elses() {
        let (mut sender, source) = pair().await;
        sender.write_all(b"secret").await.unwrap();
        let conduits = Conduits::default();
        let mut conduit = conduits.take().unwrap();
        assert_eq!(poll_fn(|cx| conduit.poll_fill(Some(&source), 4, cx)).await.unwrap(), 4);
        drop(conduit);
        assert_eq!((conduits.0.borrow().open, conduits.0.borrow().spare.len()), (0, 0));
        drop(conduits.take().unwrap());
        assert_eq!((conduits.0.borrow().open, conduits.0.borrow().spare.len()), (1, 1));
    }

    #[test]
    fn there_are_only_so_many() {
        let conduits = Conduits::default();
        let taken: Vec<_> = std::iter::from_fn(|| conduits.take()).take(MAX_CONDUITS + 1).collect();
        assert_eq!(taken.len(), MAX_CONDUITS);
        drop(taken);
        assert_eq!((conduits.0.borrow().open, conduits.0.borrow().spare.len()), (MAX_SPARE, MAX_SPARE));
    }
}
