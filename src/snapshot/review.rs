//! Who is usable now, looked at again and again by the control thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pool::Pool;
use crate::backend::{Duty, Moment, State};
use crate::balance::{Algorithm, Balancer, Candidate, Memory, Settings};
use crate::observe::Ejection;
use crate::resilience::Cause;
use crate::roster::{PAUSED, Seen, Selection, Squad};

/// The usable backends at one moment, compiled for picking.
#[derive(Debug)]
pub struct Roster {
    /// Who may be picked.
    pub candidates: Vec<Candidate>,
    /// Their places among the pool's members, by the same index.
    pub places: Vec<usize>,
    /// The places of the ejected that wait for a request to try them.
    pub trials: Vec<usize>,
    /// The priority that serves; `None`: nobody can.
    pub priority: Option<u8>,
    /// Health is ignored: too few are usable.
    pub panics: bool,
    /// Who is ejected after this was compiled is not to be picked. Where ejected ones are used nevertheless, all are.
    pub heeds_ejections: bool,
    /// Who picks.
    pub balancer: Box<dyn Balancer>,
}

/// Of how many backends it is told why they do not serve.
const TOLD_MAX: usize = 3;

/// What the control thread remembers of a pool from one review to the next.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What the roster in force was compiled from.
    seen: Vec<Seen>,
    /// The priority that served last.
    priority: Option<u8>,
    /// By place: the ejection for whose end a probe has been asked for.
    asked: Vec<Option<u8>>,
    /// By place: since when all that runs is waited for to end.
    leaving: Vec<Option<(Duty, Instant)>>,
}

impl Roster {
    pub(super) fn compile(
        selection: &Selection,
        squad: &Squad,
        algorithm: &Algorithm,
        settings: Settings,
        memory: &Arc<Memory>,
    ) -> Self {
        let is_out = |place: &usize| selection.seen[*place].out.is_some();
        let heeds_ejections = squad.rules().passive.is_some() && !selection.places.iter().any(is_out);
        Self {
            candidates: selection.candidates.clone(),
            places: selection.places.clone(),
            trials: selection.trials.clone(),
            heeds_ejections,
            panics: selection.panics,
            priority: (!selection.places.is_empty()).then_some(selection.priority),
            balancer: (algorithm.build)(&selection.candidates, memory, settings),
        }
    }
}

/// The balancer of a roster once more, with a memory of its own: it picks as the one in force would, and nobody else
/// notices.
#[derive(Debug)]
pub struct Rehearsal {
    balancer: Box<dyn Balancer>,
    memory: Arc<Memory>,
    turn: u64,
}

impl Rehearsal {
    /// The balancer, at the turn that it was made at.
    pub fn balancer(&self) -> &dyn Balancer {
        self.memory.turn.store(self.turn, Ordering::Relaxed);
        &*self.balancer
    }
}

impl Notes {
    pub(super) fn of(seen: Vec<Seen>) -> Self {
        Self { asked: vec![None; seen.len()], leaving: vec![None; seen.len()], seen, priority: None }
    }
}

impl Pool {
    /// Looks at every member again, and compiles the usable ones where any of them has changed. Gives when
    /// to look again at the latest. To be called after anybody went up or down, was ejected or came back.
    pub fn review(&self, now: Instant) -> Option<Duration> {
        // Two threads that both saw a change must not put the older view over the newer one.
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = Moment::of(now);
        for place in self.squad.judge_latency(moment) {
            self.members[place].series.ejected(ejection(Cause::Latency));
        }
        self.ask_for_probes(&mut notes, moment);
        let seen = self.squad.look(moment);
        let again = self.squad.look_again(&seen, moment);
        if seen != notes.seen {
            self.tell(&notes, &seen);
            let selection = self.squad.select(seen);
            self.renew(&mut notes, selection, now);
        }
        let leaving = self.watch_leaving(&mut notes.leaving, now);
        [again, leaving].into_iter().flatten().min()
    }

    /// What the balancer of a roster of this pool would do, without doing it.
    pub fn rehearse(&self, roster: &Roster) -> Rehearsal {
        let memory = Arc::new(self.memory.copied());
        let balancer = (self.algorithm.build)(&roster.candidates, &memory, self.settings);
        Rehearsal { turn: memory.turn.load(Ordering::Relaxed), memory, balancer }
    }

    /// The turn of its balancer.
    #[cfg(test)]
    pub(crate) fn turn(&self) -> &std::sync::atomic::AtomicU64 {
        &self.memory.turn
    }

    /// The same at the start of a snapshot's time: compiles whatever was seen before.
    pub fn begin(&self, now: Instant) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let selection = self.squad.select(self.squad.look(Moment::of(now)));
        self.renew(&mut notes, selection, now);
    }

    fn renew(&self, notes: &mut MutexGuard<'_, Notes>, selection: Selection, now: Instant) {
        for (place, member) in self.members.iter().enumerate() {
            let aside = self.squad.aside(place, selection.seen[place]);
            member.backend.condition().set_aside(aside.map(|(state, why)| (state, Arc::from(why))));
            // At once: an ejection may be over before anybody looks again.
            member.series.note_condition(now);
        }
        let roster = Roster::compile(&selection, &self.squad, self.algorithm, self.settings, &self.memory);
        let serves = !roster.candidates.is_empty();
        let cause = if serves { "a backend is usable".to_owned() } else { self.why_nobody() };
        self.series.set_serving(serves, &cause, now);
        // The series outlives reloads: what goes on is not told again.
        let panicked = self.series.is_panicking();
        self.series.set_panicking(selection.panics);
        self.tell_priority(notes, roster.priority);
        self.roster.store(Arc::new(roster));
        self.queue.look_again();
        if selection.panics != panicked {
            if selection.panics {
                tracing::warn!(target: "equipoise::roster", pool = &*self.name, "panic: so few backends are well that all are used");
            } else {
                tracing::info!(target: "equipoise::roster", pool = &*self.name, "no panic any more");
            }
        }
        notes.seen = selection.seen;
    }

    /// Why nobody can serve.
    fn why_nobody(&self) -> String {
        let mut why = "no backend is usable".to_owned();
        for (nth, member) in self.members.iter().take(TOLD_MAX).enumerate() {
            let (state, reason) = member.backend.condition().shown();
            let reason = if matches!(state, State::Up | State::SlowStart) { "weight 0" } else { &*reason };
            let before = if nth == 0 { ": " } else { "; " };
            why.extend([before, &*member.backend.identity().name, " ", reason]);
        }
        match self.members.len().saturating_sub(TOLD_MAX) {
            0 => {}
            more => why += &format!("; and {more} more"),
        }
        why
    }

    fn tell_priority(&self, notes: &mut MutexGuard<'_, Notes>, priority: Option<u8>) {
        let Some(now) = priority else { return };
        match notes.priority.replace(now) {
            Some(before) if before < now => {
                tracing::warn!(target: "equipoise::roster", pool = &*self.name, priority = now, "spare backends take over: nobody before them is usable");
            }
            Some(before) if before > now => {
                tracing::info!(target: "equipoise::roster", pool = &*self.name, priority = now, "spare backends step back");
            }
            _ => {}
        }
    }

    /// Where checks end ejections, one is due when an ejection has lasted its time.
    fn ask_for_probes(&self, notes: &mut MutexGuard<'_, Notes>, now: Moment) {
        for (member, asked) in self.squad.members().iter().zip(&mut notes.asked) {
            let level = member.backend.conduct().standing().level;
            match self.squad.sentence_left(member, now) {
                Some(left) if left.is_zero() && *asked != Some(level) => {
                    *asked = Some(level);
                    member.backend.want_probe();
                }
                Some(_) => {}
                None => *asked = None,
            }
        }
    }

    fn tell(&self, notes: &Notes, seen: &[Seen]) {
        for (place, (before, now)) in notes.seen.iter().zip(seen).enumerate() {
            let (pool, backend) = (&*self.name, &*self.members[place].backend.identity().name);
            match (before.out, now.out) {
                (before, Some(level)) if before != Some(level) => {
                    let aside = self.squad.aside(place, *now);
                    let reason = aside.map_or_else(String::new, |(_, why)| why);
                    tracing::warn!(target: "equipoise::roster", pool, backend, reason, "backend is ejected");
                }
                (Some(_), None) => {
                    tracing::info!(target: "equipoise::roster", pool, backend, "backend is back");
                }
                _ => {}
            }
            match (before.paused, now.paused) {
                (false, true) => {
                    tracing::info!(target: "equipoise::roster", pool, backend, reason = PAUSED, "backend is paused");
                }
                (true, false) => {
                    tracing::info!(target: "equipoise::roster", pool, backend, "backend is paused no more");
                }
                _ => {}
            }
        }
    }
}

/// The label of a cause.
pub fn ejection(cause: Cause) -> Ejection {
    match cause {
        Cause::Consecutive => Ejection::ConsecutiveFailures,
        Cause::Ratio => Ejection::FailureRatio,
        Cause::Latency => Ejection::Latency,
        Cause::Trial => Ejection::Trial,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, vocabulary};
    use super::*;
    use crate::backend::epoch;
    use crate::config;
    use crate::observe::Metrics;

    const FILE: &str = r#"
        [[listener]]
        bind = ["127.0.0.1:0"]
        pool = "crm"

        [pool.crm]
        backends = ["127.0.0.1:1", "127.0.0.1:2"]
        health.path = "/"
    "#;

    #[test]
    fn an_ejection_that_is_soon_over_is_an_outage_with_its_cause() {
        let config = config::read("test", FILE, &vocabulary()).config.unwrap();
        let at = |ms| epoch() + Duration::from_millis(ms);
        let snapshot = compile(&config, None, &Metrics::new(1), 1024, None, None, at(0));
        snapshot.enter(at(0));
        let pool = &snapshot.pools[0];
        pool.begin(at(0));
        let ill = Moment::of(at(1_000));
        for _ in 0..5 {
            pool.squad.count(0, ill);
            pool.squad.went_badly(0, ill, ill);
        }
        pool.review(at(1_000));
        assert!(pool.squad.check_passed(0, Moment::of(at(1_200)), Moment::of(at(1_200))));
        pool.review(at(1_200));

        let series = &pool.members[0].series;
        let read = series.availability(at(2_000));
        let whole = (Duration::from_millis(1_800), Duration::from_millis(200), 1);
        assert_eq!((read.uptime, read.downtime, read.failures), whole);
        assert_eq!(&*series.outages(at(2_000))[0].cause, "5 failures in a row; for 10s");
        assert_eq!(pool.series.availability(at(2_000)).unwrap().failures, 0, "the other one served");
        let route = snapshot.routings[0].account.account().availability(at(2_000)).unwrap();
        assert_eq!((route.uptime, route.failures), (Duration::from_secs(2), 0));
    }

    #[test]
    fn a_pool_that_cannot_serve_tells_why_its_backends_do_not() {
        let file = FILE.replace("\"127.0.0.1:2\"", "\"127.0.0.1:2\", \"127.0.0.1:3\", \"127.0.0.1:4\"");
        let config = config::read("test", &file, &vocabulary()).config.unwrap();
        let at = |ms| epoch() + Duration::from_millis(ms);
        let snapshot = compile(&config, None, &Metrics::new(1), 1024, None, None, at(0));
        snapshot.enter(at(0));
        let pool = &snapshot.pools[0];
        pool.begin(at(0));
        for (member, reason) in
            pool.members.iter().zip(["status 503", "connect refused", "timeout after 1s", ""])
        {
            member.backend.condition().set(false, reason, at(1_000));
        }
        pool.review(at(1_000));
        let expected = "no backend is usable: 127.0.0.1:1 status 503; 127.0.0.1:2 connect refused; \
                        127.0.0.1:3 timeout after 1s; and 1 more";
        assert_eq!(&*pool.series.account().outages(at(2_000))[0].cause, expected);
        assert_eq!(&*snapshot.routings[0].account.account().outages(at(2_000))[0].cause, expected);
    }
}
