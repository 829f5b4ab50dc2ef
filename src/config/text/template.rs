//! Lines of a log with names in braces.

use std::ops::Range;

use super::Fault;

/// Bytes of a template: more is no line that anybody reads.
const TEMPLATE_MAX: usize = 4096;

/// A part of a template, and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Part {
    /// Stands as it is.
    Text(String),
    /// What stood in braces.
    Name(Range<usize>),
    /// A brace that does not belong to another.
    Stray(usize),
}

/// Whether a text can be a template; its names are another matter.
pub(super) fn line(word: &str) -> Result<String, Fault> {
    if word.is_empty() {
        return Err(Fault::new("the template is empty"));
    }
    if word.len() > TEMPLATE_MAX {
        return Err(Fault::new("the template is longer than 4 KiB"));
    }
    if word.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(Fault::new("a template is one line, without control characters but the tabulator"));
    }
    Ok(word.to_owned())
}

/// The parts of a template: `{name}`; `{{` and `}}` are braces.
pub(in crate::config) fn parts(template: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    while at < template.len() {
        let rest = &template[at..];
        let plain = rest.find(['{', '}']).unwrap_or(rest.len());
        text.push_str(&rest[..plain]);
        let (here, rest) = (at + plain, &rest[plain..]);
        at = here;
        if rest.is_empty() {
            break;
        }
        if rest.starts_with("{{") || rest.starts_with("}}") {
            text.push_str(&rest[..1]);
            at += 2;
            continue;
        }
        let part = match rest[1..].find(['{', '}']).filter(|_| rest.starts_with('{')) {
            Some(length) if rest.as_bytes()[length + 1] == b'}' => {
                at += length + 2;
                Part::Name(here + 1..here + 1 + length)
            }
            _ => {
                at += 1;
                Part::Stray(here)
            }
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(part);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn braces_hold_names_and_doubled_ones_are_braces() {
        let text = |text: &str| Part::Text(text.into());
        assert_eq!(parts("{a} {{b}}{c}"), [Part::Name(1..2), text(" {b}"), Part::Name(10..11)]);
        assert_eq!(parts("plain"), [text("plain")]);
        assert_eq!(parts("{}"), [Part::Name(1..1)]);
        assert_eq!(parts("a{b"), [text("a"), Part::Stray(1), text("b")]);
        assert_eq!(parts("a}b"), [text("a"), Part::Stray(1), text("b")]);
        assert_eq!(parts("{a{b}"), [Part::Stray(0), text("a"), Part::Name(3..4)]);
    }

    proptest! {
        #[test]
        fn every_name_stands_where_it_is_said_to(template in "[{}aé ]{0,20}") {
            for part in parts(&template) {
                if let Part::Name(range) = part {
                    prop_assert_eq!(&template[range.start - 1..range.start], "{");
                    prop_assert_eq!(&template[range.end..=range.end], "}");
                    let inner = &template[range];
                    let clean = !inner.contains(['{', '}']);
                    prop_assert!(clean, "{:?}", inner);
                }
            }
        }
    }
}
