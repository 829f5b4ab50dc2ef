//! The loop: events in, requests out, until the plan is done.

use crate::connection::{Connection, Outcome, Phase};
use crate::options::{Pace, Plan};
use crate::tally::{Fault, Tally};
use anyhow::{Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use rustls::HandshakeKind;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What one read takes at most.
const BUFFER: usize = 256 * 1024;
/// Events of one call to the kernel.
const EVENTS: usize = 512;
/// After so many faults a run says nothing any more, and is ended.
const MAX_FAULTS: u64 = 10_000;
/// How often the connections are looked through for answers that take too long.
const SWEEP: Duration = Duration::from_millis(500);
/// Connections that are opened before the first answers come: a listener's backlog must hold them.
const OPENING: usize = 256;
/// The same while memory is watched: what a request needs for a moment must not count as what a connection keeps.
const OPENING_IDLE: usize = 16;
/// How long the listener is given for them where no answer tells that it took them.
const OPENING_PAUSE: Duration = Duration::from_millis(5);
/// Keys of what is no connection.
const TIMER: u64 = u64::MAX;
const STANDARD_INPUT: u64 = u64::MAX - 1;

/// Runs the plan and tells what came of it.
pub(crate) fn run(plan: &Plan) -> Result<Value> {
    let mut load = Load::new(plan)?;
    load.go()?;
    Ok(load.tally.json(load.last.duration_since(load.began), load.connections.len()))
}

struct Load<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    /// Connections that wait for work, the longest unused one first: those of an open loop; of a closed one those
    /// that failed, and at its beginning those that were opened.
    idle: VecDeque<usize>,
    /// Connections whose first request has its outcome.
    settled: usize,
    /// Requests that were started.
    asked: u64,
    /// Requests that have no outcome yet.
    running: usize,
    began: Instant,
    /// Until when requests are started.
    deadline: Instant,
    /// False while a closed loop still opens its connections, each with one request that is not timed.
    looping: bool,
    /// When the last outcome came.
    last: Instant,
    swept: Instant,
    /// The instant that the timer is set to.
    armed: Option<Instant>,
    held: bool,
    buffer: Vec<u8>,
    tally: Tally,
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered: setting it anew is enough, it is never read.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        let now = Instant::now();
        Ok(Self {
            plan,
            epoll,
            timer,
            connections: Vec::new(),
            idle: VecDeque::new(),
            settled: 0,
            asked: 0,
            running: 0,
            began: now,
            deadline: now + plan.patience,
            looping: plan.pace != (Pace::Closed { fresh: false }),
            last: now,
            swept: now,
            armed: None,
            held: false,
            buffer: vec![0; BUFFER],
            tally: Tally::new(),
        })
    }

    fn go(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        self.open_more();
        if self.looping {
            self.begin();
        }
        while !self.done() {
            self.open_more();
            match self.plan.pace {
                Pace::Open { interval, most } => self.ask_what_is_due(interval, most)?,
                Pace::Closed { .. } => self.ask_again(),
                Pace::Idle { .. } => {}
            }
            let opening = self.connections.len() < self.plan.connections;
            let pause = Timespec::try_from(if opening { OPENING_PAUSE } else { SWEEP })?;
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pause)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.on_event(event.data.u64());
            }
            self.sweep();
            if self.tally.bad() > MAX_FAULTS {
                bail!("ended after {MAX_FAULTS} faults: {}", self.tally.json(self.began.elapsed(), 0));
            }
        }
        if let Pace::Open { .. } = self.plan.pace {
            self.tally.fault(Fault::Unsent, self.plan.requests - self.asked, "no connection became free");
        }
        let missing = self.plan.connections.saturating_sub(self.connections.len());
        if self.asked < self.plan.requests && missing > 0 {
            self.tally.fault(Fault::Connect, missing as u64, "not opened in time");
        }
        Ok(())
    }

    /// Time counts from here.
    fn begin(&mut self) {
        self.looping = true;
        self.began = Instant::now();
        // What is late may still be sent for as long as one answer may take: an open loop ends with its number.
        let grace = if let Pace::Open { .. } = self.plan.pace { self.plan.patience } else { Duration::ZERO };
        self.deadline = self.began + self.plan.time + grace;
        self.tally.begin();
    }

    /// Whether requests may still be started.
    fn starting(&self) -> bool {
        self.asked < self.plan.requests && Instant::now() < self.deadline
    }

    fn done(&self) -> bool {
        match self.plan.pace {
            Pace::Idle { .. } => self.held || Instant::now() > self.deadline,
            _ => self.running == 0 && !self.starting(),
        }
    }

    /// Opens connections until the plan's number is there, never more at once than a backlog holds.
    fn open_more(&mut self) {
        let ask = !matches!(self.plan.pace, Pace::Open { .. } | Pace::Idle { ask: false });
        let bound = if let Pace::Idle { .. } = self.plan.pace { OPENING_IDLE } else { OPENING };
        let mut budget = bound;
        while self.connections.len() < self.plan.connections && budget > 0 {
            if ask && (self.connections.len() - self.settled >= bound || !self.starting()) {
                break;
            }
            budget -= 1;
            let place = self.connections.len();
            self.connections.push(Connection::new(Instant::now()));
            if ask {
                self.ask_on(place, Instant::now());
            } else {
                self.open(place); // what failed was counted, and is tried again when its turn comes
                self.idle.push_back(place);
            }
            if !ask && self.connections.len() == self.plan.connections {
                self.hold();
            }
        }
    }

    /// Tells the caller that all idle connections are there, and watches for the end of standard input.
    fn hold(&mut self) {
        if let Pace::Idle { .. } = self.plan.pace {
            println!("ready {}", self.connections.len());
            let _ = std::io::stdout().flush();
            // A file cannot be watched: then the time alone ends it.
            let _ = epoll::add(
                &self.epoll,
                std::io::stdin().as_fd(),
                EventData::new_u64(STANDARD_INPUT),
                EventFlags::IN,
            );
        }
    }

    /// The open loop: asks whatever is due, and sets the timer to what is due next.
    fn ask_what_is_due(&mut self, interval: Duration, most: usize) -> Result<()> {
        while self.starting() {
            let due = self.began + interval.mul_f64(self.asked as f64);
            let now = Instant::now();
            if due > now {
                return self.arm(due, due - now);
            }
            let place = match self.idle.pop_front() {
                Some(place) => place,
                None if self.connections.len() < most => {
                    self.connections.push(Connection::new(now));
                    self.connections.len() - 1
                }
                None => return Ok(()), // the next answer frees one; the time counts from when it was due
            };
            self.ask_on(place, due);
        }
        Ok(())
    }

    /// The closed loop: begins when all connections are open, and gives those that failed another request. Each
    /// once, so that a dead server is not asked in a tight loop; the next ones wait for an event or a pause.
    fn ask_again(&mut self) {
        if !self.looping {
            if self.settled < self.plan.connections {
                return;
            }
            self.begin();
        }
        for _ in 0..self.idle.len() {
            if let Some(place) = self.idle.pop_front().filter(|_| self.starting()) {
                self.ask_on(place, Instant::now());
            }
        }
    }

    fn arm(&mut self, due: Instant, within: Duration) -> Result<()> {
        if self.armed != Some(due) {
            let off = Timespec { tv_sec: 0, tv_nsec: 0 };
            let time = Itimerspec { it_interval: off, it_value: Timespec::try_from(within)? };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time)?;
            self.armed = Some(due);
        }
        Ok(())
    }

    /// False: it could not even be tried, and was counted.
    fn open(&mut self, place: usize) -> bool {
        let source = (self.plan.sources > 1).then(|| {
            let turn = (self.asked % u64::from(self.plan.sources)) as u8;
            Ipv4Addr::new(127, 0, 0, 1 + turn)
        });
        let opened = self.connections[place].open(self.epoll.as_fd(), place as u64, self.plan, source);
        if let Err(error) = &opened {
            self.tally.fault(Fault::Connect, 1, &error.to_string());
        }
        opened.is_ok()
    }

    /// Starts the next request, on a connection that is opened if need be.
    fn ask_on(&mut self, place: usize, since: Instant) {
        let text = (self.asked % self.plan.texts.len() as u64) as usize;
        self.asked += 1;
        if self.connections[place].phase == Phase::Closed && !self.open(place) {
            self.last = Instant::now();
            self.settle(place);
            self.idle.push_back(place);
            return;
        }
        self.running += 1;
        let outcome =
            self.connections[place].ask(self.epoll.as_fd(), place as u64, text, &self.plan.texts, since);
        if let Outcome::Failed(fault, detail) = outcome {
            self.fail(place, fault, &detail);
        }
    }

    fn on_event(&mut self, key: u64) {
        match key {
            TIMER => self.armed = None,
            STANDARD_INPUT => self.held = true,
            place => self.on_connection(place as usize),
        }
    }

    fn on_connection(&mut self, place: usize) {
        let outcome = self.connections[place].progress(
            self.epoll.as_fd(),
            place as u64,
            &self.plan.texts,
            &mut self.buffer,
            self.plan.expect,
        );
        match outcome {
            Outcome::Nothing => {}
            Outcome::Answered { keep, body, handshake } => {
                self.tally.handshakes += u64::from(handshake.is_some());
                self.tally.resumed += u64::from(handshake == Some(HandshakeKind::Resumed));
                self.answered(place, keep, body);
            }
            Outcome::EndedIdle => {
                self.tally.ended_idle += 1;
                self.connections[place].close(); // it keeps its place in the queue, and is opened when its turn comes
            }
            Outcome::Failed(fault, detail) => self.fail(place, fault, &detail),
        }
    }

    fn answered(&mut self, place: usize, keep: bool, body: u64) {
        let now = Instant::now();
        let connection = &mut self.connections[place];
        self.tally.good += 1;
        self.tally.bytes += body;
        self.tally.times.record(now.duration_since(connection.since));
        self.running -= 1;
        self.last = now;
        connection.phase = Phase::Idle;
        if !keep || self.plan.pace == (Pace::Closed { fresh: true }) {
            connection.close();
        }
        self.settle(place);
        match self.plan.pace {
            Pace::Closed { .. } if !self.looping => self.idle.push_back(place),
            Pace::Closed { .. } if self.starting() => self.ask_on(place, now),
            Pace::Closed { .. } => {}
            Pace::Open { .. } => self.idle.push_back(place),
            Pace::Idle { .. } => self.hold_if_complete(),
        }
    }

    fn fail(&mut self, place: usize, fault: Fault, detail: &str) {
        self.tally.fault(fault, 1, detail);
        let asking = self.connections[place].phase == Phase::Asking;
        self.connections[place].close();
        if asking {
            self.running -= 1;
            self.last = Instant::now();
            self.settle(place);
            match self.plan.pace {
                Pace::Closed { .. } | Pace::Open { .. } => self.idle.push_back(place),
                Pace::Idle { .. } => self.hold_if_complete(),
            }
        }
    }

    fn settle(&mut self, place: usize) {
        let settled = &mut self.connections[place].settled;
        self.settled += usize::from(!*settled);
        *settled = true;
    }

    fn hold_if_complete(&mut self) {
        if self.running == 0 && self.connections.len() == self.plan.connections {
            self.hold();
        }
    }

    /// Gives up on answers that take too long.
    fn sweep(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        for place in 0..self.connections.len() {
            let connection = &self.connections[place];
            if connection.phase == Phase::Asking && now.duration_since(connection.since) > self.plan.patience
            {
                self.fail(place, Fault::Timeout, &format!("no answer within {:?}", self.plan.patience));
            }
        }
    }
}

#[cfg(test)]
mod tests;
