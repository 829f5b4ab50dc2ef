//! Commands.

use std::process::ExitCode;

/// Runs the command line and gives its exit code.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
