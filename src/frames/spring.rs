//! Where the data of one stream comes from.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use hyper::header::HeaderMap;

/// What the library may hold of small frames beside their bytes, in its own reckoning: above it, it ends the connection,
/// and with it what others have there. They are put together long before.
pub const FRAME_BUDGET: usize = 1024 * 1024;

/// Bytes that the library is given at once: what it makes of them must stay within its budget.
pub const MAX_READ: usize = 16 * 1024;

/// From so many octets on a frame is no small one, and what one costs beside its octets: by the library's own reckoning.
const FRAME: usize = 256;

/// What small frames may cost until they are put together.
const MAX_CRUMBS: usize = 128 * 1024;

/// What small frames of data have cost since they were last put together.
#[derive(Debug, Default)]
pub struct Crumbs(Cell<usize>);

impl Crumbs {
    /// Counts a frame of so many octets.
    pub fn count(&self, length: usize) {
        self.0.set(self.0.get() + FRAME.saturating_sub(length));
    }

    /// Whether it is time to put them together, before any more is read.
    pub fn are_many(&self) -> bool {
        self.0.get() >= MAX_CRUMBS
    }

    /// Says so once, to whoever does it.
    pub fn sweep_up(&self) -> bool {
        self.are_many() && self.0.replace(0) > 0
    }
}

/// What comes of one stream, for whoever reads it, and for the driver of the connection, who may put it into one piece
/// before that.
#[derive(Debug)]
pub struct Spring {
    body: RecvStream,
    /// What was taken before it was asked for.
    ahead: BytesMut,
    /// How the data ended, where that was found so.
    end: Option<Result<(), h2::Error>>,
    /// Who waits for more.
    waker: Option<Waker>,
}

impl Spring {
    pub(super) fn new(body: RecvStream) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { body, ahead: BytesMut::new(), end: None, waker: None }))
    }

    /// The next data; `None` at its end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, h2::Error>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(Some(self.ahead.split().freeze())));
        }
        match self.end.take() {
            Some(Ok(())) => return Poll::Ready(Ok(None)),
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => {}
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Ready(ready!(self.body.poll_data(cx)).transpose())
    }

    pub(super) fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        self.body.poll_trailers(cx)
    }

    /// Makes room in the window for so much that was used up.
    pub(super) fn release(&mut self, bytes: usize) {
        // It fails only for more than came.
        let _ = self.body.flow_control().release_capacity(bytes);
    }

    /// Whether the end of the stream has come, and nothing before it is left; looks without waiting.
    pub(super) fn has_ended(&self) -> bool {
        self.ahead.is_empty() && self.body.is_end_stream()
    }

    /// Puts what has come into one piece. The library holds each frame by itself, however small, and ends the connection
    /// where that is too much: a reader that is slow must not bring that about. The window stays as it is.
    pub fn gather(&mut self) {
        // Where nobody has asked yet nobody waits.
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        while self.end.is_none()
            && let Poll::Ready(data) = self.body.poll_data(&mut cx)
        {
            match data {
                Some(Ok(data)) => self.ahead.extend_from_slice(&data),
                Some(Err(error)) => self.end = Some(Err(error)),
                None => self.end = Some(Ok(())),
            }
        }
    }
}

/// The springs of one connection.
#[derive(Debug, Default)]
pub struct Springs(RefCell<Vec<Weak<RefCell<Spring>>>>);

impl Springs {
    /// Adds one, and forgets those that nobody reads any more.
    pub fn add(&self, spring: Weak<RefCell<Spring>>) {
        let mut all = self.0.borrow_mut();
        all.retain(|one| one.strong_count() > 0);
        all.push(spring);
    }

    /// See [`Spring::gather`].
    pub fn gather(&self) {
        let all = self.0.borrow();
        all.iter().filter_map(Weak::upgrade).for_each(|spring| spring.borrow_mut().gather());
    }
}
