//! Looks at the frames that a client sends, and tells who sends more of what costs us than a request could need.
//!
//! The library bounds what one frame can do: header lists, continuations, what waits to be accepted. What it
//! answers or ignores without end, it does not: pings, settings, priorities, unknown frames, streams that are
//! opened and reset at once (CVE-2023-44487). These are counted here, from the nine octets before each frame.

use std::time::{Duration, Instant};

use crate::frames::{Crumbs, FrameHead, Heads};

/// What precedes the first frame.
const PREFACE: usize = 24;

/// Resets that a client may send at once: twice all the streams that it may have, as who leaves a page resets
/// all of them.
pub(super) const RESETS: u32 = 256;

/// Resets that it may send in the long run, each second. Each may cost a connection to a backend.
const RESETS_PER_SECOND: u32 = 50;

/// Requests that may be refused at once for what their heads are. In HTTP/1 each of them ends its connection; here
/// others share it, and a few octets may have stood for a head of 64 KiB (RFC 7541).
const REFUSALS: u32 = 32;

/// Such requests in the long run, each second.
const REFUSALS_PER_SECOND: u32 = 10;

/// Frames without any part in a message that may come at once. Real clients send a handful at the beginning, then
/// two updates of windows for each frame that they get.
const IDLE_TALK: u32 = 1000;

/// Such frames in the long run, each second.
const IDLE_TALK_PER_SECOND: u32 = 100;

/// For so many bytes that we send one such frame more is granted: their windows are to be updated.
const BYTES_PER_FRAME: u64 = 1024;

/// For each frame of a message that we send so many more are granted: two windows are updated for it however small it
/// is, and clients of gRPC measure the way by a PING for whatever comes.
const FRAMES_PER_FRAME: u32 = 4;

/// Why a client is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// It resets streams as fast as it opens them.
    Resets,
    /// Its requests are such that none can be served.
    Refusals,
    /// It sends frames that are of no message.
    IdleTalk,
}

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    heads: Heads,
    /// A head of fields has begun, and its last frame has not come.
    open_head: bool,
    /// Frames that have begun, but for those that go on with a head.
    begun: u64,
    /// Bytes of bodies.
    data: u64,
    pub(super) crumbs: Crumbs,
    resets: Allowance,
    refusals: Allowance,
    idle_talk: Allowance,
}

/// So many at once, and so many a second.
#[derive(Debug)]
struct Allowance {
    left: u32,
    most: u32,
    per_second: u32,
    since: Instant,
}

impl Allowance {
    fn new(most: u32, per_second: u32, now: Instant) -> Self {
        Self { left: most, most, per_second, since: now }
    }

    /// Uses one; says whether there was one.
    fn take(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            self.refill(now);
        }
        let had = self.left > 0;
        self.left = self.left.saturating_sub(1);
        had
    }

    fn refill(&mut self, now: Instant) {
        let each = Duration::from_secs(1) / self.per_second;
        let passed = now.saturating_duration_since(self.since);
        let new = u32::try_from(passed.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(new).min(self.most);
        self.since = now;
    }
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heads: Heads::after(PREFACE),
            open_head: false,
            begun: 0,
            data: 0,
            crumbs: Crumbs::default(),
            resets: Allowance::new(RESETS, RESETS_PER_SECOND, now),
            refusals: Allowance::new(REFUSALS, REFUSALS_PER_SECOND, now),
            idle_talk: Allowance::new(IDLE_TALK, IDLE_TALK_PER_SECOND, now),
        }
    }

    /// Looks at what came.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if let Some(head) = self.heads.next(&mut bytes) {
                self.judge(head, now)?;
            }
        }
        Ok(())
    }

    /// A request has been refused for what its head is.
    pub(super) fn refused(&mut self, now: Instant) -> Result<(), Flood> {
        if self.refusals.take(now) { Ok(()) } else { Err(Flood::Refusals) }
    }

    /// Grants what belongs to bytes that were sent.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.grant(u32::try_from(bytes / BYTES_PER_FRAME).unwrap_or(u32::MAX));
    }

    /// Grants what belongs to a frame of a message, which is sent or soon will be.
    pub(super) fn said(&mut self) {
        self.grant(FRAMES_PER_FRAME);
    }

    fn grant(&mut self, more: u32) {
        self.idle_talk.left = self.idle_talk.left.saturating_add(more).min(IDLE_TALK);
    }

    /// Whether the client has begun something that it has to end at once, a frame that is not data or a head of
    /// several frames: gives which of all that it has begun that is.
    pub(super) fn awaits_rest(&self) -> Option<u64> {
        (self.open_head || self.heads.is_within()).then_some(self.begun)
    }

    /// Frames that have begun, but for those that go on with a head.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Bytes of bodies that have come or are announced.
    pub(super) fn data(&self) -> u64 {
        self.data
    }

    fn judge(&mut self, FrameHead { length, kind, flags }: FrameHead, now: Instant) -> Result<(), Flood> {
        const END_HEADERS: u8 = 4;
        self.begun += u64::from(!self.open_head);
        match kind {
            // DATA: the library counts the empty ones.
            0 => {
                self.data += length as u64;
                self.crumbs.count(length);
                Ok(())
            }
            // HEADERS, CONTINUATION
            1 | 9 => {
                self.open_head = flags & END_HEADERS == 0;
                Ok(())
            }
            // RST_STREAM
            3 if self.resets.take(now) => Ok(()),
            3 => Err(Flood::Resets),
            // PRIORITY, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, and what nobody knows
            _ if self.idle_talk.take(now) => Ok(()),
            _ => Err(Flood::IdleTalk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    fn begun(now: Instant) -> Meter {
        let mut meter = Meter::new(now);
        meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now).unwrap();
        meter
    }

    /// How many frames of a kind are let pass, however they are cut.
    fn passed(meter: &mut Meter, kind: u8, cut: usize, now: Instant) -> usize {
        let bytes = frame(kind, 0, &[kind; 5]);
        (0..100_000).take_while(|_| bytes.chunks(cut).all(|part| meter.read(part, now).is_ok())).count()
    }

    #[test]
    fn resets_and_idle_talk_are_bounded_however_they_are_cut() {
        let now = Instant::now();
        for cut in [1, 2, 8, 9, 14] {
            let mut meter = begun(now);
            assert_eq!(passed(&mut meter, 3, cut, now), RESETS as usize);
            let mut meter = begun(now);
            assert_eq!(passed(&mut meter, 6, cut, now), IDLE_TALK as usize);
            let mut meter = begun(now);
            assert_eq!(passed(&mut meter, 99, cut, now), IDLE_TALK as usize);
        }
    }

    #[test]
    fn more_is_granted_as_time_passes_and_as_bytes_are_sent() {
        let now = Instant::now();
        let mut meter = begun(now);
        assert_eq!(passed(&mut meter, 3, 14, now), RESETS as usize);
        let mut meter = begun(now);
        for _ in 0..RESETS {
            meter.read(&frame(3, 0, &[0; 4]), now).unwrap();
        }
        let later = now + Duration::from_secs(2);
        assert_eq!(passed(&mut meter, 3, 14, later), 2 * RESETS_PER_SECOND as usize);
        let mut meter = begun(now);
        for _ in 0..IDLE_TALK {
            meter.read(&frame(8, 0, &[0; 4]), now).unwrap();
        }
        meter.wrote(10 * BYTES_PER_FRAME);
        assert_eq!(passed(&mut meter, 8, 14, now), 10);
        let mut meter = begun(now);
        meter.idle_talk.left = 0;
        meter.said();
        assert_eq!(passed(&mut meter, 6, 14, now), FRAMES_PER_FRAME as usize);
    }

    #[test]
    fn refusals_are_bounded() {
        let now = Instant::now();
        let mut meter = begun(now);
        let refused = |meter: &mut Meter, now| (0..1000).take_while(|_| meter.refused(now).is_ok()).count();
        assert_eq!(refused(&mut meter, now), REFUSALS as usize);
        let later = now + Duration::from_secs(3);
        assert_eq!(refused(&mut meter, later), 3 * REFUSALS_PER_SECOND as usize);
    }

    #[test]
    fn messages_are_not_counted_and_their_heads_are_to_be_ended() {
        let now = Instant::now();
        let mut meter = begun(now);
        assert_eq!(meter.awaits_rest(), None);
        for _ in 0..10_000 {
            meter.read(&frame(1, 4, b"head"), now).unwrap();
            meter.read(&frame(0, 1, b"body"), now).unwrap();
        }
        assert_eq!(meter.awaits_rest(), None);
        meter.read(&frame(1, 0, b"head"), now).unwrap();
        assert!(meter.awaits_rest().is_some());
        meter.read(&frame(9, 4, b"end"), now).unwrap();
        assert_eq!(meter.awaits_rest(), None);
        meter.read(&frame(0, 0, b"body")[..10], now).unwrap();
        assert_eq!(meter.awaits_rest(), None, "data comes as slowly as its stream lets it");
        meter.read(&frame(0, 0, b"body")[10..], now).unwrap();
        meter.read(&frame(6, 0, b"12345678")[..12], now).unwrap();
        assert!(meter.awaits_rest().is_some());
    }
}
