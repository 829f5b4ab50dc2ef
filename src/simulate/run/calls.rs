//! Those who wait for a server that has room, and are called.

use super::{Arrivals, Event, REFUSED_PAUSE_NS, Ticket, World, ns};
use crate::simulate::wait::{Call, Guest, Line};

impl World<'_> {
    /// Sends a request, or lets it wait; `false` where it can do neither.
    pub(super) fn admitted(&mut self, ticket: Ticket) -> bool {
        let is_awaited = self.line.as_ref().is_some_and(Line::is_awaited);
        if !is_awaited && self.send(ticket.clone()) {
            return true;
        }
        let (now_ns, now) = (self.now_ns, self.now());
        let joined = self.line.as_mut().and_then(|line| line.join(ticket, now_ns, now));
        if let Some(timeout) = joined {
            self.note(now_ns.saturating_add(ns(timeout)), Event::Late);
        }
        joined.is_some()
    }

    /// Nobody took a request.
    pub(super) fn refuse(&mut self) {
        self.report.refused += 1;
        if matches!(self.scenario.arrivals, Arrivals::Closed { .. }) {
            let at_ns = self.now_ns.saturating_add(self.pause_ns().max(REFUSED_PAUSE_NS));
            self.note(at_ns, Event::Ask { again: true });
        }
    }

    /// Lets those try who were called, and those go who waited too long.
    pub(super) fn answer_calls(&mut self) {
        loop {
            let now = self.now();
            let Some(call) = self.line.as_mut().and_then(|line| line.next(now)) else { return };
            match call {
                Call::Try(guest) => self.try_again(guest),
                Call::Late(guest) => {
                    self.note_wait(&guest);
                    drop(guest);
                    self.refuse();
                }
            }
        }
    }

    fn try_again(&mut self, mut guest: Guest) {
        match self.send_to(guest.ticket.clone()) {
            Some(backend) => {
                guest.spot.serve(backend);
                self.note_wait(&guest);
            }
            None => {
                if let Some(line) = &mut self.line {
                    line.put_back(guest);
                }
            }
        }
    }

    fn note_wait(&mut self, guest: &Guest) {
        if guest.since_ns >= ns(self.scenario.warm_up) {
            self.report.waited.record(self.now_ns - guest.since_ns);
        }
    }

    /// Whoever waits may have a server now.
    pub(super) fn look_again(&self) {
        if let Some(line) = &self.line {
            line.look_again();
        }
    }
}
