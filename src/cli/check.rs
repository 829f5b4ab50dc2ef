//! `equipoise check`

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_CONFIG, Format, output};
use crate::config::{self, Report};
use crate::snapshot;

/// Reads and checks the file and prints the report to standard output.
pub(super) fn run(path: &Path, format: Format) -> ExitCode {
    let reading = config::load(path, &snapshot::vocabulary());
    let color = std::io::stdout().is_terminal() && output::may_color();
    let text = match format {
        Format::Text => reading.report.to_text(color) + &verdict(&reading.report),
        Format::Json => reading.report.to_json(),
    };
    let printed = output::print(&format!("{text}\n"));
    if reading.report.has_errors() { ExitCode::from(EXIT_CONFIG) } else { printed }
}

/// `FILE: ok, 2 warnings`
fn verdict(report: &Report) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let warnings = match report.warnings() {
        0 => String::new(),
        some => format!(", {}", count(some, "warning")),
    };
    let verdict = match report.errors() {
        0 => "ok".to_owned(),
        some => count(some, "error"),
    };
    format!("{}: {verdict}{warnings}", report.file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::REGISTRY;

    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

    /// After a change of the table of keys: `UPDATE_DOCS=1 cargo test --lib cli::check` writes the page anew.
    #[test]
    fn the_reference_page_is_what_the_table_of_keys_says() {
        let algorithms: Vec<_> = REGISTRY.iter().map(|one| (one.name, one.summary)).collect();
        let page = config::reference::page(&algorithms);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(REFERENCE, &page).unwrap();
        }
        assert!(std::fs::read_to_string(REFERENCE).unwrap() == page, "docs/configuration.md is out of date");
    }

    #[test]
    fn the_examples_are_clean() {
        for name in ["minimal", "crm", "equipoise"] {
            let path = format!("{}/config/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let reading = config::load(Path::new(&path), &snapshot::vocabulary());
            assert_eq!(reading.report.to_text(false), "", "{name}");
            assert!(reading.config.is_some(), "{name}");
        }
    }

    #[test]
    fn every_toml_block_of_the_page_is_clean() {
        let page = std::fs::read_to_string(REFERENCE).unwrap();
        let blocks: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            let reading = config::read("page", block, &snapshot::vocabulary());
            assert_eq!(reading.report.to_text(false), "");
        }
    }

    #[test]
    fn the_verdict_counts() {
        let verdict_of = |text: &str| verdict(&config::read("f", text, &snapshot::vocabulary()).report);
        let file = "[[listener]]\nbind = '127.0.0.1:80'\npool = 'a'\n[pool.a]\nbackends = 'h:1'\n";
        assert_eq!(verdict_of(file), "f: ok");
        assert_eq!(verdict_of(&format!("{file}[pool.b]\nbackends = 'h:1'\n")), "f: ok, 1 warning");
        assert_eq!(verdict_of(&format!("x = 1\ny = 2\n{file}")), "f: 2 errors");
    }
}
