//! The part of an exchange in a trace.

use std::sync::Arc;
use std::time::Instant;

use super::exchange::Exchange;
use super::worker::Worker;
use crate::backend::Backend;
use crate::http::{Fields, Known, Version};
use crate::observe::{MethodLabel, Outcome};
use crate::trace::{Context, Exporter, Trace, Tracer, Try, is_tracestate};

const NAME: &str = "traceparent";
/// Bytes of a tracestate that its span is given; a longer one passes, and the span goes without.
const MAX_STATE: usize = 512;

/// What is remembered of an exchange for its spans. Nothing where there is no `[tracing]`.
#[derive(Default)]
pub(super) struct Trail<'a> {
    context: Option<Context>,
    /// The trace begins here, so that its fields are ours.
    begun: bool,
    /// The context's span is ours too.
    ours: bool,
    /// `None`: it is not recorded.
    recording: Option<Box<Recording<'a>>>,
}

struct Recording<'a> {
    exporter: &'a Exporter,
    parent: Option<u64>,
    state: String,
    /// Since when it waits.
    queued: Option<Instant>,
    waits: Vec<(Instant, Instant)>,
    tries: Vec<Try>,
    /// Of which of them is told what comes; `None`: of one for which there was no room.
    current: Option<usize>,
    /// The two that run at once, or did.
    race: Option<[Option<usize>; 2]>,
}

impl<'a> Trail<'a> {
    /// Begins where the head of a request has been read: goes on with the trace that it is part of, or begins one.
    pub(super) fn new(tracer: Option<&'a Tracer>, fields: &Fields, worker: &Worker) -> Self {
        let Some(tracer) = tracer else { return Self::default() };
        let mut told = fields.values(Known::Traceparent);
        let parent = match (told.next(), told.next()) {
            (Some(one), None) => Context::read(one),
            _ => None,
        };
        let mut random = worker.random.borrow_mut();
        let mut context = parent.unwrap_or_else(|| {
            let sampled = tracer.sample > 0.0 && random.f64() < tracer.sample;
            Context::begin(random.u128(..), random.u64(..), sampled)
        });
        let exporter = tracer.exporter.as_deref().filter(|_| context.is_sampled());
        let recording = exporter.map(|exporter| {
            if parent.is_some() {
                context.span_id = random.u64(1..);
            }
            let (parent, state) = (parent.map(|parent| parent.span_id), String::new());
            Box::new(Recording {
                exporter,
                parent,
                state,
                queued: None,
                waits: Vec::new(),
                tries: Vec::new(),
                current: None,
                race: None,
            })
        });
        let begun = parent.is_none();
        Self { context: Some(context), begun, ours: begun || recording.is_some(), recording }
    }

    /// What the access log tells of it: the trace, and our span in it.
    pub(super) fn ids(&self) -> Option<(u128, Option<u64>)> {
        self.context.map(|context| (context.trace_id, self.ours.then_some(context.span_id)))
    }

    /// Whether its spans are exported.
    pub(super) fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// The trace of an exchange whose spans are exported.
    pub(super) fn recorded(&self) -> Option<u128> {
        self.context.filter(|_| self.is_recorded()).map(|context| context.trace_id)
    }

    /// Puts the fields right that go to every backend.
    pub(super) fn mark(&mut self, fields: &mut Fields) {
        let Some(context) = self.context else { return };
        if self.begun {
            fields.remove(Known::Tracestate);
            return fields.replace(Known::Traceparent, NAME, &[&context.write(context.span_id)]);
        }
        if !is_tracestate(fields.values(Known::Tracestate)) {
            return fields.remove(Known::Tracestate);
        }
        if let Some(recording) = &mut self.recording {
            let lines: Vec<_> = fields.values(Known::Tracestate).collect();
            let state = String::from_utf8_lossy(&lines.join(&b","[..])).into_owned();
            recording.state = if state.len() <= MAX_STATE { state } else { String::new() };
        }
    }

    /// A try begins. Its backend is told of its own span.
    pub(super) fn attempt(
        &mut self,
        worker: &Worker,
        backend: &Arc<Backend>,
        fields: &mut Fields,
        now: Instant,
    ) {
        let (Some(context), Some(recording)) = (&self.context, &mut self.recording) else { return };
        recording.end_try(now);
        recording.begin_try(worker, backend, now);
        if recording.race.take().is_some() {
            // Whoever won it gave an answer that is not to be the request's.
            recording.tries.iter_mut().filter(|one| one.hedge == "won").for_each(|one| one.hedge = "lost");
        }
        recording.tell(*context, fields);
    }

    /// A second try begins beside the one that began last.
    pub(super) fn second(&mut self, worker: &Worker, backend: &Arc<Backend>, now: Instant) {
        let Some(recording) = &mut self.recording else { return };
        let first = recording.current;
        recording.begin_try(worker, backend, now);
        let race = [first, recording.current];
        for nth in race.into_iter().flatten() {
            if let Some(one) = recording.tries.get_mut(nth) {
                one.hedge = "lost";
            }
        }
        recording.race = Some(race);
    }

    /// What comes is of the first of two (0), or of the second (1). Where there is but one it is of that.
    pub(super) fn turn_to(&mut self, nth: usize) {
        if let Some(recording) = &mut self.recording
            && let Some(race) = recording.race
        {
            recording.current = race.get(nth).copied().flatten();
        }
    }

    /// Where two run at once: tells a backend of the one that it is for.
    pub(super) fn tell_again(&self, fields: &mut Fields) {
        let (Some(context), Some(recording)) = (&self.context, &self.recording) else { return };
        if recording.race.is_some() {
            recording.tell(*context, fields);
        }
    }

    /// Its response is the answer, and not that of the other one.
    pub(super) fn won(&mut self) {
        if self.recording.as_ref().is_some_and(|recording| recording.race.is_some())
            && let Some(one) = self.open_try()
        {
            one.hedge = "won";
        }
    }

    /// It has ended before all is over.
    pub(super) fn end_try(&mut self, now: Instant) {
        if let Some(recording) = &mut self.recording {
            recording.end_try(now);
        }
    }

    /// It has a connection that had to be made.
    pub(super) fn connected(&mut self, now: Instant) {
        if let Some(one) = self.open_try() {
            one.connected = Some(now);
        }
    }

    /// The head of a response has come.
    pub(super) fn heard(&mut self, status: u16) {
        if let Some(one) = self.open_try() {
            one.status = status;
        }
    }

    /// The try has failed.
    pub(super) fn failed(&mut self, outcome: Outcome, now: Instant) {
        if let Some(one) = self.open_try() {
            (one.error, one.ended) = (outcome.name(), Some(now));
        }
    }

    /// Its response has begun, and ended early.
    pub(super) fn broke_off(&mut self, why: &'static str) {
        if let Some(one) = self.open_try() {
            one.error = why;
        }
    }

    /// It waits in the queue from now on.
    pub(super) fn queue(&mut self, now: Instant) {
        if let Some(recording) = &mut self.recording {
            recording.end_try(now);
            recording.queued = Some(now);
        }
    }

    /// It has left the queue.
    pub(super) fn leave_queue(&mut self, now: Instant) {
        if let Some(recording) = &mut self.recording {
            recording.end_wait(now);
        }
    }

    fn open_try(&mut self) -> Option<&mut Try> {
        self.recording.as_mut()?.current().filter(|one| one.ended.is_none())
    }
}

impl Recording<'_> {
    fn begin_try(&mut self, worker: &Worker, backend: &Arc<Backend>, now: Instant) {
        let span_id = worker.random.borrow_mut().u64(1..);
        let (backend, began) = (Arc::clone(backend), now);
        let (connected, ended) = (None, None);
        let one = Try { span_id, backend, began, connected, ended, status: 0, error: "", hedge: "" };
        self.current = Trace::push(&mut self.tries, one).then(|| self.tries.len() - 1);
    }

    /// The backend is told of its own span; where there is none, of the request's.
    fn tell(&self, context: Context, fields: &mut Fields) {
        let own = self.current.and_then(|nth| self.tries.get(nth));
        let told = own.map_or(context.span_id, |one| one.span_id);
        fields.replace(Known::Traceparent, NAME, &[&context.write(told)]);
    }

    fn current(&mut self) -> Option<&mut Try> {
        self.tries.get_mut(self.current?)
    }

    fn end_try(&mut self, now: Instant) {
        if let Some(one) = self.current() {
            one.ended.get_or_insert(now);
        }
    }

    fn end_wait(&mut self, now: Instant) {
        if let Some(since) = self.queued.take() {
            Trace::push(&mut self.waits, (since, now));
        }
    }
}

impl Exchange<'_> {
    /// Exports the spans of an exchange that has ended with `code`.
    pub(super) fn export(&mut self, code: u16, reason: &'static str) {
        let (Some(context), Some(mut recording)) = (self.trail.context, self.trail.recording.take()) else {
            return;
        };
        recording.end_wait(self.now);
        let (request, origin) = (&*self.request, &self.client.origin);
        let route = self.note.route;
        let field = |name| Trace::text(request.fields.by_name(name).unwrap_or_default());
        recording.exporter.take(Trace {
            context,
            parent: recording.parent,
            state: recording.state,
            began: self.arrival.began,
            ended: self.now,
            method: match MethodLabel::of(request.method_token()) {
                MethodLabel::Other => "_OTHER",
                known => known.name(),
            },
            path: Trace::text(request.path()),
            scheme: if origin.secure { "https" } else { "http" },
            host: Trace::text(request.host()),
            version: match request.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            user_agent: field("user-agent"),
            client: self.asker(),
            peer: origin.peer,
            listener: Arc::clone(&self.listener.name),
            route: route.map(|route| Arc::clone(&route.name)),
            pool: route.map(|route| Arc::clone(&route.pool.name)),
            request_id: Trace::text(self.scratch.forwarding.request_id()),
            code,
            reason,
            waits: recording.waits,
            tries: recording.tries,
        });
    }
}
