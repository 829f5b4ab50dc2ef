//! Whether another try is allowed: decisions from facts given, without I/O and without a clock of its own.
//!
//! [`decide`] says whether a failed request may be tried elsewhere at all; [`RetryBudget`] whether the pool
//! as a whole can afford it. Without the second, a pool that fails under load would get its load multiplied
//! by the number of tries. [`Passive`] says when live traffic is to be kept from a backend, and for how long; [`HedgeDelay`] when a second try beside
//! the first is worth it.

mod budget;
mod hedge;
mod passive;
mod retry;

pub use budget::RetryBudget;
pub use hedge::HedgeDelay;
pub use passive::{Cause, Passive};
pub use retry::{Facts, Failure, Policy, Stop, Verdict, decide};
