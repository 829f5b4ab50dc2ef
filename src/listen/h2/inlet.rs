//! The body of a request of HTTP/2 on its way in, written as HTTP/1.1.

use std::io;
use std::task::{Context, Poll, ready};

use h2::RecvStream;

use super::hall::Presence;
use super::outlet::Outlet;
use crate::frames::Inflow;

/// What comes of one stream.
#[derive(Debug)]
pub(super) struct Inlet {
    flow: Inflow,
    presence: Presence,
    /// The end of the stream is the end of the connection that it stands for.
    tunnel: bool,
}

impl Inlet {
    pub(super) fn new(body: RecvStream, presence: Presence, chunked: bool, tunnel: bool) -> Self {
        let flow = Inflow::new(body, chunked);
        presence.springs_from(&flow);
        Self { flow, presence, tunnel }
    }

    /// See [`crate::wire::Lane::poll_ahead`].
    pub(super) fn poll_ahead(
        &mut self,
        outlet: &mut Outlet,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&[u8]>> {
        ready!(self.flow.poll_fill(cx)).map_err(io::Error::other)?;
        if self.flow.ahead().is_empty() && !self.tunnel {
            // A request that is over is followed by nothing but the client's leaving.
            return Poll::Ready(Err(ready!(outlet.poll_broken(cx))));
        }
        Poll::Ready(Ok(self.flow.ahead()))
    }

    /// See [`crate::wire::Lane::consume`]. What is used up makes room in the window.
    pub(super) fn consume(&mut self, n: usize) {
        let data = self.flow.consume(n);
        if data > 0 {
            self.presence.read(data);
        }
    }
}
