//! A header as it comes, to its last byte and not one further.

use super::packet::{self, FIXED, SIGNATURE};
use super::{Flaw, Header, MAX_HEADER, line};

/// Reads the header of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    held: Vec<u8>,
}

/// Where it stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// All that came belongs to a header that is not whole.
    Partial,
    /// The header is whole.
    Whole(Header),
    /// What comes is none: it has begun otherwise.
    Absent,
    /// It began as one and is none.
    Flawed(Flaw),
}

/// The header is not at its end.
const PARTIAL: Progress = Progress::Partial;

impl Reader {
    /// Looks at the bytes that come next and takes of them what belongs to the header; says how many these are.
    /// They must not be shown again. Not to be called again unless it is [`Progress::Partial`].
    pub fn take(&mut self, coming: &[u8]) -> (usize, Progress) {
        for (at, byte) in coming.iter().enumerate() {
            self.held.push(*byte);
            match self.look() {
                PARTIAL => {}
                Progress::Absent => {
                    self.held.pop();
                    return (at, Progress::Absent);
                }
                end => return (at + 1, end),
            }
        }
        (coming.len(), PARTIAL)
    }

    /// What was taken.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// The same to be given to others, where there is no header.
    pub fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// What the bytes are with the one that came last.
    fn look(&self) -> Progress {
        match self.held.first() {
            Some(b'P') => self.look_at_line(),
            _ => self.look_at_packet(),
        }
    }

    fn look_at_line(&self) -> Progress {
        let begun = self.held.len().min(line::BEGINNING.len());
        match self.held.last() {
            _ if self.held[..begun] != line::BEGINNING[..begun] => Progress::Absent,
            Some(b'\n') => line::parse(&self.held).map_or_else(Progress::Flawed, Progress::Whole),
            _ if self.held.len() >= line::MAX_LINE => Progress::Flawed(Flaw::Line),
            _ => PARTIAL,
        }
    }

    fn look_at_packet(&self) -> Progress {
        let begun = self.held.len().min(SIGNATURE.len());
        if self.held[..begun] != SIGNATURE[..begun] {
            return Progress::Absent;
        }
        let Some(fixed) = self.held.first_chunk::<FIXED>() else { return PARTIAL };
        match packet::length(fixed) {
            length if length > MAX_HEADER => Progress::Flawed(Flaw::Long),
            length if length > self.held.len() => PARTIAL,
            _ => packet::parse(&self.held).map_or_else(Progress::Flawed, Progress::Whole),
        }
    }
}
