//! All accounts of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::account::{Account, Changes, Whose};
use super::clock::Clock;
use super::journal::{self, Journal, Line, Tick};
use super::ledger::{millis_since_epoch, since_epoch};

#[cfg(test)]
mod tests;

/// How many accounts are remembered of what the configuration does not hold any more; those that left first are
/// forgotten first.
pub const MAX_ABSENT: usize = 1000;

/// All accounts, those of what left the configuration included.
#[derive(Debug)]
pub(super) struct Accounts {
    clock: Arc<Clock>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    accounts: BTreeMap<Whose, Arc<Account>>,
    last_id: u32,
    /// Somebody writes a journal.
    is_written: bool,
    /// Forgotten, and the journal does not know.
    gone: Vec<u32>,
}

impl Accounts {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        Self { clock: Arc::new(Clock::new(now, wall)), book: Mutex::default() }
    }

    /// The account, opened if there is none.
    pub(super) fn open(&self, whose: Whose) -> Arc<Account> {
        let book = &mut *self.book();
        if let Some(account) = book.accounts.get(&whose) {
            return Arc::clone(account);
        }
        book.last_id = book.last_id.saturating_add(1);
        let account = Arc::new(Account::new(book.last_id, whose.clone(), Arc::clone(&self.clock)));
        book.accounts.insert(whose, Arc::clone(&account));
        account
    }

    /// Goes on with what an earlier process wrote. To be called before any account is opened.
    pub(super) fn restore(&self, journal: &mut Journal, now: Instant, wall: SystemTime) {
        // Without a stamp (nothing was written, the ticks were cut, the wall clock stood before its epoch) nobody can
        // tell how long it was: as if none had passed, for the gap since 1970 would empty every error budget.
        let stopped_wall = if journal.wall_ms == 0 { wall } else { since_epoch(journal.wall_ms) };
        self.clock.go_on(journal.at, stopped_wall, now, wall);
        let book = &mut *self.book();
        for line in journal.accounts.values() {
            let (ledger, budget) = (journal.ledger(line), journal.budgets.remove(&line.id));
            let account = Account::restored(line.clone(), ledger, budget, Arc::clone(&self.clock));
            book.last_id = book.last_id.max(account.id());
            book.accounts.insert(line.whose.clone(), Arc::new(account));
        }
    }

    /// Says what the configuration holds from now on. The accounts of all else rest.
    pub(super) fn hold(&self, held: &BTreeSet<Whose>, now: Instant) {
        let Book { accounts, gone, is_written, .. } = &mut *self.book();
        accounts.retain(|whose, account| {
            let is_held = held.contains(whose);
            if is_held {
                account.join();
            } else {
                account.leave(now);
            }
            is_held || account.is_open()
        });
        let absent = accounts.values().filter_map(|a| a.left().map(|left| (left, a.whose().clone(), a.id())));
        let mut absent: Vec<_> = absent.collect();
        absent.sort();
        let surplus = absent.len().saturating_sub(MAX_ABSENT);
        for (_, whose, id) in absent.drain(..surplus) {
            accounts.remove(&whose);
            gone.extend(is_written.then_some(id));
        }
    }

    /// To be called once a second: counts into the error budgets, and looks at the wall clock.
    pub(super) fn tick(&self, now: Instant, wall: SystemTime) {
        self.clock.renew(now, wall);
        self.each(|account| account.sample(now));
    }

    /// What the journal does not know yet, as lines; all of it where that begins anew.
    pub(super) fn lines(&self, now: Instant, wall: SystemTime, all: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if all {
            journal::begin(&mut out);
        }
        let gone = {
            let book = &mut *self.book();
            book.is_written = true;
            std::mem::take(&mut book.gone)
        };
        for id in gone.into_iter().filter(|_| !all) {
            journal::put(&mut out, &Line::Gone(id));
        }
        let mut tick =
            Tick { at: self.clock.time(now), wall_ms: millis_since_epoch(wall), ..Tick::default() };
        self.each(|account| {
            let Changes { account: line, budget, counts, spent } = account.changes(now, all);
            line.into_iter().for_each(|line| journal::put(&mut out, &Line::Account(Box::new(line))));
            budget.into_iter().for_each(|line| journal::put(&mut out, &Line::Budget(Box::new(line))));
            tick.counts.extend(counts.map(|tally| (account.id(), tally.good, tally.failed)));
            let spent = spent.map(|cell| [cell.judged, cell.failed, cell.timed, cell.slow]);
            tick.spent.extend(spent.map(|spent| (account.id(), spent)));
        });
        journal::put(&mut out, &Line::Tick(tick));
        out
    }

    fn each(&self, each: impl FnMut(&Arc<Account>)) {
        let accounts: Vec<_> = self.book().accounts.values().cloned().collect();
        accounts.iter().for_each(each);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
