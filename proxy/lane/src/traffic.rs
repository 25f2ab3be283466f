//! The seam: what the lane asks of whoever runs it. The lane moves bytes; behind these traits stand the route, the key,
//! the policy, retries, metrics and the log line.
//!
//! A connection calls, in this order, for each request that it reads:
//! [`Traffic::begin`] -> [`Trip::hands_over`] -> [`Trip::answers`] -> [`Trip::wants_body`], [`Trip::body`] for each piece -> [`Trip::step`] with `Start` -> for each attempt [`Trip::timeouts`], [`Trip::drops`] and
//! [`Trip::request_lines`], [`Trip::sending`], and [`Trip::step`] with what went wrong -> [`Trip::replied`], [`Trip::reply_lines`], [`Trip::page`] or
//! [`Trip::flaw_page`] ->
//! [`Trip::finish`] (after a 101 with [`Trip::tunnel`], [`Trip::passed`] and [`Trip::poll_leave`] before), exactly once, also when the client has gone. Only a connection whose task is dropped (a worker
//! that is stopped) drops its trip without that.

use std::task::{Context, Poll};
use std::time::Duration;

use pointsman_config::plan::Timeouts;
use pointsman_core::cluster::node::Node;
use pointsman_core::exchange::{Action, Attempt, Event, Reason};
use pointsman_core::facts::RequestFacts;

pub use crate::facts::Facts;
pub use crate::flaw::Flaw;
pub use crate::hand_over::HandOver;
pub use crate::reply::Reply;
pub use crate::stream::Peer;

/// Decides about requests. One value serves all connections and worker threads.
pub trait Traffic: Send + Sync + 'static {
    /// One request under way. It holds what the request holds: the World, the exchange, the receipt so far.
    type Trip: Trip;

    /// A sound head was read.
    fn begin(&self, facts: &Facts<'_>, now: Duration) -> Self::Trip;

    /// A head is refused: write the page, count, log. There is no trip to finish. The connection is closed after it.
    fn reject(&self, flaw: Flaw, peer: &Peer, page: &mut Page);

    /// How much memory there is for what comes. Asked for each request with 0, and with the bytes that are about to be
    /// taken where a connection needs more than others left behind.
    fn room(&self, more: usize) -> Room {
        let _ = more;
        Room::Plenty
    }

    /// Whether connections are to end after the request they carry.
    fn draining(&self) -> bool {
        false
    }

    /// Whether those that idle are to end now. See [`crate::wake_idle`].
    fn closes_idle(&self) -> bool {
        self.draining()
    }
}

/// How much memory there is for what comes; what is under way goes on in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Room {
    /// Enough.
    #[default]
    Plenty,
    /// For requests whose head fits into the buffer that a connection has anyway; others are refused ([`Flaw::NoRoom`]).
    Little,
    /// For no further request.
    None,
}

/// One request from its head to its last byte. No call may block.
pub trait Trip: Send + 'static {
    /// Whether the lane cannot speak to the nodes that may serve it. Asked first; then the connection is handed over
    /// with the whole request, and the trip dropped.
    fn hands_over(&self) -> bool {
        false
    }

    /// Writes an answer that needs no node, such as a redirect; true if there is one. Asked before the first step.
    fn answers(&mut self, facts: &Facts<'_>, page: &mut Page) -> bool {
        let _ = (facts, page);
        false
    }

    /// Whether the key stands in the body, so that [`Trip::body`] has to see of it what decides before the first step.
    fn wants_body(&mut self, facts: &Facts<'_>, now: Duration) -> bool {
        let _ = (facts, now);
        false
    }

    /// The next bytes of the body, without what frames them; `end`: it is over. Whether more is wanted; then it comes,
    /// unless the end has come or the client goes away. Nothing that is read here is lost: it is sent on like the rest.
    fn body(&mut self, bytes: &[u8], end: bool) -> bool {
        let _ = (bytes, end);
        false
    }

    /// Drives the exchange of `core`. After `Connect`, the lane holds the attempt until it failed or the response's last
    /// byte was sent; then it is dropped or given to [`Trip::finish`].
    fn step(&mut self, event: Event, facts: &Facts<'_>, now: Duration) -> Action;

    /// Ready once what the last step waits for has come. Polled only after [`Action::Wait`], until its time is over.
    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// The upstream timeouts of the request's service. `response` runs from the request's last byte (or the last
    /// progress of its body); `idle` bounds the pause between two reads of the response and the life of a pooled
    /// connection. Rounded up to some 10 ms.
    fn timeouts(&self) -> Timeouts;

    /// Whether the node is asked for another path than the client did: [`Trip::path`].
    fn changes_path(&self) -> bool {
        false
    }

    /// Appends the path that the node is asked for, without the query.
    fn path(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(facts.path().as_bytes());
    }

    /// Whether [`Trip::request_lines`] writes another Host than the client's.
    fn changes_host(&self) -> bool {
        false
    }

    /// Whether a field of the client's is left out of what the node gets, because [`Trip::request_lines`] writes it
    /// anew or because no client may send it. Called for each field that a proxy passes on; `name` as sent, in any case.
    fn drops(&self, name: &[u8]) -> bool;

    /// Appends fields to what the node gets, as whole lines with CR LF. Called once an attempt.
    fn request_lines(&self, facts: &Facts<'_>, attempt: &Attempt, out: &mut Vec<u8>);

    /// An attempt sends the node this head. Called once an attempt, or twice where the node had closed its connection.
    fn sending(&mut self, facts: &Facts<'_>, head: &[u8]) {
        let _ = (facts, head);
    }

    /// The node answered, and its response is passed on. Called once, before a byte of it goes to the client. True: the trip
    /// wants to see the body, too.
    fn replied(&mut self, reply: &Reply<'_>) -> bool {
        let _ = reply;
        false
    }

    /// The next bytes of the response's body, before they go to the client; called where [`Trip::replied`] wanted it.
    fn reply_body(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// That was the whole body; its end has not yet gone to the client.
    fn reply_over(&mut self) {}

    /// Whether a field of the node's response is left out of what the client gets; `name` as sent, in any case.
    fn reply_drops(&self, name: &[u8]) -> bool {
        let _ = name;
        false
    }

    /// Appends fields to what the client gets of the node's response, as whole lines with CR LF.
    fn reply_lines(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let _ = (facts, out);
    }

    /// Writes what the client gets instead of a node's response.
    fn page(&mut self, reason: &Reason, facts: &Facts<'_>, page: &mut Page);

    /// Writes what the client gets when its body turns out to be malformed or too slow and nothing of a response has been
    /// sent yet. The connection is closed after it, and the trip finished with [`Ending::Rejected`].
    fn flaw_page(&mut self, flaw: Flaw, facts: &Facts<'_>, page: &mut Page) {
        let _ = facts;
        page.status = flaw.status();
        page.fields.extend_from_slice(b"Content-Type: text/plain\r\n");
        page.body.extend_from_slice(flaw.sentence().as_bytes());
    }

    /// The node switched protocols: a tunnel begins, which may live for days. Lets go of what must not live as long (the
    /// World); [`Trip::finish`] comes at its end.
    fn tunnel(&mut self, attempt: &Attempt) {
        let _ = attempt;
    }

    /// Bytes passed through the tunnel: to the node, to the client.
    fn passed(&mut self, up: u64, down: u64) {
        let _ = (up, down);
    }

    /// Ready once the tunnel has to end. Not polled again after that. Polled anew after [`crate::wake_idle`].
    fn poll_leave(&mut self, context: &mut Context<'_>, node: &Node) -> Poll<Leave> {
        let _ = (context, node);
        Poll::Pending
    }

    /// The request is over. Takes the trip: dropping it here lets go of the World.
    fn finish(self, facts: &Facts<'_>, receipt: Receipt);
}

/// How a tunnel has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// The status code that a WebSocket client is told (RFC 6455 §7.4.1).
    pub code: u16,
    /// After so long it is cut.
    pub within: Duration,
}

/// A response that the proxy writes itself. The lane adds the first line, Content-Length and Connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Status, 300 to 599.
    pub status: u16,
    /// Further fields as whole lines with CR LF, e.g. Content-Type and Retry-After.
    pub fields: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Page {
    pub(crate) fn clear(&mut self) {
        self.status = 0;
        self.fields.clear();
        self.body.clear();
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The whole response was handed to the client's socket.
    Complete,
    /// The proxy's own page was.
    Page,
    /// The client went, or left our bytes lying too long, before the end.
    ClientGone,
    /// The node ended or stalled in the middle of its response; the client sees that the response is cut off.
    CutOff,
    /// The body of the request was malformed or too slow. The client got [`Trip::flaw_page`], or saw the response that was
    /// under way cut off.
    Rejected,
}

impl Ending {
    /// Name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Page => "page",
            Self::ClientGone => "client-gone",
            Self::CutOff => "cut-off",
            Self::Rejected => "rejected",
        }
    }
}

/// What became of a request. Times are on the clock of `now`.
#[derive(Debug)]
pub struct Receipt {
    /// How it ended.
    pub ending: Ending,
    /// Status sent to the client; 0 when none was.
    pub status: u16,
    /// The attempt whose response was passed on, or the last one. Its in-flight count falls when this is dropped.
    pub attempt: Option<Attempt>,
    /// Whether the last attempt used a connection that had served before.
    pub reused: bool,
    /// When the head was read.
    pub began: Duration,
    /// When the last attempt's request had been written whole.
    pub sent: Option<Duration>,
    /// When the last attempt's final response head had been read.
    pub replied: Option<Duration>,
    /// Now.
    pub ended: Duration,
    /// Payload bytes of the request that were read.
    pub request_bytes: u64,
    /// Payload bytes of the response that were written.
    pub response_bytes: u64,
}
