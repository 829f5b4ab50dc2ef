//! Who is connected. There are only so many places, so whoever wants nothing of the endpoint gives its place to who comes.
//!
//! Otherwise a few dozen connections on which nobody says anything would keep out everybody else, and the probe that asks
//! whether the process lives among them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep_until;

use super::reply::Content;

/// Open connections. Where none of them may be ended, further ones wait in the kernel's accept queue.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Who has wanted nothing for less than this stays: what it asks may be on its way.
const PATIENCE: Duration = Duration::from_millis(250);

/// Bytes of an answer that are given out at once: as long as more of it is to come, its connection does not rest.
const PIECE: usize = 64 * 1024;

/// Those who are connected.
#[derive(Debug, Default)]
pub(super) struct Guests {
    connections: JoinSet<()>,
    places: Vec<(Rest, AbortHandle)>,
    /// One of them has been answered.
    answered: Rc<Notify>,
}

impl Guests {
    /// Takes one in, if there is a place.
    pub(super) fn seat<F: Future<Output = ()> + 'static>(&mut self, converse: impl FnOnce(Rest) -> F) {
        let rest =
            Rest { since: Rc::new(Cell::new(Some(Instant::now()))), answered: Rc::clone(&self.answered) };
        self.places.retain(|(_, connection)| !connection.is_finished());
        self.places.push((rest.clone(), self.connections.spawn_local(converse(rest))));
    }

    /// Whether one more may be taken in: there is a place, or somebody has wanted nothing for long enough.
    pub(super) fn have_room(&self) -> bool {
        !self.are_full() || self.longest_idle().is_some_and(|(since, _)| since.elapsed() >= PATIENCE)
    }

    /// Where all places are taken: ends the connection of who has wanted nothing for the longest time.
    pub(super) async fn make_room(&mut self) {
        if let Some((_, at)) = self.longest_idle().filter(|_| self.are_full()) {
            self.places.swap_remove(at).1.abort();
            self.connections.join_next().await;
        }
    }

    /// Ends when one has left, or where there is no room may be sent away.
    pub(super) async fn moved(&mut self) {
        let (room, longest) = (self.have_room(), self.longest_idle());
        let bored = async {
            match longest {
                Some((since, _)) => sleep_until((since + PATIENCE).into()).await,
                None => self.answered.notified().await,
            }
        };
        tokio::select! {
            Some(_) = self.connections.join_next() => {}
            () = bored, if !room => {}
            else => std::future::pending().await,
        }
    }

    fn are_full(&self) -> bool {
        self.connections.len() >= MAX_CONNECTIONS
    }

    /// Since when it has wanted nothing, and its place.
    fn longest_idle(&self) -> Option<(Instant, usize)> {
        let here = self.places.iter().enumerate().filter(|(_, (_, connection))| !connection.is_finished());
        here.filter_map(|(at, (rest, _))| Some((rest.since.get()?, at))).min()
    }

    /// Ends when all have left.
    pub(super) async fn gone(&mut self) {
        while self.connections.join_next().await.is_some() {}
    }
}

/// Since when a connection wants nothing: it has sent no whole head, and its last answer has been made.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    since: Rc<Cell<Option<Instant>>>,
    answered: Rc<Notify>,
}

impl Rest {
    /// It wants something, until what this gives is dropped.
    pub(super) fn disturb(&self) -> Work {
        self.since.set(None);
        Work(self.clone())
    }
}

/// An answer is being made, or followed.
#[derive(Debug)]
pub(super) struct Work(Rest);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.since.set(Some(Instant::now()));
        self.0.answered.notify_one();
    }
}

/// The body of an answer. Its work ends when all of it has been taken, but for what waits to be written.
pub(super) struct Served {
    content: Content,
    /// What of it has not been given out yet.
    rest: Bytes,
    _work: Work,
}

impl Served {
    pub(super) fn new(content: Content, work: Work) -> Self {
        Self { content, rest: Bytes::new(), _work: work }
    }
}

impl Body for Served {
    type Data = Bytes;
    type Error = <Content as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.content).poll_frame(context))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, content) = (self.rest.len() as u64, self.content.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(content.lower() + rest);
        if let Some(upper) = content.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
