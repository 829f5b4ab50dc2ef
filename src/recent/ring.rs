//! The records of one worker.

use std::time::Instant;

use super::record::Record;

/// Records of one id that are told, the newest ones: clients may choose ids, and one may choose the same for all.
pub const MAX_FOUND: usize = 20;

/// Octets of an id that we have made.
const OURS: usize = 32;

/// The last requests of one worker.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    /// Where the next one goes.
    next: usize,
    /// No longer than `capacity`; grows up to that as requests come.
    records: Vec<Record>,
    /// A sum of each one's id, so that a search need not look into each record.
    sums: Vec<u64>,
    /// Since when it keeps any.
    since: Instant,
    /// One that came after that is no longer there.
    lost: bool,
}

/// What a ring knows of an id.
#[derive(Debug)]
pub struct Found {
    /// The newest records of it, the newest first; at most [`MAX_FOUND`].
    pub records: Vec<Record>,
    /// How many there are.
    pub matches: usize,
    /// How many records there are of any.
    pub kept: usize,
    /// What ended after this is there.
    pub since: Instant,
}

impl Ring {
    /// One that keeps nothing.
    pub fn new(now: Instant) -> Self {
        Self { capacity: 0, next: 0, records: Vec::new(), sums: Vec::new(), since: now, lost: false }
    }

    /// From now on it holds so many records. Of those that are there the newest stay.
    pub fn resize(&mut self, capacity: usize, now: Instant) {
        if capacity == self.capacity {
            return;
        }
        if self.capacity == 0 {
            self.since = now;
        }
        self.lost &= capacity > 0;
        self.lost |= capacity > 0 && self.records.len() > capacity;
        // The oldest first.
        let oldest = self.next % self.records.len().max(1);
        self.records.rotate_left(oldest);
        self.sums.rotate_left(oldest);
        let surplus = self.records.len().saturating_sub(capacity);
        let mut records = Vec::with_capacity(capacity);
        records.extend(self.records.drain(surplus..));
        let mut sums = Vec::with_capacity(capacity);
        sums.extend(self.sums.drain(surplus..));
        (self.records, self.sums, self.capacity) = (records, sums, capacity);
        self.next = if self.records.len() == capacity { 0 } else { self.records.len() };
    }

    /// The record of a request that has ended, which is to be filled; `None` where nothing is kept.
    #[inline]
    pub fn next(&mut self, id: &[u8]) -> Option<&mut Record> {
        if self.capacity == 0 {
            return None;
        }
        let at = self.next;
        self.next = if at + 1 == self.capacity { 0 } else { at + 1 };
        if at == self.records.len() {
            self.grow();
        } else {
            self.lost = true;
        }
        *self.sums.get_mut(at)? = sum(id);
        let record = self.records.get_mut(at)?;
        record.id.set_usual::<OURS>(id);
        Some(record)
    }

    /// Room for it was made when the size was set.
    #[cold]
    fn grow(&mut self) {
        self.records.push(Record::blank(self.since));
        self.sums.push(0);
    }

    /// What is known of an id.
    pub fn find(&self, id: &[u8]) -> Found {
        let wanted = sum(id);
        let newest_first = (0..self.next).rev().chain((self.next..self.records.len()).rev());
        let (mut records, mut matches) = (Vec::new(), 0);
        for at in newest_first.filter(|at| self.sums[*at] == wanted) {
            let record = &self.records[at];
            if id.starts_with(record.id.bytes()) && record.id.is_cut() == (id.len() > record.id.bytes().len())
            {
                matches += 1;
                if records.len() < MAX_FOUND {
                    records.push(record.clone());
                }
            }
        }
        Found { records, matches, kept: self.records.len(), since: self.reaches_back_to() }
    }

    fn reaches_back_to(&self) -> Instant {
        let oldest = if self.records.len() == self.capacity { self.next } else { 0 };
        let oldest = self.records.get(oldest).filter(|_| self.lost);
        oldest.map_or(self.since, |record| record.ended)
    }
}

/// The same for the same id; another one for nearly every other.
#[inline]
fn sum(id: &[u8]) -> u64 {
    match (id.first_chunk(), id.last_chunk()) {
        // Ours are random all over.
        (Some(first), Some(last)) if id.len() <= Record::ID => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
        }
        _ => slow_sum(id),
    }
}

/// FNV-1a.
#[cold]
fn slow_sum(id: &[u8]) -> u64 {
    id.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recent::{Choice, Earlier, End, MAX_EARLIER, Tag, Try, Why};

    fn of(capacity: usize) -> (Ring, Instant) {
        let now = Instant::now();
        let mut ring = Ring::new(now);
        ring.resize(capacity, now);
        (ring, now)
    }

    /// Notes requests with these numbers; each ends at as many seconds after `now`, and gets its number for an answer.
    fn note(ring: &mut Ring, now: Instant, numbers: std::ops::Range<u16>) {
        for number in numbers {
            let record = ring.next(format!("request-{number}").as_bytes()).unwrap();
            record.ended = now + Duration::from_secs(number.into());
            record.code = number;
        }
    }

    /// The numbers that are found, of those below 100.
    fn there(ring: &Ring) -> Vec<u16> {
        (0..100).filter(|number| ring.find(format!("request-{number}").as_bytes()).matches == 1).collect()
    }

    fn back(ring: &Ring, now: Instant) -> u64 {
        ring.find(b"").since.saturating_duration_since(now).as_secs()
    }

    #[test]
    fn the_newest_take_the_place_of_the_oldest() {
        let (mut ring, now) = of(4);
        note(&mut ring, now, 1..4);
        assert_eq!((there(&ring), back(&ring, now)), (vec![1, 2, 3], 0));
        note(&mut ring, now, 4..5);
        assert_eq!((there(&ring), back(&ring, now)), (vec![1, 2, 3, 4], 0), "nobody has gone");
        note(&mut ring, now, 5..6);
        assert_eq!((there(&ring), back(&ring, now)), (vec![2, 3, 4, 5], 2));
        note(&mut ring, now, 6..50);
        assert_eq!((there(&ring), back(&ring, now)), (vec![46, 47, 48, 49], 46));
        assert_eq!(ring.find(b"request-47").records[0].code, 47);
        assert_eq!((ring.records.capacity(), ring.sums.capacity()), (4, 4), "no more memory than that");
    }

    #[test]
    fn another_size_keeps_the_newest() {
        for fill in [0, 1, 3, 5, 6, 13_u16] {
            for size in [1, 2, 4, 5, 6, 7, 20] {
                let (mut ring, now) = of(5);
                note(&mut ring, now, 0..fill);
                ring.resize(size, now + Duration::from_secs(99));
                let kept = usize::from(fill).min(size).min(5) as u16;
                let expected: Vec<u16> = (fill - kept..fill).collect();
                assert_eq!(there(&ring), expected, "{fill} into {size}");
                let reaches = if kept < fill { u64::from(fill - kept) } else { 0 };
                assert_eq!(back(&ring, now), reaches, "{fill} into {size}");
                note(&mut ring, now, fill..fill + 30);
                let expected: Vec<u16> = (fill + 30 - size as u16..fill + 30).collect();
                assert_eq!(there(&ring), expected, "{fill} into {size}, and on");
            }
        }
    }

    #[test]
    fn with_no_room_nothing_is_kept() {
        let (mut ring, now) = of(0);
        assert!(ring.next(b"a").is_none());
        ring.resize(3, now + Duration::from_secs(5));
        assert_eq!(back(&ring, now), 5, "it begins when it is switched on");
        note(&mut ring, now, 6..12);
        ring.resize(0, now + Duration::from_secs(20));
        assert!(ring.next(b"a").is_none());
        assert_eq!((ring.find(b"request-11").kept, ring.records.capacity()), (0, 0));
        ring.resize(3, now + Duration::from_secs(30));
        assert_eq!(back(&ring, now), 30);
    }

    #[test]
    fn of_an_id_that_is_used_again_the_newest_come_first() {
        let (mut ring, now) = of(64);
        for code in 0..50 {
            note(&mut ring, now, code..code + 1);
            ring.next(b"mine").unwrap().code = code;
        }
        let found = ring.find(b"mine");
        let codes: Vec<u16> = found.records.iter().map(|record| record.code).collect();
        assert_eq!((found.matches, found.kept), (32, 64));
        assert_eq!(codes, (50 - MAX_FOUND as u16..50).rev().collect::<Vec<_>>());
    }

    #[test]
    fn an_id_is_found_whole_and_by_nothing_else() {
        let (mut ring, _) = of(10);
        let ids =
            ["a".to_owned(), "a".repeat(8), "a".repeat(32), "a".repeat(64), "a".repeat(65), "a".repeat(128)];
        for id in &ids {
            ring.next(id.as_bytes()).unwrap();
        }
        for id in &ids {
            let found = ring.find(id.as_bytes());
            assert_eq!(found.matches, 1, "{}", id.len());
            let told = found.records[0].id();
            assert_eq!((told.bytes().len(), told.is_cut()), (id.len().min(64), id.len() > 64));
        }
        for length in [0, 2, 7, 9, 31, 33, 63, 66, 127, 129] {
            assert_eq!(ring.find("a".repeat(length).as_bytes()).matches, 0, "{length}");
        }
    }

    #[test]
    fn texts_are_cut_and_tries_bounded() {
        let (mut ring, now) = of(1);
        let record = ring.next(b"long").unwrap();
        record.target.set(&[b'x'; 500]);
        record.host.set(b"short");
        record.verb.set(b"");
        assert!(record.verb.push(b"0123456789") && record.verb.push(b"abcdef") && record.verb.push(b""));
        assert_eq!((record.verb.bytes(), record.verb.is_cut()), (&b"0123456789abcdef"[..], false));
        assert!(!record.verb.push(b"g") && record.verb.is_cut());
        record.verb.set(b"");
        assert_eq!((record.target.bytes(), record.target.is_cut()), (&[b'x'; 128][..], true));
        assert_eq!((record.host.bytes(), record.host.is_cut()), (&b"short"[..], false));
        assert_eq!((record.verb.bytes(), record.verb.is_cut()), (&b""[..], false));
        let (why, panics, tls_failed) = (Why::Algorithm, false, false);
        let choice = Choice { backend: Tag::NONE, why, priority: 0, panics, tls_failed, at: now };
        let mut earlier = Earlier::default();
        for _ in 0..MAX_EARLIER + 3 {
            earlier.push(Try { choice, ended: now, end: End::Failed("reset") });
        }
        assert_eq!((earlier.tries.len(), earlier.left_out), (MAX_EARLIER, 3));
    }
}
