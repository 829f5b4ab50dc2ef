//! OpenMetrics, version 1.0.0, for which the `prometheus` crate has no writer.
//!
//! What differs from Prometheus' text format: a counter's family is named without `_total`, units are told, bounds are
//! written as floats, quotes are escaped in help texts, and an end mark says that nothing was cut off.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::observe::coarse::Exported;
use crate::observe::family::{Family, Kind};
use crate::observe::histogram::EXPORTED_BOUNDS;
use crate::observe::series::{Exemplar, Exemplars};

/// Units that a family's name may end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// The families as they fill: each is written in one piece. One without a sample never appears, as the format wants it.
#[derive(Default)]
pub(in crate::observe) struct Families(BTreeMap<&'static str, (&'static Family, String)>);

impl Families {
    pub(super) fn add(&mut self, family: &'static Family, values: &[&str], value: f64) {
        let text = self.text_of(family);
        text.push_str(family.name);
        labels(family, values, None, text);
        number(value, text);
    }

    pub(super) fn add_histogram(
        &mut self,
        family: &'static Family,
        values: &[&str],
        read: &Exported,
        exemplars: Option<&Exemplars>,
    ) {
        let text = self.text_of(family);
        let mut bound = String::new();
        let bounds = EXPORTED_BOUNDS.iter().copied().chain([f64::INFINITY]);
        for (nth, le) in bounds.enumerate() {
            bound.clear();
            let _ = if le.is_infinite() { write!(bound, "+Inf") } else { write!(bound, "{le:?}") };
            text.push_str(family.name);
            text.push_str("_bucket");
            labels(family, values, Some(&bound), text);
            let _ = write!(text, " {}", read.within.get(nth).unwrap_or(&read.count));
            if let Some(Exemplar { trace_id, seconds, at }) = exemplars.and_then(|all| all[nth]) {
                let _ = write!(text, " # {{trace_id=\"{trace_id:032x}\"}} {seconds} {at:.3}");
            }
            text.push('\n');
        }
        for (suffix, value) in [("_sum", read.sum_seconds), ("_count", read.count as f64)] {
            text.push_str(family.name);
            text.push_str(suffix);
            labels(family, values, None, text);
            number(value, text);
        }
    }

    /// The whole page.
    pub(super) fn text(self) -> String {
        let mut page = String::with_capacity(self.0.values().map(|(_, text)| text.len() + 256).sum());
        for (family, text) in self.0.into_values() {
            let name = match family.kind {
                Kind::Counter => stem(family.name),
                _ => family.name,
            };
            let _ = write!(page, "# HELP {name} ");
            escape(family.help, &mut page);
            let _ = writeln!(page, "\n# TYPE {name} {}", family.kind.name());
            if let Some(unit) = unit(name) {
                let _ = writeln!(page, "# UNIT {name} {unit}");
            }
            page.push_str(&text);
        }
        page.push_str("# EOF\n");
        page
    }

    fn text_of(&mut self, family: &'static Family) -> &mut String {
        &mut self.0.entry(family.name).or_insert_with(|| (family, String::new())).1
    }
}

/// A label without a value is left out: to Prometheus it is the same, and it reads better.
fn labels(family: &Family, values: &[&str], le: Option<&str>, text: &mut String) {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let told = family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let mut before = '{';
    for (name, value) in told.map(|(name, value)| (*name, *value)).chain(le.map(|le| ("le", le))) {
        text.push(before);
        text.push_str(name);
        text.push_str("=\"");
        escape(value, text);
        text.push('"');
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
}

fn number(value: f64, text: &mut String) {
    let _ = match value {
        _ if value == f64::INFINITY => writeln!(text, " +Inf"),
        _ if value == f64::NEG_INFINITY => writeln!(text, " -Inf"),
        _ => writeln!(text, " {value}"),
    };
}

fn escape(value: &str, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' => text.push_str("\\\""),
            _ => text.push(letter),
        }
    }
}

/// A counter's family in OpenMetrics.
fn stem(name: &'static str) -> &'static str {
    name.strip_suffix("_total").unwrap_or(name)
}

fn unit(name: &str) -> Option<&'static str> {
    let last = name.rsplit('_').next()?;
    UNITS.into_iter().find(|unit| *unit == last)
}
