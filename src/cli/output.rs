//! What commands write.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// Writes to standard output. A reader that left early (`| head`) is no failure; a disk that is full is.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes to standard output; gives 1 where that fails, and says so.
pub(super) fn print(text: &str) -> ExitCode {
    match write(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("equipoise: cannot write to standard output: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Whether a terminal may be given colours: not where `NO_COLOR` is set, nor where it would show their codes.
pub(super) fn may_color() -> bool {
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether the terminal says that it shows text and nothing else, as that of an editor.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Writes to standard error, without what steers a terminal: a reason may be of a foreign server. `eprint!` would panic
/// where there is nobody to read it.
pub(super) fn complain(text: &str) {
    let shown: String =
        text.chars().map(|letter| if letter == '\n' { letter } else { shown(letter) }).collect();
    let _ = io::stderr().lock().write_all(shown.as_bytes());
}

/// One line without what steers a terminal: a reason may hold what a backend sent.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(letter: char) -> char {
    if steers(letter) { '\u{fffd}' } else { letter }
}

/// Control characters; and what is not seen itself but changes how others are: marks of direction, spaces of no width, tags.
pub(super) fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
