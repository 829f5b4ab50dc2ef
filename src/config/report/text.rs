//! A report as a compiler shows it.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::place::floor;
use super::{Diagnostic, Report, Severity, Span};

/// A longer line is cut around the place: the renderer would go through all of it.
const LINE_SHOWN_MAX: usize = 400;
/// Bytes shown before the place on such a line.
const LINE_BEFORE: usize = 120;

pub(super) fn render(report: &Report, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for one in report.diagnostics() {
        out.push_str(&renderer.render(&[group(report, one)]));
        out.push_str("\n\n");
    }
    match report.hidden() {
        0 => {}
        hidden => out.push_str(&format!("… and {hidden} more\n\n")),
    }
    out
}

fn group<'a>(report: &'a Report, one: &'a Diagnostic) -> Group<'a> {
    let level = match one.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&one.message).id(one.code.as_str()));
    group = match &one.span {
        None => group.element(Origin::path(report.file())),
        Some(span) => excerpt(report, group, span, &one.label),
    };
    for note in &one.notes {
        group = group.element(Level::NOTE.message(&note.message));
        if let Some(span) = &note.span {
            group = excerpt(report, group, span, "");
        }
    }
    match &one.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// Adds `file:line:column` and the line with a caret.
fn excerpt<'a>(report: &'a Report, group: Group<'a>, span: &Span, label: &'a str) -> Group<'a> {
    let place = report.place(span.start);
    let line = report.lines.line_span(&report.source, span.start);
    let long = line.len() > LINE_SHOWN_MAX;
    let from = floor(&report.source, span.start.saturating_sub(LINE_BEFORE)).max(line.start);
    let from = if long { from } else { line.start };
    let to = floor(&report.source, from + LINE_SHOWN_MAX).clamp(from, line.end);
    let shown = &report.source[from..to];
    // As in `place`: a byte order mark is no character of the first line.
    let (shown, from) = match shown.strip_prefix('\u{feff}') {
        Some(rest) if from == 0 => (rest, from + shown.len() - rest.len()),
        _ => (shown, from),
    };
    // What goes on below is marked to the end of its first line.
    let start = span.start.saturating_sub(from).min(shown.len());
    let end = span.end.saturating_sub(from).clamp(start, shown.len());
    let caret: Annotation<'_> = AnnotationKind::Primary.span(floor(shown, start)..floor(shown, end));
    let caret = if label.is_empty() { caret } else { caret.label(label) };
    let snippet = Snippet::source(shown).line_start(place.line).fold(false).annotation(caret);
    if long {
        // The renderer sees a part of the line and would count columns from its start.
        let origin = Origin::path(report.file()).line(place.line).char_column(place.column);
        return group.element(origin).element(snippet);
    }
    group.element(snippet.path(report.file()))
}
