//! A command at a terminal: a pair of pseudo-terminals, and as much of a screen as is needed to read it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::daemon::until;

/// More than any size that a test gives its terminal.
const LINES: usize = 64;
const COLUMNS: usize = 256;

/// A terminal with a command at it; both end when dropped.
pub(super) struct Terminal {
    child: Child,
    master: File,
    /// Held, so that the terminal outlives the command and can be looked at.
    _slave: File,
    screen: Arc<Mutex<Screen>>,
    before: [String; 4],
}

impl Terminal {
    /// Runs a command at a terminal of so many columns and lines.
    pub(super) fn run(command: &[&str], environment: &[(&str, &str)], size: (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let no_terminal_of_ours = OFlags::NOCTTY.bits().cast_signed();
        let slave =
            OpenOptions::new().read(true).write(true).custom_flags(no_terminal_of_ours).open(name).unwrap();
        resize(&master, size);
        let before = modes(&master);
        let end = || OwnedFd::from(slave.try_clone().unwrap());
        // A session of its own, whose terminal this is: signals of the terminal reach it.
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(command)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(Screen::default()));
        let (shown, mut output) = (Arc::clone(&screen), File::from(master.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The read fails when the last one at the other end has gone.
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                bytes[..read].iter().for_each(|byte| shown.lock().unwrap().take(*byte));
            }
        });
        Self { child, master: File::from(master), _slave: slave, screen, before }
    }

    /// Types keys.
    pub(super) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes it another size.
    pub(super) fn resize(&self, size: (u16, u16)) {
        resize(&self.master, size);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line that has all of these, and gives its number.
    pub(super) fn sees(&self, parts: &[&str]) -> usize {
        let screen = || self.screen.lock().unwrap().text();
        let has = |line: &String| parts.iter().all(|part| line.contains(part));
        until(&format!("{parts:?}"), || {
            let found = screen().iter().position(has);
            if found.is_none() {
                // What is waited for in vain is read from here: a failed test prints it.
                println!("{}\n---", screen().join("\n").trim_end());
            }
            found
        })
    }

    /// Waits for the end of the command, and for all that it wrote up to its last word to the screen.
    pub(super) fn ended(&mut self) -> ExitStatus {
        let status = until("the command has ended", || self.child.try_wait().unwrap());
        until("the screen is left", || (!self.screen.lock().unwrap().taken).then_some(()));
        status
    }

    /// Whether the screen is taken, or was.
    pub(super) fn was_taken(&self) -> bool {
        self.screen.lock().unwrap().was_taken
    }

    /// Whether anything had a colour.
    pub(super) fn was_colored(&self) -> bool {
        self.screen.lock().unwrap().colored
    }

    /// Whether it is as it was before the command.
    pub(super) fn is_restored(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        modes(&self.master) == self.before && !screen.taken && !screen.hidden_cursor
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: impl std::os::fd::AsFd, (columns, lines): (u16, u16)) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}

fn modes(terminal: impl std::os::fd::AsFd) -> [String; 4] {
    let read = tcgetattr(terminal).unwrap();
    [
        format!("{:?}", read.input_modes),
        format!("{:?}", read.output_modes),
        format!("{:?}", read.control_modes),
        format!("{:?}", read.local_modes),
    ]
}

/// What was written, read as an xterm would.
#[derive(Debug)]
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// An escape sequence, or a letter, that is not whole.
    open: Vec<u8>,
    taken: bool,
    was_taken: bool,
    hidden_cursor: bool,
    colored: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            cells: vec![vec![' '; COLUMNS]; LINES],
            at: (0, 0),
            open: Vec::new(),
            taken: false,
            was_taken: false,
            hidden_cursor: false,
            colored: false,
        }
    }
}

impl Screen {
    fn text(&self) -> Vec<String> {
        self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'\r' if self.open.is_empty() => self.at.0 = 0,
            b'\n' if self.open.is_empty() => self.at.1 = (self.at.1 + 1).min(LINES - 1),
            _ => {
                self.open.push(byte);
                if self.open[0] == 0x1b {
                    self.escape();
                } else if let Ok(letter) = std::str::from_utf8(&self.open) {
                    let letter = letter.chars().next().unwrap();
                    assert!(!letter.is_control(), "{letter:?} reached the terminal");
                    self.cells[self.at.1][self.at.0.min(COLUMNS - 1)] = letter;
                    self.at.0 += 1;
                    self.open.clear();
                }
            }
        }
    }

    fn escape(&mut self) {
        let Some((last @ b'@'..=b'~', [0x1b, b'[', rest @ ..])) = self.open.split_last() else {
            // Other sequences than those of CSI are not expected.
            assert!(self.open.len() < 2 || self.open[1] == b'[', "{:?}", self.open);
            return;
        };
        if self.open.len() == 2 {
            return;
        }
        let (last, rest) = (*last, String::from_utf8(rest.to_vec()).unwrap());
        self.open.clear();
        let mut numbers = rest.split(';').map(|number| number.parse::<usize>().unwrap_or(0));
        match (last, rest.as_str()) {
            (b'H', _) => {
                let mut next = || numbers.next().unwrap_or(0).max(1) - 1;
                let line = next();
                self.at = (next(), line);
            }
            (b'J', _) => self.cells = Self::default().cells,
            (b'K', _) => self.cells[self.at.1][self.at.0..].fill(' '),
            (b'm', _) => self.colored |= rest.split(';').any(|one| matches!(one, "38" | "31" | "32" | "33")),
            (b'h' | b'l', "?1049") => {
                self.taken = last == b'h';
                self.was_taken |= self.taken;
            }
            (b'h' | b'l', "?25") => self.hidden_cursor = last == b'l',
            _ => {}
        }
    }
}
