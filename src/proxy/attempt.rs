//! One try: reach the backend, send the request, read the head of the response.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::converse::Trouble;
use super::exchange::Exchange;
use super::fault::Fault;
use super::pick::{Attempt, is_failure};
use super::upload::Upload;
use crate::backend::Moment;
use crate::http::{self, Body, Method, Refusal, Upgrade, Version};
use crate::observe::{Outcome, RetryReason};
use crate::resilience::Failure;
use crate::snapshot::{HostPolicy, Pool, Security};
use crate::upstream::{Connection, DialError, Dialing, Protocol, Terms, Upstream};

/// A backend of HTTP/2 is asked after so small a part of `timeouts.idle` whether it is still there: one that has vanished is
/// found out before any exchange gives it up, and the long ones too.
const SILENCES: u32 = 4;

/// What needs a connection to the backend of its own.
const NO_TUNNEL: Refusal = Refusal { status: 501, reason: "a tunnel to a backend of HTTP/2" };

/// The label of a retry.
pub(super) fn retry_reason(failure: Failure) -> RetryReason {
    match failure {
        Failure::Connect => RetryReason::Connect,
        Failure::Refused => RetryReason::Refused,
        Failure::Reset => RetryReason::Reset,
        Failure::Invalid => RetryReason::Invalid,
        Failure::Timeout => RetryReason::Timeout,
        Failure::Status(_) => RetryReason::Status,
    }
}

/// How a backend is reached.
pub(super) enum Way<'a> {
    /// By a connection from before.
    Kept(Box<Connection>),
    /// By a new one.
    Dial(Dialing<'a>),
    /// By a stream of one that is shared.
    Board(Dialled<'a>),
}

/// What comes of a connection that is being opened, or found. In a box: it would make every exchange larger.
pub(super) type Dialled<'a> = Pin<Box<dyn Future<Output = Result<Box<Connection>, DialError>> + 'a>>;

impl<'a> Exchange<'a> {
    /// Makes one try, on `own` if there is one. Ready with a connection whose response head has been read, or with the failure
    /// that another try may mend.
    pub(super) async fn attempt(
        &mut self,
        pool: &Pool,
        attempt: &mut Attempt<'_>,
        upload: &mut Upload,
        mut own: Option<Box<Connection>>,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let mut reuse = true;
        self.client.seat.backend.set(attempt.lease.backend().id());
        self.note.attempt(attempt, self.now);
        self.trail.attempt(self.worker, attempt.lease.backend(), &mut self.request.fields, self.now);
        if attempt.lease.backend().speaks_only_10() {
            self.fits_10()?;
        }
        self.set_host(pool, attempt);
        loop {
            let asked = self.now;
            let mut connection = match own.take() {
                Some(own) => own,
                None => match self.reach(pool, attempt, reuse, asked).await? {
                    Ok(connection) => connection,
                    Err(failure) => return Ok(Err(failure)),
                },
            };
            upload.begin(self.request, &mut connection, &self.worker.blocks);
            let began = if connection.reused { asked } else { Instant::now() };
            self.note.connect(began);
            if !connection.reused {
                self.trail.connected(began);
            }
            match self.converse(pool, &mut connection, upload, began).await {
                Ok(sent_at) => {
                    self.heard(pool, attempt, sent_at);
                    return Ok(Ok(connection));
                }
                Err(Trouble::Backend(Failure::Reset)) if self.was_stale(&connection, upload) => {
                    pool.series.retry(self.worker.index, RetryReason::Stale);
                    reuse = false;
                    self.now = Instant::now();
                }
                Err(trouble) => {
                    if trouble.is_given_up() {
                        connection.reset_on_close();
                    }
                    return self.failed(pool, attempt, trouble, began, upload).map(Err);
                }
            }
        }
    }

    /// Whether the request can be sent to a backend of HTTP/1.0. It would take the chunks for the body, or for
    /// a request (RFC 9112 6.1), and has no 100 to answer with.
    fn fits_10(&self) -> Result<(), Fault> {
        match self.request.body {
            _ if self.request.expects_continue => Err(Fault::CannotContinue),
            Body::Chunked => Err(Fault::NeedsLength),
            _ => Ok(()),
        }
    }

    pub(super) fn set_host(&mut self, pool: &Pool, attempt: &Attempt<'_>) {
        // An HTTP/1.0 client may send no Host; a backend must get one (RFC 9112 3.2).
        if pool.pass_host == HostPolicy::Backend
            || self.request.host().is_empty() && pool.pass_host == HostPolicy::Client
        {
            let address = Arc::clone(&attempt.lease.backend().identity().address);
            self.request.set_host(address.as_bytes());
        }
    }

    /// An idle connection that may be used, or a new one.
    async fn reach(
        &mut self,
        pool: &Pool,
        attempt: &mut Attempt<'_>,
        reuse: bool,
        now: Instant,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let dialled = match self.seek(pool, attempt, reuse, now)? {
            Ok(Way::Kept(connection)) => return Ok(Ok(connection)),
            Ok(Way::Dial(dial)) => dial.connect().await,
            Ok(Way::Board(boarding)) => boarding.await,
            Err(failure) => return Ok(Err(failure)),
        };
        self.dialled(pool, attempt, dialled, now)
    }

    /// The way to a backend: an idle connection that may be used, or one that is to be dialled.
    pub(super) fn seek(
        &mut self,
        pool: &Pool,
        attempt: &Attempt<'_>,
        reuse: bool,
        now: Instant,
    ) -> Result<Result<Way<'a>, Failure>, Fault> {
        if pool.protocol != Protocol::Http1 {
            return Ok(self.board(pool, attempt, !reuse, now));
        }
        let backend = attempt.lease.backend();
        let must_be_recent = !self.request.method.is_idempotent();
        let secure = match &attempt.member.security {
            Security::Plain => None,
            Security::Tls(secure) => Some(secure),
            Security::Broken => return Ok(Err(self.broken(attempt, now))),
        };
        // A client that has gone cannot be announced.
        let announced = pool.announce.map(|version| self.client.announcement(version));
        let announced = announced.transpose().map_err(|_| Fault::ClientLeft)?;
        let upstream: &'a Upstream = &self.worker.upstream;
        if reuse
            && let Some(connection) = upstream.idle(backend, secure, announced.as_ref(), must_be_recent, now)
        {
            return Ok(Ok(Way::Kept(connection)));
        }
        let due = now + pool.connect_timeout;
        let due = self.deadline.map_or(due, |deadline| deadline.min(due));
        // The whole limit also while a share grows: idle connections of before need not be closed for that.
        let limit = attempt.member.most_connections();
        let dial = upstream.dial(backend, limit, pool.connect_timeout, due);
        Ok(Ok(Way::Dial(dial.announced(announced).secured(secure.cloned()))))
    }

    /// A stream of a connection that is shared, or where the backend has chosen HTTP/1 a connection.
    #[inline(never)]
    fn board(
        &mut self,
        pool: &Pool,
        attempt: &Attempt<'_>,
        fresh: bool,
        now: Instant,
    ) -> Result<Way<'a>, Failure> {
        let upstream: &'a Upstream = &self.worker.upstream;
        let backend = Arc::clone(attempt.lease.backend());
        let due = now + pool.connect_timeout;
        let terms = Terms {
            protocol: pool.protocol,
            secure: match &attempt.member.security {
                Security::Plain => None,
                Security::Tls(secure) => Some(Arc::clone(secure)),
                Security::Broken => return Err(self.broken(attempt, now)),
            },
            limit: attempt.member.most_connections(),
            timeout: pool.connect_timeout,
            deadline: self.deadline.map_or(due, |deadline| deadline.min(due)),
            keep_for: pool.keep_alive,
            patience: pool.idle_timeout / SILENCES,
            fresh,
            must_be_recent: !self.request.method.is_idempotent(),
        };
        Ok(Way::Board(Box::pin(async move { upstream.board(&backend, &terms, now).await })))
    }

    /// Whether the request can be sent in HTTP/2: a tunnel needs a connection, or a stream that was agreed upon.
    fn fits_http2(&self) -> Result<(), Fault> {
        let is_websocket = self.request.upgrade.as_ref().is_some_and(Upgrade::is_websocket);
        match is_websocket || self.request.method == Method::Connect {
            true => Err(Fault::Refused(NO_TUNNEL)),
            false => Ok(()),
        }
    }

    /// There is no TLS to the backend that could be spoken, and nothing goes in clear.
    #[cold]
    fn broken(&mut self, attempt: &Attempt<'_>, now: Instant) -> Failure {
        attempt.lease.failed(Duration::ZERO, now);
        self.tls_failed(attempt);
        attempt.member.series.outcome(self.worker.index, Outcome::TlsError);
        self.trail.failed(Outcome::TlsError, now);
        Failure::Connect
    }

    /// What a dial that began at `now` has come to.
    pub(super) fn dialled(
        &mut self,
        pool: &Pool,
        attempt: &mut Attempt<'_>,
        dialled: Result<Box<Connection>, DialError>,
        now: Instant,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let backend = attempt.lease.backend();
        match dialled {
            Ok(connection) => {
                if connection.stream.is_lane() {
                    self.fits_http2()?;
                }
                if !connection.reused {
                    pool.budget.on_connected(backend.id(), Instant::now());
                }
                Ok(Ok(connection))
            }
            Err(error) => {
                tracing::debug!(target: "equipoise::proxy", pool = %pool.name, backend = %backend.identity().name, "{error}");
                pool.budget.on_refused(backend.id());
                let failed_at = Moment::of(Instant::now());
                attempt.lease.failed(now.elapsed(), failed_at);
                let outcome = match error {
                    DialError::Tls(_) => {
                        self.tls_failed(attempt);
                        Outcome::TlsError
                    }
                    _ => Outcome::ConnectError,
                };
                attempt.member.series.outcome(self.worker.index, outcome);
                self.trail.failed(outcome, Instant::now());
                attempt.connect_timed_out = error.is_timeout();
                let late = error.is_timeout() && self.timed_out(Fault::ConnectTimeout) == Fault::Deadline;
                if error.is_the_backends() && (!late || self.retries == 0) {
                    attempt.count(pool, failed_at);
                    attempt.went_badly(pool, failed_at);
                }
                attempt.want_probe(pool);
                match self.timed_out(Fault::ConnectTimeout) {
                    Fault::Deadline => Err(Fault::Deadline),
                    _ => Ok(Err(Failure::Connect)),
                }
            }
        }
    }

    /// Whether a reset means no more than that the backend had closed an idle connection, so that
    /// nothing can have been processed twice by sending the request again on a fresh one.
    pub(super) fn was_stale(&self, connection: &Connection, upload: &Upload) -> bool {
        connection.reused
            && connection.buffer.is_empty()
            && self.request.method.is_idempotent()
            && upload.is_replayable()
    }

    /// Counts a try that gave a head.
    pub(super) fn heard(&mut self, pool: &Pool, attempt: &Attempt<'_>, sent_at: Instant) {
        self.now = Instant::now();
        let took = self.now.saturating_duration_since(sent_at);
        self.note.hear(self.now, sent_at, took);
        let status = self.scratch.response.status;
        self.trail.heard(status);
        let is_11 = self.scratch.response.version == Version::Http11;
        attempt.lease.backend().answered_in(u8::from(is_11));
        attempt.member.series.outcome(self.worker.index, Outcome::Code(status));
        attempt.member.series.response_time(self.worker.index, took);
        if let Some(field) = &pool.load_header {
            self.take_load(field, attempt);
        }
        if is_failure(status) {
            let now = Moment::of(self.now);
            attempt.count(pool, now);
            attempt.lease.failed(took, now); // failing fast must not look like being fast
            attempt.went_badly(pool, now);
            if status == 503 {
                self.heed_pause(pool, attempt, now);
            }
        } else {
            attempt.count(pool, self.worker.clock.moment(self.now));
            attempt.lease.answered(took, self.now);
        }
    }

    /// Notes the load that a response reports, which is no client's business. What is no load says nothing.
    #[inline(never)]
    fn take_load(&mut self, field: &str, attempt: &Attempt<'_>) {
        let fields = &mut self.scratch.response.fields;
        let told = fields.by_name(field).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        if let Some(load) = told.filter(|load| (0.0..=1.0).contains(load)) {
            attempt.lease.backend().load().report(load, self.worker.clock.moment(self.now));
        }
        fields.remove_named(field);
    }

    /// Keeps new traffic from a backend that asks for it.
    #[cold]
    fn heed_pause(&self, pool: &Pool, attempt: &Attempt<'_>, now: Moment) {
        if let Some(time) = http::retry_after(&self.scratch.response.fields, SystemTime::now()) {
            pool.squad.pause(attempt.place, time, now);
        }
    }

    /// Counts a try that gave no head. Gives the failure that another try may mend.
    pub(super) fn failed(
        &mut self,
        pool: &Pool,
        attempt: &Attempt<'_>,
        trouble: Trouble,
        began: Instant,
        upload: &Upload,
    ) -> Result<Failure, Fault> {
        let now = Instant::now();
        let (moment, elapsed) = (Moment::of(now), now.saturating_duration_since(began));
        let (outcome, is_its_fault, result) = match trouble {
            Trouble::Backend(failure) => {
                let outcome = match failure {
                    Failure::Invalid => Outcome::Invalid,
                    Failure::Timeout => Outcome::Timeout,
                    _ => Outcome::Reset,
                };
                (outcome, true, Ok(failure))
            }
            Trouble::Left => (Outcome::Reset, false, Ok(Failure::Refused)),
            // It is judged by it where it had the route's whole time, and the whole request: others before it,
            // or a slow client, are no fault of its own.
            Trouble::Over(Fault::Deadline) => {
                (Outcome::Timeout, self.retries == 0 && upload.done, Err(Fault::Deadline))
            }
            Trouble::Over(fault) => (Outcome::Canceled, false, Err(fault)),
        };
        attempt.member.series.outcome(self.worker.index, outcome);
        self.trail.failed(outcome, now);
        if outcome != Outcome::Canceled {
            attempt.lease.failed(elapsed, moment);
        }
        if is_its_fault {
            attempt.count(pool, moment);
            attempt.went_badly(pool, moment);
        }
        if matches!(result, Ok(Failure::Reset | Failure::Invalid)) {
            // Every such request costs a retry of the pool's budget until a check has spoken.
            attempt.want_probe(pool);
        }
        result
    }
}
