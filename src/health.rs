//! Probe backends and mark them up or down.
//!
//! One loop per checked backend on the control thread: probe, judge, sleep; and one more where its agent is asked. A [`Monitor`] starts and stops
//! the loops as the configuration changes. What a loop learns goes to the backend's condition, which the
//! balancers' rosters are made from, and as an [`Event`] to whoever counts and shows it.

mod agent;
mod check;
mod grpc;
mod http2;
mod monitor;
mod probe;
mod streak;
#[cfg(test)]
mod tests;
mod watch;

pub use agent::AgentCheck;
pub use check::{BadCheck, Check, GrpcCheck, HttpCheck, Kind};
pub use monitor::{Event, Listener, Monitor, Opening, Target, What};
pub use probe::Failure;
