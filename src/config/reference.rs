//! The reference page, written from the table of keys: `docs/configuration.md` is held equal to it by a test.

use super::keys::{self, Key, Kind, Preset};
use super::report::{Code, SHOWN_MAX};
use super::units::size_text;

/// What the page says before the tables.
const INTRO: &str = include_str!("reference/intro.md");

/// The whole page in Markdown; `algorithms`: names and summaries of what `balance` may say.
pub fn page(algorithms: &[(&str, &str)]) -> String {
    let mut out =
        INTRO.replace("FILE_MAX", &size_text(super::FILE_MAX)).replace("SHOWN_MAX", &SHOWN_MAX.to_string());
    for key in keys::ROOT {
        sections(key, "", &mut out);
    }
    out.push_str("## Balancing\n\n| `balance` | how it picks |\n| --- | --- |\n");
    for (name, summary) in algorithms {
        out.push_str(&format!("| `{name}` | {summary} |\n"));
    }
    out.push_str("\n## Codes of diagnostics\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in Code::ALL {
        out.push_str(&format!("| `{}` | {meaning} |\n", code.as_str()));
    }
    out
}

/// The section of one table, then those of the tables in it.
fn sections(key: &'static Key, outer: &str, out: &mut String) {
    let path = if outer.is_empty() { key.name.to_owned() } else { format!("{outer}.{}", key.name) };
    let path = if matches!(key.kind, Kind::Named(_)) { format!("{path}.NAME") } else { path };
    let heading = match key.kind {
        Kind::Tables(_) => format!("[[{path}]]"),
        Kind::List { .. } => format!("{path} = [{{ … }}]"),
        _ => format!("[{path}]"),
    };
    out.push_str(&format!("## `{heading}`\n\n"));
    if !key.kind.supported() {
        out.push_str("Not supported yet. ");
    }
    out.push_str(&format!("{}\n\n", key.doc));
    if let (Kind::Table(_) | Kind::Later(..), Preset::Words(words)) = (&key.kind, &key.default) {
        out.push_str(&format!("Default: {words}.\n\n"));
    }
    out.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for child in key.kind.children() {
        row(child, out);
    }
    out.push('\n');
    for child in key.kind.children().iter().filter(|child| !child.kind.children().is_empty()) {
        sections(child, &path, out);
    }
}

fn row(key: &Key, out: &mut String) {
    let default = match key.default {
        Preset::Required => "required".to_owned(),
        Preset::Literal(text) => format!("`{text}`"),
        Preset::Words(words) => words.to_owned(),
    };
    let doc =
        if key.kind.supported() { key.doc.to_owned() } else { format!("*Not supported yet.* {}", key.doc) };
    let cells = [format!("`{}`", key.name), shape(&key.kind), default, doc];
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// The kind of a value in the words of the page, and what will be allowed later.
fn shape(kind: &Kind) -> String {
    match kind {
        Kind::Choice { now, later } => {
            let later: Vec<_> = later.iter().map(|word| format!("\"{word}\" is not supported yet")).collect();
            [vec![keys::one_of(now)], later].concat().join("; ")
        }
        Kind::Either(kinds) => {
            let later = kinds.iter().filter_map(|kind| match kind {
                Kind::Choice { now: [], later } => {
                    Some(format!("{} is not supported yet", keys::one_of(later)))
                }
                _ => None,
            });
            std::iter::once(kind.expected()).chain(later).collect::<Vec<_>>().join("; ")
        }
        other => other.expected(),
    }
}
