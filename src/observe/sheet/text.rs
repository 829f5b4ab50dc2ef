//! Prometheus' text format, version 0.0.4, as the `prometheus` crate writes it.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::observe::coarse::Exported;
use crate::observe::family::{Family, Kind};
use crate::observe::histogram::EXPORTED_BOUNDS;

/// The families as they fill. One without a sample never appears, as the format wants it.
#[derive(Default)]
pub(in crate::observe) struct Families(BTreeMap<&'static str, MetricFamily>);

impl Families {
    pub(super) fn add(&mut self, family: &'static Family, values: &[&str], value: f64) {
        let mut metric = Metric::from_label(pairs(family, values));
        if family.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.push(family, metric);
    }

    pub(super) fn add_histogram(&mut self, family: &'static Family, values: &[&str], read: &Exported) {
        let bucket = |(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(EXPORTED_BOUNDS.into_iter().zip(read.within).map(bucket).collect());
        histogram.set_sample_count(read.count);
        histogram.set_sample_sum(read.sum_seconds);
        let mut metric = Metric::from_label(pairs(family, values));
        metric.set_histogram(histogram);
        self.push(family, metric);
    }

    /// The whole page.
    ///
    /// # Errors
    /// None is known: every family has a name and a sample.
    pub(super) fn text(self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.into_values().collect::<Vec<_>>())
    }

    fn push(&mut self, family: &'static Family, metric: Metric) {
        let entry = self.0.entry(family.name).or_insert_with(|| {
            let mut made = MetricFamily::default();
            made.set_name(family.name.to_owned());
            made.set_help(family.help.to_owned());
            made.set_field_type(match family.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            made
        });
        entry.mut_metric().push(metric);
    }
}

/// A label without a value is left out: to Prometheus it is the same, and it reads better.
fn pairs(family: &Family, values: &[&str]) -> Vec<LabelPair> {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    family.labels.iter().zip(values).filter(|(_, value)| !value.is_empty()).map(pair).collect()
}
