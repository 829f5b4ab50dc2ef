//! One request from its head to the end of its response, as a list of steps.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::client::Client;
use super::fault::Fault;
use super::gate;
use super::hedge::Race;
use super::log::Note;
use super::pick::{Attempt, Tried, is_failure};
use super::stick::Stuck;
use super::trail::Trail;
use super::upload::Upload;
use super::wait::{Turn, Wanted};
use super::worker::Worker;
use crate::access::Arrival;
use crate::backend::Moment;
use crate::http::{self, Forwarding, RequestHead, ResponseHead};
use crate::observe::{CLIENT_LEFT, MethodLabel, UNREGISTERED};
use crate::resilience::{Facts, Failure, Verdict, decide};
use crate::snapshot::{Listener, Pool, Route};
use crate::timer::Timer;
use crate::upstream::Protocol;

/// Bytes of a head above which its memory is not kept for the next one.
pub const LARGE_HEAD: usize = 8 * 1024;

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It may carry the next request.
    Next,
    /// It is closed once all is written, reading on for a while so that the answer arrives.
    Linger,
    /// It is closed: all was read and written, and nothing lies unread that would turn the close into a reset
    /// (RFC 9112 9.6).
    Close,
    /// It is closed at once, so that a short answer cannot be taken for a whole one.
    Abort,
}

/// Memory that is used again by each exchange of a connection.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A head was so large that the memory is better given back.
    pub large: bool,
    pub(super) response: ResponseHead,
    pub(super) forwarding: Forwarding,
}

/// Serves one request whose head has been read. Gives what becomes of the connection, and when the exchange
/// ended.
pub async fn serve(
    worker: &Worker,
    listener: &Listener,
    client: &mut Client,
    request: &mut RequestHead,
    scratch: &mut Scratch,
    arrival: Arrival,
) -> (After, Instant) {
    let method = MethodLabel::of(request.method_token());
    let unread = request.body != http::Body::None;
    let note = Note::new(listener, client, request.length);
    let trail = Trail::new(listener.tracer.as_ref(), &request.fields, worker);
    let mut exchange = Exchange {
        unread,
        lookout: None,
        worker,
        listener,
        client,
        request,
        scratch,
        arrival,
        now: arrival.complete,
        deadline: None,
        client_address: None,
        retries: 0,
        status: None,
        ended: Ended::Early,
        bound: false,
        held: false,
        is_call: false,
        in_chunks: false,
        note,
        trail,
        stuck: Stuck::default(),
    };
    let (route, outcome) = match exchange.admit() {
        Ok(route) => {
            exchange.note.route = Some(route);
            (Some(route), exchange.run(route).await)
        }
        Err(fault) => (None, Err(fault)),
    };
    let fault = outcome.err();
    let (code, after) = exchange.settle(outcome).await;
    let series = route.map_or(&listener.unrouted, |route| &route.series);
    let ended = exchange.now;
    let took = ended.saturating_duration_since(arrival.began);
    // Where no client has left the backend itself has said so.
    let left = code == CLIENT_LEFT && fault.is_some_and(Fault::is_of_one_who_left);
    let counted = if code == CLIENT_LEFT && !left { UNREGISTERED } else { code };
    series.request(worker.index, method, counted, took);
    if let Some(trace_id) = exchange.trail.recorded() {
        series.exemplar(worker.index, trace_id, took);
    }
    if route.is_some() {
        exchange.note.count_phases(series.phases(worker.index), arrival, ended, took);
    }
    // A tunnel that is cut is an end like another; any other response was promised whole.
    let is_cut = after == After::Abort || exchange.in_chunks;
    if is_cut && !left && code != 101 {
        series.broke_off(worker.index);
    }
    exchange.log(code, fault);
    drop(exchange);
    client.count(listener, worker.index);
    client.seat.backend.set(0);
    (after, ended)
}

/// The state of one request.
pub(super) struct Exchange<'a> {
    pub(super) worker: &'a Worker,
    pub(super) listener: &'a Listener,
    pub(super) client: &'a mut Client,
    pub(super) request: &'a mut RequestHead,
    pub(super) scratch: &'a mut Scratch,
    pub(super) arrival: Arrival,
    /// When the present phase began.
    pub(super) now: Instant,
    /// The route's timeout, as a time.
    pub(super) deadline: Option<Instant>,
    pub(super) client_address: Option<IpAddr>,
    pub(super) retries: u32,
    /// The status of the response that has begun to flow to the client.
    pub(super) status: Option<u16>,
    /// Some of the request's body has not been read: what follows cannot be told from it.
    pub(super) unread: bool,
    /// Wakes to look after a client that is not read from; made when it is first needed.
    pub(super) lookout: Option<Timer>,
    /// How an exchange without a fault has ended.
    pub(super) ended: Ended,
    /// The backend's connection is this client's alone from now on.
    pub(super) bound: bool,
    /// It was so before: the try is made on one of the client's own.
    pub(super) held: bool,
    /// It is a call of gRPC.
    pub(super) is_call: bool,
    /// The response has begun, in chunks of which the last has not been written.
    pub(super) in_chunks: bool,
    /// What the access log will tell of it.
    pub(super) note: Note<'a>,
    /// Its part in a trace.
    pub(super) trail: Trail<'a>,
    /// Which backend it is to stay with.
    pub(super) stuck: Stuck,
}

/// How far both messages of an exchange had come at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both were whole, and the client may send its next request.
    Kept,
    /// Both were whole, and the connection ends with them.
    Whole,
    /// The request may not have been whole.
    Early,
}

impl<'a> Exchange<'a> {
    /// Checks limits and finds the route.
    fn admit(&mut self) -> Result<&'a Route, Fault> {
        let listener: &'a Listener = self.listener;
        let route = gate::find(listener, self.request, &self.client.origin)?;
        self.deadline = route.timeout.map(|timeout| self.arrival.began + timeout);
        if http::is_grpc(&self.request.fields) {
            self.begin_call();
        }
        Ok(route)
    }

    /// Tries backends until one answers, then hands its response to the client.
    async fn run(&mut self, route: &Route) -> Result<(), Fault> {
        let pool = &*route.pool;
        self.edit_request(pool);
        pool.budget.on_request(self.now);
        let listed = pool.retry.lists_method(self.request.method_token());
        // Over HTTP/2 a backend may say of any request that it has not begun with it.
        let listed_or_told = listed || pool.protocol != Protocol::Http1;
        let repeatable = (listed_or_told && pool.retry.attempts > 0) || self.request.method.is_idempotent();
        let mut upload =
            Upload::new(self.request.body, self.listener, repeatable.then_some(pool.retry_buffer));
        let mut wanted = Wanted::new(self.client.bonds.take(route, &self.worker.blocks), listed);
        self.bound = wanted.own.is_some() || http::carries_login(&self.request.fields);
        let (mut newer, mut turn): (Option<Arc<Pool>>, Option<Box<Turn>>) = (None, None);
        loop {
            let pool = &**newer.as_ref().unwrap_or(&route.pool);
            let mut attempt = match self.place(route, pool, &mut wanted, &mut turn) {
                Err(Fault::PoolFull) => {
                    // In a box: few wait, and every exchange would hold room for it.
                    Box::pin(self.wait(route, &mut newer, &mut wanted, &mut turn)).await?;
                    continue;
                }
                placed => placed?,
            };
            let Wanted { tried, own, .. } = &mut wanted;
            self.held = own.is_some();
            let tried_once = match self.hedges(pool, &attempt, listed) {
                None => self.attempt(pool, &mut attempt, &mut upload, own.take()).await,
                // In a box, as above.
                Some(delay) => {
                    let race = Race::new(pool, delay, (&mut attempt, &mut upload), tried, self.now);
                    Box::pin(self.hedged(race)).await
                }
            };
            self.unread = !upload.pipe.has_ended();
            let failure = match tried_once? {
                Ok(connection) => match self.retried_status(pool, attempt.is_trial) {
                    Some(failure) if self.may_retry(pool, &attempt, failure, listed, &upload, tried) => {
                        continue;
                    }
                    _ => {
                        let delivered = self.deliver((route, pool), &attempt, connection, &mut upload).await;
                        match delivered {
                            Ok(()) => attempt.went_well(pool),
                            Err(Fault::Cut) => {
                                attempt.went_badly(pool, Moment::of(Instant::now()));
                                self.trail.broke_off(Fault::Cut.word());
                            }
                            Err(_) => {} // not the backend's fault
                        }
                        return delivered;
                    }
                },
                Err(fault) => fault,
            };
            if !self.may_retry(pool, &attempt, failure, listed, &upload, tried) {
                return Err(attempt.fault(failure));
            }
        }
    }

    /// What the backend is told of the client, and not told of its connection.
    fn edit_request(&mut self, pool: &Pool) {
        if let Some(sticky) = &pool.sticky {
            self.take_cookie(sticky);
        }
        let fresh_id = self.worker.random.borrow_mut().u128(..);
        let client = (&self.client.origin, self.client.shown.as_deref());
        let forwarding = &mut self.scratch.forwarding;
        let address = gate::edit(self.request, forwarding, (self.listener, pool), client, fresh_id);
        self.client_address = Some(address);
        self.trail.mark(&mut self.request.fields);
    }

    /// The failure that a response's status is, where the pool lists it, or a trial has failed by it. On a
    /// connection of the client's own it is none: another backend does not know who the client is.
    fn retried_status(&self, pool: &Pool, is_trial: bool) -> Option<Failure> {
        let status = self.scratch.response.status;
        let failure = Failure::Status(status);
        let is_one = pool.retry.lists(failure) || is_trial && is_failure(status);
        (is_one && !self.held).then_some(failure)
    }

    /// Asks the rules and the budget for another try, and counts it.
    fn may_retry(
        &mut self,
        pool: &Pool,
        attempt: &Attempt<'_>,
        failure: Failure,
        method_listed: bool,
        upload: &Upload,
        tried: &mut Tried,
    ) -> bool {
        self.now = Instant::now();
        let backend = attempt.lease.backend();
        let first_connect_failure = !tried.connect_failed;
        tried.connect_failed |= failure == Failure::Connect;
        let facts = Facts {
            failure,
            is_trial: attempt.is_trial,
            retries_made: self.retries,
            method_listed,
            anything_sent: tried.sent || (upload.sent > 0 && failure != Failure::Refused),
            replayable: upload.is_replayable(),
            first_connect_failure,
            another_accepts: pool.budget.connect_retry_is_free(backend.id(), self.now),
        };
        tried.sent = facts.anything_sent;
        let Verdict::Retry { charged } = decide(&pool.retry, &facts) else { return false };
        if charged && !pool.budget.take(self.now) {
            pool.series.budget_exhausted(self.worker.index);
            return false;
        }
        tried.backends.push(backend.id());
        self.note.failed(attempt, failure, self.now);
        self.retries += 1;
        pool.series.retry(self.worker.index, super::attempt::retry_reason(failure));
        true
    }

    /// Whether the client's connection may go on, as far as the request and the worker say.
    pub(super) fn keeps_client(&self) -> bool {
        let more_may_come = !self.client.half_closed || !self.client.buffer.is_empty();
        self.request.keep_alive
            && more_may_come
            && !self.worker.is_draining()
            && !self.client.seat.leave.get()
    }

    /// Who asks, by what trusted proxies say; read anew where the request has ended before it was to be passed on.
    pub(super) fn asker(&self) -> IpAddr {
        self.client_address.unwrap_or_else(|| {
            let trusts = |address| self.listener.trusts(address);
            http::client_address(&self.request.fields, &self.client.origin, trusts)
        })
    }

    /// Sets the next deadline, never past the route's.
    pub(super) fn arm(&self, at: Instant) {
        self.client.timer.arm(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }

    /// The fault of a deadline that has passed: the route's, or the one that was waited for.
    pub(super) fn timed_out(&self, otherwise: Fault) -> Fault {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Fault::Deadline,
            _ => otherwise,
        }
    }
}
