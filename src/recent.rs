//! What was decided for the requests that ended last, to be asked for by their ids.
//!
//! Each worker has a [`Ring`] of its own, of records that are used again: at a request's end one is filled, in place and
//! with copies, so that nothing is allocated and nothing is shared. Names stand in it as numbers ([`Tag`]), which the
//! control thread turns back ([`Names`]): they hold over reloads, and keep no configuration alive.

mod names;
mod record;
mod ring;

pub use names::{Names, Tag};
pub use record::{Choice, Course, Earlier, End, MAX_EARLIER, Place, Query, Record, Text, Try, Why};
pub use ring::{Found, MAX_FOUND, Ring};
