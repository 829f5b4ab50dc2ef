//! Whether another try is allowed: decisions from facts given, without I/O and without a clock of its own.
//!
//! [`decide`] says whether a failed request may be tried elsewhere at all; [`RetryBudget`] whether the pool
//! as a whole can afford it. Without the second, a pool that fails under load would get its load multiplied
//! by the number of tries. [`Passive`] says when live traffic is to be kept from a backend, and for how long.

mod budget;
mod passive;
mod retry;

pub use budget::RetryBudget;
pub use passive::{Cause, Passive};
pub use retry::{Facts, Failure, Policy, Stop, Verdict, decide};
