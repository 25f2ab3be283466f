//! A day-trading system: a web tier by least connections, and six shards that users are spread over by their names.

use std::sync::Arc;

use pointsman_core::key::stable_hash;
use pointsman_demo::client::Request;

use crate::Terms;
use crate::claim::Claim;
use crate::drive::{Client, Pace, Story};
use crate::fleet::Recipe;
use crate::report::Report;
use crate::shot::Shot;
use crate::stage::{Act, Stage};

pub(crate) const NAME: &str = "user-shards";
pub(crate) const ABOUT: &str = "users on six shards by name: a dead shard hurts only its own users, one with a standby \
                                hardly those; a web tier by least connections; no node gets more than it bears at once";

const SHARDS: u64 = 6;
/// As `limits.connections_per_node` of the configuration says; the nodes refuse what is over it.
const MOST: &str = "32";
const LONE: u64 = 2;
const WITH_STANDBY: u64 = 3;

pub(crate) async fn play(terms: &Terms) -> Result<Report, String> {
    let mut stage = Stage::start(terms, NAME).await?;
    let users = terms.count(3000, 120);
    let rate = terms.rate(900.0, 200.0);
    let part = terms.requests(rate, 6.0, 1.2);
    stage.asks("users", users);
    stage.asks("nodes", format!("3 of the web tier, {SHARDS} shards, a standby of shard {WITH_STANDBY}"));
    stage.asks("requests due each second", rate);
    fleet(&mut stage).await?;
    let trading = Trading { users, shards: Arc::new((0..users).map(shard_of).collect()) };
    let from = stage.now();
    let load = stage.load(Pace::Closed, 8, users, Opening(trading.clone()))?;
    stage.gather(load, "accounts are opened", from).await?;

    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, part, trading.clone())?;
    stage.gather(load, "calm", from).await?;

    let lone = shard(LONE);
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, trading.clone())?;
    load.further(part / 6).await;
    stage.act(Act::Kill, &lone).await?;
    load.further(part / 2).await;
    stage.act(Act::Restart, &lone).await?;
    load.further(part / 6).await;
    load.stop();
    stage.gather(load, "a shard without standby dies", from).await?;

    standby_takes_over(&mut stage, rate, part, &trading).await?;

    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, trading.clone())?;
    load.further(part / 6).await;
    stage.act(Act::Kill, "web-2").await?;
    load.further(part / 3).await;
    stage.act(Act::Restart, "web-2").await?;
    load.further(part / 6).await;
    load.stop();
    stage.gather(load, "a web node dies", from).await?;

    let from = stage.now();
    let load = stage.load(Pace::Closed, 150, part, Crowd)?;
    stage.gather(load, "a crowd of 150 at the web tier", from).await?;
    judge(&mut stage).await?;
    Report::of(stage, NAME, ABOUT).await
}

async fn fleet(stage: &mut Stage) -> Result<(), String> {
    for number in 1..=3 {
        stage.node(Recipe::new(&format!("web-{number}"), &["web"]).also(&["--most", MOST]))?;
    }
    for ordinal in 1..=SHARDS {
        // Its standby waits for the lease to lapse: the shorter it is, the sooner it takes over.
        let ttl = if ordinal == WITH_STANDBY { "2s" } else { "10s" };
        let recipe = Recipe::new(&shard(ordinal), &["shards"]).ordinal(ordinal).ttl(ttl);
        stage.node(recipe.also(&["--most", MOST]))?;
    }
    let all: Vec<String> = stage.nodes.iter().map(|node| node.id().to_owned()).collect();
    for id in &all {
        stage.is(id, "up").await?;
    }
    // It asks for the ordinal of a node that lives, is refused, and asks again. It has the same disk.
    let standby = Recipe::new(&standby(), &["shards"]).ordinal(WITH_STANDBY).ttl("2s").ledger(&shard(WITH_STANDBY));
    stage.node(standby.also(&["--most", MOST]))
}

async fn standby_takes_over(stage: &mut Stage, rate: f64, part: u64, trading: &Trading) -> Result<(), String> {
    let (dies, takes) = (shard(WITH_STANDBY), standby());
    let from = stage.now();
    let load = stage.load(Pace::Rate(rate), 32, u64::MAX, trading.clone())?;
    load.further(part / 6).await;
    stage.act(Act::Kill, &dies).await?;
    let dead = stage.now();
    stage.is(&takes, "up").await?;
    stage.mark("takeover", &takes, dead, dead);
    load.further(part / 2).await;
    // It finds its ordinal taken and is the standby from now on.
    let back = stage.now();
    let node = stage.nodes.iter_mut().find(|node| node.id() == dies).ok_or("no such node")?;
    node.revive()?;
    stage.mark("restart", &dies, back, back);
    load.further(part / 3).await;
    load.stop();
    stage.gather(load, "a shard with a standby dies", from).await
}

async fn judge(stage: &mut Stage) -> Result<(), String> {
    let of = |stage: &Stage, what: &str, id: &str| {
        let mark = stage.marked(what).find(|mark| mark.node == id);
        mark.map(|mark| (mark.from, mark.until)).ok_or_else(|| format!("no {what} of {id} was written down"))
    };
    let lone = (of(stage, "kill", &shard(LONE))?.0, of(stage, "restart", &shard(LONE))?.1);
    let covered = (of(stage, "kill", &shard(WITH_STANDBY))?.0, of(stage, "takeover", &standby())?.1);
    let sharded = |shot: &Shot| matches!(shot.kind, "account" | "trade");
    let hurt = |shot: &Shot| match shard_of(shot.key) {
        LONE => shot.meets(lone.0, lone.1),
        WITH_STANDBY => shot.meets(covered.0, covered.1),
        _ => false,
    };
    let count = |wanted: &dyn Fn(&Shot) -> bool| stage.shots.iter().filter(|shot| wanted(shot)).count() as u64;
    let safe_from_it = |shot: &Shot| sharded(shot) && !hurt(shot);
    let (others, of_others) = (count(&|shot| safe_from_it(shot) && shot.failed()), count(&safe_from_it));
    let of_shard = |shot: &Shot, number: u64| sharded(shot) && hurt(shot) && shard_of(shot.key) == number;
    let own = count(&|shot| of_shard(shot, LONE) && shot.failed());
    let bridged = count(&|shot| of_shard(shot, WITH_STANDBY) && shot.failed());
    let taken = count(&|shot| shot.by(&standby()) && !shot.failed());
    let (pages, of_pages) = (count(&|shot| !sharded(shot) && shot.failed()), count(&|shot| !sharded(shot)));
    let (most, over) = (stage.counted("most_at_once").await?, stage.counted("over").await?);
    let of_nodes = stage.counted("requests").await?;
    let bound: u64 = MOST.parse().map_err(|_| "MOST is no number")?;
    let without = (covered.1.saturating_sub(covered.0)).as_millis();
    stage.claims.extend([
        Claim::none("failed requests of users whose shard lives", others, of_others),
        // Or it was not dead.
        Claim::at_least(&format!("failed requests of users of shard {LONE}, while it is dead"), 1, own),
        Claim::told(&format!("failed requests of users of shard {WITH_STANDBY}, until its standby serves"), bridged),
        Claim::told(&format!("from the kill of shard {WITH_STANDBY} until its standby serves, ms"), without),
        Claim::at_least("requests that the standby served well", 1, taken),
        Claim::none("failed requests to the web tier, a dead node and a crowd included", pages, of_pages),
        Claim::some_up_to("requests at once at any node", bound, most),
        Claim::none("requests that a node refused because they were over its bound", over, of_nodes),
    ]);
    Ok(())
}

fn shard(ordinal: u64) -> String {
    format!("shard-{ordinal}")
}

fn standby() -> String {
    format!("shard-{WITH_STANDBY}-standby")
}

fn name(user: u64) -> String {
    format!("trader-{user}")
}

/// The shard of a user, worked out by the rule and not asked from the proxy.
fn shard_of(user: u64) -> u64 {
    stable_hash(&name(user)) % SHARDS + 1
}

/// Pages, accounts and trades in turn.
#[derive(Debug, Clone)]
struct Trading {
    users: u64,
    shards: Arc<Vec<u64>>,
}

impl Trading {
    async fn ask(&self, kind: &'static str, user: u64, request: Request, client: &mut Client) {
        let answer = client.ask(kind, user, &request).await;
        let node = answer.as_ref().and_then(|answer| answer.header("x-node"));
        let wanted = usize::try_from(user).ok().and_then(|user| self.shards.get(user)).map(|own| shard(*own));
        // A standby is called as its shard, and more.
        let right = |node: &str| wanted.as_ref().is_some_and(|own| node == own || node == format!("{own}-standby"));
        if node.is_some_and(|node| !right(node)) {
            client.wrong_node();
        }
    }
}

impl Story for Trading {
    async fn play(&self, number: u64, client: &mut Client) {
        // A step that has no divisor in common with the count meets all of them.
        let user = number.wrapping_mul(7919) % self.users;
        let path = format!("/users/{}", name(user));
        match number % 3 {
            0 => drop(client.ask("page", user, &Request::get("/")).await),
            1 => self.ask("account", user, Request::get(&path), client).await,
            _ => {
                let trade = Request::new("POST", &format!("{path}/trades"));
                // Numbers begin anew with each part of the play; the moment tells the parts apart.
                let trade = trade.header("x-request-unique", &format!("{number}-{}", client.since().as_micros()));
                self.ask("trade", user, trade, client).await;
            }
        }
    }
}

/// Every user opens an account.
struct Opening(Trading);

impl Story for Opening {
    async fn play(&self, number: u64, client: &mut Client) {
        let request = Request::new("PUT", &format!("/users/{}", name(number)));
        self.0.ask("account", number, request, client).await;
    }
}

/// Pages that take a while, asked for by more than the nodes bear at once.
struct Crowd;

impl Story for Crowd {
    async fn play(&self, number: u64, client: &mut Client) {
        client.ask("page", number, &Request::get("/slow?ms=20")).await;
    }
}
