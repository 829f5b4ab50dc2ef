//! One try: pick a backend, reach it, send the request, read the head of the response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::converse::Trouble;
use super::exchange::Exchange;
use super::fault::Fault;
use super::key;
use super::upload::Upload;
use crate::backend::Lease;
use crate::balance::Pick;
use crate::http::{Body, Version};
use crate::observe::{BackendSeries, Outcome, RetryReason};
use crate::resilience::Failure;
use crate::snapshot::{HostPolicy, Member, Pool, Route, Security};
use crate::upstream::{Connection, DialError};

/// What earlier tries of a request leave behind.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Ids of the backends that were tried.
    pub(super) backends: Vec<u64>,
    /// One of them could not be connected to.
    pub(super) connect_failed: bool,
    /// Some byte of the request went to one of them.
    pub(super) sent: bool,
}

/// A try at one backend.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) lease: Lease,
    pub(super) series: Arc<BackendSeries>,
    limit: u32,
    security: Security,
    connect_timed_out: bool,
}

impl Attempt {
    /// The fault that a failed try is, where no other follows.
    pub(super) fn fault(&self, failure: Failure) -> Fault {
        if failure == Failure::Connect && self.connect_timed_out {
            Fault::ConnectTimeout
        } else {
            Fault::Backend(failure)
        }
    }
}

/// The label of a retry.
pub(super) fn retry_reason(failure: Failure) -> RetryReason {
    match failure {
        Failure::Connect => RetryReason::Connect,
        Failure::Reset => RetryReason::Reset,
        Failure::Invalid => RetryReason::Invalid,
        Failure::Timeout => RetryReason::Timeout,
        Failure::Status(_) => RetryReason::Status,
    }
}

impl Exchange<'_> {
    /// Picks a backend and takes a lease on it: another than those tried, while one is left.
    pub(super) fn pick(&mut self, pool: &Pool, tried: &mut Tried) -> Result<Attempt, Fault> {
        let roster = pool.roster();
        let candidates = &roster.candidates;
        if candidates.is_empty() {
            return Err(Fault::NoBackend);
        }
        let position = |id: &u64| candidates.iter().position(|c| c.backend.id() == *id);
        let mut passed: Vec<usize> = tried.backends.iter().filter_map(position).collect();
        let client = self.client_address.unwrap_or(self.client.origin.peer.ip());
        let key = key::of(&pool.key, self.request, client);
        let mut random = self.worker.random.borrow_mut();
        loop {
            let mut pick = Pick { key, tried: &passed, random: &mut random, now: self.now };
            match roster.balancer.pick(&mut pick) {
                Some(index) => {
                    let candidate = &candidates[index];
                    if let Some(lease) = Lease::take(&candidate.backend, candidate.limit, self.now) {
                        let series = Arc::clone(&roster.series[index]);
                        return Ok(Attempt {
                            lease,
                            series,
                            limit: candidate.limit,
                            security: roster.security[index].clone(),
                            connect_timed_out: false,
                        });
                    }
                    passed.push(index); // another worker took the last place
                }
                None if !tried.backends.is_empty() => {
                    tried.backends.clear();
                    passed.clear();
                }
                None => return Err(Fault::PoolFull),
            }
        }
    }

    /// A try on the connection that is this client's alone: at its backend, whomever the algorithm would pick
    /// and whatever probes say, for the login is there and nowhere else.
    pub(super) fn stay(
        &mut self,
        route: &Route,
        member: &Member,
        own: &mut Option<Box<Connection>>,
    ) -> Result<Attempt, Fault> {
        if let Some(lease) = Lease::take(&member.backend, member.limit, self.now) {
            let series = Arc::clone(&member.series);
            return Ok(Attempt {
                lease,
                series,
                limit: member.limit,
                security: member.security.clone(),
                connect_timed_out: false,
            });
        }
        if let Some(connection) = own.take() {
            self.client.bonds.keep(route, connection, &self.worker.blocks);
        }
        Err(Fault::PoolFull)
    }

    /// Makes one try, on `own` if there is one. Ready with a connection whose response head has been read, or with the failure
    /// that another try may mend.
    pub(super) async fn attempt(
        &mut self,
        pool: &Pool,
        attempt: &mut Attempt,
        upload: &mut Upload,
        mut own: Option<Box<Connection>>,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let mut reuse = true;
        self.client.seat.backend.set(attempt.lease.backend().id());
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
            match self.converse(pool, &mut connection, upload, began).await {
                Ok(sent_at) => {
                    self.heard(attempt, sent_at);
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
                    return self.failed(attempt, trouble, began);
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

    fn set_host(&mut self, pool: &Pool, attempt: &Attempt) {
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
        attempt: &mut Attempt,
        reuse: bool,
        now: Instant,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let backend = attempt.lease.backend();
        let must_be_recent = !self.request.method.is_idempotent();
        let secure = match &attempt.security {
            Security::Plain => None,
            Security::Tls(secure) => Some(secure),
            Security::Broken => {
                attempt.lease.failed(Duration::ZERO, now);
                attempt.series.outcome(self.worker.index, Outcome::TlsError);
                return Ok(Err(Failure::Connect));
            }
        };
        // A client that has gone cannot be announced.
        let announced = pool.announce.map(|version| self.client.announcement(version));
        let announced = announced.transpose().map_err(|_| Fault::ClientLeft)?;
        let upstream = &self.worker.upstream;
        if reuse
            && let Some(connection) = upstream.idle(backend, secure, announced.as_ref(), must_be_recent, now)
        {
            return Ok(Ok(connection));
        }
        let due = now + pool.connect_timeout;
        let due = self.deadline.map_or(due, |deadline| deadline.min(due));
        let dial = upstream.dial(backend, attempt.limit, pool.connect_timeout, due);
        match dial.announced(announced).secured(secure.cloned()).connect().await {
            Ok(connection) => {
                pool.budget.on_connected(backend.id(), Instant::now());
                Ok(Ok(connection))
            }
            Err(error) => {
                tracing::debug!(target: "equipoise::proxy", pool = %pool.name, backend = %backend.identity().name, "{error}");
                backend.want_probe();
                attempt.lease.failed(now.elapsed(), Instant::now());
                let outcome = match error {
                    DialError::Tls(_) => Outcome::TlsError,
                    _ => Outcome::ConnectError,
                };
                attempt.series.outcome(self.worker.index, outcome);
                attempt.connect_timed_out = matches!(error, DialError::TimedOut(_));
                match self.timed_out(Fault::ConnectTimeout) {
                    Fault::Deadline => Err(Fault::Deadline),
                    _ => Ok(Err(Failure::Connect)),
                }
            }
        }
    }

    /// Whether a reset means no more than that the backend had closed an idle connection, so that
    /// nothing can have been processed twice by sending the request again on a fresh one.
    fn was_stale(&self, connection: &Connection, upload: &Upload) -> bool {
        connection.reused
            && connection.buffer.is_empty()
            && self.request.method.is_idempotent()
            && upload.is_replayable()
    }

    fn heard(&mut self, attempt: &Attempt, sent_at: Instant) {
        self.now = Instant::now();
        let now = self.now;
        let took = now.saturating_duration_since(sent_at);
        let status = self.scratch.response.status;
        let is_11 = self.scratch.response.version == Version::Http11;
        attempt.lease.backend().answered_in(u8::from(is_11));
        attempt.series.outcome(self.worker.index, Outcome::Code(status));
        attempt.series.response_time(self.worker.index, took);
        if status >= 500 && !matches!(status, 501 | 505) {
            attempt.lease.failed(took, now); // failing fast must not look like being fast
        } else {
            attempt.lease.answered(took, now);
        }
    }

    fn failed(
        &self,
        attempt: &Attempt,
        trouble: Trouble,
        began: Instant,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let (outcome, result) = match trouble {
            Trouble::Backend(failure) => {
                let outcome = match failure {
                    Failure::Invalid => Outcome::Invalid,
                    Failure::Timeout => Outcome::Timeout,
                    _ => Outcome::Reset,
                };
                if failure != Failure::Timeout {
                    // Every such request costs a retry of the pool's budget until a check has spoken.
                    attempt.lease.backend().want_probe();
                }
                (outcome, Ok(Err(failure)))
            }
            Trouble::Over(Fault::Deadline) => (Outcome::Timeout, Err(Fault::Deadline)),
            Trouble::Over(fault) => (Outcome::Canceled, Err(fault)),
        };
        attempt.series.outcome(self.worker.index, outcome);
        if outcome != Outcome::Canceled {
            let now = Instant::now();
            attempt.lease.failed(now.saturating_duration_since(began), now);
        }
        result
    }
}
