//! From host names to socket addresses, kept current.
//!
//! A backend's name is looked up at load and again every 30 s, on the control runtime's blocking threads
//! and never on a worker. The first address of an answer counts, but one in use stays in use while the
//! answer still holds it: name servers rotate their answers, and every rotation would otherwise throw the
//! pooled connections away. A name that stops resolving keeps its last good address; one that never
//! resolved is down with that reason, and no failed start.

mod names;
mod resolver;
#[cfg(test)]
mod tests;

pub use names::{Listener, Names};
pub use resolver::{Lookup, Resolver, SystemResolver};
