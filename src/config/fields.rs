//! Fields that go with a message of ours: `headers = { name = "value" }`, and files with one of them a line.

use std::path::Path;

use toml::de::DeTable;

use super::keys::{Kind, Syntax};
use super::model::{OwnField, Secret};
use super::report::{Code, Diagnostic, Findings, Span, printable};
use super::text::{field_value, token};
use super::value;
use super::walk::{Item, Reader, Section, Value};

/// Fields of one message, those of a file among them; more are a slip of the hand.
const FIELDS_MAX: usize = 32;
/// Bytes of a file with fields.
const FILE_MAX: u64 = 64 << 10;

/// Fields that say what the message is, where it goes or how its connection is used: we set them, or they would break it.
const SET_BY_US: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// Reads a table of names and values; `key` is its own name.
pub(super) fn read(table: &DeTable<'_>, key: &str, reader: &mut Reader<'_>) -> Value {
    let mut fields = Vec::new();
    for (name, found) in table {
        let word = name.get_ref();
        if let Some(why) = flaw(word) {
            let message = format!("`{key}`: \"{}\" {why}", printable(word));
            reader.findings.push(Diagnostic::error(Code::BadValue, name.span(), message));
        }
        let value = value::read(found, &Kind::Text(Syntax::FieldValue), key, "", reader);
        fields.push((word.to_ascii_lowercase(), Item { span: name.span(), value }));
    }
    Value::Fields(fields)
}

/// Why no field of this name can be sent; reads on after the name.
fn flaw(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    match token(name) {
        false => Some("is no name of a field"),
        true if SET_BY_US.contains(&lower.as_str()) => Some("is a field that cannot be set"),
        true => None,
    }
}

/// The fields of a section: those of `headers`, then those of the file that `headers_file` names.
pub(super) fn load(section: &Section, findings: &mut Findings) -> Vec<OwnField> {
    let mut all = Gathered { fields: Vec::new(), findings };
    for (name, item) in section.fields("headers") {
        let Value::Text(value) = &item.value else { continue };
        all.take("headers", &item.span, "", name.clone(), value.clone().into_bytes());
    }
    if let Some(file) = section.text("headers_file") {
        all.take_file(file, &section.place("headers_file"));
    }
    all.fields
}

/// The fields so far. Of those of a file nothing is shown but the name: their values are secrets.
struct Gathered<'f> {
    fields: Vec<OwnField>,
    findings: &'f mut Findings,
}

impl Gathered<'_> {
    fn take_file(&mut self, file: &str, place: &Span) {
        let shown = printable(file);
        let bytes = match self.findings.read(Path::new(file), FILE_MAX) {
            Ok(bytes) => bytes,
            Err(why) => {
                let message = format!("`headers_file`: {shown} cannot be read: {why}");
                let one = Diagnostic::error(Code::Unreadable, place.clone(), message);
                return self.findings.push(one.label("expected a readable file"));
            }
        };
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
        for (nth, line) in lines.filter(|(_, line)| !line.is_empty() && line[0] != b'#') {
            let at = format!("{shown}, line {}: ", nth + 1);
            match parts(line) {
                Ok((name, value)) => self.take("headers_file", place, &at, name, value),
                Err(why) => {
                    let message = format!("`headers_file`: {at}{why}");
                    let one = Diagnostic::error(Code::BadValue, place.clone(), message);
                    self.findings.push(one.help(Some("each line is `name: value`, or a comment after `#`")));
                }
            }
        }
    }

    fn take(&mut self, key: &str, place: &Span, at: &str, name: String, value: Vec<u8>) {
        let fault = if self.fields.iter().any(|field| field.name == name) {
            Some((Code::DuplicateName, format!("the field \"{}\" stands twice", printable(&name))))
        } else if self.fields.len() == FIELDS_MAX {
            Some((Code::BadValue, format!("more than {FIELDS_MAX} fields")))
        } else {
            None
        };
        match fault {
            Some((code, why)) => {
                self.findings.push(Diagnostic::error(code, place.clone(), format!("`{key}`: {at}{why}")));
            }
            None => self.fields.push(OwnField { name, value: Secret(value) }),
        }
    }
}

/// A line of a file: the name in lower case, and the value.
fn parts(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let line = std::str::from_utf8(line).map_err(|_| "is no text")?;
    let (name, value) = line.split_once(':').ok_or("has no colon")?;
    if let Some(why) = flaw(name) {
        // What stands there may be the value of a line that was broken.
        return Err(if token(name) {
            format!("\"{name}\" {why}")
        } else {
            "begins with no name of a field".into()
        });
    }
    let value =
        field_value(value.trim()).map_err(|_| "its value must be visible ASCII, of 1 to 4096 bytes")?;
    Ok((name.to_ascii_lowercase(), value.into_bytes()))
}
