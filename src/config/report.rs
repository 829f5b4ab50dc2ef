//! What was found wrong or doubtful in a file, with its places.

mod json;
mod place;
mod text;

use std::ops::Range;
use std::path::Path;

use super::files::{NamedFile, read_regular};
use place::Lines;
pub use place::Place;

/// Bytes of the source, from and to.
pub(super) type Span = Range<usize>;

/// Shown at most; the rest is counted. A file with more mistakes than this is no configuration.
pub const SHOWN_MAX: usize = 200;
/// Kept at most before sorting, so that a hostile file of 16 MiB cannot take gigabytes.
const KEPT_MAX: usize = 2000;
/// Characters of the file's own words that a message repeats.
const QUOTED_MAX: usize = 80;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not do what was meant.
    Warning,
}

/// The kind of a diagnostic; stable, for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // `as_str` names them, docs/configuration.md explains them
pub enum Code {
    Syntax,
    DuplicateKey,
    UnknownKey,
    NotSupported,
    WrongType,
    BadValue,
    MissingKey,
    DuplicateName,
    DuplicateAddress,
    DanglingReference,
    Conflict,
    Unreadable,
    NeverMatches,
    UnusedPool,
    SlowHealth,
    UnusedKey,
    NoActiveBackend,
    UnreachableListener,
    SharedName,
    OverlappingAddress,
    UnsafeRetry,
    DoubtfulCertificate,
    Unverified,
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Bytes of the source; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// A few words beside the caret, such as what was expected.
    pub label: String,
    /// What to do, or what was probably meant.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub notes: Vec<Note>,
}

/// Another place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is there.
    pub message: String,
    /// Bytes of the source.
    pub span: Option<Range<usize>>,
}

/// All findings about one file, in the order of their places.
#[derive(Debug)]
pub struct Report {
    file: String,
    source: String,
    lines: Lines,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were found, also those beyond [`SHOWN_MAX`].
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings were found, also those beyond [`SHOWN_MAX`].
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// The findings that are shown: at most [`SHOWN_MAX`], by their place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The name of the file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line and column of a byte of the source, both from 1, the column in characters.
    pub fn place(&self, offset: usize) -> Place {
        self.lines.place(&self.source, offset)
    }

    /// As a compiler shows it: each finding with its line, a caret and help; `color`: with ANSI colours.
    /// Empty where there is nothing to say.
    pub fn to_text(&self, color: bool) -> String {
        text::render(self, color)
    }

    /// An array of `{severity, code, message, file, line, column, end_line, end_column, help, notes}`.
    /// Lines and columns count from 1, columns in characters; the end is the first character after.
    pub fn to_json(&self) -> String {
        json::render(self)
    }

    /// How many findings are not shown.
    fn hidden(&self) -> usize {
        self.errors + self.warnings - self.diagnostics.len()
    }
}

/// Takes findings while a file is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// Lines that hold a syntax error: what was recovered from them is not the user's, so nothing more is
    /// said about it.
    broken: Vec<Span>,
    /// What was read beside the text itself.
    files: Vec<NamedFile>,
}

impl Findings {
    /// Takes one, unless it stands on a line that could not be read.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if let Some(span) = &diagnostic.span
            && diagnostic.code != Code::Syntax
            && self.is_broken(&(span.start..span.start + 1))
        {
            return;
        }
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push(diagnostic);
        }
    }

    /// All of a file that the text names, unless it is larger than `most` bytes. The error reads on after «FILE: » or
    /// «cannot be read: ».
    pub(super) fn read(&mut self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        let (bytes, stamp) = read_regular(path, most)?;
        if !self.files.iter().any(|file| file.path == path) {
            self.files.push(NamedFile { path: path.to_owned(), stamp });
        }
        Ok(bytes)
    }

    /// The files that were read well.
    pub(super) fn take_files(&mut self) -> Vec<NamedFile> {
        std::mem::take(&mut self.files)
    }

    /// Says that nothing within these bytes can be judged.
    pub(super) fn mark_broken(&mut self, line: Span) {
        // Errors come in the order of the file; one line often has several.
        if self.broken.last() != Some(&line) {
            self.broken.push(line);
        }
    }

    /// Whether these bytes touch a line that could not be read.
    pub(super) fn is_broken(&self, span: &Span) -> bool {
        let next = self.broken.partition_point(|line| line.end <= span.start);
        self.broken.get(next).is_some_and(|line| line.start < span.end)
    }

    /// Puts the broken lines in the order that [`Findings::is_broken`] searches.
    pub(super) fn sort_broken(&mut self) {
        self.broken.sort_by_key(|line| (line.start, line.end));
        self.broken.dedup();
    }

    /// Whether no more is kept: then no effort is spent on what would have been meant.
    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= KEPT_MAX
    }

    /// Whether an error was found so far.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Closes the list.
    pub(super) fn into_report(mut self, file: &str, source: String) -> Report {
        self.kept.sort_by_key(|one| {
            (
                one.span.as_ref().map_or(0, |span| span.start),
                one.severity,
                one.span.as_ref().map_or(0, |s| s.end),
            )
        });
        let mut repeated = [0, 0];
        self.kept.dedup_by(|later, earlier| {
            let same = later == earlier;
            repeated[usize::from(later.severity == Severity::Warning)] += usize::from(same);
            same
        });
        self.kept.truncate(SHOWN_MAX);
        Report {
            file: file.to_owned(),
            lines: Lines::new(&source),
            source,
            diagnostics: self.kept,
            errors: self.errors - repeated[0],
            warnings: self.warnings - repeated[1],
        }
    }
}

impl Diagnostic {
    /// An error at a place.
    pub(super) fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            span: Some(span),
            label: String::new(),
            help: None,
            notes: Vec::new(),
        }
    }

    /// A warning at a place.
    pub(super) fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// An error about the file as a whole.
    pub(super) fn of_file(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { span: None, ..Diagnostic::error(code, 0..0, message) }
    }

    /// Adds the words beside the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// Adds what to do.
    pub(super) fn help(mut self, help: Option<impl Into<String>>) -> Diagnostic {
        self.help = help.map(Into::into);
        self
    }

    /// Adds another place.
    pub(super) fn note(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.notes.push(Note { message: message.into(), span: Some(span) });
        self
    }
}

impl Severity {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl Code {
    /// All of them, with what they mean, for the reference page.
    pub(super) const ALL: &[(Code, &str)] = &[
        (Code::Syntax, "The text is no valid TOML, or no UTF-8."),
        (Code::DuplicateKey, "A key or table stands twice."),
        (Code::UnknownKey, "No such key here."),
        (Code::NotSupported, "A key or value that a later version brings; it is never read and ignored."),
        (Code::WrongType, "A value of another type was expected."),
        (Code::BadValue, "The type is right, the value impossible."),
        (Code::MissingKey, "A key that has no default is absent."),
        (Code::DuplicateName, "A name stands twice where it must be unique."),
        (Code::DuplicateAddress, "An address is bound twice."),
        (Code::DanglingReference, "A name refers to nothing."),
        (Code::Conflict, "A key that has no meaning beside another."),
        (Code::Unreadable, "A file could not be read, or is too large."),
        (Code::NeverMatches, "A route that can take no request."),
        (Code::UnusedPool, "A pool that nothing refers to."),
        (Code::SlowHealth, "A health check that may last longer than its interval."),
        (Code::UnusedKey, "A key without effect beside the others."),
        (Code::NoActiveBackend, "A pool without a backend for ordinary traffic."),
        (Code::UnreachableListener, "A listener that can only answer 404."),
        (Code::SharedName, "A route called as requests of no route are in metrics and logs."),
        (Code::OverlappingAddress, "Two addresses that cannot both be bound on most systems."),
        (Code::UnsafeRetry, "A retry that may do a thing twice."),
        (
            Code::DoubtfulCertificate,
            "A certificate that peers will probably refuse: expired, not yet valid, no chain.",
        ),
        (Code::Unverified, "Backends whose certificates are not checked."),
    ];

    /// Its name in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Syntax => "syntax",
            Code::DuplicateKey => "duplicate-key",
            Code::UnknownKey => "unknown-key",
            Code::NotSupported => "not-supported-yet",
            Code::WrongType => "wrong-type",
            Code::BadValue => "bad-value",
            Code::MissingKey => "missing-key",
            Code::DuplicateName => "duplicate-name",
            Code::DuplicateAddress => "duplicate-address",
            Code::DanglingReference => "dangling-reference",
            Code::Conflict => "conflict",
            Code::Unreadable => "unreadable",
            Code::NeverMatches => "never-matches",
            Code::UnusedPool => "unused-pool",
            Code::SlowHealth => "slow-health",
            Code::UnusedKey => "unused-key",
            Code::NoActiveBackend => "no-active-backend",
            Code::UnreachableListener => "unreachable-listener",
            Code::SharedName => "shared-name",
            Code::OverlappingAddress => "overlapping-address",
            Code::UnsafeRetry => "unsafe-retry",
            Code::DoubtfulCertificate => "doubtful-certificate",
            Code::Unverified => "unverified",
        }
    }
}

/// The file's own words, safe to print on a terminal and of bounded length.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == QUOTED_MAX {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
