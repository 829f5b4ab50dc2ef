//! The embedded default.
use std::process::ExitCode;
/// Runs it.
pub fn run(_port: Option<u16>) -> ExitCode {
    ExitCode::FAILURE
}
