//! Axes, ticks, names, and the lines that are drawn between them.

use std::fmt::Write;

use super::scale::Scale;

/// Kinds of lines that the style sheet tells apart.
pub(super) const SERIES: usize = 8;
const WIDTH: f64 = 860.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 48.0;

/// A plot under way.
pub(super) struct Frame {
    height: f64,
    x: Scale,
    y: Scale,
    keys: usize,
    pub(super) body: String,
}

impl Frame {
    pub(super) fn new(height: f64, x: Scale, y: Scale, x_name: &str, y_name: &str) -> Self {
        let (bottom, middle) = (height - BOTTOM, f64::midpoint(TOP, height - BOTTOM));
        let right = WIDTH - RIGHT;
        let mut body = format!(
            "<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{y} by {x}'>\
             <path class='axis' d='M{LEFT} {TOP}V{bottom}H{right}'/>",
            y = escaped(y_name),
            x = escaped(x_name)
        );
        let _ = write!(
            body,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>{}</text>\
             <text transform='translate(14 {middle:.1}) rotate(-90)' text-anchor='middle'>{}</text>",
            f64::midpoint(LEFT, right),
            height - 8.0,
            escaped(x_name),
            escaped(y_name)
        );
        Self { height, x, y, keys: 0, body }
    }

    pub(super) fn width(&self) -> f64 {
        WIDTH - LEFT - RIGHT
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        LEFT + self.x.at(value).clamp(0.0, 1.0) * self.width()
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - self.y.at(value).clamp(0.0, 1.0) * (bottom - TOP)
    }

    pub(super) fn y_ticks(&mut self) {
        for (value, text) in self.y.ticks() {
            let (at, right) = (self.y(value), WIDTH - RIGHT);
            let _ = write!(
                self.body,
                "<path class='grid' d='M{LEFT} {at:.1}H{right}'/><text x='{:.1}' y='{at:.1}' text-anchor='end' \
                 dominant-baseline='middle'>{text}</text>",
                LEFT - 6.0
            );
        }
    }

    pub(super) fn x_ticks_even(&mut self) {
        let ticks = self.x.ticks();
        let ticks: Vec<(f64, &str)> = ticks.iter().map(|(value, text)| (*value, text.as_str())).collect();
        self.x_ticks(&ticks);
    }

    pub(super) fn x_ticks(&mut self, ticks: &[(f64, &str)]) {
        for (value, text) in ticks {
            let (at, bottom) = (self.x(*value), self.height - BOTTOM);
            let _ = write!(
                self.body,
                "<path class='grid' d='M{at:.1} {TOP}V{bottom}'/><text x='{at:.1}' y='{:.1}' text-anchor='middle'>{text}</text>",
                bottom + 16.0
            );
        }
    }

    /// A name below the axis, cut to what `count` of them leave room for.
    pub(super) fn x_name(&mut self, value: f64, count: f64, name: &str) {
        let room = (self.width() / count / 6.5) as usize;
        let short: String = if name.chars().count() > room {
            name.chars().take(room.max(2) - 1).chain(['…']).collect()
        } else {
            name.into()
        };
        let (at, y) = (self.x(value), self.height - BOTTOM + 16.0);
        let _ = write!(
            self.body,
            "<text x='{at:.1}' y='{y:.1}' text-anchor='middle'>{}<title>{}</title></text>",
            escaped(&short),
            escaped(name)
        );
    }

    pub(super) fn line(&mut self, number: usize, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y))).collect();
        let _ = write!(self.body, "<polyline class='line s{}' points='{}'/>", number % SERIES, points.join(" "));
    }

    /// What a line stands for, above those that were told before: curves rise, so the lower right is free.
    pub(super) fn key(&mut self, number: usize, name: &str) {
        let (x, y) = (WIDTH - RIGHT - 250.0, self.height - BOTTOM - 12.0 - 16.0 * self.keys as f64);
        self.keys += 1;
        let _ = write!(
            self.body,
            "<path class='line s{}' d='M{x:.1} {y:.1}h26'/><text x='{:.1}' y='{y:.1}' dominant-baseline='middle'>{}</text>",
            number % SERIES,
            x + 32.0,
            escaped(name)
        );
    }

    /// A line across at that time. Texts of neighbours stand at different heights.
    pub(super) fn mark(&mut self, at: f64, text: &str, number: usize) {
        let (x, bottom) = (self.x(at), self.height - BOTTOM);
        let y = TOP + 4.0 + 13.0 * (number % 6) as f64;
        let anchor = if x > WIDTH * 0.8 { "end" } else { "start" };
        let beside = if anchor == "end" { x - 3.0 } else { x + 3.0 };
        let _ = write!(
            self.body,
            "<path class='mark' d='M{x:.1} {:.1}V{bottom}'/><text class='small' x='{beside:.1}' y='{y:.1}' \
             text-anchor='{anchor}'>{}</text>",
            TOP - 6.0,
            escaped(text)
        );
    }

    pub(super) fn end(mut self) -> String {
        self.body.push_str("</svg>");
        self.body
    }
}

/// Text as it may stand in SVG and HTML, attributes in single quotes included.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}
