//! What comes of one stream behind its head, as the body of a message of HTTP/1.1.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;

use super::fields::write_trailers;
use super::spring::Spring;
use crate::http::{write_chunk_head, write_last_chunk};

/// The body of one stream.
#[derive(Debug)]
pub struct Inflow {
    spring: Rc<RefCell<Spring>>,
    chunked: bool,
    /// Bytes of ours around the data, and how many of them are used up.
    frame: (Vec<u8>, usize),
    data: Bytes,
    /// The data is to be followed by the end of its chunk.
    within_chunk: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Ended,
}

impl Inflow {
    /// Of a body that is written in chunks, or as it is.
    pub fn new(body: RecvStream, chunked: bool) -> Self {
        Self {
            spring: Spring::new(body),
            chunked,
            frame: (Vec::new(), 0),
            data: Bytes::new(),
            within_chunk: false,
            state: State::Data,
        }
    }

    /// Where it comes from, for whoever drives the connection.
    pub fn spring(&self) -> Weak<RefCell<Spring>> {
        Rc::downgrade(&self.spring)
    }

    /// Ready when there is something [`Self::ahead`], or nothing more will come.
    ///
    /// # Errors
    /// The stream has been broken off.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while self.ahead().is_empty() {
            if std::mem::take(&mut self.within_chunk) {
                self.frame = (b"\r\n".to_vec(), 0);
                continue;
            }
            match self.state {
                State::Data => ready!(self.poll_data(cx))?,
                State::Trailers => ready!(self.poll_trailers(cx))?,
                State::Ended => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What comes next; empty also at the end.
    pub fn ahead(&self) -> &[u8] {
        let framing = &self.frame.0[self.frame.1..];
        if framing.is_empty() { &self.data } else { framing }
    }

    /// Uses up the first `n` bytes of what is ahead, which makes room in the window. Gives how many of these were data.
    pub fn consume(&mut self, n: usize) -> usize {
        if self.frame.1 < self.frame.0.len() {
            self.frame.1 += n;
            return 0;
        }
        self.data.advance(n);
        self.spring.borrow_mut().release(n);
        n
    }

    /// Whether the end of the stream has come, and nothing before it is left; looks without waiting.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended || self.data.is_empty() && self.spring.borrow().has_ended()
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match ready!(self.spring.borrow_mut().poll_data(cx))? {
            Some(data) => {
                if self.chunked && !data.is_empty() {
                    self.frame = (Vec::with_capacity(16), 0);
                    write_chunk_head(data.len(), &mut self.frame.0);
                    self.within_chunk = true;
                }
                self.data = data;
            }
            None => self.state = State::Trailers,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let trailers = ready!(self.spring.borrow_mut().poll_trailers(cx))?;
        self.state = State::Ended;
        // Behind a body of known length HTTP/1.1 has no place for them.
        if self.chunked {
            let mut lines = Vec::new();
            trailers.iter().for_each(|trailers| write_trailers(trailers, &mut lines));
            self.frame = (Vec::new(), 0);
            write_last_chunk(&lines, &mut self.frame.0);
        }
        Poll::Ready(Ok(()))
    }
}
