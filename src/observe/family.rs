//! What is exported: names, types, labels and help texts, one table.

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bounds.
    Histogram,
}

impl Kind {
    /// Its name in both forms of the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric family.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its help text.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)+) => {
        $(pub(super) static $id: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every family that can appear on /metrics.
        pub static ALL: &[&Family] = &[$(&$id),+];
    };
}

families! {
    BUILD_INFO Gauge "equipoise_build_info" ["version"]
        "Always 1; the version is in the label."
    BUFFER_BYTES Gauge "equipoise_buffer_bytes" []
        "Memory that buffers hold beyond what each may always hold, in the pieces that workers take."
    BUFFER_MAX_BYTES Gauge "equipoise_buffer_max_bytes" []
        "The bound of equipoise_buffer_bytes: [server] buffer_memory."
    HTTP_REQUESTS Counter "equipoise_http_requests_total" ["listener", "route", "method", "code"]
        "Requests that ended, by the status the client got; 499: the client left before the end."
    HTTP_DURATION Histogram "equipoise_http_request_duration_seconds" ["listener", "route"]
        "From the first byte of the request to the last of the response."
    PHASES Histogram "equipoise_request_phase_seconds" ["listener", "route", "phase"]
        "Time of requests in the queue, to reach a backend, until it answered, and until the response was with the client."
    HTTP_REQUEST_BYTES Counter "equipoise_http_request_bytes_total" ["listener"]
        "Bytes read from clients, heads and bodies."
    HTTP_RESPONSE_BYTES Counter "equipoise_http_response_bytes_total" ["listener"]
        "Bytes written to clients, heads and bodies."
    CONNECTIONS_OPEN Gauge "equipoise_connections_open" ["listener"]
        "Client connections that are open."
    CONNECTIONS Counter "equipoise_connections_total" ["listener"]
        "Client connections that were accepted."
    WORKER_CONNECTIONS_OPEN Gauge "equipoise_worker_connections_open" ["worker"]
        "Client connections that one worker serves now, of all listeners."
    REJECTED Counter "equipoise_rejected_total" ["listener", "reason"]
        "Requests and connections that were answered or closed without a backend."
    TLS_HANDSHAKES Counter "equipoise_tls_handshakes_total" ["listener", "result"]
        "Handshakes with clients that ended: full, resumed, or why they failed."
    TLS_NOT_AFTER Gauge "equipoise_tls_certificate_not_after_timestamp_seconds" ["listener", "name", "serial"]
        "When a certificate that is shown to clients expires, in seconds since the epoch."
    BACKEND_REQUESTS Counter "equipoise_backend_requests_total" ["pool", "backend", "code"]
        "Tries at a backend that ended, by status or by what kept a response from coming."
    BACKEND_RESPONSE Histogram "equipoise_backend_response_seconds" ["pool", "backend"]
        "From the request sent to the head of the response."
    BACKEND_IN_FLIGHT Gauge "equipoise_backend_in_flight" ["pool", "backend"]
        "Requests and tunnels in flight, over all workers."
    BACKEND_CONNECTIONS Gauge "equipoise_backend_connections" ["pool", "backend", "state"]
        "Open connections to the backend."
    BACKEND_UP Gauge "equipoise_backend_up" ["pool", "backend"]
        "1 while health checks and name resolution hold the backend for usable."
    BACKEND_STATE Gauge "equipoise_backend_state" ["pool", "backend", "state"]
        "1 on the state the backend is in, 0 on the others."
    BACKEND_UPTIME Counter "equipoise_backend_uptime_seconds_total" ["pool", "backend"]
        "Time the backend was up."
    BACKEND_DOWNTIME Counter "equipoise_backend_downtime_seconds_total" ["pool", "backend"]
        "Time the backend was down, an open outage included."
    BACKEND_FAILURES Counter "equipoise_backend_failures_total" ["pool", "backend"]
        "Changes of the backend from up to down."
    BACKEND_AVAILABILITY Gauge "equipoise_backend_availability_ratio" ["pool", "backend"]
        "Uptime as a share of uptime and downtime."
    BACKEND_MTBF Gauge "equipoise_backend_mtbf_seconds" ["pool", "backend"]
        "Mean time between failures; absent before the first failure."
    BACKEND_MTTR Gauge "equipoise_backend_mttr_seconds" ["pool", "backend"]
        "Mean time to repair; absent before the first failure has been repaired."
    BACKEND_SUCCESS Gauge "equipoise_backend_success_ratio" ["pool", "backend"]
        "Share of the tries at the backend that succeeded; absent before the first."
    BACKEND_STRAYS Counter "equipoise_backend_strays_total" ["pool", "backend"]
        "Connections closed because bytes came that belong to no response."
    EJECTIONS Counter "equipoise_ejections_total" ["pool", "backend", "reason"]
        "How often live traffic was taken from the backend because it failed it."
    HEALTH_CHECKS Counter "equipoise_health_checks_total" ["pool", "backend", "result"]
        "Active checks that ended."
    POOL_UP Gauge "equipoise_pool_up" ["pool"]
        "1 while the pool can serve."
    POOL_PANIC Gauge "equipoise_pool_panic" ["pool"]
        "1 while so few backends are well that all are used."
    POOL_UPTIME Counter "equipoise_pool_uptime_seconds_total" ["pool"]
        "Time the pool could serve."
    POOL_DOWNTIME Counter "equipoise_pool_downtime_seconds_total" ["pool"]
        "Time the pool could not serve, an open outage included."
    POOL_FAILURES Counter "equipoise_pool_failures_total" ["pool"]
        "Changes of the pool from up to down."
    POOL_AVAILABILITY Gauge "equipoise_pool_availability_ratio" ["pool"]
        "Uptime as a share of uptime and downtime."
    POOL_MTBF Gauge "equipoise_pool_mtbf_seconds" ["pool"]
        "Mean time between failures; absent before the first failure."
    POOL_MTTR Gauge "equipoise_pool_mttr_seconds" ["pool"]
        "Mean time to repair; absent before the first failure has been repaired."
    POOL_REQUESTS Counter "equipoise_pool_requests_total" ["pool", "result"]
        "Requests of the routes that lead to the pool: success, or failure (a 5xx other than 501 and 505, or broken off)."
    POOL_SUCCESS Gauge "equipoise_pool_success_ratio" ["pool"]
        "Share of these requests that succeeded; absent before the first."
    ROUTE_UP Gauge "equipoise_route_up" ["listener", "route"]
        "1 while the pool that the route leads to can serve."
    ROUTE_UPTIME Counter "equipoise_route_uptime_seconds_total" ["listener", "route"]
        "Time the route could be served."
    ROUTE_DOWNTIME Counter "equipoise_route_downtime_seconds_total" ["listener", "route"]
        "Time the route could not be served, an open outage included."
    ROUTE_FAILURES Counter "equipoise_route_failures_total" ["listener", "route"]
        "Changes of the route from up to down."
    ROUTE_AVAILABILITY Gauge "equipoise_route_availability_ratio" ["listener", "route"]
        "Uptime as a share of uptime and downtime."
    ROUTE_MTBF Gauge "equipoise_route_mtbf_seconds" ["listener", "route"]
        "Mean time between failures; absent before the first failure."
    ROUTE_MTTR Gauge "equipoise_route_mttr_seconds" ["listener", "route"]
        "Mean time to repair; absent before the first failure has been repaired."
    ROUTE_SUCCESS Gauge "equipoise_route_success_ratio" ["listener", "route"]
        "Share of the route's requests that succeeded; absent before the first."
    SLO_BURN Gauge "equipoise_slo_burn_rate" ["pool", "route", "window"]
        "Share of requests that failed within the window, over the share that slo.availability allows."
    SLO_LATENCY_BURN Gauge "equipoise_slo_latency_burn_rate" ["pool", "route", "window"]
        "Share of requests that were slow within the window, over the share that slo.latency_ratio allows."
    SLO_BUDGET Gauge "equipoise_slo_budget_remaining_ratio" ["pool", "route"]
        "What is left of the error budget of slo.availability over slo.window; negative where it is overdrawn."
    SLO_LATENCY_BUDGET Gauge "equipoise_slo_latency_budget_remaining_ratio" ["pool", "route"]
        "What is left of the error budget of slo.latency over slo.window; negative where it is overdrawn."
    STATE_SYNCED Gauge "equipoise_state_file_last_sync_timestamp_seconds" []
        "Up to when [server] state_file holds what happened, in seconds since the epoch; absent without one."
    STATE_ERRORS Counter "equipoise_state_file_errors_total" []
        "How often [server] state_file could not be written; absent without one."
    RETRIES Counter "equipoise_retries_total" ["pool", "reason"]
        "Further tries of requests."
    RETRY_BUDGET_EXHAUSTED Counter "equipoise_retry_budget_exhausted_total" ["pool"]
        "Further tries that were due but not made, because the retry budget was spent."
    BACKEND_LIMIT Gauge "equipoise_backend_connection_limit" ["pool", "backend"]
        "Requests that may be in flight by max_connections = adaptive, as found so far."
    QUEUE_LENGTH Gauge "equipoise_queue_length" ["pool"]
        "Requests that wait because every backend has max_connections in flight, over all workers."
    QUEUE_SECONDS Histogram "equipoise_queue_seconds" ["pool"]
        "How long requests waited, of those that had to, however their waiting ended."
    CONFIG_RELOADS Counter "equipoise_config_reloads_total" ["result"]
        "Reloads of the configuration; the load at the start is not one."
    CONFIG_LAST_SUCCESSFUL Gauge "equipoise_config_last_reload_successful" []
        "1 when the last load of the configuration took effect, 0 when it was refused."
    CONFIG_LAST_SUCCESS_TIME Gauge "equipoise_config_last_reload_success_timestamp_seconds" []
        "When the configuration in force was loaded, in seconds since the epoch."
    CONFIG_HASH Gauge "equipoise_config_hash" ["sha256"]
        "Always 1; the label is the SHA-256 of the configuration file in force."
    LOG_DROPPED Counter "equipoise_log_dropped_total" ["log"]
        "Lines of a log that were not written: its place took none, or there were too many alike."
    TRACE_SPANS Counter "equipoise_trace_spans_total" ["result"]
        "Spans of requests that the collector took, and those that were dropped; absent without [tracing] otlp."
    TRACE_FAILURES Counter "equipoise_trace_export_failures_total" ["reason"]
        "Tries to hand spans to the collector that failed; absent without [tracing] otlp."
    READY Gauge "equipoise_ready" []
        "1 while new connections are taken."
    PROCESS_CPU Counter "process_cpu_seconds_total" []
        "User and system CPU time spent."
    PROCESS_RESIDENT Gauge "process_resident_memory_bytes" []
        "Resident memory."
    PROCESS_OPEN_FDS Gauge "process_open_fds" []
        "Open file descriptors."
    PROCESS_MAX_FDS Gauge "process_max_fds" []
        "The soft limit of open file descriptors; absent when there is none."
    PROCESS_START Gauge "process_start_time_seconds" []
        "When the process started, in seconds since the epoch."
}
