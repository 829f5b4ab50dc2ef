//! The page of metrics, as it is written: Prometheus' text format and OpenMetrics, from the same samples.
//!
//! What differs (OpenMetrics 1.0.0): a counter's family is named without `_total`, units are told, bounds are written as
//! floats, quotes are escaped in help texts, and an end mark says that nothing was cut off.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::coarse::Exported;
use super::family::{Family, Kind};
use super::histogram::EXPORTED_BOUNDS;
use super::series::{Exemplar, Exemplars};

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Form {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Units that a family's name may end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// The families as they fill: each is written in one piece. One without a sample never appears, as both formats want it.
pub(super) struct Sheet {
    form: Form,
    families: BTreeMap<&'static str, (&'static Family, String)>,
}

impl Sheet {
    pub(super) fn new(form: Form) -> Self {
        Self { form, families: BTreeMap::new() }
    }

    /// Adds a sample of a counter or a gauge. A label without a value is left out: to Prometheus it is the same, and it
    /// reads better.
    pub(super) fn add(&mut self, family: &'static Family, values: &[&str], value: f64) {
        let text = self.text_of(family);
        text.push_str(family.name);
        labels(family, values, None, text);
        number(value, text);
    }

    /// Adds what was counted into the exported bounds.
    pub(super) fn add_histogram(&mut self, family: &'static Family, values: &[&str], read: &Exported) {
        self.add_exemplified(family, values, read, None);
    }

    /// The same with the traces of requests that stand for the buckets, which OpenMetrics alone can tell.
    pub(super) fn add_exemplified(
        &mut self,
        family: &'static Family,
        values: &[&str],
        read: &Exported,
        exemplars: Option<&Exemplars>,
    ) {
        let form = self.form;
        let exemplars = exemplars.filter(|_| form == Form::OpenMetrics);
        let text = self.text_of(family);
        let mut bound = String::new();
        let bounds = EXPORTED_BOUNDS.iter().copied().chain([f64::INFINITY]);
        for (nth, le) in bounds.enumerate() {
            bound.clear();
            // «1» here and «1.0» there: what other exporters write too.
            let _ = match form {
                _ if le.is_infinite() => write!(bound, "+Inf"),
                Form::Text => write!(bound, "{le}"),
                Form::OpenMetrics => write!(bound, "{le:?}"),
            };
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
        let mut page = String::with_capacity(self.families.values().map(|(_, text)| text.len() + 256).sum());
        for (family, text) in self.families.into_values() {
            let name = match self.form {
                Form::OpenMetrics if family.kind == Kind::Counter => stem(family.name),
                _ => family.name,
            };
            let _ = write!(page, "# HELP {name} ");
            escape(family.help, self.form == Form::OpenMetrics, &mut page);
            let _ = writeln!(page, "\n# TYPE {name} {}", family.kind.name());
            if self.form == Form::OpenMetrics
                && let Some(unit) = unit(name)
            {
                let _ = writeln!(page, "# UNIT {name} {unit}");
            }
            page.push_str(&text);
        }
        if self.form == Form::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }

    fn text_of(&mut self, family: &'static Family) -> &mut String {
        &mut self.families.entry(family.name).or_insert_with(|| (family, String::new())).1
    }
}

fn labels(family: &Family, values: &[&str], le: Option<&str>, text: &mut String) {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let told = family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let mut before = '{';
    for (name, value) in told.map(|(name, value)| (*name, *value)).chain(le.map(|le| ("le", le))) {
        text.push(before);
        text.push_str(name);
        text.push_str("=\"");
        escape(value, true, text);
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

fn escape(value: &str, quotes: bool, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
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
