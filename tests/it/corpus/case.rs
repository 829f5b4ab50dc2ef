//! The cases of `tests/data/http/`, read from their files.

use std::path::Path;

/// One case: its name and its lines, sigil and text apart.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// File and name.
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sigil: String,
    pub(crate) text: Vec<u8>,
}

/// A head, a body and trailers as they must arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<String>,
    /// The connection is closed behind it.
    pub(crate) close: bool,
}

impl Case {
    /// Every case of every file in `folder` whose name begins so.
    pub(crate) fn read_all(folder: &str, prefix: &str) -> Vec<Self> {
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
        files.sort();
        let cases: Vec<Self> = files.iter().flat_map(|path| read(path)).collect();
        let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
        names.sort();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two cases of one name"));
        cases
    }

    /// The lines with these sigils, joined: `with_end` puts CRLF behind those of the first.
    pub(crate) fn bytes(&self, with_end: &str, without: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.lines.iter().filter(|line| line.sigil == with_end || line.sigil == without) {
            bytes.extend_from_slice(&line.text);
            if line.sigil == with_end {
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    }

    /// Whether a line consists of this word.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.lines.iter().any(|line| line.sigil == word)
    }
}

impl Line {
    /// The text as a line of a head, one character for each octet.
    pub(crate) fn latin1(&self) -> String {
        self.text.iter().map(|octet| *octet as char).collect()
    }
}

impl Expected {
    /// Takes a line of a message that is to arrive. Says whether it was one.
    pub(crate) fn take(&mut self, line: &Line, head: &str) -> bool {
        match line.sigil.as_str() {
            sigil if sigil == head => self.head.push(line.latin1()),
            "body" => self.body.extend_from_slice(&line.text),
            "trailer" => self.trailers.push(line.latin1()),
            "close" => self.close = true,
            _ => return false,
        }
        true
    }
}

fn read(path: &Path) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_string_lossy();
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (sigil, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sigil {
            "" | "#" => assert!(line.is_empty() || line.starts_with("# "), "{file}:{}: {line:?}", number + 1),
            "==" => cases.push(Case { name: format!("{file}: {rest}"), lines: Vec::new() }),
            _ => {
                let text = unescape(rest).unwrap_or_else(|| panic!("{file}:{}: {line:?}", number + 1));
                let case = cases.last_mut().unwrap_or_else(|| panic!("{file}:{}: no case", number + 1));
                case.lines.push(Line { sigil: sigil.to_owned(), text });
            }
        }
    }
    cases
}

/// The octets that a text with escapes stands for.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        match kind {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            's' => out.push(b' '),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            'x' => {
                out.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            '*' => {
                let (count, after) = rest.split_once('{')?;
                let (piece, after) = after.split_once('}')?;
                out.extend(unescape(piece)?.repeat(count.parse().ok()?));
                rest = after;
            }
            _ => return None,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

#[test]
fn escapes_stand_for_octets() {
    assert_eq!(unescape(r"a\r\n\t\0\\\s\xfF").unwrap(), b"a\r\n\t\0\\ \xff");
    assert_eq!(unescape(r"\*3{a\x01}b").unwrap(), b"a\x01a\x01a\x01b");
    assert_eq!(unescape(r"\q"), None);
}
