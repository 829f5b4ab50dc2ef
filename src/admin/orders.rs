//! What is ordered of a backend, as JSON: `{"state": "ready" | "drain" | "maintenance", "weight": N}`.

use std::fmt;

use serde_json::Value;

use crate::backend::{Duty, Order};

/// The largest weight, as in the configuration.
const WEIGHT_MAX: u64 = 65_535;

/// What is to change of an order; what is not named stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// `state`
    pub duty: Option<Duty>,
    /// `weight`; `Some(None)`: the file's again.
    pub weight: Option<Option<u16>>,
}

/// Nothing has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Of what: `pool`, `backend`.
    pub what: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// The one that was probably meant.
    pub near: Option<String>,
}

impl Change {
    /// The order that it makes of another.
    pub fn amend(self, order: Order) -> Order {
        Order { duty: self.duty.unwrap_or(order.duty), weight: self.weight.unwrap_or(order.weight) }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} {:?}", self.what, self.name)?;
        match &self.near {
            Some(near) => write!(f, "; did you mean {near:?}?"),
            None => Ok(()),
        }
    }
}

/// Reads a body. The error names the field.
pub(super) fn read(body: &[u8]) -> Result<Change, String> {
    const FORM: &str = "expected {\"state\": \"ready\" | \"drain\" | \"maintenance\", \"weight\": 0 to 65535}, or one of both";
    let value: Value =
        serde_json::from_slice(body).map_err(|why| format!("the body is no JSON: {why}; {FORM}"))?;
    let fields = value.as_object().ok_or_else(|| format!("the body is no JSON object; {FORM}"))?;
    let mut change = Change::default();
    for (name, value) in fields {
        match name.as_str() {
            "state" => change.duty = Some(duty(value)?),
            "weight" => change.weight = Some(weight(value)?),
            other => return Err(format!("unknown field {}; {FORM}", short(&Value::from(other)))),
        }
    }
    if change == Change::default() {
        return Err(format!("neither \"state\" nor \"weight\" is given; {FORM}"));
    }
    Ok(change)
}

fn duty(value: &Value) -> Result<Duty, String> {
    let found = Duty::ALL.into_iter().find(|duty| value.as_str() == Some(duty.name()));
    found.ok_or_else(|| {
        format!("\"state\" is {}; expected \"ready\", \"drain\" or \"maintenance\"", short(value))
    })
}

fn weight(value: &Value) -> Result<Option<u16>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let found =
        value.as_u64().filter(|weight| *weight <= WEIGHT_MAX).and_then(|weight| u16::try_from(weight).ok());
    found.map(Some).ok_or_else(|| {
        format!(
            "\"weight\" is {}; expected a whole number from 0 to 65535, or null for the file's",
            short(value)
        )
    })
}

/// A value as it was written, if it is not long.
fn short(value: &Value) -> String {
    /// More of it helps nobody.
    const SHOWN_MAX: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_weight_are_read_alone_or_together() {
        let of = |duty, weight| Ok(Change { duty, weight });
        assert_eq!(read(br#"{"state": "drain"}"#), of(Some(Duty::Drain), None));
        assert_eq!(read(br#"{"weight": 0, "state": "ready"}"#), of(Some(Duty::Ready), Some(Some(0))));
        assert_eq!(read(br#"{"weight": 65535}"#), of(None, Some(Some(65_535))));
        assert_eq!(read(br#"{"weight": null}"#), of(None, Some(None)));
        let drained = Order { duty: Duty::Drain, weight: Some(3) };
        let change = |text: &[u8]| read(text).unwrap().amend(drained);
        assert_eq!(
            change(br#"{"state": "maintenance"}"#),
            Order { duty: Duty::Maintenance, weight: Some(3) }
        );
        assert_eq!(change(br#"{"weight": 7}"#), Order { duty: Duty::Drain, weight: Some(7) });
        assert_eq!(change(br#"{"weight": null}"#), Order { duty: Duty::Drain, weight: None });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, named) in [
            ("", "no JSON"),
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            ("\"drain\"", "no JSON object"),
            ("{}", "neither"),
            (r#"{"State": "drain"}"#, "\"State\""),
            (r#"{"state": "drained"}"#, "\"state\" is \"drained\""),
            (r#"{"state": null}"#, "\"state\" is null"),
            (r#"{"weight": -1}"#, "\"weight\" is -1"),
            (r#"{"weight": 65536}"#, "\"weight\" is 65536"),
            (r#"{"weight": 1.5}"#, "\"weight\" is 1.5"),
            (r#"{"weight": "3"}"#, "\"weight\" is \"3\""),
        ] {
            let why = read(body.as_bytes()).unwrap_err();
            assert!(why.contains(named), "{body}: {why}");
        }
        let long = format!(r#"{{"state": "{}"}}"#, "é".repeat(60_000));
        assert!(read(long.as_bytes()).unwrap_err().len() < 300);
        let named = format!(r#"{{"{}": 1}}"#, "x".repeat(60_000));
        assert!(read(named.as_bytes()).unwrap_err().len() < 300);
    }

    #[test]
    fn what_was_meant_is_named() {
        let missing =
            |near: Option<&str>| Missing { what: "pool", name: "crn".into(), near: near.map(Into::into) };
        assert_eq!(missing(Some("crm")).to_string(), "no pool \"crn\"; did you mean \"crm\"?");
        assert_eq!(missing(None).to_string(), "no pool \"crn\"");
    }
}
