//! One exchange of a connection that carries many: to the rest of the house a connection of its own.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connection in appearance: of a client the bytes of one HTTP/1.1 request come out of it, and those of its response
/// go in; of a backend it is the other way round. Whoever made it turns them into frames of the connection below, and
/// holds as little of them as that one takes.
pub trait Lane: fmt::Debug {
    /// What comes next; empty at the end of all that can come. Asked again before
    /// [`Self::consume`] it gives the same.
    ///
    /// # Errors
    /// The peer has broken the exchange off, or the connection below has ended.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;

    /// Uses up the first `n` bytes of what came.
    fn consume(&mut self, n: usize);

    /// Takes bytes that are to go, first of `head` and then of `tail`; gives how many.
    ///
    /// # Errors
    /// The peer has broken the exchange off, or the connection below has ended.
    fn poll_write(&mut self, head: &[u8], tail: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// What the connection below is secured by: see [`super::Stream::secured`].
    fn secured(&self) -> Option<(&'static str, Option<&str>)>;

    /// Says that nothing follows.
    fn shut_down(&mut self);

    /// Breaks the exchange off, so that the peer cannot take what it has for all there is.
    fn abort(&mut self);

    /// Whether the peer has broken the exchange off. Does not wake for it.
    fn is_broken(&mut self) -> bool;

    /// Asks for the end of the connection below where what was sent on it is not even acknowledged for so long.
    fn doubt(&mut self, _limit: Duration) {}
}
