//! Tables with places × the table of keys → values of the right kind, with every error on the way.
//!
//! What comes out is complete: where a key is absent its default stands. What could not be read stands
//! as [`Value::Invalid`], so that no later step complains about it again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, Key, Kind, Preset};
use super::model::{HashKey, HostPattern};
use super::report::{Code, Diagnostic, Findings, Span, printable};
use super::suggest::nearest;
use super::{Vocabulary, fields, page, value};

/// A value of the right kind.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // each is the kind of the same name
pub(super) enum Value {
    Boolean(bool),
    Integer(u64),
    Fraction(f64),
    Duration(Duration),
    Size(u64),
    Text(String),
    Bind(SocketAddr),
    Net(IpNet),
    Host(HostPattern),
    HashKey(HashKey),
    Statuses(u16, u16),
    List(Vec<Item>),
    /// Statuses and the files that stand for them.
    Pages(Vec<(u16, Item)>),
    /// Names of fields in lower case, with their places, and the values.
    Fields(Vec<(String, Item)>),
    Table(Section),
    Tables(Vec<Section>),
    Named(Vec<(String, Section)>),
    /// Reported already.
    Invalid,
}

/// An element of a list.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub span: Span,
    pub value: Value,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: Span,
    pub span: Span,
    pub value: Value,
    /// False: the default.
    pub given: bool,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    /// Its header, its key or its braces.
    pub span: Span,
    entries: HashMap<&'static str, Entry>,
    /// Keys that unknown ones were probably meant to be.
    meant: Vec<&'static str>,
}

/// What reading needs at every step.
pub(super) struct Reader<'a> {
    /// The file.
    pub text: &'a str,
    /// Names from outside.
    pub vocabulary: &'a Vocabulary<'a>,
    /// What was found so far.
    pub findings: Findings,
}

/// Reads the whole file.
pub(super) fn root(table: &DeTable<'_>, reader: &mut Reader<'_>) -> Section {
    section(table, 0..0, keys::ROOT, "", reader)
}

/// Reads one table; `place` is its name for messages, such as `[pool.crm]`.
pub(super) fn section(
    table: &DeTable<'_>,
    span: Span,
    keys: &'static [Key],
    place: &str,
    reader: &mut Reader<'_>,
) -> Section {
    let mut entries = HashMap::new();
    let mut meant = Vec::new();
    for (name, found) in table {
        let Some(key) = keys.iter().find(|key| key.name == name.get_ref().as_ref()) else {
            meant.extend(unknown(name, keys, place, reader));
            continue;
        };
        if !key.kind.supported() {
            let message = format!("`{}` in {} is not supported yet", key.name, at(place));
            let one = Diagnostic::error(Code::NotSupported, name.span(), message).label("not supported yet");
            reader.findings.push(one.help(Some("remove it: this version would not do what it says")));
            continue;
        }
        let value = read(found, key, &below(place, key), reader);
        entries.insert(key.name, Entry { key: name.span(), span: found.span(), value, given: true });
    }
    for key in keys.iter().filter(|key| key.kind.supported()) {
        if !entries.contains_key(key.name)
            && let Some(value) = preset(key, &span, place, meant.contains(&key.name), reader)
        {
            entries.insert(key.name, Entry { key: span.clone(), span: span.clone(), value, given: false });
        }
    }
    Section { span, entries, meant }
}

/// The value of an absent key; reports one that has no default, unless it stands there `misspelt`.
fn preset(
    key: &'static Key,
    span: &Span,
    place: &str,
    misspelt: bool,
    reader: &mut Reader<'_>,
) -> Option<Value> {
    match (&key.kind, &key.default) {
        (_, Preset::Required) => {
            // A line that could not be read may have held it.
            let extent = super::syntax::extent(reader.text, span);
            if !misspelt && !reader.findings.is_broken(&extent) {
                reader.findings.push(missing(key, span, place));
            }
            Some(Value::Invalid)
        }
        (Kind::Table(keys), _) => {
            Some(Value::Table(section(&DeTable::new(), span.clone(), keys, &below(place, key), reader)))
        }
        (_, Preset::Literal(text)) => {
            let (value, _) = DeValue::parse_recoverable(text);
            Some(read(&value, key, place, reader))
        }
        (_, Preset::Words(_)) => None,
    }
}

fn missing(key: &Key, span: &Span, place: &str) -> Diagnostic {
    if place.is_empty() {
        let help = "the smallest file: [[listener]] with bind and pool, [pool.NAME] with backends";
        return Diagnostic::of_file(Code::MissingKey, format!("no [[{}]] in the file", key.name))
            .help(Some(help));
    }
    Diagnostic::error(Code::MissingKey, span.clone(), format!("{} lacks `{}`", at(place), key.name))
        .label(format!("`{}` is missing", key.name))
        .help(Some(format!("expected {}", key.kind.expected())))
}

/// Reads one value by the kind of its key.
fn read(found: &Spanned<DeValue<'_>>, key: &'static Key, place: &str, reader: &mut Reader<'_>) -> Value {
    match (&key.kind, found.get_ref()) {
        (Kind::Table(keys), DeValue::Table(table)) => {
            Value::Table(section(table, found.span(), keys, place, reader))
        }
        (Kind::Tables(keys), DeValue::Array(items)) => {
            if items.is_empty() && matches!(key.default, Preset::Required) {
                reader.findings.push(missing(key, &found.span(), ""));
            }
            let mut tables = Vec::new();
            for item in items {
                match item.get_ref() {
                    DeValue::Table(table) => tables.push(section(table, item.span(), keys, place, reader)),
                    other => wrong_shape(item, key, &format!("found {}", kind_of(other)), reader),
                }
            }
            Value::Tables(tables)
        }
        (Kind::Tables(keys), DeValue::Table(table)) => {
            wrong_shape(found, key, "found one table", reader);
            Value::Tables(vec![section(table, found.span(), keys, place, reader)])
        }
        (Kind::Named(keys), DeValue::Table(table)) => named(table, key, keys, reader),
        (Kind::Pages, DeValue::Table(table)) => page::statuses(table, key.name, reader),
        (Kind::Fields, DeValue::Table(table)) => fields::read(table, key.name, reader),
        (Kind::Table(_) | Kind::Tables(_) | Kind::Named(_), other) => {
            wrong_shape(found, key, &format!("found {}", kind_of(other)), reader);
            Value::Invalid
        }
        (kind, _) => value::read(found, kind, key.name, place, reader),
    }
}

fn named(table: &DeTable<'_>, key: &Key, keys: &'static [Key], reader: &mut Reader<'_>) -> Value {
    let mut members = Vec::new();
    for (name, found) in table {
        let text = name.get_ref();
        if let Err(message) = super::text::segment(text) {
            let message = format!("`{}` is no name for a {}: {message}", printable(text), key.name);
            reader.findings.push(Diagnostic::error(Code::BadValue, name.span(), message));
        }
        let place = format!("[{}.{}]", key.name, printable(text));
        match found.get_ref() {
            DeValue::Table(table) => {
                members.push((text.to_string(), section(table, found.span(), keys, &place, reader)));
            }
            other => {
                let message =
                    format!("`{}.{}` must be a table, found {}", key.name, printable(text), kind_of(other));
                let help = format!("tables have names here: write [{}.NAME] above the keys", key.name);
                let one = Diagnostic::error(Code::WrongType, name.span(), message);
                reader.findings.push(one.label("expected a table").help(Some(help)));
                members.push((text.to_string(), Section::default()));
            }
        }
    }
    Value::Named(members)
}

fn wrong_shape(found: &Spanned<DeValue<'_>>, key: &Key, what: &str, reader: &mut Reader<'_>) {
    if found.span().is_empty() {
        return;
    }
    let (header, shape) = match key.kind {
        Kind::Tables(_) => (format!("[[{}]]", key.name), "a list of tables"),
        Kind::Named(_) => (format!("[{}.NAME]", key.name), "a table of tables"),
        _ => (format!("[{}]", key.name), "a table"),
    };
    let one =
        Diagnostic::error(Code::WrongType, found.span(), format!("`{}` must be {shape}, {what}", key.name));
    reader.findings.push(one.label(format!("expected {shape}")).help(Some(format!("write {header}"))));
}

/// Reports an unknown key and gives the one that was probably meant.
fn unknown(
    name: &Spanned<DeString<'_>>,
    keys: &'static [Key],
    place: &str,
    reader: &mut Reader<'_>,
) -> Option<&'static str> {
    let word = name.get_ref();
    if reader.findings.is_full() {
        reader.findings.push(Diagnostic::error(Code::UnknownKey, name.span(), ""));
        return None;
    }
    let message = format!("unknown key `{}` in {}", printable(word), at(place));
    let near = nearest(word, keys.iter().map(|key| key.name));
    let help = match near {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => elsewhere(word, keys).or_else(|| {
            let known: Vec<_> = keys.iter().filter(|key| key.kind.supported()).map(|key| key.name).collect();
            Some(format!("the keys here are {}", known.join(", ")))
        }),
    };
    let one = Diagnostic::error(Code::UnknownKey, name.span(), message).label("no such key here");
    reader.findings.push(one.help(help));
    near
}

/// The right key in the wrong table is the commonest slip after the wrong spelling.
fn elsewhere(word: &str, keys: &'static [Key]) -> Option<String> {
    let below = keys
        .iter()
        .find(|key| key.kind.supported() && key.kind.children().iter().any(|child| child.name == word));
    if let Some(table) = below {
        return Some(format!("`{word}` stands in `{}`: write `{}.{word}`", table.name, table.name));
    }
    let mut paths = Vec::new();
    find_paths(word, keys::ROOT, "", &mut paths);
    let first = paths.first()?;
    Some(format!("`{word}` stands in {first}"))
}

fn find_paths(word: &str, keys: &'static [Key], prefix: &str, paths: &mut Vec<String>) {
    for key in keys.iter().filter(|key| key.kind.supported()) {
        let path = below(prefix, key);
        if key.kind.children().iter().any(|child| child.name == word && child.kind.supported()) {
            paths.push(path.clone());
        }
        find_paths(word, key.kind.children(), &path, paths);
    }
}

/// The name of the table of `key` below `place`.
fn below(place: &str, key: &Key) -> String {
    let (open, close) = match key.kind {
        Kind::Tables(_) => ("[[", "]]"),
        _ => ("[", "]"),
    };
    let name = match key.kind {
        Kind::Named(_) => format!("{}.NAME", key.name),
        _ => key.name.to_owned(),
    };
    if !matches!(key.kind, Kind::Table(_) | Kind::Tables(_) | Kind::Named(_)) {
        return place.to_owned();
    }
    match place.trim_matches(['[', ']']) {
        "" => format!("{open}{name}{close}"),
        outer => format!("{open}{outer}.{name}{close}"),
    }
}

fn at(place: &str) -> &str {
    if place.is_empty() { "the file's top level" } else { place }
}

/// The TOML type in words.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl Section {
    /// Whether the key, or something below it, stands there but could not be read: nothing is said about
    /// names that may have been there.
    pub(super) fn spoilt(&self, key: &str) -> bool {
        let invalid = matches!(self.given(key), Some(Entry { value: Value::Invalid, .. }));
        invalid
            || self.meant.contains(&key)
            || self.named(key).iter().any(|(_, member)| member.span.is_empty())
    }

    /// The key, if the file has it.
    pub(super) fn given(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.given)
    }

    /// Where the value stands; the section itself where it is absent.
    pub(super) fn place(&self, key: &str) -> Span {
        self.given(key).map_or_else(|| self.span.clone(), |entry| entry.span.clone())
    }

    /// The value, or its default; `None`: absent without one, or reported already.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value).filter(|value| !matches!(value, Value::Invalid))
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        if let Some(Value::Boolean(value)) = self.value(key) { Some(*value) } else { None }
    }

    /// An integer or a size in bytes.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(Value::Integer(value) | Value::Size(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn fraction(&self, key: &str) -> Option<f64> {
        if let Some(Value::Fraction(value)) = self.value(key) { Some(*value) } else { None }
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        if let Some(Value::Duration(value)) = self.value(key) { Some(*value) } else { None }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        if let Some(Value::Text(value)) = self.value(key) { Some(value) } else { None }
    }

    /// The elements of a list; what could not be read is left out.
    pub(super) fn list(&self, key: &str) -> &[Item] {
        if let Some(Value::List(items)) = self.value(key) { items } else { &[] }
    }

    /// The files that are named by statuses; what could not be read is left out.
    pub(super) fn pages(&self, key: &str) -> &[(u16, Item)] {
        if let Some(Value::Pages(pages)) = self.value(key) { pages } else { &[] }
    }

    pub(super) fn fields(&self, key: &str) -> &[(String, Item)] {
        if let Some(Value::Fields(fields)) = self.value(key) { fields } else { &[] }
    }

    pub(super) fn table(&self, key: &str) -> Option<&Section> {
        if let Some(Value::Table(section)) = self.value(key) { Some(section) } else { None }
    }

    pub(super) fn tables(&self, key: &str) -> &[Section] {
        if let Some(Value::Tables(sections)) = self.value(key) { sections } else { &[] }
    }

    pub(super) fn named(&self, key: &str) -> &[(String, Section)] {
        if let Some(Value::Named(members)) = self.value(key) { members } else { &[] }
    }
}
