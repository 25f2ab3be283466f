//! `kill -9` of one node of three while orders are placed: none may run twice, and only those under way may fail.

use pointsman_demo::load::{self, LoadOptions, Report, Template};
use serde::Serialize;

use crate::Terms;
use crate::access::Line;
use crate::fleet::{self, Fleet, Killed};
use crate::verdict::Verdict;
use crate::watch;

const NAME: &str = "orders";
const KILLS: usize = 10;
const RATE: f64 = 1000.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Orders {
    kills: Vec<Kill>,
    /// Orders that stand in the nodes' journals.
    executed: usize,
    /// Ids that stand there more than once.
    twice: Vec<String>,
    /// Failures that no line of the access log accounts for.
    unaccounted: u64,
    load: Report,
}

/// What one kill cost.
#[derive(Debug, Serialize)]
struct Kill {
    node: String,
    /// Orders at the node when it died: taken before it was gone, ended after the kill.
    in_flight: usize,
    /// Of those, how many failed.
    failed: usize,
    /// Orders that failed although they came once the node was gone, before the next kill.
    failed_later: Vec<Late>,
}

/// An order that came once the node was gone, and failed.
#[derive(Debug, Serialize)]
struct Late {
    /// How long after, in milliseconds; the log's stamps are whole ones.
    after: f64,
    /// The node tried last.
    node: String,
    status: u16,
    refused: Option<String>,
}

/// Kills each node in turn while orders come in.
pub(crate) async fn measure(terms: &Terms) -> Result<Orders, String> {
    let mut fleet = Fleet::start(terms, "oms").await?;
    let rate = terms.rate.unwrap_or(RATE);
    let mut options = LoadOptions::new(fleet.proxy.addr())
        .ask("POST", "/orders")
        .header("x-customer-id", "{n%1000}")
        .header("content-type", "application/json")
        .connections(terms.connections)
        .rate(rate);
    options.body = Template::parse(r#"{"clOrdID":"order-{n}","quantity":1}"#).map_err(|problem| problem.to_string())?;
    let load = load::start(options).map_err(|problem| problem.to_string())?;
    load.further(rate as u64).await;
    let mut killed: Vec<(String, Killed)> = Vec::new();
    let kills = terms.times(KILLS);
    for number in 0..kills {
        fleet::vary(number).await;
        let at = number % fleet.nodes.len();
        let node = fleet.nodes[at].id.clone();
        killed.push((node.clone(), fleet.nodes[at].kill()?));
        watch::standing(&fleet.proxy.admin, "oms", &node, "down").await?;
        load.further(rate as u64 / 5).await;
        fleet.nodes[at].revive()?;
        watch::standing(&fleet.proxy.admin, "oms", &node, "up").await?;
        load.further(rate as u64 / 5).await;
        eprintln!("orders {:2}/{kills}: {node} killed and back, {} failed so far", number + 1, load.counts().failed);
    }
    let report = load.stop_and_finish().await;
    let executed = fleet.executed()?;
    let log = fleet.end().await?;
    let logged = log.iter().filter(|line| line.failed()).count() as u64;
    Ok(Orders {
        kills: kills_of(&killed, &log),
        executed: executed.len(),
        twice: repeats(executed),
        unaccounted: report.failed.saturating_sub(logged),
        load: report,
    })
}

fn kills_of(killed: &[(String, Killed)], log: &[Line]) -> Vec<Kill> {
    let next = killed.iter().skip(1).map(|(_, killed)| killed.at).chain([f64::INFINITY]);
    let one = |((node, killed), until): (&(String, Killed), f64)| {
        let of_this: Vec<&Line> = log.iter().filter(|line| line.ended >= killed.at && line.began < until).collect();
        let (before, after): (Vec<&Line>, Vec<&Line>) = of_this.into_iter().partition(|line| line.began <= killed.gone);
        let at_node: Vec<&Line> = before.into_iter().filter(|line| line.tried(node)).collect();
        Kill {
            node: node.clone(),
            in_flight: at_node.len(),
            failed: at_node.iter().filter(|line| line.failed()).count(),
            failed_later: after
                .iter()
                .filter(|line| line.failed() && line.ended < until)
                .map(|line| late(line, killed))
                .collect(),
        }
    };
    killed.iter().zip(next).map(one).collect()
}

fn late(line: &Line, killed: &Killed) -> Late {
    let Line { began, status, node, refused, .. } = line;
    Late { after: began - killed.gone, node: node.clone(), status: *status, refused: refused.clone() }
}

fn repeats(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    let mut twice: Vec<String> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    twice
}

impl Orders {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let all = |of: fn(&Kill) -> usize| self.kills.iter().map(|kill| of(kill) as f64).collect::<Vec<_>>();
        let in_flight: usize = self.kills.iter().map(|kill| kill.in_flight).sum();
        let at_death: usize = self.kills.iter().map(|kill| kill.failed).sum();
        let later: usize = self.kills.iter().map(|kill| kill.failed_later.len()).sum();
        let failed = self.load.failed;
        let mut whole = Verdict::judged(
            NAME,
            &format!("{} × kill -9, {} POSTs", self.kills.len(), self.load.requests),
            &format!("≤ {in_flight} failed: those in flight"),
            [],
            failed <= in_flight as u64 && at_death <= in_flight && self.unaccounted == 0,
        );
        whole.failed = Some(failed);
        let executed = self.executed as u64;
        vec![
            whole,
            Verdict::judged(NAME, "in flight at the node when it died", "–", all(|kill| kill.in_flight), true),
            Verdict::judged(NAME, "of those, failed", "≤ in flight", all(|kill| kill.failed), true),
            Verdict::judged(
                NAME,
                "failed although they came once the node was gone",
                "0",
                all(|kill| kill.failed_later.len()),
                later == 0,
            ),
            Verdict::judged(NAME, "orders executed twice", "0", [self.twice.len() as f64], self.twice.is_empty()),
            Verdict::judged(
                NAME,
                "orders executed",
                &format!("{} confirmed to {} sent", self.load.succeeded, self.load.requests),
                [self.executed as f64],
                (self.load.succeeded..=self.load.requests).contains(&executed),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(began: f64, ended: f64, node: &str, status: u16) -> Line {
        Line { began, ended, last_attempt: began, status, node: node.into(), attempts: 1, refused: None }
    }

    #[test]
    fn what_was_in_flight_is_told_from_what_came_later() {
        let killed = |at| Killed { at, gone: at + 1.0 };
        let log = [
            line(90.0, 95.0, "a", 201),
            line(99.0, 102.0, "a", 502),
            line(99.0, 102.0, "b", 201),
            line(99.5, 101.0, "a", 201),
            line(110.0, 111.0, "a", 502),
            line(499.0, 502.0, "b", 502),
        ];
        let kills = kills_of(&[("a".into(), killed(100.0)), ("b".into(), killed(500.0))], &log);
        let figures: Vec<_> = kills.iter().map(|kill| (kill.in_flight, kill.failed, kill.failed_later.len())).collect();
        assert_eq!(figures, [(2, 1, 1), (1, 1, 0)]);
    }

    #[test]
    fn an_order_in_two_journals_is_found_once() {
        let ids = ["b", "a", "b", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(repeats(ids), ["b"]);
    }
}
