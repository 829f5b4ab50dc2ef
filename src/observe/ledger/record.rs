//! A ledger as it is written down.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Ledger, MAX_OUTAGES, Outage, Standing, shortened};

/// A ledger at the moment it was written. Durations are in microseconds, stamps in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::observe) struct Record {
    standing: Standing,
    cause: String,
    stood_us: u64,
    uptime_us: u64,
    downtime_us: u64,
    failures: u64,
    failed: bool,
    repairs: u64,
    repair_us: u64,
    failed_requests: u64,
    outages: Vec<OutageRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OutageRecord {
    begin_ms: u64,
    end_ms: Option<u64>,
    lasted_us: u64,
    cause: String,
    failure: bool,
    failed_requests: u64,
}

impl Ledger {
    /// What is to be written now.
    pub(in crate::observe) fn record(&self, now: Instant) -> Record {
        let mut settled = self.clone();
        settled.settle(now);
        Record {
            standing: settled.standing,
            cause: settled.cause.to_string(),
            stood_us: micros(settled.stood),
            uptime_us: micros(settled.uptime),
            downtime_us: micros(settled.downtime),
            failures: settled.failures,
            failed: settled.failed,
            repairs: settled.repairs,
            repair_us: micros(settled.repair_time),
            failed_requests: settled.failed_requests,
            outages: settled.outages.iter().map(OutageRecord::of).collect(),
        }
    }

    /// The ledger that was written so; it is not kept until it is resumed.
    pub(in crate::observe) fn from_record(record: &Record) -> Self {
        let surplus = record.outages.len().saturating_sub(MAX_OUTAGES);
        Self {
            standing: record.standing,
            cause: shortened(&record.cause),
            since: None,
            stood: Duration::from_micros(record.stood_us),
            uptime: Duration::from_micros(record.uptime_us),
            downtime: Duration::from_micros(record.downtime_us),
            failures: record.failures,
            failed: record.failed,
            repairs: record.repairs,
            repair_time: Duration::from_micros(record.repair_us),
            failed_requests: record.failed_requests,
            outages: record.outages.iter().skip(surplus).map(OutageRecord::read).collect(),
        }
    }
}

impl OutageRecord {
    fn of(outage: &Outage) -> Self {
        Self {
            begin_ms: millis_since_epoch(outage.begin),
            end_ms: outage.end.map(millis_since_epoch),
            lasted_us: micros(outage.lasted),
            cause: outage.cause.to_string(),
            failure: outage.failure,
            failed_requests: outage.failed_requests,
        }
    }

    fn read(&self) -> Outage {
        Outage {
            begin: since_epoch(self.begin_ms),
            end: self.end_ms.map(since_epoch),
            lasted: Duration::from_micros(self.lasted_us),
            cause: shortened(&self.cause),
            failure: self.failure,
            failed_requests: self.failed_requests,
        }
    }
}

/// Milliseconds since the epoch; 0 for a time before it.
pub(in crate::observe) fn millis_since_epoch(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that was written so; the epoch for one beyond all calendars.
pub(in crate::observe) fn since_epoch(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

pub(in crate::observe) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
