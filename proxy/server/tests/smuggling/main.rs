//! No smuggling: the same bytes go through the lane and through pingora, and what a node received is read again by a
//! strict reader that is no part of the proxy.
//!
//! For each input, whoever carries it refuses it or forwards the same requests: same method, same target, same length,
//! same bytes of the body. What the node received is whole and sound, and as many requests as were answered.

mod client;
mod corpus;
mod mutate;
mod node;
mod reader;
mod side;

use std::path::PathBuf;

use client::{Outcome, Stop};
use corpus::{Case, Verdict};
use reader::Request;
use side::Side;

/// Where the corpus lies.
fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smuggling/corpus"))
}

/// What must hold of one side alone. Answers what does not.
fn sound(side: &Side, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = side.name;
    for part in &outcome.received {
        if let Some(why) = part.wrong {
            wrong.push(format!("{name}: the node received what no strict reader accepts ({why})"));
        }
    }
    let forwarded = outcome.forwarded().count();
    let exact = outcome.stop == Stop::Closed && !outcome.reset;
    if outcome.answered > forwarded || exact && outcome.answered < forwarded {
        wrong.push(format!("{name}: {forwarded} requests reached the node, {} were answered", outcome.answered));
    }
    wrong
}

/// Whether one list is the beginning of the other: both read the same requests, and one stopped earlier.
fn agree(one: &[&Request], other: &[&Request]) -> bool {
    one.iter().zip(other).all(|(a, b)| a == b)
}

fn kept(verdict: Verdict, lane: &Outcome, pingora: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let (by_lane, by_pingora) = (lane.forwarded().count(), pingora.forwarded().count());
    let expected = match verdict {
        Verdict::Any => return wrong,
        Verdict::Refuse => {
            for (name, outcome) in [("the lane", lane), ("pingora", pingora)] {
                if !outcome.refused() {
                    wrong.push(format!("{name} did not refuse: {:?}", outcome.statuses));
                }
            }
            0
        }
        Verdict::Carry(count) => {
            if lane.refused() {
                wrong.push(format!("the lane refused: {:?}", lane.statuses));
            }
            count
        }
        Verdict::Cut(count) => {
            if !lane.refused() {
                wrong.push(format!("the lane did not refuse: {:?}", lane.statuses));
            }
            count
        }
    };
    if by_lane != expected {
        wrong.push(format!("the lane forwarded {by_lane} requests, not {expected}"));
    }
    // pingora ends a connection on which requests are pipelined after the first.
    if by_pingora > expected || (expected > 0) != (by_pingora > 0) {
        wrong.push(format!("pingora forwarded {by_pingora} requests of {expected}"));
    }
    wrong
}

struct Bench {
    lane: Side,
    pingora: Side,
}

impl Bench {
    async fn new() -> Self {
        Self { lane: Side::start("lane", "on").await, pingora: Side::start("pingora", "off").await }
    }

    /// Sends the bytes both ways. Answers what is wrong with the outcome.
    async fn run(&mut self, bytes: &[u8], verdict: Verdict) -> Vec<String> {
        let lane = self.lane.send(bytes).await;
        let pingora = self.pingora.send(bytes).await;
        let mut wrong = sound(&self.lane, &lane);
        wrong.extend(sound(&self.pingora, &pingora));
        let (by_lane, by_pingora): (Vec<_>, Vec<_>) = (lane.forwarded().collect(), pingora.forwarded().collect());
        if !agree(&by_lane, &by_pingora) {
            wrong.push("the lane and pingora read different requests".into());
        }
        wrong.extend(kept(verdict, &lane, &pingora));
        if !wrong.is_empty() {
            wrong.push(format!("  lane    {lane}\n    pingora {pingora}"));
        }
        wrong
    }
}

fn report(title: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{title}: {} cases\n{}", wrong.len(), wrong.join("\n"));
}

fn told(name: &str, bytes: &[u8], wrong: &[String]) -> String {
    let more = if bytes.len() > 1000 { "…" } else { "" };
    format!("{name}: {}{more}\n    {}", bytes[..bytes.len().min(1000)].escape_ascii(), wrong.join("\n    "))
}

#[tokio::test]
async fn each_class_is_refused_or_read_in_one_way() {
    let mut bench = Bench::new().await;
    let mut wrong = Vec::new();
    for Case { name, verdict, bytes } in corpus::all(&folder()) {
        let found = bench.run(&bytes, verdict).await;
        if !found.is_empty() {
            wrong.push(told(&name, &bytes, &found));
        }
    }
    report("smuggling", &wrong);
}

#[tokio::test]
async fn damaged_requests_are_refused_or_read_in_one_way() {
    let (seed, count) = mutate::plan();
    let sound: Vec<Vec<u8>> = corpus::all(&folder())
        .into_iter()
        .filter(|case| matches!(case.verdict, Verdict::Carry(_)) && case.bytes.len() < 2000)
        .map(|case| case.bytes)
        .collect();
    let mut bench = Bench::new().await;
    let mut wrong = Vec::new();
    for number in 0..count {
        let bytes = mutate::damaged(&sound, seed, number);
        let found = bench.run(&bytes, Verdict::Any).await;
        if !found.is_empty() {
            wrong.push(told(&format!("seed {seed}, number {number}"), &bytes, &found));
        }
    }
    report("smuggling by damage", &wrong);
}
