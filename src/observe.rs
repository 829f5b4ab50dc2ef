//! Record what happened.
//!
//! Every worker writes into its own shard of a series, with plain loads and stores and no label lookup:
//! the handles ([`RouteSeries`] and its kin) are resolved when a snapshot is built and live as long as a
//! snapshot holds them. The scrape ([`Metrics::render`]) sums the shards; nothing is summed before.
//!
//! What is absent on purpose: no global registry, no label made from what a client sent, and no clock;
//! instants are passed in.

mod collect;
mod family;
mod histogram;
mod label;
mod ledger;
mod metrics;
mod process;
mod series;
mod shard;

#[cfg(test)]
mod tests;

pub use family::{ALL as FAMILIES, Family};
pub use histogram::{Distribution, EXPORTED_BOUNDS, Histogram};
pub use label::{CLIENT_LEFT, CheckResult, Ejection, Handshake, MethodLabel, Outcome, Reason, RetryReason};
pub use ledger::{Availability, Ledger};
pub use metrics::Metrics;
pub use series::{BackendSeries, CertificateLabel, ListenerSeries, LogSeries, PoolSeries, RouteSeries};
pub use shard::{Count, Sharded};
