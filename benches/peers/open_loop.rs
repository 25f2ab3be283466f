//! Ours beside nginx at a rate that both can carry: requests are due at that rate whatever becomes of them, and latency
//! counts from when each was due.

use crate::measure::{Load, Round};
use crate::running::Running;
use crate::scenario::Scenario;

/// Whose peaks set the rate: the slower one's does.
const PEERS: [&str; 2] = ["nginx", "haproxy"];
/// Who run in pairs.
const PAIR: [&str; 2] = ["ours", "nginx"];
/// The share of the slower peer's peak.
const SHARE: f64 = 0.7;

/// The paired runs of one scenario.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct OpenLoop {
    pub(crate) scenario: Scenario,
    /// Requests a second of each that takes part, in a closed loop just before.
    pub(crate) peaks: Vec<(String, f64)>,
    /// Requests due each second.
    pub(crate) rate: f64,
    /// `round` is the number of the pair.
    pub(crate) rounds: Vec<Round>,
}

/// Finds the peaks, then runs the pairs, each pair in the other order than the one before. What cannot be measured goes to
/// `problems`.
pub(crate) fn measure(
    running: &[Running],
    load: &Load<'_>,
    pairs: usize,
    problems: &mut Vec<String>,
) -> Option<OpenLoop> {
    let mut peaks = Vec::new();
    for proxy in running.iter().filter(|proxy| PEERS.contains(&&*proxy.name) || PAIR.contains(&&*proxy.name)) {
        match load.turn(proxy, 0, None) {
            Ok(turn) => peaks.push((proxy.name.clone(), turn.per_second)),
            Err(problem) => problems.push(problem),
        }
    }
    let Some(rate) = rate(&peaks) else {
        problems.push(format!("{}: open loop: neither {} has a peak", load.scenario, PEERS.join(" nor ")));
        return None;
    };
    let mut rounds = Vec::new();
    for pair in 0..pairs {
        for turn in 0..PAIR.len() {
            let name = PAIR[(pair + turn) % PAIR.len()];
            let Some(proxy) = running.iter().find(|proxy| proxy.name == name) else { continue };
            match load.turn(proxy, pair, Some(rate)) {
                Ok(turn) => {
                    eprintln!(
                        "{} pair {}: {name:8} {rate:.0}/s due  p50 {:.0}  p99 {:.0} us  generator late p99 {:.0} us  failed {}",
                        load.scenario,
                        pair + 1,
                        turn.p50_us,
                        turn.p99_us,
                        turn.late_p99_us,
                        turn.failed
                    );
                    rounds.push(turn);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    Some(OpenLoop { scenario: load.scenario, peaks, rate, rounds })
}

fn rate(peaks: &[(String, f64)]) -> Option<f64> {
    let of_peers = peaks.iter().filter(|(name, _)| PEERS.contains(&&**name)).map(|(_, peak)| *peak);
    Some((of_peers.min_by(f64::total_cmp)? * SHARE).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_peer_sets_the_rate_and_we_do_not() {
        let peaks = |of: &[(&str, f64)]| of.iter().map(|(name, peak)| ((*name).into(), *peak)).collect::<Vec<_>>();
        let all = peaks(&[("nginx", 30_000.0), ("haproxy", 20_000.0), ("ours", 10_000.0)]);
        assert_eq!(rate(&all), Some(14_000.0));
        assert_eq!(rate(&peaks(&[("ours", 10_000.0)])), None);
    }
}
