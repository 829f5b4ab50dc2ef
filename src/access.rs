//! The access log: one line per request, and the thread that writes it.
//!
//! A worker puts a [`Record`] into words at the end of an exchange, into a buffer of its own ([`Pen`]); full buffers, and
//! after a moment those that are not, go to the writer's thread ([`Sink`]) and come back empty. No request waits: where
//! the writer cannot keep up the number of buffers is bounded, and lines beyond it are dropped and counted.
//!
//! What is absent on purpose: no allocation per line, no lock, and no way for a client's bytes to end a line or to
//! begin another.

mod escape;
mod field;
mod file;
mod format;
mod pen;
mod record;
mod sink;
mod stamp;
mod value;

#[cfg(test)]
mod tests;

pub use field::{DEFAULT as DEFAULT_FIELDS, VARIABLES, Variable};
pub use file::Settings;
pub use format::{Format, Log, Mask, Piece};
pub use pen::Pen;
pub use record::{Arrival, Load, Marks, Record, Secure, Times};
pub use sink::Sink;
pub use stamp::utc;
