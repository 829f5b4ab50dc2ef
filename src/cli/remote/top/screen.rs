//! The terminal: taken for the whole screen, and given back as it was whatever happens.

use std::io::{self, Stdout, Write};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, queue};
use tokio::sync::mpsc;

use super::state::State;
use super::view::{self, Paint};

/// Keys that wait to be taken; further ones wait in the terminal.
const MAX_KEYS: usize = 64;

/// The screen, while it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    paint: Paint,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none, or has gone.
    pub(super) fn take() -> io::Result<Self> {
        // A panic ends the process without dropping anything, and its message would go with the screen.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
        enable_raw_mode()?;
        // From here on `Drop` would be needed; there is no screen yet that has it.
        Self::enter().inspect_err(|_| give_back())
    }

    fn enter() -> io::Result<Self> {
        let mut out = io::stdout();
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and not every one answers.
        queue!(out, EnterAlternateScreen, cursor::Hide, Clear(ClearType::All))?;
        out.flush()?;
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        Ok(Self { terminal, paint: Paint::of_environment() })
    }

    /// Draws what is to be seen.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn draw(&mut self, state: &mut State, now: std::time::Instant) -> io::Result<()> {
        let paint = self.paint;
        self.terminal.draw(|frame| view::draw(frame, state, paint, now)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back. What fails cannot be told anywhere.
fn give_back() {
    let mut out = io::stdout();
    let _ = queue!(out, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Keys and changes of size, from a thread of their own: a terminal is read by waiting. The thread ends with the process.
pub(super) fn keys() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, keys) = mpsc::channel(MAX_KEYS);
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if sender.blocking_send(event).is_err() || failed {
                break;
            }
        }
    })?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Run by the test below, at a terminal.
    #[test]
    #[ignore = "needs a terminal, and panics"]
    #[should_panic]
    fn panics_with_the_screen_taken() {
        let _screen = Screen::take().unwrap();
        panic!("as if by a mistake");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let ours = std::env::current_exe().unwrap();
        let test = format!("{}::panics_with_the_screen_taken", module_path!().split_once("::").unwrap().1);
        let shell = format!("'{}' --exact {test} --ignored --nocapture; stty -a", ours.display());
        let output = Command::new("script").args(["-qec", &shell, "/dev/null"]).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let place = |text: &str| shown.find(text).unwrap_or_else(|| panic!("no {text:?} in {shown:?}"));
        let order = ["\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h", "as if by a mistake", " icanon "].map(place);
        assert!(order.is_sorted(), "{shown:?}");
        assert!(shown.contains(" echo "), "{shown:?}");
    }
}
