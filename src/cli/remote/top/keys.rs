//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::orders::{self, Target};
use super::order::{Change, Order};
use super::state::{Mode, Pane, State};

/// Letters of a filter.
const MAX_FILTER: usize = 64;
/// Letters of a weight: 65535, or `file`.
const MAX_WEIGHT: usize = 5;

/// What is to be done outside of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// To end.
    Quit,
    /// To give an order.
    Order(Order),
}

impl State {
    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Task> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c')).then_some(Task::Quit);
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        match std::mem::replace(&mut self.mode, Mode::Looking) {
            Mode::Looking => return self.command(key.code),
            Mode::Helping => {}
            Mode::Filtering(before) => self.filter_by(key.code, before),
            Mode::Weighing(target, text) => self.weigh(key.code, target, text),
            Mode::Asking(order) => return self.decide(key.code, order),
        }
        None
    }

    fn command(&mut self, code: KeyCode) -> Option<Task> {
        self.message.clear();
        match code {
            KeyCode::Char('q') => return Some(Task::Quit),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-self.stride()),
            KeyCode::PageDown => self.step(self.stride()),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Tab => self.turn(false),
            KeyCode::BackTab => self.turn(true),
            KeyCode::Char('s') => self.sort_next(),
            KeyCode::Char('r') => {
                self.reversed = !self.reversed;
                self.settle();
            }
            KeyCode::Char('/') => self.mode = Mode::Filtering(self.filter.clone()),
            KeyCode::Esc => {
                self.filter.clear();
                self.settle();
            }
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Helping,
            KeyCode::Char('d') => self.ask_for(Change::State("drain")),
            KeyCode::Char('e') => self.ask_for(Change::State("ready")),
            KeyCode::Char('m') => self.ask_for(Change::State("maintenance")),
            KeyCode::Char('w') => {
                if let Some(target) = self.target() {
                    self.mode = Mode::Weighing(target, String::new());
                }
            }
            _ => {}
        }
        None
    }

    /// The backend that an order would be of; else why there is none.
    fn target(&mut self) -> Option<Target> {
        if self.busy {
            self.message = "the last order is still on its way".to_owned();
            return None;
        }
        let chosen = self.chosen.clone().filter(|_| self.pane == Pane::Backends);
        let target = chosen.and_then(|mark| Some(Target { pool: mark.pool, backend: mark.backend? }));
        if target.is_none() {
            self.message = match self.pane {
                Pane::Backends => "choose a backend first".to_owned(),
                _ => "choose a backend first (Tab)".to_owned(),
            };
        }
        target
    }

    fn ask_for(&mut self, change: Change) {
        if let Some(target) = self.target() {
            self.mode = Mode::Asking(Order { target, change });
        }
    }

    fn decide(&mut self, code: KeyCode, order: Order) -> Option<Task> {
        match code {
            KeyCode::Char('y' | 'Y') => {
                self.busy = true;
                self.message = format!("{} …", super::order::whose(&order.target));
                Some(Task::Order(order))
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
                self.message = "nothing was changed".to_owned();
                None
            }
            // Any other key may be a slip of the hand: the question stays.
            _ => {
                self.mode = Mode::Asking(order);
                None
            }
        }
    }

    fn filter_by(&mut self, code: KeyCode, before: String) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => self.filter = before,
            KeyCode::Backspace => {
                self.filter.pop();
                self.mode = Mode::Filtering(before);
            }
            KeyCode::Char(letter) if self.filter.chars().count() < MAX_FILTER => {
                self.filter.push(letter);
                self.mode = Mode::Filtering(before);
            }
            _ => self.mode = Mode::Filtering(before),
        }
        self.settle();
    }

    fn weigh(&mut self, code: KeyCode, target: Target, mut text: String) {
        match code {
            KeyCode::Esc => self.message = "nothing was changed".to_owned(),
            KeyCode::Enter => match orders::weight(&text) {
                Ok(weight) => self.mode = Mode::Asking(Order { target, change: Change::Weight(weight) }),
                Err(why) => {
                    self.message = why;
                    self.mode = Mode::Weighing(target, String::new());
                }
            },
            code => {
                match code {
                    KeyCode::Backspace => drop(text.pop()),
                    KeyCode::Char(letter) if letter.is_ascii_alphanumeric() && text.len() < MAX_WEIGHT => {
                        text.push(letter);
                    }
                    _ => {}
                }
                self.mode = Mode::Weighing(target, text);
            }
        }
    }
}
