//! A second try beside the first, where that takes longer than most answers do.
//!
//! Only for requests that change nothing and have no body, and only where any backend will do. The first head that is
//! no failure is the answer. The other try is cut off, which says nothing of its backend.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::attempt::Way;
use super::converse::{Talk, Trouble};
use super::exchange::Exchange;
use super::fault::Fault;
use super::pick::{Attempt, Tried, is_failure};
use super::recall::{choice, end_of};
use super::upload::Upload;
use crate::http::{Body, Method, RequestHead};
use crate::observe::{Outcome, RetryReason};
use crate::recent::End;
use crate::resilience::{Failure, HedgeDelay};
use crate::snapshot::Pool;
use crate::upstream::Connection;

mod race;

pub(super) use race::Race;

use race::{Nth, Second, Stage};

/// Whether two backends may be asked at once, as far as the request itself says.
pub(super) fn may_be_doubled(request: &RequestHead) -> bool {
    let waits_for_events = || {
        let accepts = request.fields.by_name("accept").unwrap_or_default();
        memchr::memmem::find(accepts, b"text/event-stream").is_some()
    };
    matches!(request.method, Method::Get | Method::Head | Method::Options)
        && request.body == Body::None
        && request.upgrade.is_none()
        && !request.expects_continue
        && !waits_for_events()
}

impl<'a> Exchange<'a> {
    /// By what a second try beside this one is decided on; `None`: there will be none.
    #[inline]
    pub(super) fn hedges<'p>(
        &self,
        pool: &'p Pool,
        attempt: &Attempt<'_>,
        listed: bool,
    ) -> Option<&'p HedgeDelay> {
        let delay = pool.hedge.as_deref()?;
        let free = !attempt.is_trial && !self.bound && !self.held && !self.is_stuck();
        (listed && free && may_be_doubled(self.request)).then_some(delay)
    }

    /// Makes a try, and another beside it where that takes long. Ends as [`Self::attempt`] does, and then the race's
    /// attempt is the one that counts.
    pub(super) async fn hedged(
        &mut self,
        mut race: Race<'a, '_, '_>,
    ) -> Result<Result<Box<Connection>, Failure>, Fault> {
        let backend = race.attempt.lease.backend();
        self.client.seat.backend.set(backend.id());
        self.note.attempt(race.attempt, race.began);
        self.trail.attempt(self.worker, backend, &mut self.request.fields, self.now);
        let began = poll_fn(|cx| Poll::Ready(self.begin_race(&mut race, cx))).await?;
        match began {
            Ok(()) => poll_fn(|cx| self.poll_race(&mut race, cx)).await,
            Err(failure) => Ok(Err(failure)),
        }
    }

    fn begin_race(
        &mut self,
        race: &mut Race<'a, '_, '_>,
        cx: &mut Context<'_>,
    ) -> Result<Result<(), Failure>, Fault> {
        let pool = race.pool;
        let delay = race.delay.get().filter(|_| self.retries < pool.retry.attempts);
        race.bell = delay.map(|delay| {
            let bell = self.worker.wheel.timer();
            bell.wake(cx.waker());
            bell.arm(race.began + delay);
            bell
        });
        let way = match self.seek(pool, race.attempt, true, race.began)? {
            Ok(way) => way,
            Err(failure) => return Ok(Err(failure)),
        };
        race.first = self.set_out(pool, (&*race.attempt, race.upload), way, Nth::First, cx);
        Ok(Ok(()))
    }

    fn poll_race(
        &mut self,
        race: &mut Race<'a, '_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Box<Connection>, Failure>, Fault>> {
        loop {
            for nth in [Nth::First, Nth::Second] {
                let Poll::Ready(ended) = self.poll_nth(race, nth, cx) else { continue };
                let alone = !race.runs(nth.other());
                match ended {
                    Err(fault) => {
                        self.go_by(race, nth);
                        self.cut_off(race, nth.other());
                        return Poll::Ready(Err(fault));
                    }
                    Ok(Ok(sent_at)) => {
                        if let Some(connection) = self.judge(race, nth, sent_at, alone) {
                            return Poll::Ready(Ok(Ok(connection)));
                        }
                    }
                    Ok(Err(failure)) if alone => {
                        self.go_by(race, nth);
                        race.settle(nth);
                        return Poll::Ready(Ok(Err(failure)));
                    }
                    // The other may still do better.
                    Ok(Err(failure)) => {
                        let (attempt, began) = (race.attempt(nth), race.began(nth));
                        self.note.over(choice(attempt, began), end_of(attempt, failure), Instant::now());
                        self.go_by(race, nth.other());
                    }
                }
            }
            if !race.rings() {
                return Poll::Pending;
            }
            race.bell = None;
            if !self.launch(race, cx)? {
                return Poll::Pending;
            }
        }
    }

    /// Ready with when the request had been sent, once a head has been read.
    fn poll_nth(
        &mut self,
        race: &mut Race<'a, '_, '_>,
        nth: Nth,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Instant, Failure>, Fault>> {
        let (pool, began) = (race.pool, race.began(nth));
        self.trail.turn_to(nth as usize);
        let (attempt, upload, stage) = match (nth, &mut race.second) {
            (Nth::First, _) => (&mut *race.attempt, &mut *race.upload, &mut race.first),
            (Nth::Second, Some(second)) => (&mut second.attempt, &mut second.upload, &mut second.stage),
            (Nth::Second, None) => return Poll::Pending,
        };
        loop {
            let found = match stage {
                Stage::Over => return Poll::Pending,
                Stage::Dialling(dial) => {
                    let dialled = ready!(dial.as_mut().poll(cx));
                    self.dialled(pool, attempt, dialled, began)?.map(Way::Kept)
                }
                Stage::Talking(connection, talk) => {
                    match ready!(self.poll_converse(pool, connection, upload, talk, cx)) {
                        Ok(()) => return Poll::Ready(Ok(Ok(self.heard_out(connection, talk)))),
                        Err(Trouble::Backend(Failure::Reset)) if self.was_stale(connection, upload) => {
                            pool.series.retry(self.worker.index, RetryReason::Stale);
                            self.seek(pool, attempt, false, Instant::now())?
                        }
                        Err(trouble) => {
                            if trouble.is_given_up() {
                                connection.reset_on_close();
                            }
                            Err(self.failed(pool, attempt, trouble, began, upload)?)
                        }
                    }
                }
            };
            match found {
                Ok(way) => *stage = self.set_out(pool, (attempt, upload), way, nth, cx),
                Err(failure) => {
                    *stage = Stage::Over;
                    return Poll::Ready(Ok(Err(failure)));
                }
            }
        }
    }

    /// Sends the request, or dials first.
    fn set_out(
        &mut self,
        pool: &Pool,
        (attempt, upload): (&Attempt<'_>, &mut Upload),
        way: Way<'a>,
        nth: Nth,
        cx: &mut Context<'_>,
    ) -> Stage<'a> {
        let mut connection = match way {
            Way::Kept(connection) => connection,
            Way::Dial(dial) => return Stage::Dialling(Box::pin(dial.connect())),
            Way::Board(boarding) => return Stage::Dialling(boarding),
        };
        // The other try may have set others.
        self.set_host(pool, attempt);
        self.trail.tell_again(&mut self.request.fields);
        upload.begin(self.request, &mut connection, &self.worker.blocks);
        let now = Instant::now();
        let timer = (nth == Nth::Second).then(|| {
            let timer = self.worker.wheel.timer();
            timer.wake(cx.waker());
            timer
        });
        if nth == Nth::First {
            self.note.connect(now);
        }
        if !connection.reused {
            self.trail.connected(now);
        }
        Stage::Talking(connection, Talk::new(now, self.client.read, timer))
    }

    /// A head has been read: gives its connection if it is the answer. A failure is the answer only of a try that runs
    /// `alone`.
    fn judge(
        &mut self,
        race: &mut Race<'a, '_, '_>,
        nth: Nth,
        sent_at: Instant,
        alone: bool,
    ) -> Option<Box<Connection>> {
        let (pool, status) = (race.pool, self.scratch.response.status);
        let is_good = !is_failure(status) && !pool.retry.lists(Failure::Status(status));
        let Stage::Talking(mut connection, _) = race.end(nth) else { return None };
        if !alone && !is_good {
            self.heard(pool, race.attempt(nth), sent_at);
            let choice = choice(race.attempt(nth), race.began(nth));
            self.note.over(choice, End::Status(status), self.now);
            self.go_by(race, nth.other());
            self.trail.end_try(self.now);
            connection.reset_on_close();
            return None;
        }
        let backend = race.attempt(nth).lease.backend();
        self.client.seat.backend.set(backend.id());
        self.note.beside = None;
        self.note.attempt(race.attempt(nth), race.began(nth));
        self.note.connect(sent_at);
        self.note.course.hedge =
            race.second.as_ref().map(|_| if nth == Nth::First { "first" } else { "second" });
        self.heard(pool, race.attempt(nth), sent_at);
        self.trail.won();
        if is_good {
            race.delay.record(self.now.saturating_duration_since(race.began(nth)));
        }
        if !alone {
            // It would have taken at least so long.
            race.delay.record(self.now.saturating_duration_since(race.began(nth.other())));
            self.cut_off(race, nth.other());
        }
        self.trail.turn_to(nth as usize);
        race.settle(nth);
        Some(connection)
    }

    /// What comes of this try is what comes of the request, as far as is known.
    fn go_by(&mut self, race: &Race<'a, '_, '_>, nth: Nth) {
        self.note.beside = None;
        self.note.course.last = Some(choice(race.attempt(nth), race.began(nth)));
        self.note.course.marks.heard = None; // that of the other one
    }

    /// Ends the try that is not needed any more.
    fn cut_off(&mut self, race: &mut Race<'a, '_, '_>, nth: Nth) {
        match race.end(nth) {
            Stage::Over => return,
            Stage::Talking(mut connection, _) => connection.reset_on_close(),
            Stage::Dialling(_) => {}
        }
        let now = Instant::now();
        self.trail.turn_to(nth as usize);
        self.trail.end_try(now);
        let attempt = race.attempt(nth);
        attempt.member.series.outcome(self.worker.index, Outcome::Canceled);
        let choice = choice(attempt, race.began(nth));
        self.note.over(choice, End::Failed(Outcome::Canceled.name()), now);
    }

    /// Begins the second try if the pool can afford it and another backend has room. Says whether it has begun.
    fn launch(&mut self, race: &mut Race<'a, '_, '_>, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let pool = race.pool;
        // Nobody passes those who wait.
        if pool.queue.is_awaited() {
            return Ok(false);
        }
        self.now = Instant::now();
        let first = race.attempt.lease.backend().id();
        let backends = race.tried.backends.iter().copied().chain([first]).collect();
        let mut tried = Tried { backends, waits: true, ..Tried::default() };
        let Ok(attempt) = self.pick(pool, &mut tried, true) else { return Ok(false) };
        if !pool.budget.take(self.now) {
            pool.series.budget_exhausted(self.worker.index);
            return Ok(false);
        }
        self.retries += 1;
        pool.series.retry(self.worker.index, RetryReason::Hedge);
        self.trail.second(self.worker, attempt.lease.backend(), self.now);
        let picked = choice(&attempt, self.now);
        let mut upload = Upload::new(Body::None, self.listener, None);
        let stage = match self.seek(pool, &attempt, true, self.now)? {
            Ok(way) => {
                self.note.beside = Some(picked);
                self.set_out(pool, (&attempt, &mut upload), way, Nth::Second, cx)
            }
            Err(failure) => {
                self.note.over(picked, end_of(&attempt, failure), self.now);
                Stage::Over
            }
        };
        race.second = Some(Box::new(Second { attempt, upload, stage, began: self.now }));
        Ok(true)
    }
}
