//! A report for editors and CI.

use serde_json::{Value, json};

use super::{Report, place::Place};

pub(super) fn render(report: &Report) -> String {
    let all: Vec<Value> = report
        .diagnostics()
        .iter()
        .map(|one| {
            let (start, end) = places(report, one.span.as_ref());
            let notes: Vec<Value> = one
                .notes
                .iter()
                .map(|note| {
                    let (start, end) = places(report, note.span.as_ref());
                    json!({
                        "message": note.message,
                        "line": start.line, "column": start.column,
                        "end_line": end.line, "end_column": end.column,
                    })
                })
                .collect();
            json!({
                "severity": one.severity.as_str(),
                "code": one.code.as_str(),
                "message": one.message,
                "file": report.file(),
                "line": start.line, "column": start.column,
                "end_line": end.line, "end_column": end.column,
                "help": one.help,
                "notes": notes,
            })
        })
        .collect();
    format!("{:#}", Value::Array(all))
}

/// The file as a whole stands at its first character: every editor can show that.
fn places(report: &Report, span: Option<&super::Span>) -> (Place, Place) {
    let span = span.cloned().unwrap_or(0..0);
    (report.place(span.start), report.place(span.end))
}
