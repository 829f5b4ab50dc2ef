//! The accounts as they are written down: lines of JSON, each the latest word on what it names.
//!
//! A journal begins with its version. An account is written whole when anything happened to it, and once a second a
//! tick says that the process still ran, what requests saw meanwhile, and what of the error budgets was spent. Times
//! are those of the accounts ([`super::clock`]), in microseconds; the wall clock stands beside them so that the time
//! in which nobody ran can be told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::account::Whose;
use super::ledger::{Ledger, Record, micros, since_epoch};
use super::objective::{Budget, Objective};
use super::ring::Cell;

/// What is written and read now.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    EquipoiseState(u32),
    Account(Box<AccountLine>),
    Budget(Box<BudgetLine>),
    Tick(Tick),
    /// Forgotten for good.
    Gone(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountLine {
    pub(super) id: u32,
    pub(super) whose: Whose,
    pub(super) at: u64,
    /// Whether time went on counting.
    pub(super) kept: bool,
    pub(super) left: Option<u64>,
    pub(super) good: u64,
    pub(super) failed: u64,
    pub(super) ledger: Record,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct BudgetLine {
    id: u32,
    availability: Option<f64>,
    latency: Option<(u64, f64)>,
    window: u64,
    /// Buckets of each ring: when they began, judged, failed, timed, slow.
    rings: Vec<Vec<[u64; 5]>>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tick {
    pub(super) at: u64,
    pub(super) wall_ms: u64,
    /// Account, good, failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) counts: Vec<(u32, u64, u64)>,
    /// Account, judged, failed, timed, slow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) spent: Vec<(u32, [u64; 4])>,
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Journal {
    pub(super) accounts: BTreeMap<u32, AccountLine>,
    pub(super) budgets: BTreeMap<u32, Budget>,
    /// The last time that was written.
    pub(super) at: u64,
    pub(super) wall_ms: u64,
    /// Bytes at the end that could not be read and are left out.
    pub cut: usize,
}

/// Why a file is no journal that this version can go on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It does not begin as one does.
    #[error("it is no state file of Equipoise")]
    Unknown,
    /// A later version wrote it.
    #[error("it is of version {0}, and this program reads up to {VERSION}")]
    Newer(u32),
}

impl Journal {
    /// Reads what was written. Nothing is a journal in which nothing happened. A line that cannot be read ends it:
    /// the process, or the machine, stopped while it was written.
    ///
    /// # Errors
    /// It is something else, which must not be written over.
    pub fn read(text: &[u8]) -> Result<Self, Foreign> {
        let mut journal = Self::default();
        let mut rest = text;
        if rest.is_empty() {
            return Ok(journal);
        }
        match take_line(&mut rest) {
            Some(Line::EquipoiseState(version)) if version <= VERSION => {}
            Some(Line::EquipoiseState(version)) => return Err(Foreign::Newer(version)),
            _ => return Err(Foreign::Unknown),
        }
        while !rest.is_empty() {
            let whole = rest.len();
            match take_line(&mut rest) {
                Some(line) => journal.take(line),
                None => {
                    journal.cut = whole;
                    break;
                }
            }
        }
        Ok(journal)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::EquipoiseState(_) => {}
            Line::Account(line) => {
                self.at = self.at.max(line.at);
                self.accounts.insert(line.id, *line);
            }
            Line::Budget(line) => {
                self.budgets.extend(line.read().map(|budget| (line.id, budget)));
            }
            Line::Tick(tick) => {
                self.at = self.at.max(tick.at);
                self.wall_ms = tick.wall_ms;
                for (id, good, failed) in tick.counts {
                    if let Some(account) = self.accounts.get_mut(&id) {
                        (account.good, account.failed) = (good, failed);
                    }
                }
                for (id, [judged, failed, timed, slow]) in tick.spent {
                    if let Some(budget) = self.budgets.get_mut(&id) {
                        budget.add(tick.at, Cell { judged, failed, timed, slow });
                    }
                }
            }
            Line::Gone(id) => {
                self.accounts.remove(&id);
                self.budgets.remove(&id);
            }
        }
    }

    /// How many accounts it holds.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// When it was last written; the epoch where it does not say.
    pub fn written(&self) -> SystemTime {
        since_epoch(self.wall_ms)
    }

    /// The ledger of an account, as it stood when the process stopped.
    pub(super) fn ledger(&self, line: &AccountLine) -> Ledger {
        let mut ledger = Ledger::from_record(&line.ledger);
        if line.kept {
            ledger.catch_up(Duration::from_micros(self.at.saturating_sub(line.at)));
        }
        ledger
    }
}

impl BudgetLine {
    pub(super) fn of(id: u32, budget: &Budget) -> Self {
        let objective = budget.objective();
        let cells = |ring: &super::ring::Ring| {
            ring.cells().map(|(at, cell)| [at, cell.judged, cell.failed, cell.timed, cell.slow]).collect()
        };
        Self {
            id,
            availability: objective.availability,
            latency: objective.latency.map(|(within, share)| (micros(within), share)),
            window: micros(objective.window),
            rings: budget.rings().iter().map(cells).collect(),
        }
    }

    /// `None`: it promises what no configuration can.
    fn read(&self) -> Option<Budget> {
        let share = |share: f64| share > 0.0 && share < 1.0;
        let sound =
            self.availability.is_none_or(share) && self.latency.is_none_or(|latency| share(latency.1));
        let mut budget = Budget::new(Objective {
            availability: self.availability,
            latency: self.latency.map(|(within, share)| (Duration::from_micros(within), share)),
            window: Duration::from_micros(self.window),
        });
        for (place, cells) in self.rings.iter().enumerate() {
            for [at, judged, failed, timed, slow] in cells.iter().copied() {
                budget.refill(place, at, Cell { judged, failed, timed, slow });
            }
        }
        sound.then_some(budget)
    }
}

/// The line that a journal begins with.
pub(super) fn begin(out: &mut Vec<u8>) {
    put(out, &Line::EquipoiseState(VERSION));
}

/// Writes a line.
pub(super) fn put(out: &mut Vec<u8>, line: &Line) {
    let before = out.len();
    // Numbers and strings cannot fail to be written; if they should, half a line must not stay.
    if serde_json::to_writer(&mut *out, line).is_err() {
        return out.truncate(before);
    }
    out.push(b'\n');
}

/// Takes a whole line off the front; `None` where there is none that can be read.
fn take_line(rest: &mut &[u8]) -> Option<Line> {
    let end = memchr::memchr(b'\n', rest)?;
    let line = serde_json::from_slice(&rest[..end]).ok()?;
    *rest = &rest[end + 1..];
    Some(line)
}
