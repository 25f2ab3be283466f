//! One row of a family, as Prometheus' client writes it.

use prometheus::core::Desc;
use prometheus::proto::{self, MetricFamily, MetricType};

use super::histogram::Histogram;

pub(super) fn family(desc: &Desc, rows: Vec<proto::Metric>) -> MetricFamily {
    let kind = match desc.fq_name.rsplit('_').next() {
        Some("seconds") => MetricType::HISTOGRAM,
        Some("total") => MetricType::COUNTER,
        _ => MetricType::GAUGE,
    };
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(rows);
    family
}

fn labels(desc: &Desc, values: &[&str]) -> Vec<proto::LabelPair> {
    let mut pairs: Vec<_> = desc
        .variable_labels
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value((*value).into());
            pair
        })
        .collect();
    pairs.sort_by(|a, b| a.name().cmp(b.name()));
    pairs
}

pub(super) fn counter(desc: &Desc, values: &[&str], count: u64) -> proto::Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(count as f64);
    let mut row = proto::Metric::from_label(labels(desc, values));
    row.set_counter(counter);
    row
}

pub(super) fn gauge(desc: &Desc, values: &[&str], value: u64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value as f64);
    let mut row = proto::Metric::from_label(labels(desc, values));
    row.set_gauge(gauge);
    row
}

pub(super) fn histogram(desc: &Desc, values: &[&str], from: &Histogram) -> proto::Metric {
    let reading = from.read();
    let buckets = reading.cumulative.into_iter().map(|(upper, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(upper);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(reading.count);
    histogram.set_sample_sum(reading.sum);
    let mut row = proto::Metric::from_label(labels(desc, values));
    row.set_histogram(histogram);
    row
}
