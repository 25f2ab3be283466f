//! A distributed shop: pages by capacity, orders and payments by a hash of the order's number, so that they meet whichever
//! comes first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointsman_demo::client::{Answer, Request};

use crate::Terms;
use crate::claim::Claim;
use crate::drive::{Client, Pace, Story};
use crate::fleet::Recipe;
use crate::report::Report;
use crate::shot::{Outcome, Shot};
use crate::stage::{Act, Stage};

pub(crate) const NAME: &str = "api-cluster";
pub(crate) const ABOUT: &str = "a shop whose payments may come before their orders and meet them all the same; pages by capacity; nodes \
                                that come, leave, restart one after the other and die: no request is lost by a shutdown";

/// Capacity of api-1, api-2, ….
const WEIGHTS: [u32; 4] = [1, 2, 3, 4];
const GUEST: &str = "api-5";
const VICTIM: &str = "api-2";

pub(crate) async fn play(terms: &Terms) -> Result<Report, String> {
    let mut stage = Stage::start(terms, NAME).await?;
    // A story is three requests.
    let rate = terms.rate(900.0, 180.0) / 3.0;
    let stories = terms.requests(rate, 8.0, 1.5);
    stage.asks("nodes", format!("{} with weights {WEIGHTS:?}, one more comes and goes", WEIGHTS.len()));
    stage.asks("requests due each second", rate * 3.0);
    stage.asks("each story", "a page, then an order and its payment; every other time the payment comes first");
    for (number, weight) in WEIGHTS.into_iter().enumerate() {
        stage.node(recipe(&id(number)).weight(weight))?;
    }
    for number in 0..WEIGHTS.len() {
        stage.is(&id(number), "up").await?;
    }
    let shop = Shop::default();
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, stories, shop.clone().named("calm"))?;
    stage.gather(load, "calm", from).await?;
    shares(&mut stage);

    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, shop.clone().named("rolling"))?;
    load.further(stories / 4).await;
    for number in 0..WEIGHTS.len() {
        stage.act(Act::Leave, &id(number)).await?;
        load.further(stories / 4).await;
        stage.act(Act::Restart, &id(number)).await?;
        load.further(stories / 4).await;
    }
    load.stop();
    stage.gather(load, "every node restarts in turn", from).await?;

    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, shop.clone().named("guest"))?;
    load.further(stories / 4).await;
    stage.node(recipe(GUEST).weight(2))?;
    stage.is(GUEST, "up").await?;
    stage.mark("join", GUEST, from, from);
    load.further(stories).await;
    stage.act(Act::Leave, GUEST).await?;
    load.further(stories / 2).await;
    load.stop();
    stage.gather(load, "a node joins and leaves", from).await?;

    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, shop.clone().named("kill"))?;
    load.further(stories / 2).await;
    stage.act(Act::Kill, VICTIM).await?;
    load.further(stories).await;
    stage.act(Act::Restart, VICTIM).await?;
    load.further(stories / 2).await;
    load.stop();
    stage.gather(load, "a node is killed and comes back", from).await?;
    judge(&mut stage, &shop).await?;
    Report::of(stage, NAME, ABOUT).await
}

/// A node of both services. All share a ledger: replicas of one store.
fn recipe(id: &str) -> Recipe {
    Recipe::new(id, &["pages", "orders"]).ledger("store").also(&["--drain"])
}

fn id(number: usize) -> String {
    format!("api-{}", number + 1)
}

/// Pages per node of the calm part, against the weights.
fn shares(stage: &mut Stage) {
    let pages: Vec<&Shot> = stage.within("calm").into_iter().filter(|shot| shot.kind == "page").collect();
    let total: u32 = WEIGHTS.iter().sum();
    let off = WEIGHTS.iter().enumerate().map(|(number, weight)| {
        let wanted = pages.len() as f64 * f64::from(*weight) / f64::from(total);
        (pages.iter().filter(|shot| shot.by(&id(number))).count() as f64 - wanted).abs()
    });
    let off = off.fold(0.0, f64::max);
    let what = format!("pages that a node got more or less than its share of {}, in the calm part", pages.len());
    // Exact over a cycle, less than one off within it: any stretch of turns begins in one cycle and ends in another.
    stage.claims.push(Claim::judged(&what, "< 2", format!("{off:.1}"), off < 2.0 && !pages.is_empty()));
}

async fn judge(stage: &mut Stage, shop: &Shop) -> Result<(), String> {
    let changes = stage.changes("orders").await?;
    let met = shop.met.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let pairs = pairs(&stage.shots);
    let moved = |met: &&Met| changes.iter().any(|(from, until)| *from <= met.until && *until >= met.from);
    let apart: Vec<&Met> = met.iter().filter(|met| met.payment != met.order).collect();
    let strays: Vec<u64> = apart.iter().filter(|met| !moved(met)).map(|met| met.key).collect();
    for shot in stage.shots.iter_mut().filter(|shot| shot.kind == "order" && strays.contains(&shot.key)) {
        shot.outcome = Outcome::Misrouted;
    }
    // A pair of which nothing was written down has not met either.
    let alone = pairs - met.iter().filter(|met| met.found).count() as u64;
    let failed: Vec<&Shot> = stage.shots.iter().filter(|shot| shot.failed()).collect();
    let lost = failed.iter().filter(|shot| stage.was_lost(shot)).count() as u64;
    let safe = failed.iter().filter(|shot| shot.safe).count() as u64;
    let shutdowns = ["every node restarts in turn", "a node joins and leaves"];
    let meanwhile: Vec<&Shot> = shutdowns.iter().flat_map(|phase| stage.within(phase)).collect();
    let of_shutdowns = meanwhile.iter().filter(|shot| shot.failed()).count() as u64;
    let of_meanwhile = meanwhile.len() as u64;
    let of_guest = stage.shots.iter().filter(|shot| shot.by(GUEST) && !shot.failed()).count() as u64;
    let beyond = failed.len() as u64 - safe - lost;
    let (all_safe, posts) = stage.by_safety();
    stage.claims.extend([
        Claim::none("failed requests while nodes restart, join and leave", of_shutdowns, of_meanwhile),
        Claim::at_least("requests that the node served that came and went", 1, of_guest),
        Claim::none("failed requests that may be tried again", safe, all_safe),
        Claim::none("failed POSTs, but those under way when a node was killed", beyond, posts),
        Claim::told("failed POSTs of those under way when a node was killed", lost),
        Claim::none("orders that did not find their payment, or payments their order", alone, pairs),
        Claim::told(
            "orders and payments whose nodes changed in between, and that met through the replicas",
            format!("{} of {}", apart.len() - strays.len(), met.len()),
        ),
    ]);
    Ok(())
}

/// Orders that were taken, and whose payments were.
fn pairs(shots: &[Shot]) -> u64 {
    let taken = |kind: &'static str| -> HashSet<u64> {
        shots.iter().filter(|shot| shot.kind == kind && !shot.failed()).map(|shot| shot.key).collect()
    };
    taken("order").intersection(&taken("payment")).count() as u64
}

/// An order and its payment, both taken.
#[derive(Debug, Clone)]
struct Met {
    key: u64,
    payment: String,
    order: String,
    from: Duration,
    until: Duration,
    /// Whether the later of the two found the earlier.
    found: bool,
}

#[derive(Debug, Clone, Default)]
struct Shop {
    part: &'static str,
    met: Arc<Mutex<Vec<Met>>>,
}

impl Shop {
    fn named(self, part: &'static str) -> Self {
        Self { part, ..self }
    }

    /// Numbers begin anew with each part of the play, orders do not.
    fn order(&self, number: u64) -> u64 {
        let part = ["calm", "rolling", "guest", "kill"].iter().position(|known| *known == self.part).unwrap_or(9);
        part as u64 * 10_000_000 + number
    }
}

impl Story for Shop {
    async fn play(&self, number: u64, client: &mut Client) {
        let key = self.order(number);
        client.ask("page", key, &Request::get("/")).await;
        let post = |what: &str| {
            Request::new("POST", &format!("/{what}/{key}")).header("x-request-unique", &format!("{what}-{key}"))
        };
        let mut both = [("payment", post("payments")), ("order", post("placed"))];
        if number % 2 == 1 {
            both.reverse();
        }
        let first = client.ask(both[0].0, key, &both[0].1).await;
        let from = client.last().map_or(Duration::ZERO, |shot| shot.sent);
        let second = client.ask(both[1].0, key, &both[1].1).await;
        let until = client.last().map_or(Duration::MAX, |shot| shot.ended);
        let node = |answer: &Option<Answer>| {
            let taken = answer.as_ref().filter(|answer| answer.status < 300)?;
            taken.header("x-node").map(str::to_owned)
        };
        let (Some(one), Some(two)) = (node(&first), node(&second)) else { return };
        let told = second.and_then(|answer| answer.json().ok()).unwrap_or_default();
        let (payment, order, found) = match both[0].0 {
            "payment" => (one, two, matches!(told["paid"].as_str(), Some("here" | "at a replica"))),
            _ => (two, one, told["waits"] == false),
        };
        let met = Met { key, payment, order, from, until, found };
        self.met.lock().unwrap_or_else(PoisonError::into_inner).push(met);
    }
}
