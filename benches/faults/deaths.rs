//! `kill -9` of one node of three under idempotent requests, again and again, and its return.

use pointsman_demo::load::{self, LoadOptions, Report, Running};
use serde::Serialize;

use crate::Terms;
use crate::access::Line;
use crate::fleet::{self, FALL, Fleet, INTERVAL_MS, Killed, RISE, Revived, TIMEOUT_MS};
use crate::verdict::Verdict;
use crate::watch;

const NAME: &str = "deaths";
const KILLS: usize = 20;
const RATE: f64 = 1000.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Deaths {
    deaths: Vec<Death>,
    load: Report,
}

/// One kill and return. Times in milliseconds.
#[derive(Debug, Serialize)]
struct Death {
    node: String,
    /// From the kill to the last attempt that was sent to the dead node; 0 when none was.
    last_attempt: f64,
    /// The longest that a request was held up at the dead node before it went elsewhere.
    held_up: f64,
    /// Attempts that met the dead node.
    met: usize,
    /// From the kill to `down` in the admin report.
    down: f64,
    /// From the start of the process to its listening: the node's own time.
    start: f64,
    /// From its listening to `up` in the admin report.
    up: f64,
    /// From its listening to the end of the first request that it served.
    served: Option<f64>,
    /// Requests that ended badly from just before the kill until it served again.
    failed: u64,
}

/// What is known before the log is read.
struct Seen {
    node: String,
    killed: Killed,
    down: f64,
    revived: Revived,
    up: f64,
    failed: u64,
}

/// Kills, waits for the node to be found dead, revives it, waits for its return, goes on.
pub(crate) async fn measure(terms: &Terms) -> Result<Deaths, String> {
    let mut fleet = Fleet::start(terms, "api").await?;
    let rate = terms.rate.unwrap_or(RATE);
    let options =
        LoadOptions::new(fleet.proxy.addr()).ask("GET", "/bytes/64").connections(terms.connections).rate(rate);
    let load = load::start(options).map_err(|problem| problem.to_string())?;
    load.further(rate as u64).await;
    let mut seen = Vec::new();
    let kills = terms.times(KILLS);
    for number in 0..kills {
        fleet::vary(number).await;
        let one = one(&mut fleet, number, &load, rate).await?;
        eprintln!(
            "deaths {:2}/{kills}: {} down after {:.0} ms, up {:.0} ms after it listened, {} failed",
            number + 1,
            one.node,
            one.down - one.killed.at,
            one.up - one.revived.listening,
            one.failed
        );
        seen.push(one);
    }
    let report = load.stop_and_finish().await;
    let log = fleet.end().await?;
    Ok(Deaths { deaths: seen.iter().map(|one| death(one, &log)).collect(), load: report })
}

async fn one(fleet: &mut Fleet, number: usize, load: &Running, rate: f64) -> Result<Seen, String> {
    let at = number % fleet.nodes.len();
    let node = fleet.nodes[at].id.clone();
    let before = load.counts().failed;
    let killed = fleet.nodes[at].kill()?;
    let down = watch::standing(&fleet.proxy.admin, "api", &node, "down").await?;
    // Some requests more, which must all find the two others.
    load.further(rate as u64 / 5).await;
    let revived = fleet.nodes[at].revive()?;
    let up = watch::standing(&fleet.proxy.admin, "api", &node, "up").await?;
    load.further(rate as u64 / 5).await;
    Ok(Seen { node, killed, down, revived, up, failed: load.counts().failed - before })
}

/// Puts the log beside what was watched.
fn death(seen: &Seen, log: &[Line]) -> Death {
    let Seen { node, killed, down, revived, up, failed } = seen;
    // While one node is dead, an attempt that fails was sent to it: the others answer.
    let met: Vec<&Line> = log
        .iter()
        .filter(|line| line.ended >= killed.at && line.began < revived.started && line.tried(node))
        .filter(|line| line.attempts > 1 || line.failed())
        .collect();
    let last = met.iter().map(|line| line.last_failed_attempt() - killed.at).fold(0.0, f64::max);
    let held_up = met.iter().map(|line| line.last_attempt - line.began).fold(0.0, f64::max);
    let first = log
        .iter()
        .filter(|line| line.node == *node && line.ended >= revived.listening && !line.failed())
        .map(|line| line.ended - revived.listening)
        .min_by(f64::total_cmp);
    Death {
        node: node.clone(),
        last_attempt: last,
        held_up,
        met: met.len(),
        down: down - killed.at,
        start: revived.listening - revived.started,
        up: up - revived.listening,
        served: first,
        failed: *failed,
    }
}

impl Deaths {
    /// The bounds are those of the configuration: `fall` failed checks, the last of which may take its timeout; `rise`
    /// passed ones.
    pub(crate) fn verdicts(&self, terms: &Terms) -> Vec<Verdict> {
        let all = |of: fn(&Death) -> f64| self.deaths.iter().map(of).collect::<Vec<_>>();
        let (leaves, returns) = (FALL * INTERVAL_MS + TIMEOUT_MS, RISE * INTERVAL_MS);
        let within =
            |measured: &str, times: Vec<f64>, bound| Verdict::within(NAME, measured, times, bound, terms.slack_ms);
        let met: usize = self.deaths.iter().map(|death| death.met).sum();
        let served: Vec<f64> = self.deaths.iter().filter_map(|death| death.served).collect();
        let mut first = within("from listening again to the first request served", served, returns);
        first.fine &= self.deaths.iter().all(|death| death.served.is_some());
        let what = format!("{} × kill -9, {} GETs at {:.0}/s", self.deaths.len(), self.load.requests, self.rate());
        vec![
            Verdict::no_failures(NAME, what, self.load.failed),
            within("from the kill to the last attempt at the node", all(|death| death.last_attempt), leaves),
            within("from the kill to `down`", all(|death| death.down), leaves),
            within("from listening again to `up`", all(|death| death.up), returns),
            first,
            Verdict::judged(
                NAME,
                "longest that a request was held up there, ms",
                "–",
                all(|death| death.held_up),
                true,
            )
            .digits(1),
            Verdict::judged(
                NAME,
                "attempts that met the dead node, a kill",
                "more than 0 in all",
                all(|death| death.met as f64),
                met > 0,
            ),
        ]
    }

    fn rate(&self) -> f64 {
        self.load.requests as f64 / self.load.seconds.max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(began: f64, node: &str, attempts: u32, status: u16) -> Line {
        Line {
            began,
            ended: began + 2.0,
            last_attempt: began + 1.0,
            status,
            node: node.into(),
            attempts,
            refused: None,
        }
    }

    #[test]
    fn the_log_tells_the_last_attempt_and_the_first_return() {
        let seen = Seen {
            node: "b".into(),
            killed: Killed { at: 1000.0, gone: 1001.0 },
            down: 1150.0,
            revived: Revived { started: 2000.0, listening: 2010.0 },
            up: 2100.0,
            failed: 0,
        };
        let log = [
            line(990.0, "b", 1, 200),
            line(990.0, "a", 2, 200),
            line(999.5, "b", 1, 200),
            line(1100.0, "c", 2, 200),
            line(1200.0, "a", 1, 200),
            line(2105.0, "b", 1, 200),
            line(2005.0, "a", 2, 200),
        ];
        let death = death(&seen, &log);
        assert_eq!((death.last_attempt, death.met, death.served), (101.0, 1, Some(97.0)));
        assert_eq!((death.down, death.start, death.up), (150.0, 10.0, 90.0));
    }
}
