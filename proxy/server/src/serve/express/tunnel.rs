//! What the errand of a tunnel holds in place of its service, and when it has to end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pointsman_config::plan::Drain;
use pointsman_core::cluster::membership::Standing;
use pointsman_core::cluster::node::{Incarnation, Node};
use pointsman_lane::traffic::Leave;

use crate::serve::books::Books;
use crate::world::control::Feed;
use crate::world::{Service, clock};

/// What a WebSocket client is told when its node leaves or drains, and when the proxy stops (RFC 6455 §7.4.1 and the
/// registry that it sets up).
const GOING_AWAY: u16 = 1001;
const SERVICE_RESTART: u16 = 1012;

/// See above.
pub(super) struct Tunnel {
    pub(super) books: Books,
    feed: Arc<Feed>,
    drain: Drain,
    /// Whether it waits for its moment in the proxy's stop; else for its node to drain or leave, and its moment then.
    stopping: bool,
    waiting: Option<Pin<Box<dyn Future<Output = Leave> + Send>>>,
}

impl Tunnel {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            books: Books::of(service),
            feed: Arc::clone(&service.state.feed),
            drain: service.plan.drain,
            stopping: false,
            waiting: None,
        }
    }

    /// Ready when its moment has come. `until`: when a proxy that stops cuts what still runs.
    pub(super) fn poll_leave(
        &mut self,
        context: &mut Context<'_>,
        node: &Node,
        until: Option<Duration>,
    ) -> Poll<Leave> {
        if let (Some(until), false) = (until, self.stopping) {
            self.stopping = true;
            self.waiting = Some(Box::pin(stopped(until, self.drain)));
        }
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(drained(Arc::clone(&self.feed), node.incarnation, self.drain)));
        waiting.as_mut().poll(context)
    }
}

/// The proxy stops: clients are told over half of the time that is left, so that they have the other half to go.
async fn stopped(until: Duration, drain: Drain) -> Leave {
    let left = || until.saturating_sub(clock::now());
    tokio::time::sleep(moment(drain.spread.min(left() / 2))).await;
    Leave { code: SERVICE_RESTART, within: left() }
}

/// The node drains, or is gone. If that is over before the tunnel's moment has come, it stays.
async fn drained(feed: Arc<Feed>, life: Incarnation, drain: Drain) -> Leave {
    loop {
        turns(&feed, life, false).await;
        let moment = moment(drain.spread.min(drain.deadline));
        if tokio::time::timeout(moment, turns(&feed, life, true)).await.is_err() {
            return Leave { code: GOING_AWAY, within: drain.deadline.saturating_sub(moment) };
        }
    }
}

/// One moment in so long a time: a thousand clients that come back at once would be a storm.
fn moment(spread: Duration) -> Duration {
    spread.mul_f64(rand::random())
}

/// Until a node's life may go on with what it has begun, or may not. One that is down may come back.
async fn turns(feed: &Feed, life: Incarnation, stays: bool) {
    // Subscribed before looking, so that a change in between is not missed.
    let mut changed = feed.changed.subscribe();
    loop {
        let members = feed.cell.load();
        let member = members.index_of(life).and_then(|index| members.get(index));
        if member.is_some_and(|member| member.standing != Standing::Draining) == stays {
            return;
        }
        drop(members);
        if changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
