//! One client connection from its acceptance to who carries it: handshake, lane, pingora.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use pingora_proxy::HttpProxy;
use pointsman_config::plan::Address;
use pointsman_lane::hand_over::HandOver;
use pointsman_lane::{Ended, Lane, Peer, Stream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::express::Express;
use super::frames::Cause;
use super::gateway::Gateway;
use super::manner::{Manner, Manners};
use super::remark::{Remarks, named};
use super::stream::ClientStream;
use super::tls::{self, Secure};
use super::{Shared, announced, http2, reserve};
use crate::metrics::NO_SERVICE;
use crate::refusal::{Why, label};
use crate::world::clock;

/// A reload opens its sockets before it is live, and is live or gives up well within this.
const LIVE: Duration = Duration::from_secs(10);

static HANDSHAKES: Remarks = Remarks::new();
static HTTP2: Remarks = Remarks::new();

/// What such a request gets, if it is answered at all.
const BAD_REQUEST: u16 = 400;

/// What a connection needs. Cloned for each socket.
#[derive(Clone)]
pub(super) struct Welcome {
    pub(super) proxy: Arc<HttpProxy<Gateway>>,
    pub(super) express: Express,
    pub(super) shared: Shared,
    pub(super) manners: watch::Receiver<Arc<Manners>>,
    pub(super) stopping: watch::Receiver<bool>,
    /// Held by each connection; when the last is dropped, nothing runs any more.
    pub(super) running: mpsc::Sender<()>,
}

/// A connection, counted while it lives.
struct Counted {
    shared: Shared,
    _running: mpsc::Sender<()>,
}

impl Counted {
    /// A request over HTTP/2 was refused for its head before it had a line of the access log.
    fn malformed(&self, client: Option<SocketAddr>) {
        let why = label(Why::BadRequest);
        let unrouted = self.shared.metrics.service(NO_SERVICE, NO_SERVICE);
        unrouted.request(BAD_REQUEST, Duration::ZERO);
        unrouted.refused(why);
        let client = named(client);
        HTTP2.warn(format_args!("{client}: a request over HTTP/2 is refused ({why}): its authority, path or length"));
    }

    /// Its handshake failed.
    fn not_secure(&self, client: Option<SocketAddr>, why: &'static str) {
        // Whoever only looks whether somebody listens goes away, too.
        if why != "gone" {
            HANDSHAKES.warn(format_args!("{}: its TLS handshake failed: {}", named(client), tls::sentence(why)));
        }
        self.shared.metrics.tls().handshake(why);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.metrics.connections().dec();
    }
}

struct Arrival {
    socket: TcpStream,
    /// `None`: over a Unix socket.
    client: Option<SocketAddr>,
    counted: Counted,
    proxy: Arc<HttpProxy<Gateway>>,
    express: Express,
    stopping: watch::Receiver<bool>,
}

/// Carries a connection accepted at this address of ours.
pub(super) fn carry(socket: TcpStream, client: Option<SocketAddr>, address: &Address, welcome: &Welcome) {
    // A Unix socket holds nothing back.
    if let Some(client) = client
        && let Err(error) = socket.set_nodelay(true)
    {
        // The client is gone already.
        log::debug!("{client}: {error}");
        return;
    }
    if reserve::is_touched(&socket) {
        return welcome.shared.metrics.clients().refused("descriptors");
    }
    if welcome.shared.memory.turns_away() {
        return turn_away(socket, address, welcome);
    }
    welcome.shared.metrics.connections().inc();
    let arrival = Arrival {
        socket,
        client,
        counted: Counted { shared: welcome.shared.clone(), _running: welcome.running.clone() },
        proxy: Arc::clone(&welcome.proxy),
        express: welcome.express.clone(),
        stopping: welcome.stopping.clone(),
    };
    // Asked at each connection, since a reload may change it without touching the socket.
    let manner = welcome.manners.borrow().listeners.get(address).cloned();
    match manner {
        Some(manner) => tokio::spawn(arrival.go_on(manner)),
        None => tokio::spawn(arrival.wait(address.clone(), welcome.manners.clone())),
    };
}

/// There is hardly any memory left: whoever speaks in clear is told so.
fn turn_away(socket: TcpStream, address: &Address, welcome: &Welcome) {
    welcome.shared.metrics.clients().refused("memory");
    if welcome.manners.borrow().listeners.get(address).is_some_and(|manner| manner.tls.is_none()) {
        tokio::spawn(Arc::clone(&welcome.shared.memory).tell(socket));
    }
}

impl Arrival {
    /// The socket is open, the configuration that names it not yet live: in clear or not, nobody can say.
    async fn wait(self, address: Address, mut manners: watch::Receiver<Arc<Manners>>) {
        let live =
            tokio::time::timeout(LIVE, manners.wait_for(|manners| manners.listeners.contains_key(&address))).await;
        let manner = live.ok().and_then(Result::ok).and_then(|manners| manners.listeners.get(&address).cloned());
        match manner {
            Some(manner) => self.go_on(manner).await,
            None => {
                log::warn!("{address}: a connection is closed, since no configuration in force says how to treat it");
            }
        }
    }

    async fn go_on(self, manner: Arc<Manner>) {
        let Self { mut socket, mut client, counted, proxy, express, stopping } = self;
        if manner.proxy_protocol {
            match announced(&mut socket, client, &manner).await {
                Ok(told) => client = told,
                Err(why) => return counted.shared.metrics.clients().refused(why),
            }
        }
        let ip = client.map(|client| client.ip());
        let _place = match manner.gate.enter(ip, manner.trusts(ip), &manner.limits) {
            Ok(place) => place,
            Err(bound) => return counted.shared.metrics.clients().refused(bound),
        };
        let (mut stream, mut peer, mut http2) = match &manner.tls {
            None => (Stream::from(socket), Peer::from(client), false),
            // Boxed, or every connection in clear would be as large as a handshake.
            Some(tls) => match Box::pin(tls.shake(socket, client)).await {
                Ok(Secure { stream, peer, http2 }) => {
                    counted.shared.metrics.tls().handshake("done");
                    (stream, peer, http2)
                }
                Err(why) => return counted.not_secure(client, why),
            },
        };
        let mut before = Vec::new();
        // In clear a client says so with its first bytes, where the operator allows that.
        let limits = Arc::clone(&manner.limits);
        let by_preface = manner.http2 && manner.tls.is_none();
        if http2 {
            counted.shared.metrics.handed_over("http2");
        } else {
            // Where the lane is off, a tunnel is the lane's even so, since pingora could not end it with a word.
            let on = manner.lane;
            let lane = Lane::new(express, Arc::clone(&manner.options), clock::now);
            drop(manner);
            match lane.serve(stream, peer).await {
                Ended::Closed => return,
                Ended::HandOver { stream: left, peer: still, read, why } => {
                    if on {
                        counted.shared.metrics.handed_over(why.label());
                    }
                    (stream, peer, before) = (left, still, read);
                    http2 = by_preface && why == HandOver::Http2;
                }
            }
        }
        let stream = ClientStream::new(stream, &peer, before, http2, &limits, &counted.shared.metrics);
        if !http2 {
            proxy.process_new(Box::new(stream), &stopping).await;
            return;
        }
        let malformed = || counted.malformed(peer.address);
        if let Some(cause) = http2::carry(&proxy, stream, &limits, stopping, malformed).await {
            counted.shared.metrics.clients().http2_closed(cause.label());
            if cause != Cause::Idle {
                let (client, why) = (named(peer.address), cause.sentence());
                HTTP2.warn(format_args!("{client}: its HTTP/2 connection is closed: {why}"));
            }
        }
    }
}

/// Whom a trusted proxy passes on. The error is why nobody is let in, as metrics name it.
async fn announced(
    socket: &mut TcpStream,
    peer: Option<SocketAddr>,
    manner: &Manner,
) -> Result<Option<SocketAddr>, &'static str> {
    if !manner.trusts(peer.map(|peer| peer.ip())) {
        return Err("untrusted");
    }
    let told = tokio::time::timeout(manner.options.head_timeout, announced::read(socket)).await;
    match told {
        Ok(Ok(told)) => Ok(told.or(peer)),
        Ok(Err(announced::Malformed)) | Err(_) => Err("proxy-header"),
    }
}
