//! A broker's order management: every system takes orders, one of them is primary.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointsman_demo::client::{Answer, Request};
use serde_json::json;

use crate::Terms;
use crate::drive::{Client, Pace, Story};
use crate::fleet::Recipe;
use crate::report::Report;
use crate::stage::{Act, Stage};

mod floor;
mod judge;

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
    for (part, primary, name) in
        [(2, false, "a system dies"), (3, true, "the primary dies"), (4, true, "the next primary dies")]
    {
        let from = stage.now();
        let load = stage.load(Pace::Rate(rate), 48, u64::MAX, market.part(part))?;
        load.further(orders / 2).await;
        let victim = one(&stage, primary).await?;
        stage.act(Act::Kill, &victim).await?;
        load.further(orders).await;
        stage.act(Act::Restart, &victim).await?;
        load.further(orders / 2).await;
        load.stop();
        stage.gather(load, name, from).await?;
    }
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 48, u64::MAX, market.part(5))?;
    load.further(orders / 4).await;
    let leaves = one(&stage, false).await?;
    stage.act(Act::Leave, &leaves).await?;
    load.further(orders / 2).await;
    stage.act(Act::Restart, &leaves).await?;
    load.further(orders / 4).await;
    load.stop();
    stage.gather(load, "a system is restarted in order", from).await?;
    judge::judge(&mut stage, &market).await?;
    Report::of(stage, NAME, ABOUT).await
}

fn id(ordinal: u64) -> String {
    format!("oms-{ordinal}")
}

/// The primary, or the last of the others.
async fn one(stage: &Stage, primary: bool) -> Result<String, String> {
    let reigns = stage.primary("oms").await?;
    let other = (1..=SYSTEMS).rev().map(id).find(|id| *id != reigns);
    if primary { Ok(reigns) } else { other.ok_or_else(|| "there is one system alone".into()) }
}

/// A customer's id, of an order's number.
fn customer(order: u64) -> u64 {
    order.wrapping_mul(7919) % CUSTOMERS
}

/// Who answered drop copies in an epoch, and when the first of them was.
#[derive(Debug, Clone, Default)]
struct Epoch {
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
    epochs: Arc<Mutex<BTreeMap<u64, Epoch>>>,
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
        let Some(epoch) = epoch else {
            // It was not asked as primary.
            client.wrong_node();
            return;
        };
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = epochs.entry(epoch).or_insert_with(|| Epoch { first: shot.ended, ..Epoch::default() });
        known.first = known.first.min(shot.ended);
        known.nodes.insert(node.to_owned());
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
