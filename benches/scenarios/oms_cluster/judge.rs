//! What was expected of the order systems, beside what was seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::claim::Claim;
use crate::oms_cluster::{Epoch, Market, SYSTEMS, customer, id};
use crate::shot::{Outcome, Shot};
use crate::stage::{Reign, Stage};

/// Marks what came to the wrong system, and claims the rest.
pub(super) async fn judge(stage: &mut Stage, market: &Market) -> Result<(), String> {
    let reigns = stage.reigns("oms").await?;
    let stood_in = placed(stage, market, &reigns);
    losses(stage);
    let of = |kind: &str| stood_in.get(kind).copied().unwrap_or(0);
    stage.claims.extend([
        // Or no system was away while there was work for it.
        Claim::at_least("orders that the primary took for a system that was away", 1, of("order")),
        Claim::at_least("executions that the primary took for a system that was away", 1, of("execution")),
        Claim::told("logins that moved because their system was away", of("login again")),
    ]);
    epochs(stage, &kept(&market.epochs));
    pauses(stage)
}

fn kept<T: Clone>(known: &Arc<Mutex<T>>) -> T {
    known.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// When each system was away: from its kill or leave to when the proxy saw it back.
fn absences(stage: &Stage) -> Vec<(String, Duration, Duration)> {
    let gone = stage.marks.iter().filter(|mark| matches!(mark.what, "kill" | "leave"));
    let back = |node: &str, from: Duration| {
        let mut later =
            stage.marks.iter().filter(|mark| mark.what == "restart" && mark.node == node && mark.from >= from);
        later.next().map_or(Duration::MAX, |mark| mark.until)
    };
    gone.map(|mark| (mark.node.clone(), mark.from, back(&mark.node, mark.from))).collect()
}

/// Marks what went to another system than it should. Answers how many of each kind did so because theirs was away: orders and
/// executions to the primary of that moment and nobody else, logins to any.
fn placed(stage: &mut Stage, market: &Market, reigns: &[Reign]) -> HashMap<&'static str, u64> {
    let away = absences(stage);
    let absent = |node: &str, shot: &Shot| away.iter().any(|(id, from, until)| id == node && shot.meets(*from, *until));
    let primary =
        |node: &str, shot: &Shot| reigns.iter().any(|reign| reign.node == node && shot.meets(reign.from, reign.until));
    let (owners, logins) = (kept(&market.owners), kept(&market.logins));
    let mut stood_in: HashMap<&str, u64> = HashMap::new();
    for shot in stage.shots.iter_mut().filter(|shot| !shot.failed()) {
        let Some(node) = shot.node.clone() else { continue };
        let wanted = match shot.kind {
            "order" => Some(id(customer(shot.key) % SYSTEMS + 1)),
            "execution" => owners.get(&shot.key).map(|owner| owner.to_string()),
            "login again" => logins.get(&shot.key).map(|first| first.to_string()),
            _ => None,
        };
        let Some(wanted) = wanted.filter(|wanted| **wanted != *node) else { continue };
        if absent(&wanted, shot) && (shot.kind == "login again" || primary(&node, shot)) {
            *stood_in.entry(shot.kind).or_default() += 1;
        } else {
            shot.outcome = Outcome::Misrouted;
        }
    }
    stood_in
}

fn losses(stage: &mut Stage) {
    let failed: Vec<&Shot> =
        stage.shots.iter().filter(|shot| shot.failed() && shot.outcome != Outcome::Misrouted).collect();
    let lost = failed.iter().filter(|shot| stage.was_lost(shot)).count() as u64;
    let safe = failed.iter().filter(|shot| shot.safe).count() as u64;
    let beyond = failed.len() as u64 - safe - lost;
    let (all_safe, posts) = stage.by_safety();
    stage.claims.extend([
        Claim::none("failed requests that may be tried again", safe, all_safe),
        Claim::none("failed orders and executions, but those under way when a system was killed", beyond, posts),
        Claim::told("failed orders and executions of those under way when a system was killed", lost),
    ]);
}

fn epochs(stage: &mut Stage, epochs: &BTreeMap<u64, Epoch>) {
    let count = epochs.len() as u64;
    let two = epochs.values().filter(|epoch| epoch.nodes.len() > 1).count() as u64;
    let falls = epochs.values().zip(epochs.values().skip(1)).filter(|(one, next)| one.first > next.first).count();
    // The first primary, and one after each that was killed.
    stage.claims.extend([
        Claim::at_least("epochs in which drop copies were answered", 3, count),
        Claim::none("epochs in which two systems answered drop copies", two, count),
        Claim::none("epochs that came before a lower one", falls as u64, count.saturating_sub(1)),
    ]);
}

fn pauses(stage: &mut Stage) -> Result<(), String> {
    let pauses: Vec<Duration> = stage.marked("kill").filter_map(|mark| pause(stage, mark.from)).collect();
    let longest = pauses.iter().max().ok_or("no drop copy was asked for after a kill")?.as_millis();
    let what = "the longest time without an answer to a drop copy after a kill, ms";
    stage.claims.push(Claim::told(what, longest));
    Ok(())
}

/// The longest time without an answer to a drop copy, from that moment to the end of the part of the play. Where nobody answered
/// any more it lasted as long as somebody asked.
fn pause(stage: &Stage, from: Duration) -> Option<Duration> {
    let phase = stage.phases.iter().find(|phase| phase.from <= from && from < phase.until)?;
    let copies = stage.shots.iter().filter(|shot| shot.kind == "drop copy");
    let copies = copies.filter(|shot| shot.ended >= from && shot.ended <= phase.until);
    longest(from, copies.map(|shot| (shot.ended, !shot.failed())))
}

/// The longest time without an answer among what ended when, well or not. `None` if nothing did.
fn longest(from: Duration, ends: impl Iterator<Item = (Duration, bool)> + Clone) -> Option<Duration> {
    let last = ends.clone().map(|(at, _)| at).max()?;
    let mut answers: Vec<Duration> = ends.filter(|(_, well)| *well).map(|(at, _)| at).chain([from, last]).collect();
    answers.sort_unstable();
    answers.windows(2).map(|pair| pair[1] - pair[0]).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_nobody_ended_lasted_as_long_as_somebody_asked() {
        let at = Duration::from_secs;
        let of = |ends: &[(u64, bool)]| longest(at(10), ends.iter().map(|(second, well)| (at(*second), *well)));
        assert_eq!(of(&[(11, true), (13, true), (14, true)]), Some(at(2)));
        assert_eq!(of(&[(11, true), (12, false), (31, false)]), Some(at(20)));
        assert_eq!(of(&[(40, false)]), Some(at(30)));
        assert_eq!(of(&[]), None);
    }
}
