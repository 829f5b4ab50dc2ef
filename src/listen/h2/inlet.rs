//! The body of a request of HTTP/2 on its way in, written as HTTP/1.1.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;

use super::hall::Presence;
use super::head::write_trailers;
use super::outlet::Outlet;
use crate::http::{write_chunk_head, write_last_chunk};

/// What comes of one stream.
#[derive(Debug)]
pub(super) struct Inlet {
    body: RecvStream,
    presence: Presence,
    chunked: bool,
    /// The end of the stream is the end of the connection that it stands for.
    tunnel: bool,
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

impl Inlet {
    pub(super) fn new(body: RecvStream, presence: Presence, chunked: bool, tunnel: bool) -> Self {
        Self {
            body,
            presence,
            chunked,
            tunnel,
            frame: (Vec::new(), 0),
            data: Bytes::new(),
            within_chunk: false,
            state: State::Data,
        }
    }

    /// See [`crate::wire::Lane::poll_ahead`].
    pub(super) fn poll_ahead(
        &mut self,
        outlet: &mut Outlet,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&[u8]>> {
        while self.framing().is_empty() && self.data.is_empty() {
            if std::mem::take(&mut self.within_chunk) {
                self.frame = (b"\r\n".to_vec(), 0);
                continue;
            }
            match self.state {
                State::Data => ready!(self.poll_data(cx))?,
                State::Trailers => ready!(self.poll_trailers(cx))?,
                State::Ended if self.tunnel => return Poll::Ready(Ok(&[])),
                // A request that is over is followed by nothing but the client's leaving.
                State::Ended => return Poll::Ready(Err(ready!(outlet.poll_broken(cx)))),
            }
        }
        let framing = &self.frame.0[self.frame.1..];
        Poll::Ready(Ok(if framing.is_empty() { &self.data } else { framing }))
    }

    /// See [`crate::wire::Lane::consume`]. What is used up makes room in the window.
    pub(super) fn consume(&mut self, n: usize) {
        if self.framing().is_empty() {
            self.data.advance(n);
            self.presence.read(n);
            // It fails only for more than came.
            let _ = self.body.flow_control().release_capacity(n);
        } else {
            self.frame.1 += n;
        }
    }

    fn framing(&self) -> &[u8] {
        &self.frame.0[self.frame.1..]
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => {
                if self.chunked && !data.is_empty() {
                    self.frame = (Vec::with_capacity(16), 0);
                    write_chunk_head(data.len(), &mut self.frame.0);
                    self.within_chunk = true;
                }
                self.data = data;
            }
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            None => self.state = State::Trailers,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let trailers = ready!(self.body.poll_trailers(cx)).map_err(io::Error::other)?;
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
