//! The JSON schema of the file (draft 2020-12), written from the table of keys: what editors complete and check by.
//!
//! It takes every file that the reader takes. It cannot say everything the reader says: references, bounds of
//! sizes in units and what one key means for another stay with `equipoise check`.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::Vocabulary;
use super::keys::{self, Key, Kind, PAGE_MAX, Preset, Syntax};
use super::units::size_text;

/// What names a token of HTTP (RFC 9110 5.6.2).
const TOKEN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$";

/// The whole schema, as text for a file.
pub fn text(vocabulary: &Vocabulary<'_>) -> String {
    let mut schema = object(keys::ROOT, vocabulary);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Configuration of Equipoise");
    format!("{schema:#}\n")
}

fn object(keys: &[Key], vocabulary: &Vocabulary<'_>) -> Value {
    // What a later version brings is refused by this one.
    let known = keys.iter().filter(|key| key.kind.supported());
    let properties: Map<String, Value> =
        known.clone().map(|key| (key.name.to_owned(), property(key, vocabulary))).collect();
    let required: Vec<&str> =
        known.filter(|key| matches!(key.default, Preset::Required)).map(|key| key.name).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(key: &Key, vocabulary: &Vocabulary<'_>) -> Value {
    let mut schema = of(&key.kind, vocabulary);
    if let (Kind::Tables(_), Preset::Required) = (&key.kind, &key.default) {
        schema["minItems"] = json!(1);
    }
    let mut description = key.doc.to_owned();
    match key.default {
        Preset::Required => {}
        Preset::Literal(text) => schema["default"] = literal(text),
        Preset::Words(words) => description.push_str(&format!(" Default: {words}.")),
    }
    schema["description"] = json!(description);
    schema
}

/// What a value of this kind looks like.
fn of(kind: &Kind, vocabulary: &Vocabulary<'_>) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Fraction { max } => json!({ "type": "number", "minimum": 0.0, "maximum": max }),
        Kind::Factor { max } => json!({ "type": "number", "minimum": 1.0, "maximum": max }),
        Kind::Percent => json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100 }),
        Kind::Duration { zero } => {
            let units = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
            not_zero(json!({ "type": "string", "minLength": 2, "pattern": units }), *zero, "^(0+[a-z]+)+$")
        }
        Kind::Size { zero, .. } => {
            let units = "^[0-9]+(B|KiB|MiB|GiB)$";
            not_zero(json!({ "type": "string", "pattern": units }), *zero, "^0+[A-Za-z]+$")
        }
        Kind::Choice { now, .. } => json!({ "type": "string", "enum": now }),
        Kind::Balance => json!({ "type": "string", "enum": vocabulary.balance }),
        Kind::Text(syntax) => string(*syntax),
        Kind::Statuses => json!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$" },
        ] }),
        Kind::Cause => json!({ "anyOf": [
            { "type": "string", "enum": ["connect", "reset", "invalid", "timeout"] },
            { "type": "integer", "minimum": 400, "maximum": 599 },
            { "type": "string", "pattern": "^[45][0-9]{2}(-[45][0-9]{2})?$" },
        ] }),
        Kind::Either(kinds) => {
            let any: Vec<Value> =
                kinds.iter().filter(|kind| is_read(kind)).map(|kind| of(kind, vocabulary)).collect();
            json!({ "anyOf": any })
        }
        Kind::List { of: element, empty } => list(element, *empty, vocabulary),
        Kind::Pages => pages(vocabulary),
        Kind::Fields => json!({
            "type": "object",
            "propertyNames": string(Syntax::Field),
            "additionalProperties": string(Syntax::FieldValue),
        }),
        Kind::Table(keys) => object(keys, vocabulary),
        Kind::Tables(keys) => json!({ "type": "array", "items": object(keys, vocabulary) }),
        Kind::Named(keys) => json!({
            "type": "object",
            "propertyNames": string(Syntax::Segment),
            "additionalProperties": object(keys, vocabulary),
        }),
        Kind::Later(..) => json!(false),
    }
}

/// A list, or one element without brackets where that is no table.
fn list(element: &Kind, empty: bool, vocabulary: &Vocabulary<'_>) -> Value {
    let mut array = json!({ "type": "array", "items": of(element, vocabulary) });
    if !empty {
        array["minItems"] = json!(1);
    }
    let single = match element {
        Kind::Table(_) => return array,
        Kind::Either(kinds) => {
            let plain = kinds.iter().filter(|kind| is_read(kind) && !matches!(kind, Kind::Table(_)));
            json!({ "anyOf": plain.map(|kind| of(kind, vocabulary)).collect::<Vec<_>>() })
        }
        plain => of(plain, vocabulary),
    };
    json!({ "anyOf": [array, single] })
}

/// Whether this version reads any value of it.
fn is_read(kind: &Kind) -> bool {
    !matches!(kind, Kind::Choice { now: [], .. } | Kind::Later(..))
}

fn not_zero(mut schema: Value, zero: bool, pattern: &str) -> Value {
    if !zero {
        schema["not"] = json!({ "pattern": pattern });
    }
    schema
}

fn pages(vocabulary: &Vocabulary<'_>) -> Value {
    let statuses: Vec<String> = vocabulary.errors.iter().map(u16::to_string).collect();
    let file = json!({
        "type": "string", "minLength": 1,
        "description": format!("A file of at most {}.", size_text(PAGE_MAX)),
    });
    json!({ "type": "object", "propertyNames": { "enum": statuses }, "additionalProperties": file })
}

fn string(syntax: Syntax) -> Value {
    match syntax {
        Syntax::Name | Syntax::Parameter => json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
        Syntax::Segment => {
            json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^/]+$" })
        }
        Syntax::Bind | Syntax::Address => json!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$" }),
        Syntax::Net => json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$" }),
        Syntax::Path | Syntax::Target => json!({ "type": "string", "pattern": "^/" }),
        Syntax::Method | Syntax::Cookie | Syntax::Field => json!({ "type": "string", "pattern": TOKEN }),
        Syntax::HashKey => {
            let keys = "^(client-ip|path|uri|(header|cookie|query):.+)$";
            json!({ "type": "string", "pattern": keys })
        }
        Syntax::FieldValue => {
            json!({ "type": "string", "minLength": 1, "maxLength": 4096, "pattern": "^[ -~]+$" })
        }
        Syntax::Service => json!({ "type": "string", "maxLength": 256 }),
        Syntax::Needle => json!({ "type": "string", "minLength": 1, "maxLength": 16 << 10 }),
        Syntax::HostPattern | Syntax::Authority | Syntax::File => json!({ "type": "string", "minLength": 1 }),
        Syntax::Url => json!({ "type": "string", "format": "uri" }),
        Syntax::Reference | Syntax::Template | Syntax::LogField => json!({ "type": "string" }),
    }
}

/// A default as it stands in the table of keys, which is TOML.
fn literal(text: &str) -> Value {
    let (value, _) = DeValue::parse_recoverable(text);
    plain(value.get_ref())
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(value) => json!(value),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().ok()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().ok()),
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(name, item)| (name.get_ref().to_string(), plain(item.get_ref()))).collect()
        }
        DeValue::Datetime(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests;
