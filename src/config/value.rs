//! One value × what its key wants → a value of the right kind, or an error at its place.

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::keys::{Kind, one_of};
use super::report::{Code, Diagnostic, printable};
use super::suggest::nearest;
use super::text::{self, Fault};
use super::units::{self, UnitError};
use super::walk::{Item, Reader, Value, kind_of, section};

/// Reads `found` as `kind`; `name` is the key's, `place` the name of its table.
pub(super) fn read(
    found: &Spanned<DeValue<'_>>,
    kind: &'static Kind,
    name: &str,
    place: &str,
    reader: &mut Reader<'_>,
) -> Value {
    // A value that the parser had to invent has no place; its syntax error is reported already.
    if found.span().is_empty() {
        return Value::Invalid;
    }
    let read = match (kind, found.get_ref()) {
        (Kind::List { of, empty }, value) => return list(found, value, (of, *empty), name, place, reader),
        (Kind::Table(keys), DeValue::Table(table)) => {
            let place = format!("an element of `{name}`");
            return Value::Table(section(table, found.span(), keys, &place, reader));
        }
        (Kind::Either(kinds), value) => {
            if let Some(fit) = kinds.iter().find(|kind| takes(kind, value)) {
                return self::read(found, fit, name, place, reader);
            }
            Err(wrong_type(kind, value))
        }
        (Kind::Balance, DeValue::String(word)) => balance(word, reader.vocabulary.balance),
        (_, value) => scalar(kind, value),
    };
    match read {
        Ok(value) => value,
        Err(fault) => {
            let message = format!("`{name}`: {}", fault.message);
            let one = Diagnostic::error(fault.code, found.span(), message);
            let label = if fault.code == Code::NotSupported {
                "not supported yet".to_owned()
            } else {
                format!("expected {}", kind.expected())
            };
            reader.findings.push(one.label(label).help(fault.help));
            Value::Invalid
        }
    }
}

fn list(
    found: &Spanned<DeValue<'_>>,
    value: &DeValue<'_>,
    (of, empty): (&'static Kind, bool),
    name: &str,
    place: &str,
    reader: &mut Reader<'_>,
) -> Value {
    let items: Vec<Item> = match value {
        DeValue::Array(items) if items.is_empty() && !empty => {
            let one = Diagnostic::error(Code::BadValue, found.span(), format!("`{name}`: the list is empty"));
            reader.findings.push(one.label("expected at least one element"));
            return Value::Invalid;
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| Item { span: item.span(), value: read(item, of, name, place, reader) })
            .collect(),
        // "A list may be written as one string where it has one element."
        DeValue::Table(_) => {
            let one = Diagnostic::error(
                Code::WrongType,
                found.span(),
                format!("`{name}`: expected a list, found a table"),
            );
            reader.findings.push(one.label("expected a list").help(Some("put it between [ and ]")));
            return Value::Invalid;
        }
        _ => vec![Item { span: found.span(), value: read(found, of, name, place, reader) }],
    };
    Value::List(items)
}

fn takes(kind: &Kind, value: &DeValue<'_>) -> bool {
    match kind {
        Kind::Boolean => value.is_bool(),
        Kind::Integer { .. } => value.is_integer() || value.is_float(),
        Kind::Table(_) => value.is_table(),
        Kind::Choice { .. } | Kind::Text(_) => value.is_str(),
        _ => true,
    }
}

fn scalar(kind: &Kind, value: &DeValue<'_>) -> Result<Value, Fault> {
    match (kind, value) {
        (Kind::Boolean, DeValue::Boolean(value)) => Ok(Value::Boolean(*value)),
        (Kind::Boolean, DeValue::String(word)) if matches!(word.as_ref(), "true" | "false") => {
            Err(wrong_type(kind, value).help(format!("write {word} without quotes")))
        }
        (Kind::Integer { min, max }, DeValue::Integer(number)) => {
            integer(number, *min, *max).map(Value::Integer)
        }
        (Kind::Integer { .. }, DeValue::String(word)) if word.parse::<u64>().is_ok() => {
            Err(wrong_type(kind, value).help(format!("write {word} without quotes")))
        }
        (Kind::Fraction { max }, DeValue::Float(number)) => fraction(number.as_str(), 0.0, *max),
        (Kind::Fraction { max }, DeValue::Integer(number)) => fraction(number.as_str(), 0.0, *max),
        (Kind::Factor { max }, DeValue::Float(number)) => fraction(number.as_str(), 1.0, *max),
        (Kind::Factor { max }, DeValue::Integer(number)) => fraction(number.as_str(), 1.0, *max),
        (Kind::Percent, DeValue::Float(number)) => percent(number.as_str()),
        (Kind::Percent, DeValue::Integer(number)) => percent(number.as_str()),
        (Kind::Duration { zero }, DeValue::String(word)) => duration(word, *zero),
        (Kind::Size { min, max, zero }, DeValue::String(word)) => size(word, *min, *max, *zero),
        (Kind::Duration { .. } | Kind::Size { .. }, DeValue::Integer(number)) => Err(bare(kind, number)),
        (Kind::Choice { now, later }, DeValue::String(word)) => choice(word, now, later),
        (Kind::Text(syntax), DeValue::String(word)) => text::read(*syntax, word),
        (Kind::Statuses, DeValue::String(word)) => text::statuses(word, 100),
        (Kind::Statuses, DeValue::Integer(number)) => text::statuses(&number.to_string(), 100),
        (Kind::Cause, DeValue::Integer(number)) => text::statuses(&number.to_string(), 400),
        (Kind::Cause, DeValue::String(word)) => cause(word),
        _ => Err(wrong_type(kind, value)),
    }
}

fn wrong_type(kind: &Kind, value: &DeValue<'_>) -> Fault {
    let message = format!("expected {}, found {}", kind.expected(), kind_of(value));
    Fault { code: Code::WrongType, message, help: None }
}

fn integer(number: &DeInteger<'_>, min: u64, max: u64) -> Result<u64, Fault> {
    let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
    read.filter(|value| (min..=max).contains(value)).ok_or_else(|| {
        let fault = Fault::new(format!("{} is not within {min} to {max}", printable(&number.to_string())));
        match (read, min) {
            (Some(0), 1..) => fault.help("0 does not switch this off"),
            _ => fault,
        }
    })
}

fn fraction(text: &str, min: f64, max: f64) -> Result<Value, Fault> {
    let read = text.parse::<f64>().ok().filter(|value| (min..=max).contains(value));
    read.map(Value::Fraction)
        .ok_or_else(|| Fault::new(format!("{} is not within {min:.1} to {max:.1}", printable(text))))
}

fn percent(text: &str) -> Result<Value, Fault> {
    let fault = || Fault::new(format!("{} is not above 0 and below 100", printable(text)));
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 100.0 => Ok(Value::Fraction(value)),
        Ok(100.0) => Err(fault().help("100 leaves no budget: no request might ever miss it")),
        _ => Err(fault()),
    }
}

fn duration(word: &str, zero: bool) -> Result<Value, Fault> {
    match units::duration(word) {
        Ok(value) if value.is_zero() && !zero => Err(no_zero(word)),
        Ok(value) => Ok(Value::Duration(value)),
        Err(error) => Err(unit_fault(word, error)),
    }
}

fn size(word: &str, min: u64, max: u64, zero: bool) -> Result<Value, Fault> {
    match units::size(word) {
        Ok(0) if zero => Ok(Value::Size(0)),
        Ok(0) => Err(no_zero(word)),
        Ok(value) if (min..=max).contains(&value) => Ok(Value::Size(value)),
        Ok(_) => {
            let (min, max) = (units::size_text(min), units::size_text(max));
            Err(Fault::new(format!("\"{word}\" is not within {min} to {max}")))
        }
        Err(error) => Err(unit_fault(word, error)),
    }
}

fn no_zero(word: &str) -> Fault {
    Fault::new(format!("\"{word}\" does not switch this off, and no wait or size is zero"))
}

fn unit_fault(word: &str, error: UnitError) -> Fault {
    let fault = Fault::new(format!("\"{}\": {}", printable(word), error.message));
    match error.meant {
        Some(meant) => fault.help(format!("did you mean \"{meant}\"?")),
        None => fault,
    }
}

/// A bare number where a unit belongs.
fn bare(kind: &Kind, number: &DeInteger<'_>) -> Fault {
    let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let shown = printable(&number.to_string());
    let fault = Fault { code: Code::WrongType, message: format!("{shown} has no unit"), help: None };
    let meant = match (kind, read) {
        (Kind::Duration { zero: true } | Kind::Size { zero: true, .. }, Some(0)) => {
            Some(if matches!(kind, Kind::Size { .. }) { "0B".into() } else { "0s".into() })
        }
        (_, Some(0)) | (_, None) => None,
        (Kind::Size { .. }, Some(number)) => Some(units::size_text(number)),
        (_, Some(number)) => Some(units::likely_duration(number)),
    };
    match meant {
        Some(meant) => fault.help(format!("did you mean \"{meant}\"?")),
        None => fault,
    }
}

fn choice(word: &str, now: &[&str], later: &[&str]) -> Result<Value, Fault> {
    if now.contains(&word) {
        return Ok(Value::Text(word.to_owned()));
    }
    if later.contains(&word) {
        let message = format!("\"{word}\" is not supported yet");
        return Err(Fault { code: Code::NotSupported, message, help: None });
    }
    let fault = Fault::new(format!("\"{}\" is none of the allowed values", printable(word)));
    match nearest(word, now.iter().copied()) {
        Some(near) => Err(fault.help(format!("did you mean \"{near}\"?"))),
        None => Err(fault),
    }
}

fn balance(word: &str, known: &[&str]) -> Result<Value, Fault> {
    if known.contains(&word) {
        return Ok(Value::Text(word.to_owned()));
    }
    let list = format!("the algorithms are {}", one_of(known).replace(" or ", ", "));
    let fault = Fault::new(format!("there is no balancing algorithm \"{}\"", printable(word)));
    Err(match nearest(word, known.iter().copied()) {
        Some(near) => fault.help(format!("did you mean \"{near}\"? {list}")),
        None => fault.help(list),
    })
}

fn cause(word: &str) -> Result<Value, Fault> {
    const WORDS: [&str; 4] = ["connect", "reset", "invalid", "timeout"];
    if word.bytes().next().is_some_and(|first| first.is_ascii_digit()) {
        return text::statuses(word, 400);
    }
    choice(word, &WORDS, &[])
}
