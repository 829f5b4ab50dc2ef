//! Finds the rooms that a source text names: `crate::room`, `crate::{a, b::c}`, `$crate::room`, `equipoise::room`
//! and `super::…` chains that reach the crate's root.
//!
//! No full parser: comments, strings and characters are left out, the rest is cut into words and signs, and
//! that is all these paths need.

/// A room that is named somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) room: String,
    pub(super) line: usize,
}

/// The rooms named in `text`, in order and with repetition. `depth` is how many modules the file stands below the
/// crate's root: 1 for `src/a.rs`, 2 for `src/a/b.rs`.
pub(super) fn rooms_named(text: &str, depth: usize) -> Vec<Found> {
    let tokens = tokens_of(text);
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut inline_modules: Vec<usize> = Vec::new(); // brace depth at which each `mod x {` was opened
    let mut braces = 0;
    let mut at = 0;
    while at < tokens.len() {
        match word(at) {
            "{" => {
                if at >= 2 && word(at - 2) == "mod" {
                    inline_modules.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces = braces.saturating_sub(1);
                if inline_modules.last() == Some(&braces) {
                    inline_modules.pop();
                }
            }
            "crate" | "equipoise" if word(at + 1) == "::" => collect(&tokens, at + 2, &mut found),
            "super" if at == 0 || word(at - 1) != "::" => {
                let mut steps = 0;
                while word(at) == "super" && word(at + 1) == "::" {
                    steps += 1;
                    at += 2;
                }
                if steps == depth + inline_modules.len() {
                    collect(&tokens, at, &mut found);
                }
                at = at.max(1) - usize::from(steps > 0);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Takes the first name at `at`, or of every branch of the group that opens there.
fn collect(tokens: &[Token], at: usize, found: &mut Vec<Found>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push(Found { room: first.text.clone(), line: first.line });
        return;
    }
    let mut depth = 0;
    let mut branch_begins = false;
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                branch_begins = depth == 1;
            }
            "}" => depth -= 1,
            "," => branch_begins = depth == 1,
            name => {
                if branch_begins {
                    found.push(Found { room: name.to_owned(), line: token.line });
                }
                branch_begins = false;
            }
        }
        if depth == 0 {
            return;
        }
    }
}

struct Token {
    text: String,
    line: usize,
}

/// Words, `::` and single signs; no white space, comments, strings or characters.
fn tokens_of(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => end_of_line(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_block_comment(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'r' if raw_hashes(bytes, at).is_some() => end_of_raw_string(bytes, at),
            b'\'' => end_of_character(bytes, at),
            byte if is_word(byte) => {
                let end = at + bytes[at..].iter().take_while(|b| is_word(**b)).count();
                // A prefix such as b"…" or br#"…"# is left as a word of its own; the string after it is skipped.
                let end = if raw_hashes(bytes, end - 1).is_some() && end - at == 2 { end - 1 } else { end };
                tokens.push(Token { text: text[at..end].to_owned(), line });
                end
            }
            b':' if bytes[at..].starts_with(b"::") => {
                tokens.push(Token { text: "::".into(), line });
                at + 2
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    tokens.push(Token { text: char::from(byte).to_string(), line });
                }
                at + 1
            }
        };
        line += bytes[at..end].iter().filter(|byte| **byte == b'\n').count();
        at = end;
    }
    tokens
}

/// Letters beyond ASCII count as part of a word: a word is cut only at ASCII signs, never inside a character.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| **byte != b'\n').count()
}

/// Block comments nest.
fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The number of hashes if a raw string (`r"`, `r#"`, …) opens at `at`.
fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn end_of_raw_string(bytes: &[u8], start: usize) -> usize {
    let hashes = raw_hashes(bytes, start).unwrap_or(0);
    let close = format!("\"{}", "#".repeat(hashes));
    let begin = start + hashes + 2;
    let length = bytes[begin..].windows(close.len()).position(|window| window == close.as_bytes());
    length.map_or(bytes.len(), |length| begin + length + close.len())
}

/// A character literal, or only the quote of a lifetime.
fn end_of_character(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start + 1) {
        Some(b'\\') => {
            let rest = bytes[start + 3..].iter().position(|byte| *byte == b'\'');
            rest.map_or(bytes.len(), |rest| start + 3 + rest + 1)
        }
        Some(byte) if byte.is_ascii() => start + if bytes.get(start + 2) == Some(&b'\'') { 3 } else { 1 },
        Some(_) => {
            let rest = bytes[start + 1..].iter().take(5).position(|byte| *byte == b'\'');
            start + rest.map_or(1, |rest| rest + 2)
        }
        None => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, depth: usize) -> Vec<String> {
        rooms_named(text, depth).into_iter().map(|found| found.room).collect()
    }

    #[test]
    fn single_paths_and_groups() {
        assert_eq!(names("use crate::http::Head;\nfn f() { crate::backend::x() }", 1), ["http", "backend"]);
        assert_eq!(
            names("use crate::{http::{Head, Field}, backend, route::Table as T};", 1),
            ["http", "backend", "route"]
        );
        assert_eq!(names("equipoise::cli::main(); pub(crate) fn g() {}", 1), ["cli"]);
        assert_eq!(names("macro_rules! m { () => { $crate::timer::now() } }", 1), ["timer"]);
    }

    #[test]
    fn comments_strings_and_characters_do_not_count() {
        let text = "// crate::a\n/* crate::b /* crate::c */ */ let s = \"crate::d\\\" crate::e\";\n\
                    let r = r#\"crate::f\" \"#; let b = br#\"crate::g\"#; let q = '\"'; let n = '\\''; crate::h::x();\n\
                    fn life<'a>(x: &'a str, é: char) -> char { 'é' } crate::i::y();";
        assert_eq!(names(text, 1), ["h", "i"]);
    }

    #[test]
    fn super_counts_only_where_it_reaches_the_root() {
        assert_eq!(names("use super::config::Config;", 1), ["config"]);
        assert_eq!(names("use super::sibling::X;", 2), [""; 0]);
        assert_eq!(names("use super::super::config::Config;", 2), ["config"]);
        assert_eq!(
            names("mod tests { use super::*; use super::super::config::C; } use super::http::H;", 1),
            ["config", "http"]
        );
    }

    #[test]
    fn lines_are_those_of_the_name() {
        let found = rooms_named("\n\nuse crate::{\n    http,\n    backend,\n};", 1);
        assert_eq!(
            found,
            [Found { room: "http".into(), line: 4 }, Found { room: "backend".into(), line: 5 }]
        );
    }
}
