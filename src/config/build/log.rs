//! `[log]` and `[tracing]`

use std::path::{Path, PathBuf};

use super::tls;
use crate::config::Vocabulary;
use crate::config::fields;
use crate::config::model::{
    AccessForm, AccessLog, Log, LogFormat, LogLevel, MaskQuery, TemplatePiece, Tracing,
};
use crate::config::report::{Code, Diagnostic, Findings, Span, printable};
use crate::config::suggest::nearest;
use crate::config::text::{Part, parts, token};
use crate::config::walk::{Section, Value};

/// More than this is no line that anybody reads.
const FIELDS_MAX: usize = 64;

/// What begins the name of a field of a head.
const HEADERS: [&str; 2] = ["request_header:", "response_header:"];

pub(super) fn build(root: &Section, text: &str, vocabulary: &Vocabulary<'_>, findings: &mut Findings) -> Log {
    let section = root.table("log");
    let level = match section.and_then(|section| section.text("level")) {
        Some("error") => LogLevel::Error,
        Some("warn") => LogLevel::Warn,
        Some("debug") => LogLevel::Debug,
        Some("trace") => LogLevel::Trace,
        _ => LogLevel::Info,
    };
    let format = match section.and_then(|section| section.text("format")) {
        Some("text") => Some(LogFormat::Text),
        Some("json") => Some(LogFormat::Json),
        _ => None,
    };
    let access = section.and_then(|section| section.table("access"));
    Log { level, format, access: access.and_then(|section| access_log(section, text, vocabulary, findings)) }
}

/// `[tracing]`
pub(super) fn tracing(
    root: &Section,
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) -> Option<Tracing> {
    root.given("tracing")?;
    let section = root.table("tracing")?;
    let mut tracing = Tracing {
        otlp: section.text("otlp").map(str::to_owned),
        ca: None,
        own: None,
        headers: fields::load(section, findings),
        sample: section.fraction("sample").unwrap_or_default(),
    };
    tls::collector(section, &mut tracing, vocabulary, findings);
    Some(tracing)
}

fn access_log(
    section: &Section,
    text: &str,
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) -> Option<AccessLog> {
    let names = Names { known: vocabulary.log_variables, text };
    let fields = fields(section, &names, findings);
    let template =
        section.text("template").map(|word| names.template(word, section.place("template"), findings));
    let form = match (section.text("format"), template) {
        (_, Some(pieces)) => {
            if section.given("format").is_some() {
                conflict(section, "format", "`template` stands in its place", findings);
            }
            AccessForm::Template(pieces)
        }
        (Some("json"), None) => AccessForm::Json(fields),
        (Some("common"), None) => AccessForm::Common,
        (Some("combined"), None) => AccessForm::Combined,
        (Some("haproxy"), None) => AccessForm::Haproxy,
        _ => {
            unused(section, findings);
            return None;
        }
    };
    if section.given("fields").is_some() && !matches!(form, AccessForm::Json(_)) {
        conflict(section, "fields", "only `format = \"json\"` has fields to choose", findings);
    }
    let path = section.text("path").filter(|path| *path != "-").map(PathBuf::from);
    let max_size = section.number("max_size").unwrap_or(0);
    match &path {
        Some(path) => writable(path, section, findings),
        None if max_size > 0 => conflict(section, "max_size", "standard output cannot be put away", findings),
        None => {}
    }
    Some(AccessLog {
        form,
        path,
        sample: section.fraction("sample").unwrap_or(1.0),
        mask_query: mask(section),
        max_size,
        keep: section.number("keep").and_then(|keep| u32::try_from(keep).ok()).unwrap_or(1),
    })
}

fn mask(section: &Section) -> MaskQuery {
    match section.value("mask_query") {
        Some(Value::Boolean(true)) => MaskQuery::Whole,
        Some(Value::List(items)) => {
            let names = items.iter().filter_map(|item| match &item.value {
                Value::Text(name) => Some(name.clone()),
                _ => None,
            });
            MaskQuery::Named(names.collect())
        }
        _ => MaskQuery::Nothing,
    }
}

fn fields(section: &Section, names: &Names<'_>, findings: &mut Findings) -> Vec<String> {
    let items = section.list("fields");
    if items.len() > FIELDS_MAX {
        let message = format!("`fields`: more than {FIELDS_MAX} fields");
        findings.push(Diagnostic::error(Code::BadValue, section.place("fields"), message));
    }
    let mut chosen: Vec<String> = Vec::new();
    for item in items {
        let Value::Text(name) = &item.value else { continue };
        names.check("fields", name, item.span.clone(), findings);
        if chosen.contains(name) {
            let message = format!("`fields`: \"{}\" stands twice", printable(name));
            findings.push(Diagnostic::error(Code::DuplicateName, item.span.clone(), message));
        }
        chosen.push(name.clone());
    }
    chosen
}

/// The names that a line may show.
struct Names<'a> {
    known: &'a [&'a str],
    /// The file.
    text: &'a str,
}

impl Names<'_> {
    fn template(&self, word: &str, span: Span, findings: &mut Findings) -> Vec<TemplatePiece> {
        // Where the file has the text as it is meant, a finding can point into it.
        let plain = self.text.get(span.clone()).is_some_and(|raw| raw.get(1..raw.len() - 1) == Some(word));
        let place = |part: std::ops::Range<usize>| match plain {
            true => span.start + 1 + part.start..span.start + 1 + part.end,
            false => span.clone(),
        };
        let mut pieces = Vec::new();
        for part in parts(word) {
            match part {
                Part::Text(text) => pieces.push(TemplatePiece::Text(text)),
                Part::Name(range) => {
                    let name = &word[range.clone()];
                    self.check("template", name, place(range.start - 1..range.end + 1), findings);
                    pieces.push(TemplatePiece::Name(name.to_owned()));
                }
                Part::Stray(at) => {
                    let message = "`template`: a brace without its other half";
                    let one = Diagnostic::error(Code::BadValue, place(at..at + 1), message);
                    findings
                        .push(one.help(Some("names stand in braces; `{{` and `}}` are braces in the text")));
                }
            }
        }
        pieces
    }

    fn check(&self, key: &str, name: &str, span: Span, findings: &mut Findings) {
        let header = HEADERS.iter().find_map(|prefix| name.strip_prefix(prefix));
        let good = header.map_or_else(|| self.known.contains(&name), token);
        if good {
            return;
        }
        let message = format!("`{key}`: there is nothing named \"{}\" to log", printable(name));
        let help = match nearest(name, self.known.iter().chain(&HEADERS).copied()) {
            Some(near) if near.ends_with(':') => format!("did you mean \"{near}NAME\"?"),
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                format!("the names are {}, {}NAME, {}NAME", self.known.join(", "), HEADERS[0], HEADERS[1])
            }
        };
        let one = Diagnostic::error(Code::BadValue, span, message).label("no such name");
        findings.push(one.help(Some(help)));
    }
}

fn conflict(section: &Section, key: &str, why: &str, findings: &mut Findings) {
    let message = format!("`{key}` in [log.access]: {why}");
    findings.push(Diagnostic::error(Code::Conflict, section.place(key), message).label("remove this"));
}

/// Keys of a log that is off.
fn unused(section: &Section, findings: &mut Findings) {
    const OTHERS: [&str; 6] = ["fields", "path", "sample", "mask_query", "max_size", "keep"];
    for key in OTHERS.into_iter().filter(|key| section.given(key).is_some()) {
        let message = format!("`{key}` in [log.access] has no effect: the access log is off");
        let one = Diagnostic::warning(Code::UnusedKey, section.place(key), message);
        findings.push(one.help(Some("give it a `format`, or a `template`")));
    }
}

/// Whether lines can be written there. Nothing is opened: a check must leave no file behind.
fn writable(path: &Path, section: &Section, findings: &mut Findings) {
    use rustix::fs::{Access, access};
    let why = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Some("is a directory".to_owned()),
        Ok(_) => access(path, Access::WRITE_OK).err().map(|error| format!("cannot be written: {error}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let made = access(folder, Access::WRITE_OK | Access::EXEC_OK).err();
            made.map(|error| {
                format!("cannot be made in {}: {error}", printable(&folder.display().to_string()))
            })
        }
        Err(error) => Some(format!("cannot be written: {error}")),
    };
    if let Some(why) = why {
        let message = format!("`path` in [log.access]: {} {why}", printable(&path.display().to_string()));
        let one = Diagnostic::error(Code::Unreadable, section.place("path"), message);
        findings.push(one.label("expected a file that can be written"));
    }
}
