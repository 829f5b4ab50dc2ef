//! Record what happened.
//!
//! Every worker writes into its own shard of a series, with plain loads and stores and no label lookup:
//! the handles ([`RouteSeries`] and its kin) are resolved when a snapshot is built and live as long as a
//! snapshot holds them. The scrape ([`Metrics::render`]) sums the shards; nothing is summed before.
//!
//! What must outlive a series (up and down time, what requests saw, error budgets) is in the accounts, which go on over
//! reloads, and with the journal over restarts. They cost a request nothing: they read the counters that there are.
//!
//! What is absent on purpose: no global registry, no label made from what a client sent, no file, and no clock but the
//! one look that ties instants to the wall clock when a process begins; instants are passed in.

mod account;
mod accounts;
mod clock;
mod coarse;
mod collect;
mod family;
mod happenings;
mod histogram;
mod journal;
mod label;
mod ledger;
mod metrics;
mod objective;
mod process;
mod ring;
mod series;
mod shard;
mod sheet;
mod tally;

#[cfg(test)]
mod tests;

pub use account::{Account, Whose};
pub use accounts::MAX_ABSENT;
pub use family::{ALL as FAMILIES, Family, Kind};
pub use happenings::{Happening, Happenings, MAX_HAPPENINGS};
pub use histogram::{Distribution, EXPORTED_BOUNDS, Histogram};
pub use journal::{Foreign, Journal};
pub use label::{
    CLIENT_LEFT, CheckResult, Ejection, ExportFailure, Handshake, MethodLabel, Outcome, Phase, Reason,
    RetryReason, UNREGISTERED,
};
pub use ledger::{Availability, Ledger, MAX_OUTAGES, Outage, Stamp, Standing};
pub use metrics::Metrics;
pub use objective::{Budgets, Burn, Objective};
pub use series::{
    BackendSeries, CertificateLabel, ListenerSeries, LogSeries, Phases, PoolSeries, RouteAccount,
    RouteSeries, SpanSeries,
};
pub use shard::{Count, Sharded};
pub use sheet::Form;
pub use tally::Tally;
