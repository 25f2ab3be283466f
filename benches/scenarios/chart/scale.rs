//! From values to places on an axis.

/// An axis of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    pub(super) fn linear(from: f64, to: f64) -> Self {
        Self { from, to, log: false }
    }

    /// Both above 0.
    pub(super) fn log(from: f64, to: f64) -> Self {
        Self { from, to, log: true }
    }

    /// 0 at the start of the axis, 1 at its end.
    pub(super) fn at(self, value: f64) -> f64 {
        if self.log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    /// Round values along the axis, with their texts: 1, 2 and 5 of each decade.
    pub(super) fn ticks(self) -> Vec<(f64, String)> {
        let ticks: Vec<f64> = if self.log {
            let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let wide = self.to / self.from > 1000.0;
            let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
            decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade))).collect()
        } else {
            let span = (self.to - self.from).abs();
            let decade = 10f64.powf((span / 6.0).log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| span / step <= 6.0);
            let step = step.unwrap_or(span);
            let start = (self.from.min(self.to) / step).ceil();
            (0..=6).map(|number| (start + f64::from(number)) * step).collect()
        };
        let inside =
            |value: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.at(*value)) && (!self.log || *value >= self.from);
        ticks.into_iter().filter(inside).map(|value| (value, text(value))).collect()
    }
}

/// Without digits that say nothing.
fn text(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (1 - value.abs().log10().floor() as i32).clamp(0, 4) };
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(texts(Scale::linear(0.0, 25.0)), ["0", "5", "10", "15", "20", "25"]);
        assert_eq!(texts(Scale::log(0.3, 12.0)), ["0.5", "1", "2", "5", "10"]);
        assert_eq!(texts(Scale::log(0.3, 3000.0)), ["1", "10", "100", "1000"]);
        assert_eq!(texts(Scale::linear(0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }

    #[test]
    fn a_decade_takes_the_same_room_everywhere() {
        let scale = Scale::log(1.0, 100.0);
        assert_eq!((scale.at(1.0), scale.at(10.0), scale.at(100.0)), (0.0, 0.5, 1.0));
        assert_eq!(scale.at(0.0), 0.0, "nothing lies before the axis");
        assert_eq!(Scale::linear(4.0, 0.0).at(1.0), 0.75);
    }
}
