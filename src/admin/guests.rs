//! Who is connected. There are only so many places, so whoever wants nothing of the endpoint gives its place to who comes.
//!
//! Otherwise a few dozen connections on which nobody says anything would keep out everybody else, and the probe that asks
//! whether the process lives among them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
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

    /// Whether there is no place.
    pub(super) fn are_full(&self) -> bool {
        self.connections.len() >= MAX_CONNECTIONS
    }

    /// Where all places are taken: ends the connection of who has wanted nothing for the longest time.
    pub(super) async fn make_room(&mut self) {
        let longest = self.longest_idle().filter(|(since, _)| since.elapsed() >= PATIENCE);
        if let Some((_, at)) = longest.filter(|_| self.are_full()) {
            self.places.swap_remove(at).1.abort();
            self.connections.join_next().await;
        }
    }

    /// Ends when one has left, or where they are full may be sent away.
    pub(super) async fn moved(&mut self) {
        let (full, longest) = (self.are_full(), self.longest_idle());
        let bored = async {
            match longest {
                Some((since, _)) => sleep_until((since + PATIENCE).into()).await,
                None => self.answered.notified().await,
            }
        };
        tokio::select! {
            Some(_) = self.connections.join_next() => {}
            () = bored, if full => {}
            else => std::future::pending().await,
        }
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

/// The body of an answer. Its work ends when all of it has been taken: who then does not read it holds no place by that.
pub(super) struct Served {
    content: Content,
    _work: Work,
}

impl Served {
    pub(super) fn new(content: Content, work: Work) -> Self {
        Self { content, _work: work }
    }
}

impl Body for Served {
    type Data = Bytes;
    type Error = <Content as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
