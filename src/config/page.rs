//! `error_pages`: statuses and the files that stand in place of our own short answers.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::keys::{Kind, PAGE_MAX, Syntax};
use super::model::ErrorPage;
use super::report::{Code, Diagnostic, Findings, printable};
use super::value;
use super::walk::{Item, Reader, Section, Value};

/// Octets at the start of a page that tell what it is.
const SNIFFED: usize = 512;

/// Reads a table of statuses and files; `name` is its key's.
pub(super) fn statuses(table: &DeTable<'_>, name: &str, reader: &mut Reader<'_>) -> Value {
    let mut pages = Vec::new();
    for (written, found) in table {
        let status = status(written, name, reader);
        let file = value::read(found, &Kind::Text(Syntax::File), name, "", reader);
        pages.extend(status.map(|status| (status, Item { span: found.span(), value: file })));
    }
    Value::Pages(pages)
}

/// A status that we answer ourselves. A page for another would never be shown.
fn status(written: &Spanned<DeString<'_>>, name: &str, reader: &mut Reader<'_>) -> Option<u16> {
    let known = reader.vocabulary.errors;
    let word = written.get_ref();
    let status = known.iter().copied().find(|status| status.to_string() == word.as_ref());
    if status.is_none() {
        let message =
            format!("`{name}`: \"{}\" is no status that the balancer answers itself", printable(word));
        let all: Vec<_> = known.iter().map(u16::to_string).collect();
        let one = Diagnostic::error(Code::BadValue, written.span(), message).label("no page can stand here");
        reader.findings.push(one.help(Some(format!("the statuses are {}", all.join(", ")))));
    }
    status
}

/// Reads the files of a listener's pages.
pub(super) fn load(section: &Section, key: &str, findings: &mut Findings) -> Vec<ErrorPage> {
    let mut pages = Vec::new();
    for (status, item) in section.pages(key) {
        let Value::Text(file) = &item.value else { continue };
        match content(Path::new(file), findings) {
            Ok(body) => {
                let content_type = content_type(file, &body);
                pages.push(ErrorPage { status: *status, content_type, body });
            }
            Err(why) => {
                let message = format!("`{key}`: {} cannot be read: {why}", printable(file));
                let one = Diagnostic::error(Code::Unreadable, item.span.clone(), message);
                findings.push(one.label("expected a readable file with the page"));
            }
        }
    }
    pages
}

fn content(file: &Path, findings: &mut Findings) -> Result<Vec<u8>, String> {
    findings
        .read(file, PAGE_MAX)
        .map_err(|why| if why.starts_with("is ") { format!("it {why}") } else { why })
}

/// What the page is, by the end of its file's name, or else by how it begins.
fn content_type(file: &str, body: &[u8]) -> &'static str {
    let end = Path::new(file).extension().and_then(|end| end.to_str()).unwrap_or_default();
    // Of a page in another encoding nothing is claimed: browsers guess, or read its own declaration.
    let utf8 = std::str::from_utf8(body).is_ok();
    let html = if utf8 { "text/html; charset=utf-8" } else { "text/html" };
    let text = if utf8 { "text/plain; charset=utf-8" } else { "text/plain" };
    match end.to_ascii_lowercase().as_str() {
        "html" | "htm" => html,
        "json" => "application/json",
        "txt" => text,
        _ => match first_words(body) {
            start if start.starts_with("<!doctype html") || start.starts_with("<html") => html,
            start if start.starts_with(['{', '[']) => "application/json",
            _ => text,
        },
    }
}

/// How a page begins: in lower case, without a byte order mark and white space.
fn first_words(body: &[u8]) -> String {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start = start[..start.len().min(SNIFFED)].trim_ascii_start();
    String::from_utf8_lossy(start).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::{Reading, Vocabulary, read};
    use super::{PAGE_MAX, content_type};

    /// Reads a file with these lines in its listener, which begin on line 4.
    fn reading(lines: &str) -> Reading {
        let text = format!(
            "[[listener]]\nbind = '127.0.0.1:80'\npool = 'crm'\n{lines}\n[pool.crm]\nbackends = 'a:80'\n"
        );
        let vocabulary = Vocabulary {
            balance: &["round-robin"],
            errors: &[404, 503],
            log_variables: &["client", "status", "target"],
            listener_tls: |_| Vec::new(),
            pool_tls: |_, _| Vec::new(),
            otlp: |_| Vec::new(),
        };
        read("test.toml", &text, &vocabulary)
    }

    fn found(lines: &str) -> Vec<String> {
        let report = reading(lines).report;
        let shown = report.diagnostics().iter().map(|one| {
            let place = report.place(one.span.clone().unwrap_or(0..0).start);
            format!("{}:{} {}", place.line, place.column, one.code.as_str())
        });
        shown.collect()
    }

    #[test]
    fn pages_are_read_however_the_table_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sorry.html");
        std::fs::write(&file, "<p>sorry").unwrap();
        let file = file.display();
        for lines in [
            format!("error_pages = {{ \"503\" = '{file}' }}"),
            format!("error_pages.503 = '{file}'"),
            format!("[listener.error_pages]\n503 = '{file}'"),
        ] {
            let config = reading(&lines).config.unwrap_or_else(|| panic!("{lines}: {:?}", found(&lines)));
            let pages = &config.listeners[0].error_pages;
            assert_eq!(pages.len(), 1, "{lines}");
            assert_eq!((pages[0].status, &pages[0].body[..]), (503, &b"<p>sorry"[..]));
        }
    }

    #[test]
    fn what_can_be_no_page_is_told_at_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.html");
        std::fs::write(&large, vec![b'x'; PAGE_MAX as usize]).unwrap();
        let fits = format!("error_pages.503 = '{}'", large.display());
        assert!(reading(&fits).config.is_some(), "{:?}", found(&fits));
        std::fs::write(&large, vec![b'x'; PAGE_MAX as usize + 1]).unwrap();
        assert_eq!(found(&fits), ["4:19 unreadable"]);
        for (line, expected) in [
            ("error_pages = { \"503\" = '/none/503.html' }", "4:25 unreadable"),
            ("error_pages = { \"503\" = '/' }", "4:25 unreadable"),
            ("error_pages = { \"503\" = '/dev/null' }", "4:25 unreadable"),
            ("error_pages = { \"500\" = '/none' }", "4:17 bad-value"),
            ("error_pages = { \"0503\" = '/none' }", "4:17 bad-value"),
            ("error_pages = { \"503\" = 7 }", "4:25 wrong-type"),
            ("error_pages = '/none'", "4:15 wrong-type"),
        ] {
            assert_eq!(found(line), [expected], "{line}");
        }
    }

    #[test]
    fn the_type_is_the_names_or_else_the_contents() {
        const HTML: &str = "text/html; charset=utf-8";
        const TEXT: &str = "text/plain; charset=utf-8";
        for (file, body, expected) in [
            ("/a/503.html", "{}", HTML),
            ("503.HTM", "", HTML),
            ("503.json", "<html>", "application/json"),
            ("503.txt", "<html>", TEXT),
            ("503", "\u{feff}\n <!DOCTYPE html>", HTML),
            ("sorry.page", "<HTML lang=en>", HTML),
            ("503", "  {\"sorry\": true}", "application/json"),
            ("503", "[1]", "application/json"),
            ("503", "sorry", TEXT),
            ("503", "", TEXT),
        ] {
            assert_eq!(content_type(file, body.as_bytes()), expected, "{file} {body:?}");
        }
        assert_eq!(content_type("503.html", b"<p>\xe9"), "text/html");
        assert_eq!(content_type("503", b"caf\xe9"), "text/plain");
    }
}
