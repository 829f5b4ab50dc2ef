//! The page of metrics, as it is written: Prometheus' text format and OpenMetrics, from the same samples.

mod open;
mod text;

use super::coarse::Exported;
use super::family::Family;
use super::series::Exemplars;

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

/// The samples on their way to the page.
pub(super) enum Sheet {
    Text(text::Families),
    OpenMetrics(open::Families),
}

impl Sheet {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Text => Self::Text(text::Families::default()),
            Form::OpenMetrics => Self::OpenMetrics(open::Families::default()),
        }
    }

    /// Adds a sample of a counter or a gauge. A label without a value is left out.
    pub(super) fn add(&mut self, family: &'static Family, values: &[&str], value: f64) {
        match self {
            Self::Text(families) => families.add(family, values, value),
            Self::OpenMetrics(families) => families.add(family, values, value),
        }
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
        match self {
            Self::Text(families) => families.add_histogram(family, values, read),
            Self::OpenMetrics(families) => families.add_histogram(family, values, read, exemplars),
        }
    }

    /// The whole page.
    ///
    /// # Errors
    /// It cannot be written; no reason for that is known.
    pub(super) fn text(self) -> Result<String, prometheus::Error> {
        match self {
            Self::Text(families) => families.text(),
            Self::OpenMetrics(families) => Ok(families.text()),
        }
    }
}
