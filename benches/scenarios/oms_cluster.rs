//! A broker's order management: every system takes orders, one of them is primary.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointsman_demo::client::{Answer, Request};
use serde_json::json;

use crate::Terms;
use crate::claim::Claim;
use crate::drive::{Client, Pace, Story};
use crate::fleet::Recipe;
use crate::report::Report;
use crate::shot::{Outcome, Shot};
use crate::stage::{Act, Stage};

mod floor;

pub(crate) const NAME: &str = "oms-cluster";
pub(crate) const ABOUT: &str = "a broker's order systems, all active: orders by customer, executions back to the system that has the \
                                order or to the primary while it is down, drop copies to the primary, logins that stay";

const SYSTEMS: u64 = 3;
const CUSTOMERS: u64 = 5000;
/// Ten times the average of 2,000,000 orders in 18,000 s.
const ORDERS_A_SECOND: f64 = 1110.0;
/// An execution comes so many orders after its order.
const LATER: u64 = 40;

pub(crate) async fn play(terms: &Terms) -> Result<Report, String> {
    let mut stage = Stage::start(terms, NAME).await?;
    let rate = terms.rate(ORDERS_A_SECOND, 60.0);
    let orders = terms.requests(rate, 15.0, 2.0);
    stage.asks("systems", SYSTEMS);
    stage.asks("orders due each second", rate);
    stage.asks(
        "each order",
        "an execution of an earlier one; every 10th a drop copy; every 20th a login and a look at it",
    );
    for ordinal in 1..=SYSTEMS {
        stage.node(Recipe::new(&id(ordinal), &["oms", "sessions"]).ordinal(ordinal).also(&["--drain"]))?;
    }
    for ordinal in 1..=SYSTEMS {
        stage.is(&id(ordinal), "up").await?;
    }
    let market = Market::default();
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 48, orders, market.part(1))?;
    stage.gather(load, "calm", from).await?;
    floor::sessions(&mut stage, rate, &market).await?;
    // A system that is not primary, the primary, and the one that took over from it.
    for (part, ordinal, name) in [(2, 3, "a system dies"), (3, 1, "the primary dies"), (4, 2, "the next primary dies")]
    {
        let from = stage.now();
        let load = stage.load(Pace::Rate(rate), 48, u64::MAX, market.part(part))?;
        load.further(orders / 2).await;
        stage.act(Act::Kill, &id(ordinal)).await?;
        load.further(orders).await;
        stage.act(Act::Restart, &id(ordinal)).await?;
        load.further(orders / 2).await;
        load.stop();
        stage.gather(load, name, from).await?;
    }
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 48, u64::MAX, market.part(5))?;
    load.further(orders / 4).await;
    stage.act(Act::Leave, &id(3)).await?;
    load.further(orders / 2).await;
    stage.act(Act::Restart, &id(3)).await?;
    load.further(orders / 4).await;
    load.stop();
    stage.gather(load, "a system is restarted in order", from).await?;
    judge(&mut stage, &market);
    Report::of(stage, NAME, ABOUT).await
}

fn id(ordinal: u64) -> String {
    format!("oms-{ordinal}")
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

fn judge(stage: &mut Stage, market: &Market) {
    let away = absences(stage);
    let absent = |node: &str, shot: &Shot| away.iter().any(|(id, from, until)| id == node && shot.meets(*from, *until));
    let owners = market.owners.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let logins = market.logins.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        if absent(&wanted, shot) {
            *stood_in.entry(shot.kind).or_default() += 1;
        } else {
            shot.outcome = Outcome::Misrouted;
        }
    }
    let failed: Vec<&Shot> =
        stage.shots.iter().filter(|shot| shot.failed() && shot.outcome != Outcome::Misrouted).collect();
    let lost = failed.iter().filter(|shot| stage.was_lost(shot)).count() as u64;
    let safe = failed.iter().filter(|shot| shot.safe).count() as u64;
    let beyond = failed.len() as u64 - safe - lost;
    let reigns = market.reigns.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let two = reigns.values().filter(|reign| reign.nodes.len() > 1).count() as u64;
    let rises = reigns.values().zip(reigns.values().skip(1)).all(|(one, next)| one.first <= next.first);
    let longest = stage.marked("kill").filter_map(|mark| without_primary(stage, mark.from)).max().unwrap_or_default();
    let of = |kind: &str| stood_in.get(kind).copied().unwrap_or(0);
    stage.claims.extend([
        Claim::none("failed requests that may be tried again", safe),
        Claim::none("failed orders and executions, but those under way when a system was killed", beyond),
        Claim::told("failed orders and executions of those under way when a system was killed", lost),
        Claim::told("orders that another took for a system that was away", of("order")),
        Claim::told("executions that the primary took for a system that was away", of("execution")),
        Claim::told("logins that moved because their system was away", of("login again")),
        Claim::none("epochs in which two systems answered drop copies", two),
        Claim::judged("epochs rise", "yes", if rises { "yes" } else { "no" }, rises),
        Claim::judged("epochs in which drop copies were answered", "≥ 3", reigns.len(), reigns.len() >= 3),
        Claim::told("the longest time without an answer to a drop copy around a kill, ms", longest.as_millis()),
    ]);
}

/// The longest pause between two answers to drop copies in the ten seconds after that moment.
fn without_primary(stage: &Stage, from: Duration) -> Option<Duration> {
    let until = from + Duration::from_secs(10);
    let copies = stage.shots.iter().filter(|shot| shot.kind == "drop copy" && !shot.failed());
    let mut ends: Vec<Duration> = copies.map(|shot| shot.ended).filter(|at| *at >= from && *at < until).collect();
    ends.push(from);
    ends.sort_unstable();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max()
}

/// A customer's id, of an order's number.
fn customer(order: u64) -> u64 {
    order.wrapping_mul(7919) % CUSTOMERS
}

/// In which epoch who answered drop copies, and when the first of them was.
#[derive(Debug, Clone, Default)]
struct Reign {
    nodes: std::collections::BTreeSet<String>,
    first: Duration,
}

/// What clients and the exchange know.
#[derive(Debug, Clone, Default)]
struct Market {
    part: u64,
    /// Who took each order.
    owners: Arc<Mutex<HashMap<u64, Arc<str>>>>,
    /// Where each login went first.
    logins: Arc<Mutex<HashMap<u64, Arc<str>>>>,
    reigns: Arc<Mutex<BTreeMap<u64, Reign>>>,
}

impl Market {
    fn part(&self, part: u64) -> Self {
        Self { part, ..self.clone() }
    }

    /// Numbers begin anew with each part of the play, orders do not.
    fn order(&self, number: u64) -> u64 {
        self.part * 10_000_000 + number
    }

    async fn place(&self, order: u64, client: &mut Client) {
        let cl_ord_id = format!("ord-{order}");
        let body = json!({ "clOrdID": cl_ord_id, "customer": customer(order), "qty": 100 });
        let request = Request::post("/orders", &body).header("x-request-unique", &cl_ord_id);
        let answer = client.ask("order", order, &request).await;
        if let Some(node) = taken(&answer) {
            self.owners.lock().unwrap_or_else(PoisonError::into_inner).insert(order, node.into());
        }
    }

    /// The exchange tells of an order that was taken a while ago.
    async fn execute(&self, order: u64, client: &mut Client) {
        if !self.owners.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&order) {
            return;
        }
        let body = json!({ "execution": { "clOrdID": format!("ord-{order}"), "qty": 100 } });
        let request = Request::post("/executions", &body).header("x-request-unique", &format!("exec-{order}"));
        client.ask("execution", order, &request).await;
    }

    async fn copy(&self, order: u64, client: &mut Client) {
        let answer = client.ask("drop copy", order, &Request::get("/drop-copy/all")).await;
        let (Some(node), Some(shot)) = (taken(&answer), client.last()) else { return };
        let epoch = answer.as_ref().and_then(|answer| answer.json().ok()).and_then(|body| body["epoch"].as_u64());
        let mut reigns = self.reigns.lock().unwrap_or_else(PoisonError::into_inner);
        let reign = reigns.entry(epoch.unwrap_or(0)).or_insert_with(|| Reign { first: shot.ended, ..Reign::default() });
        reign.nodes.insert(node.to_owned());
    }

    /// Somebody logs in for the first time, and who did so a while ago comes again.
    async fn log_in(&self, order: u64, client: &mut Client) {
        let request = |order: u64| Request::new("PUT", &format!("/sessions/login-{order}"));
        let answer = client.ask("login", order, &request(order)).await;
        if let Some(node) = taken(&answer) {
            self.logins.lock().unwrap_or_else(PoisonError::into_inner).insert(order, node.into());
        }
        let earlier = order.saturating_sub(LATER);
        if self.logins.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&earlier) {
            client.ask("login again", earlier, &request(earlier)).await;
        }
    }
}

fn taken(answer: &Option<Answer>) -> Option<&str> {
    answer.as_ref().filter(|answer| answer.status < 300)?.header("x-node")
}

impl Story for Market {
    async fn play(&self, number: u64, client: &mut Client) {
        let order = self.order(number);
        self.place(order, client).await;
        if number >= LATER {
            self.execute(order - LATER, client).await;
        }
        if number % 10 == 0 {
            self.copy(order, client).await;
        }
        if number % 20 == 0 {
            self.log_in(order, client).await;
        }
    }
}
