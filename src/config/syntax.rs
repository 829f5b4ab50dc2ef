//! TOML text → tables with places, and every syntax error.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use super::report::{Code, Diagnostic, Findings, Span, printable};

/// Reads what can be read; the rest is reported.
pub(super) fn parse<'a>(text: &'a str, findings: &mut Findings) -> DeTable<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let table = table.into_inner();
    let mut doubled = Vec::new();
    let mut last = None;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let span = clamp(text, span);
        if error.message() == "duplicate key" {
            doubled.push(span);
            continue;
        }
        // One slip makes the parser complain several times along the line; the first says it best.
        let line = line_of(text, span.start);
        findings.mark_broken(lost(text, &line));
        if last.as_ref() == Some(&line) {
            continue;
        }
        last = Some(line);
        findings.push(Diagnostic::error(Code::Syntax, span, printable(error.message())).label(""));
    }
    findings.sort_broken();
    report_doubled(text, &table, doubled, findings);
    table
}

/// What cannot be judged after a syntax error on `line`: the line, or after a broken header its whole
/// section, because the parser has put those keys into another table.
fn lost(text: &str, line: &Span) -> Span {
    let header = text.get(line.clone()).is_some_and(|line| line.trim_start().starts_with('['));
    if header { extent(text, line) } else { line.clone() }
}

/// From a section's header to the next one: where a key of it might have been lost.
pub(super) fn extent(text: &str, header: &Span) -> Span {
    let from = header.end.min(text.len());
    let rest = text.get(from..).unwrap_or_default();
    let next = memchr::memmem::find(rest.as_bytes(), b"\n[").map_or(text.len(), |at| from + at + 1);
    header.start..next.max(header.start)
}

/// The parser knows the earlier place but does not hand it out, so it is looked up here.
fn report_doubled(text: &str, table: &DeTable<'_>, doubled: Vec<Span>, findings: &mut Findings) {
    if doubled.is_empty() {
        return;
    }
    let mut keys = HashMap::new();
    collect_keys(table, &mut keys);
    let headers = headers(text);
    let mut before: Option<Span> = None;
    for span in doubled {
        if before.replace(span.clone()) == Some(span.clone()) {
            continue;
        }
        if findings.is_full() {
            findings.push(Diagnostic::error(Code::DuplicateKey, span, ""));
            continue;
        }
        let word = text.get(span.clone()).unwrap_or_default();
        let line = line_of(text, span.start);
        let whole = text.get(line.clone()).unwrap_or_default();
        let earlier = if whole.trim_start().starts_with('[') {
            let places = headers.get(header_name(whole).as_str());
            places
                .and_then(|places| places.iter().copied().find(|at| *at < line.start))
                .map(|at| line_of(text, at))
        } else {
            let name = word.trim_matches(['"', '\'']);
            keys.get(name)
                .and_then(|places: &Vec<Span>| {
                    places.iter().filter(|place| place.end <= span.start).max_by_key(|p| p.start)
                })
                .cloned()
        };
        let message = format!("`{}` stands twice", printable(word));
        let mut one = Diagnostic::error(Code::DuplicateKey, span, message).label("the second time");
        if let Some(earlier) = earlier {
            one = one.note(earlier, "the first time is here");
        }
        findings.push(one);
    }
}

fn collect_keys<'t>(table: &'t DeTable<'_>, keys: &mut HashMap<&'t str, Vec<Span>>) {
    for (key, value) in table {
        keys.entry(key.get_ref().as_ref()).or_default().push(key.span());
        collect_below(value.get_ref(), keys);
    }
}

fn collect_below<'t>(value: &'t DeValue<'_>, keys: &mut HashMap<&'t str, Vec<Span>>) {
    match value {
        DeValue::Table(table) => collect_keys(table, keys),
        DeValue::Array(items) => items.iter().for_each(|item| collect_below(item.get_ref(), keys)),
        _ => {}
    }
}

/// Where each section header stands, by its name without spaces.
fn headers(text: &str) -> HashMap<String, Vec<usize>> {
    let mut headers: HashMap<String, Vec<usize>> = HashMap::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            headers.entry(header_name(line)).or_default().push(at);
        }
        at += line.len();
    }
    headers
}

fn header_name(line: &str) -> String {
    let name = line.split(']').next().unwrap_or_default();
    name.chars().filter(|c| !c.is_whitespace() && *c != '"').collect()
}

/// The bytes of the line, without its end.
fn line_of(text: &str, offset: usize) -> Span {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    start..end
}

/// Spans of the parser are inside the text; this makes sure of it, whatever a later version does.
fn clamp(text: &str, span: Span) -> Span {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.min(text.len()));
    start..end.max(start)
}
