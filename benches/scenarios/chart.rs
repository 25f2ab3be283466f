//! Plots as SVG. Their colours are classes that the page's style sheet fills in, so that one drawing is read in light and in
//! dark; every axis names its unit, and no two lines differ by colour alone.

use std::fmt::Write;

mod frame;
mod scale;

use frame::Frame;
pub(crate) use frame::escaped;
use scale::Scale;

use crate::shot::Times;

/// What a box stands for: whiskers, box, median.
const QUARTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Where a percentile curve is read: as many points a decade as the eye can tell.
const CURVE: [f64; 19] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999];

/// Latency by percentile, one line each; the further right, the rarer.
pub(crate) fn percentiles(series: &[(String, Times)]) -> String {
    let (from, to) = range(series.iter().map(|(_, times)| (times.at(0.01), times.at(0.999))));
    // 1 - quantile on a logarithmic axis that runs backwards: 0 nines, 1, 2, 3.
    let x = Scale::linear(0.0, 3.0);
    let mut frame = Frame::new(360.0, x, Scale::log(from, to), "percentile of requests, %", "latency, ms");
    frame.x_ticks(&[(0.0, "0"), (0.301, "50"), (1.0, "90"), (1.301, "95"), (2.0, "99"), (3.0, "99.9")]);
    frame.y_ticks();
    for (number, (name, times)) in series.iter().enumerate().filter(|(_, (_, times))| !times.is_empty()).rev() {
        let points = CURVE.iter().map(|&quantile| (-(1.0 - quantile).log10(), times.at(quantile).max(from)));
        frame.line(number, points);
        frame.key(number, name);
    }
    frame.end()
}

/// One box each: 5%, 25%, 50%, 75%, 95%; a dot at 99% and a cross at the slowest.
pub(crate) fn boxes(series: &[(String, Times)]) -> String {
    let (from, to) = range(series.iter().map(|(_, times)| (times.at(0.01), times.at(1.0))));
    let count = series.len().max(1) as f64;
    let x = Scale::linear(0.0, count);
    let mut frame = Frame::new(360.0, x, Scale::log(from, to), "part of the play", "latency, ms");
    frame.y_ticks();
    for (number, (name, times)) in series.iter().enumerate() {
        let middle = number as f64 + 0.5;
        frame.x_name(middle, count, name);
        if times.is_empty() {
            continue;
        }
        let [low, first, median, third, high] = QUARTILES.map(|quantile| frame.y(times.at(quantile)));
        let (at, half) = (frame.x(middle), (frame.width() / count * 0.25).min(40.0));
        let (rare, slowest) = (frame.y(times.at(0.99)), frame.y(times.at(1.0)));
        let (left, right) = (at - half, at + half);
        let _ = write!(
            frame.body,
            "<g class='s{series}'><path class='line' d='M{at:.1} {low:.1}V{first:.1}M{at:.1} {third:.1}V{high:.1}'/>\
             <rect class='box' x='{left:.1}' y='{third:.1}' width='{width:.1}' height='{height:.1}'/>\
             <path class='line' d='M{left:.1} {median:.1}H{right:.1}'/><circle class='dot' cx='{at:.1}' cy='{rare:.1}' r='3'/>\
             <path class='line' d='M{x0:.1} {y0:.1}l6 6m0 -6l-6 6'/></g>",
            series = number % frame::SERIES,
            width = right - left,
            height = (first - third).max(1.0),
            x0 = at - 3.0,
            y0 = slowest - 3.0,
        );
    }
    frame.end()
}

/// Counts over time in seconds, as bars of `step` seconds, with what was done to nodes as lines across.
pub(crate) fn over_time(counts: &[f64], step: f64, unit: &str, marks: &[(f64, String)], class: &str) -> String {
    let most = counts.iter().copied().fold(0.0, f64::max);
    let x = Scale::linear(0.0, (counts.len() as f64 * step).max(step));
    let y = Scale::linear(0.0, if most > 0.0 { most * 1.1 } else { 1.0 });
    let mut frame = Frame::new(if class == "bad" { 300.0 } else { 220.0 }, x, y, "time, s", unit);
    frame.x_ticks_even();
    frame.y_ticks();
    for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let (left, right) = (frame.x(number as f64 * step), frame.x((number + 1) as f64 * step));
        let (top, bottom) = (frame.y(*count), frame.y(0.0));
        let _ = write!(
            frame.body,
            "<rect class='{class}' x='{left:.1}' y='{top:.1}' width='{:.1}' height='{:.1}'/>",
            (right - left).max(0.8),
            (bottom - top).max(0.8)
        );
    }
    for (number, (at, text)) in marks.iter().enumerate() {
        frame.mark(*at, text, number);
    }
    frame.end()
}

/// One bar a node.
pub(crate) fn shares(nodes: &[(String, u64)]) -> String {
    let all: u64 = nodes.iter().map(|(_, count)| count).sum();
    let share = |count: u64| count as f64 * 100.0 / all.max(1) as f64;
    let most = nodes.iter().map(|(_, count)| share(*count)).fold(1.0, f64::max);
    let height = 70.0 + 26.0 * nodes.len() as f64;
    let rows = Scale::linear(nodes.len().max(1) as f64, 0.0);
    let mut frame = Frame::new(height, Scale::linear(0.0, most * 1.15), rows, "share of answers, %", "node");
    frame.x_ticks_even();
    for (number, (name, count)) in nodes.iter().enumerate() {
        let (top, left, right) = (frame.y(number as f64 + 0.15), frame.x(0.0), frame.x(share(*count)));
        let height = frame.y(number as f64 + 0.85) - top;
        let middle = top + height / 2.0;
        let _ = write!(
            frame.body,
            "<rect class='good' x='{left:.1}' y='{top:.1}' width='{:.1}' height='{height:.1}'/>\
             <text class='name' x='{:.1}' y='{middle:.1}' text-anchor='end' dominant-baseline='middle'>{}</text>\
             <text x='{:.1}' y='{middle:.1}' dominant-baseline='middle'>{:.2}% · {count}</text>",
            (right - left).max(0.8),
            left - 6.0,
            escaped(name),
            right + 6.0,
            share(*count),
        );
    }
    frame.end()
}

/// The smallest and the largest, for a logarithmic axis.
fn range(each: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let known = each.filter(|(low, high)| *low > 0.0 && high >= low);
    let (low, high) = known.fold((f64::INFINITY, 0.0_f64), |(low, high), (l, h)| (low.min(l), high.max(h)));
    if low.is_finite() { (low.max(0.01), high.max(low * 2.0)) } else { (0.1, 10.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::{Outcome, Shot};
    use std::time::Duration;

    fn times(millis: &[u64]) -> Times {
        let shots: Vec<Shot> = millis
            .iter()
            .map(|ms| {
                let (due, ended) = (Duration::ZERO, Duration::from_millis(*ms));
                let (kind, node, outcome) = ("x", None, Outcome::Good);
                Shot { kind, key: 0, due, sent: due, ended, node, outcome, safe: true }
            })
            .collect();
        Times::of(&shots)
    }

    #[test]
    fn every_plot_is_whole_and_its_axes_have_units() {
        let series = [("calm".to_owned(), times(&[1, 2, 3, 900])), ("no <requests>".to_owned(), Times::default())];
        let marks = [(1.5, "kill & restart".to_owned())];
        for (plot, unit) in [
            (percentiles(&series), "latency, ms"),
            (boxes(&series), "latency, ms"),
            (over_time(&[0.0, 4.0], 1.0, "failed, 1/s", &marks, "bad"), "failed, 1/s"),
            (shares(&[("a<b".into(), 3), ("c".into(), 0)]), "share of answers, %"),
        ] {
            assert!(plot.starts_with("<svg") && plot.ends_with("</svg>") && plot.contains(unit), "{plot}");
            assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
            assert!(!plot.contains("a<b") && !plot.contains("no <") && !plot.contains("l & r"), "{plot}");
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        for plot in [percentiles(&[]), boxes(&[]), over_time(&[], 1.0, "1/s", &[], "good"), shares(&[])] {
            assert!(plot.ends_with("</svg>") && !plot.contains("NaN"), "{plot}");
        }
    }
}
