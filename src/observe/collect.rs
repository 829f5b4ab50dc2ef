//! The scrape: shards summed into samples.

use std::time::Instant;

use super::family::{self, Family};
use super::label::{CheckResult, Ejection, ExportFailure, Handshake, Phase, Reason, RetryReason, slot_label};
use super::ledger::Availability;
use super::metrics::Metrics;
use super::objective::{Budgets, Burn};
use super::process::Process;
use super::series::BackendSeries;
use super::sheet::{Form, Sheet};
use crate::backend::State;

/// All that there is to tell, at one instant.
pub(super) fn scrape(metrics: &Metrics, now: Instant, form: Form) -> Result<String, prometheus::Error> {
    let mut sheet = Sheet::new(form);
    whole(&mut sheet, metrics);
    listeners(&mut sheet, metrics);
    routes(&mut sheet, metrics, now);
    pools(&mut sheet, metrics, now);
    for series in metrics.live_backends() {
        backend(&mut sheet, &series, now);
    }
    process(&mut sheet, &Process::read());
    sheet.text()
}

fn whole(sheet: &mut Sheet, metrics: &Metrics) {
    sheet.add(&family::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    sheet.add(&family::READY, &[], f64::from(metrics.is_ready()));
    let [held, max] = metrics.buffers();
    sheet.add(&family::BUFFER_BYTES, &[], held as f64);
    sheet.add(&family::BUFFER_MAX_BYTES, &[], max as f64);
    for (log, lines) in metrics.log_drops() {
        sheet.add(&family::LOG_DROPPED, &[log], lines as f64);
    }
    if metrics.spans().is_shown() {
        for (result, spans) in ["exported", "dropped"].iter().zip(metrics.spans().counts()) {
            sheet.add(&family::TRACE_SPANS, &[result], spans as f64);
        }
        for failure in ExportFailure::ALL {
            sheet.add(&family::TRACE_FAILURES, &[failure.name()], metrics.spans().failures(*failure) as f64);
        }
    }
    let (ok, rejected) = metrics.reloads();
    sheet.add(&family::CONFIG_RELOADS, &["ok"], ok as f64);
    sheet.add(&family::CONFIG_RELOADS, &["rejected"], rejected as f64);
    let configuration = metrics.configuration();
    sheet.add(&family::CONFIG_LAST_SUCCESSFUL, &[], f64::from(configuration.last_successful));
    if let Some(at) = configuration.last_success {
        sheet.add(&family::CONFIG_LAST_SUCCESS_TIME, &[], at);
    }
    if let Some(sha256) = &configuration.sha256 {
        sheet.add(&family::CONFIG_HASH, &[sha256], 1.0);
    }
    if let Some((synced, errors)) = metrics.state_file() {
        sheet.add(&family::STATE_SYNCED, &[], synced);
        sheet.add(&family::STATE_ERRORS, &[], errors as f64);
    }
}

fn listeners(sheet: &mut Sheet, metrics: &Metrics) {
    let all = metrics.live_listeners();
    for worker in 0..metrics.workers() {
        let open: u64 = all.iter().map(|series| series.connections_of(worker)).sum();
        sheet.add(&family::WORKER_CONNECTIONS_OPEN, &[&worker.to_string()], open as f64);
    }
    for series in all {
        let name = series.name();
        let (read, written) = series.bytes();
        sheet.add(&family::HTTP_REQUEST_BYTES, &[name], read as f64);
        sheet.add(&family::HTTP_RESPONSE_BYTES, &[name], written as f64);
        let (open, all) = series.connections();
        sheet.add(&family::CONNECTIONS_OPEN, &[name], open as f64);
        sheet.add(&family::CONNECTIONS, &[name], all as f64);
        for &reason in Reason::ALL {
            sheet.add(&family::REJECTED, &[name, reason.name()], series.rejections(reason) as f64);
        }
        // A listener in clear has no series that would forever say 0.
        let Some(certificates) = series.certificates() else { continue };
        for &result in Handshake::ALL {
            sheet.add(&family::TLS_HANDSHAKES, &[name, result.name()], series.handshakes(result) as f64);
        }
        for one in certificates {
            sheet.add(&family::TLS_NOT_AFTER, &[name, &one.name, &one.serial], one.not_after as f64);
        }
    }
}

fn routes(sheet: &mut Sheet, metrics: &Metrics, now: Instant) {
    for series in metrics.live_routes() {
        let (listener, route) = (series.listener(), series.route());
        series.each_count(|method, slot, count| {
            let labels = [listener, route, method.name(), &slot_label(slot)];
            sheet.add(&family::HTTP_REQUESTS, &labels, count as f64);
        });
        let (durations, exemplars) = ((&series.durations()).into(), series.exemplars());
        sheet.add_exemplified(&family::HTTP_DURATION, &[listener, route], &durations, exemplars.as_ref());
        for &phase in Phase::ALL {
            let read = series.phase(phase);
            if read.count > 0 {
                sheet.add_histogram(&family::PHASES, &[listener, route, phase.name()], &read);
            }
        }
    }
    for route in metrics.route_accounts() {
        let (account, name) = (route.account(), route.route());
        let labels = [route.listener().unwrap_or_default(), name];
        if let Some(figures) = account.availability(now) {
            sheet.add(&family::ROUTE_UP, &labels, f64::from(figures.up));
            sheet.add_availability(&ROUTE_AVAILABILITY, &labels, &figures);
        }
        if let Some(ratio) = account.tally().success_ratio() {
            sheet.add(&family::ROUTE_SUCCESS, &labels, ratio);
        }
        if let Some(budgets) = account.budgets(now) {
            sheet.add_budgets(&["", name], &budgets);
        }
    }
}

fn pools(sheet: &mut Sheet, metrics: &Metrics, now: Instant) {
    for series in metrics.live_pools() {
        let pool = series.name();
        for &reason in RetryReason::ALL {
            sheet.add(&family::RETRIES, &[pool, reason.name()], series.retries(reason) as f64);
        }
        sheet.add(&family::RETRY_BUDGET_EXHAUSTED, &[pool], series.budget_exhaustions() as f64);
        sheet.add(&family::QUEUE_LENGTH, &[pool], series.waiting() as f64);
        sheet.add_histogram(&family::QUEUE_SECONDS, &[pool], &(&series.waits()).into());
        sheet.add(&family::POOL_PANIC, &[pool], f64::from(series.is_panicking()));
        if let Some(figures) = series.availability(now) {
            sheet.add(&family::POOL_UP, &[pool], f64::from(figures.up));
            sheet.add_availability(&POOL_AVAILABILITY, &[pool], &figures);
        }
        let tally = series.account().tally();
        sheet.add(&family::POOL_REQUESTS, &[pool, "success"], tally.good as f64);
        sheet.add(&family::POOL_REQUESTS, &[pool, "failure"], tally.failed as f64);
        if let Some(ratio) = tally.success_ratio() {
            sheet.add(&family::POOL_SUCCESS, &[pool], ratio);
        }
        if let Some(budgets) = series.account().budgets(now) {
            sheet.add_budgets(&[pool, ""], &budgets);
        }
    }
}

fn backend(sheet: &mut Sheet, series: &BackendSeries, now: Instant) {
    let backend = series.backend();
    let (pool, name) = (&*backend.identity().pool, &*backend.identity().name);
    series.each_count(|slot, count| {
        sheet.add(&family::BACKEND_REQUESTS, &[pool, name, &slot_label(slot)], count as f64);
    });
    sheet.add_histogram(&family::BACKEND_RESPONSE, &[pool, name], &(&series.response_times()).into());
    sheet.add(&family::BACKEND_IN_FLIGHT, &[pool, name], f64::from(backend.in_flight()));
    if let Some(limit) = backend.found_limit() {
        sheet.add(&family::BACKEND_LIMIT, &[pool, name], f64::from(limit));
    }
    let idle = backend.idle_connections();
    let active = backend.connections().saturating_sub(idle);
    sheet.add(&family::BACKEND_CONNECTIONS, &[pool, name, "active"], f64::from(active));
    sheet.add(&family::BACKEND_CONNECTIONS, &[pool, name, "idle"], f64::from(idle));
    sheet.add(&family::BACKEND_STRAYS, &[pool, name], backend.strays() as f64);
    let current = backend.condition().state();
    sheet.add(&family::BACKEND_UP, &[pool, name], f64::from(backend.condition().is_up()));
    for state in State::ALL {
        let labels = [pool, name, state.name()];
        sheet.add(&family::BACKEND_STATE, &labels, f64::from(state == current));
    }
    for &why in Ejection::ALL {
        sheet.add(&family::EJECTIONS, &[pool, name, why.name()], series.ejections(why) as f64);
    }
    sheet.add_availability(&BACKEND_AVAILABILITY, &[pool, name], &series.noted_availability(now));
    if let Some(ratio) = series.tally().success_ratio() {
        sheet.add(&family::BACKEND_SUCCESS, &[pool, name], ratio);
    }
    // A backend without active checks has no series that would forever say 0.
    if CheckResult::ALL.iter().any(|&result| series.health_checks(result) > 0) {
        for &result in CheckResult::ALL {
            let labels = [pool, name, result.name()];
            sheet.add(&family::HEALTH_CHECKS, &labels, series.health_checks(result) as f64);
        }
    }
}

fn process(sheet: &mut Sheet, process: &Process) {
    let figures = [
        (&family::PROCESS_CPU, process.cpu_seconds),
        (&family::PROCESS_RESIDENT, process.resident_bytes),
        (&family::PROCESS_OPEN_FDS, process.open_fds),
        (&family::PROCESS_MAX_FDS, process.max_fds),
        (&family::PROCESS_START, process.start_seconds),
    ];
    for (family, value) in figures {
        if let Some(value) = value {
            sheet.add(family, &[], value);
        }
    }
}

/// Uptime, downtime, failures, ratio, MTBF, MTTR.
type AvailabilityFamilies = [&'static Family; 6];

static BACKEND_AVAILABILITY: AvailabilityFamilies = [
    &family::BACKEND_UPTIME,
    &family::BACKEND_DOWNTIME,
    &family::BACKEND_FAILURES,
    &family::BACKEND_AVAILABILITY,
    &family::BACKEND_MTBF,
    &family::BACKEND_MTTR,
];

static POOL_AVAILABILITY: AvailabilityFamilies = [
    &family::POOL_UPTIME,
    &family::POOL_DOWNTIME,
    &family::POOL_FAILURES,
    &family::POOL_AVAILABILITY,
    &family::POOL_MTBF,
    &family::POOL_MTTR,
];

static ROUTE_AVAILABILITY: AvailabilityFamilies = [
    &family::ROUTE_UPTIME,
    &family::ROUTE_DOWNTIME,
    &family::ROUTE_FAILURES,
    &family::ROUTE_AVAILABILITY,
    &family::ROUTE_MTBF,
    &family::ROUTE_MTTR,
];

impl Sheet {
    fn add_availability(&mut self, families: &AvailabilityFamilies, values: &[&str], read: &Availability) {
        let figures = [
            Some(read.uptime.as_secs_f64()),
            Some(read.downtime.as_secs_f64()),
            Some(read.failures as f64),
            Some(read.availability),
            read.mtbf.map(|mean| mean.as_secs_f64()),
            read.mttr.map(|mean| mean.as_secs_f64()),
        ];
        for (family, figure) in families.iter().zip(figures) {
            if let Some(figure) = figure {
                self.add(family, values, figure);
            }
        }
    }

    /// Of a pool or a route, whichever of the two labels is not empty.
    fn add_budgets(&mut self, of: &[&str; 2], budgets: &Budgets) {
        let both = [
            (budgets.availability, &family::SLO_BURN, &family::SLO_BUDGET),
            (budgets.latency, &family::SLO_LATENCY_BURN, &family::SLO_LATENCY_BUDGET),
        ];
        for (burn, rate, remaining) in both {
            let Some(burn) = burn else { continue };
            for (window, value) in Burn::WINDOWS.into_iter().zip(burn.rates) {
                self.add(rate, &[of[0], of[1], window], value);
            }
            self.add(remaining, of, burn.remaining);
        }
    }
}
