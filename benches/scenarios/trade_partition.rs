//! Credit limits by client: the client's id stands in the body, and all trades of a client go to one node.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_demo::client::{Connection, Request};

use crate::Terms;
use crate::claim::Claim;
use crate::drive::{Client, Pace, Story};
use crate::fleet::Recipe;
use crate::report::Report;
use crate::shot::{Outcome, Shot};
use crate::stage::{Act, Stage};

pub(crate) const NAME: &str = "trade-partition";
pub(crate) const ABOUT: &str = "trades of a client, its id in a JSON, XML or FIX body, always at one node; throughput grows with \
                                the nodes, and when one comes or goes only its own clients move";

/// How many nodes in each part.
const SIZES: [usize; 4] = [1, 2, 4, 8];
const LAST: usize = 8;
/// Requests under way for each node: enough that the hottest is never idle.
const CROWD: usize = 64;
/// Clients that the proxy is asked about one by one.
const ASKED: u64 = 1000;

/// Who traded where.
type Places = HashMap<u64, Arc<str>>;

pub(crate) async fn play(terms: &Terms) -> Result<Report, String> {
    let mut stage = Stage::start(terms, NAME).await?;
    let capacity = terms.rate(250.0, 60.0);
    // With all nodes each client trades once within the length of a part.
    let clients = terms.requests(capacity * LAST as f64, 8.0, 1.5);
    stage.asks("nodes", format!("{SIZES:?}, each serves {capacity} requests a second, one after the other"));
    stage.asks("clients", clients);
    stage.asks("requests under way", format!("{CROWD} for each node, the next as soon as one is answered"));
    let trades = Trades { clients };
    let mut places = Places::new();
    for size in SIZES {
        while stage.nodes.len() < size {
            stage.node(recipe(stage.nodes.len() + 1, capacity))?;
        }
        for number in 1..=size {
            stage.is(&id(number), "up").await?;
        }
        let stories = clients * size as u64 / LAST as u64;
        let name = format!("{size} nodes");
        let from = stage.now();
        let load = stage.load(Pace::Closed, CROWD * size, stories, trades)?;
        stage.gather(load, &name, from).await?;
        throughput(&mut stage, &name, size, capacity);
        places = placed(&stage.within(&name));
    }
    limits(&mut stage, &places, clients.min(ASKED)).await?;
    published(&mut stage, &places).await?;

    let guest = id(LAST + 1);
    let after = change(&mut stage, Change::Join(capacity), &guest, trades).await?;
    moved(&mut stage, "a ninth node joins", clients, (&places, &after), |_, now| *now == *guest);
    let back = change(&mut stage, Change::Leave, &guest, trades).await?;
    moved(&mut stage, "it leaves", clients, (&after, &back), |before, _| *before == *guest);
    let victim = id(3);
    let without = change(&mut stage, Change::Kill, &victim, trades).await?;
    moved(&mut stage, "another is killed", clients, (&back, &without), |before, _| *before == *victim);
    let again = change(&mut stage, Change::Restart, &victim, trades).await?;
    moved(&mut stage, "it comes back", clients, (&without, &again), |_, now| *now == *victim);
    let strays = places.iter().filter(|(client, node)| again.get(client) != Some(node)).count() as u64;
    stage.claims.push(Claim::none("clients that are not where they were before all that", strays, places.len() as u64));
    losses(&mut stage);
    Report::of(stage, NAME, ABOUT).await
}

fn recipe(number: usize, capacity: f64) -> Recipe {
    Recipe::new(&id(number), &["trades", "fix-trades", "limits"]).also(&[
        "--drain",
        "--capacity",
        &capacity.to_string(),
    ])
}

fn id(number: usize) -> String {
    format!("partition-{number}")
}

/// Requests a second against what the nodes can serve, and how even their shares are.
fn throughput(stage: &mut Stage, phase: &str, size: usize, capacity: f64) {
    let shots = stage.within(phase);
    let answered = shots.iter().filter(|shot| !shot.failed()).count() as f64;
    let began = shots.iter().map(|shot| shot.sent).min().unwrap_or_default();
    let ended = shots.iter().map(|shot| shot.ended).max().unwrap_or_default();
    let mut counts: HashMap<&str, u64> = HashMap::new();
    shots.iter().filter_map(|shot| shot.node.as_deref()).for_each(|node| *counts.entry(node).or_default() += 1);
    let hottest = counts.values().copied().max().unwrap_or(0) as f64;
    let nodes = counts.len();
    let uneven = hottest * size as f64 / answered.max(1.0);
    let a_second = answered / (ended.saturating_sub(began)).as_secs_f64().max(1e-9);
    let possible = capacity * answered / hottest.max(1.0);
    let ratio = a_second / possible;
    // What chance adds to the share of each node when so many clients are drawn: three standard deviations.
    let chance = if stage.terms.quick { 3.0 * (size as f64 / answered.max(1.0)).sqrt() } else { 0.0 };
    stage.claims.push(
        Claim::judged(
            &format!("{phase}: answers a second over capacity ÷ the hottest node's share"),
            "≥ 0.98",
            format!("{ratio:.3} ({a_second:.0} of {possible:.0} a second)"),
            ratio >= 0.98,
        )
        .timed(),
    );
    // One node alone is the hottest and the mean.
    if size > 1 {
        stage.claims.push(Claim::judged(
            &format!("{phase}: the hottest node over the mean"),
            &format!("≤ {:.2}", 1.05 + chance),
            format!("{uneven:.3} over {nodes} nodes"),
            nodes == size && uneven <= 1.05 + chance,
        ));
    }
}

/// Where each client traded last.
fn placed(shots: &[&Shot]) -> Places {
    let good = shots.iter().filter(|shot| shot.kind == "trade" && !shot.failed());
    good.filter_map(|shot| Some((shot.key, shot.node.clone()?))).collect()
}

/// What happens to a node while clients trade.
#[derive(Clone, Copy)]
enum Change {
    Join(f64),
    Leave,
    Kill,
    Restart,
}

/// Does it while every client trades twice, and answers where each traded once the proxy had seen it.
async fn change(stage: &mut Stage, change: Change, node: &str, trades: Trades) -> Result<Places, String> {
    let name = match change {
        Change::Join(_) => "a ninth node joins",
        Change::Leave => "it leaves",
        Change::Kill => "another is killed",
        Change::Restart => "it comes back",
    };
    let from = stage.now();
    let load = stage.load(Pace::Closed, CROWD * LAST, u64::MAX, trades)?;
    load.further(trades.clients / 4).await;
    match change {
        Change::Join(capacity) => {
            stage.node(recipe(LAST + 1, capacity))?;
            stage.is(node, "up").await?;
            stage.mark("join", node, from, from);
        }
        Change::Leave => stage.act(Act::Leave, node).await?,
        Change::Kill => stage.act(Act::Kill, node).await?,
        Change::Restart => stage.act(Act::Restart, node).await?,
    }
    let settled = stage.now();
    load.further(trades.clients + (CROWD * LAST) as u64 * 2).await;
    load.stop();
    stage.gather(load, name, from).await?;
    let after: Vec<&Shot> = stage.shots.iter().filter(|shot| shot.sent >= settled).collect();
    let mut at: HashMap<u64, Arc<str>> = HashMap::new();
    let mut two = Vec::new();
    for shot in after.iter().filter(|shot| shot.kind == "trade" && !shot.failed()) {
        let Some(node) = &shot.node else { continue };
        if at.get(&shot.key).is_some_and(|known| known != node) {
            two.push((shot.key, shot.sent));
        }
        at.insert(shot.key, node.clone());
    }
    // Nothing changes any more: a client at two nodes is one whose limit is spent twice.
    for shot in &mut stage.shots {
        if two.contains(&(shot.key, shot.sent)) {
            shot.outcome = Outcome::Misrouted;
        }
    }
    Ok(at)
}

/// How many clients moved, against how many had to: `had_to` is told where a client was and where it is. All clients were seen
/// before and after, and some had to move, or nothing is shown.
fn moved(
    stage: &mut Stage,
    what: &str,
    clients: u64,
    (before, now): (&Places, &Places),
    had_to: impl Fn(&str, &str) -> bool,
) {
    let both: Vec<_> = before.iter().filter_map(|(client, was)| Some((was, now.get(client)?))).collect();
    let moved = both.iter().filter(|(was, node)| was != node).count();
    let needed = both.iter().filter(|(was, node)| had_to(was, node)).count();
    let all = both.len() as u64 == clients;
    stage.claims.push(Claim::judged(
        &format!("{what}: clients that moved"),
        &format!("{needed} of {clients}, the optimum"),
        format!("{moved} of {}", both.len()),
        all && needed > 0 && moved == needed,
    ));
}

/// Limits of clients are another service of the same nodes: each is where its trades are.
async fn limits(stage: &mut Stage, places: &Places, clients: u64) -> Result<(), String> {
    let from = stage.now();
    let load = stage.load(Pace::Closed, CROWD, clients, Limits)?;
    stage.gather(load, "limits are set", from).await?;
    let limits = stage.within("limits are set");
    let elsewhere = |shot: &&&Shot| places.get(&shot.key).is_none_or(|node| shot.node.as_ref() != Some(node));
    let (apart, of) = (limits.iter().filter(elsewhere).count() as u64, limits.len() as u64);
    stage.claims.push(Claim::none("clients whose limits are at another node than their trades", apart, of));
    Ok(())
}

/// What the proxy says of where a client goes, against where it went.
async fn published(stage: &mut Stage, places: &Places) -> Result<(), String> {
    let problem = |problem: std::io::Error| format!("the admin API: {problem}");
    let mut connection = Connection::open(stage.proxy.admin.address()).await.map_err(problem)?;
    let mut apart = 0;
    let asked: Vec<(&u64, &Arc<str>)> = places.iter().take(usize::try_from(ASKED).unwrap_or(0)).collect();
    for (client, node) in &asked {
        let request = Request::get(&format!("/v1/services/trades/route?key={}", name(**client)));
        let told = connection.exchange(&request).await.and_then(|answer| answer.json()).map_err(problem)?;
        let ends = format!("node {node}");
        apart += u64::from(!told["explanation"].as_str().is_some_and(|text| text.ends_with(&ends)));
    }
    let what = "clients that `route?key=` sends elsewhere than they went";
    stage.claims.push(Claim::none(what, apart, asked.len() as u64));
    Ok(())
}

fn losses(stage: &mut Stage) {
    let failed: Vec<&Shot> = stage.shots.iter().filter(|shot| shot.failed()).collect();
    let lost = failed.iter().filter(|shot| stage.was_lost(shot)).count();
    let beyond = (failed.len() - lost) as u64;
    stage.claims.extend([
        Claim::none("failed trades, but those under way when a node was killed", beyond, stage.shots.len() as u64),
        Claim::told("trades under way when a node was killed, that failed", lost),
    ]);
}

fn name(client: u64) -> String {
    format!("C{client}")
}

/// Clients in turn, in three formats.
#[derive(Debug, Clone, Copy)]
struct Trades {
    clients: u64,
}

impl Story for Trades {
    async fn play(&self, number: u64, client: &mut Client) {
        let (key, round) = (number % self.clients, number / self.clients);
        let (who, order) = (name(key), format!("{number}-{}", client.since().as_micros()));
        // Another format in the next round, so that a client is seen in all of them.
        let (kind, body) = match (number + round) % 3 {
            0 => ("application/json", format!(r#"{{"clOrdID":"{order}","client":{{"id":"{who}"}},"qty":100}}"#)),
            1 => ("application/xml", format!("<Trade><ClOrdID>{order}</ClOrdID><ClientId>{who}</ClientId></Trade>")),
            _ => {
                ("application/fix", format!("8=FIX.4.4\u{1}35=D\u{1}11={order}\u{1}1={who}\u{1}38=100\u{1}10=000\u{1}"))
            }
        };
        let trade = Request::new("POST", "/trades").header("content-type", kind).header("x-request-unique", &order);
        client.ask("trade", key, &trade.body(body)).await;
    }
}

/// The limit of each client.
struct Limits;

impl Story for Limits {
    async fn play(&self, number: u64, client: &mut Client) {
        client.ask("limit", number, &Request::new("PUT", &format!("/users/{}", name(number)))).await;
    }
}
