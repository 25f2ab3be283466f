//! Medians and ratios, as a table.

use std::fmt::Write;

use crate::Results;
use crate::measure::Round;

/// What ratios are taken against.
const YARDSTICK: &str = "nginx";

/// The table of each scenario, as Markdown.
pub(crate) fn report(results: &Results) -> String {
    let mut text = String::new();
    let mut scenarios: Vec<_> = results.rounds.iter().map(|round| round.scenario).collect();
    scenarios.dedup();
    for scenario in scenarios {
        let rounds: Vec<&Round> = results.rounds.iter().filter(|round| round.scenario == scenario).collect();
        let turns = rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
        let _ = writeln!(
            text,
            "\n## {scenario}: {} connections, {} nodes, one worker, {turns} rounds of {} s; median (least to most)\n",
            results.connections, results.nodes, results.seconds
        );
        text.push_str("| proxy | CPU us/request | against nginx | requests/s | p50 us | p99 us | KiB/idle connection | failed |\n");
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        for proxy in names(&rounds) {
            let of = |value: fn(&Round) -> f64| {
                Spread::of(rounds.iter().filter(|round| round.proxy == proxy).map(|round| value(round)))
            };
            let ratio = Spread::of(ratios(&rounds, proxy)).map_or("–".into(), |spread| spread.text(2));
            let idle = results.idle.iter().find(|idle| idle.scenario == scenario && idle.proxy == proxy);
            let failed: u64 = rounds.iter().filter(|round| round.proxy == proxy).map(|round| round.failed).sum();
            let text_of =
                |value: fn(&Round) -> f64, digits| of(value).map_or("–".into(), |spread| spread.text(digits));
            let _ = writeln!(
                text,
                "| {proxy} | {} | {ratio} | {} | {} | {} | {} | {failed} |",
                text_of(|round| round.cpu_us, 2),
                text_of(|round| round.per_second, 0),
                text_of(|round| round.p50_us, 0),
                text_of(|round| round.p99_us, 0),
                idle.map_or("–".into(), |idle| format!("{:.1}", idle.kib_per_connection)),
            );
        }
    }
    for problem in &results.left_out {
        let _ = writeln!(text, "\n{}", problem.trim_end());
    }
    text
}

fn names<'a>(rounds: &[&'a Round]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for round in rounds {
        if !names.contains(&round.proxy.as_str()) {
            names.push(&round.proxy);
        }
    }
    names
}

/// CPU per request of `proxy` over that of nginx, round by round.
fn ratios(rounds: &[&Round], proxy: &str) -> impl Iterator<Item = f64> {
    let turn = |number: usize, name: &str| {
        rounds.iter().find(|round| round.round == number && round.proxy == name).map(|round| round.cpu_us)
    };
    let count = rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
    let pairs: Vec<f64> =
        (0..count).filter_map(|number| Some(turn(number, proxy)? / turn(number, YARDSTICK)?)).collect();
    pairs.into_iter()
}

/// A median with its extremes.
#[derive(Debug, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, least, most })
    }

    fn text(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn round(number: usize, proxy: &str, cpu_us: f64) -> Round {
        Round {
            scenario: Scenario::Small,
            round: number,
            proxy: proxy.into(),
            answered: 1,
            failed: 0,
            cpu_us,
            per_second: 1.0,
            p50_us: 1.0,
            p99_us: 1.0,
            nodes: 4,
        }
    }

    #[test]
    fn a_median_of_few_and_of_many() {
        assert_eq!(Spread::of([].into_iter()), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0].into_iter()), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
    }

    #[test]
    fn ratios_pair_the_turns_of_one_round() {
        // The machine slows down by half in the second round: medians of each would not show that ours costs 1.5 in both.
        let all = [round(0, "nginx", 10.0), round(0, "ours", 15.0), round(1, "ours", 30.0), round(1, "nginx", 20.0)];
        let rounds: Vec<&Round> = all.iter().collect();
        assert_eq!(ratios(&rounds, "ours").collect::<Vec<_>>(), [1.5, 1.5]);
    }

    #[test]
    fn a_round_without_its_yardstick_gives_no_ratio() {
        let all = [round(0, "ours", 15.0)];
        assert_eq!(ratios(&all.iter().collect::<Vec<_>>(), "ours").count(), 0);
    }
}
