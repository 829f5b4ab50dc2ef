//! TOML text → checked description, or all its errors with their places.
//!
//! Steps: `syntax` (text → tables, all syntax errors), `walk` (tables × the table of `keys` → values of
//! the right kind), `build` (values → description, checks across keys), `lint` (what is allowed but
//! probably not meant). Each goes on after an error, so that one run shows them all.

mod build;
mod fields;
mod files;
mod keys;
mod lint;
mod model;
mod page;
pub mod reference;
mod report;
pub mod schema;
mod suggest;
mod syntax;
mod text;
mod units;
mod value;
mod walk;

use std::path::Path;

pub use files::{NamedFile, Stamp};
pub use model::*;
pub use report::{Code, Diagnostic, Note, Place, Report, SHOWN_MAX, Severity};
pub use suggest::nearest;

use report::Findings;
use walk::Reader;

/// A larger file is refused: nobody wrote it, and its diagnostics could not be read.
pub const FILE_MAX: u64 = 16 << 20;

/// Names that other rooms own and a file may use.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary<'a> {
    /// What `balance` may say.
    pub balance: &'a [&'a str],
    /// The statuses of errors that the balancer answers itself: those that `error_pages` may name.
    pub errors: &'a [u16],
    /// What the lines of an access log can show.
    pub log_variables: &'a [&'a str],
    /// Looks into the files of a `[listener.tls]`.
    pub listener_tls: fn(&ListenerTls) -> Vec<TlsFlaw>,
    /// Looks into those of a `[pool.NAME.tls]`; the backends' addresses are given too.
    pub pool_tls: fn(&PoolTls, &[&str]) -> Vec<TlsFlaw>,
    /// Looks at the collector of a `[tracing]`, which has an `otlp`, and into the files that stand with it.
    pub otlp: fn(&Tracing) -> Vec<TlsFlaw>,
}

/// What came of reading a file.
#[derive(Debug)]
pub struct Reading {
    /// `None` if there was any error.
    pub config: Option<Config>,
    /// Errors and warnings.
    pub report: Report,
}

/// Reads and checks `text`; `name` is the file's, for messages. Reads the files that the text names
/// (`admin.token_file`, `listener.error_pages`, those of TLS), binds and resolves nothing.
pub fn read(name: &str, text: &str, vocabulary: &Vocabulary<'_>) -> Reading {
    if text.len() as u64 > FILE_MAX {
        return refused(name, too_large());
    }
    let mut reader = Reader { text, vocabulary, findings: Findings::default() };
    let table = syntax::parse(text, &mut reader.findings);
    let root = walk::root(&table, &mut reader);
    let mut findings = reader.findings;
    let (mut config, places) = build::config(&root, text, vocabulary, &mut findings);
    config.files = findings.take_files();
    if !findings.has_errors() {
        lint::check(&config, &places, &mut findings);
    }
    let config = (!findings.has_errors()).then_some(config);
    Reading { config, report: findings.into_report(name, text.to_owned()) }
}

/// Reads and checks the file at `path`, of at most [`FILE_MAX`] bytes. What the file system refuses is a
/// diagnostic too.
pub fn load(path: &Path, vocabulary: &Vocabulary<'_>) -> Reading {
    let name = path.display().to_string();
    let bytes = match files::read_bounded(path, FILE_MAX) {
        Ok((bytes, _)) => bytes,
        Err(error) => {
            let message = format!("{}: {error}", report::printable(&name));
            return refused(&name, Diagnostic::of_file(Code::Unreadable, message));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => read(&name, &text, vocabulary),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let end = at + char::REPLACEMENT_CHARACTER.len_utf8();
            let one = Diagnostic::error(Code::Syntax, at..end, "the file is not UTF-8")
                .label("this byte")
                .help(Some("save it as UTF-8 (iconv -t utf-8)"));
            let mut findings = Findings::default();
            findings.push(one);
            Reading { config: None, report: findings.into_report(&name, text) }
        }
    }
}

/// Reads a duration as the file writes it, for instance `1m30s`.
///
/// # Errors
/// Why it is none, in words.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    units::duration(text).map_err(|error| error.message)
}

fn too_large() -> Diagnostic {
    Diagnostic::of_file(Code::Unreadable, format!("the file is larger than {}", units::size_text(FILE_MAX)))
}

fn refused(name: &str, one: Diagnostic) -> Reading {
    let mut findings = Findings::default();
    findings.push(one);
    Reading { config: None, report: findings.into_report(name, String::new()) }
}

#[cfg(test)]
mod tests;
