//! One worker: a thread, its runtime, its sockets, its proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use pingora_core::apps::HttpServerApp;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::Shared;
use super::arrival::{Welcome, carry};
use super::deadline;
use super::door::Share;
use super::express::Express;
use super::gateway::Gateway;
use super::manner::Manners;
use super::mirror::Copier;

/// Idle connections to nodes that one worker keeps.
const POOL: usize = 1024;

/// pingora carries out what the exchange decides; its own bound only has to be out of the way. The rule allows ten
/// attempts at most.
const ATTEMPTS: usize = 32;

/// Pause after a failed `accept`: when descriptors run out, trying again at once would only burn the core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// What a worker may be told.
pub(super) enum Order {
    /// Accept on this socket too.
    Accept(Share),
    /// Finish what runs, for so long; then end.
    Finish { grace: Duration },
}

/// Tells a worker.
pub(super) type Orders = mpsc::UnboundedSender<Order>;

/// Starts the worker `index`.
pub(super) fn start(
    index: usize,
    shared: Shared,
    manners: watch::Receiver<Arc<Manners>>,
) -> io::Result<(Orders, JoinHandle<()>)> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        runtime.block_on(work(index, shared, manners, inbox));
        // Dropping the runtime cuts what still runs.
    })?;
    Ok((orders, thread))
}

async fn work(
    index: usize,
    shared: Shared,
    manners: watch::Receiver<Arc<Manners>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let (stop, stopping) = watch::channel(false);
    let (running, mut all_ended) = mpsc::channel(1);
    let copier = Copier::new(index, shared.clone(), manners.clone());
    let proxy = proxy(index, &shared, manners.clone(), copier.clone());
    let express = Express::new(index, shared.clone(), copier);
    let welcome = Welcome { proxy: Arc::clone(&proxy), express: express.clone(), shared, manners, stopping, running };
    let serve = async {
        loop {
            match orders.recv().await {
                Some(Order::Accept(share)) => open(share, &welcome),
                Some(Order::Finish { grace }) => return grace,
                // `Workers` was dropped without a word: nobody waits for us.
                None => return Duration::ZERO,
            }
        }
    };
    let grace = tokio::select! {
        grace = serve => grace,
        never = deadline::keep() => match never {},
    };
    // From here on every answer says `Connection: close`, and connections that wait for a request end.
    stop.send_replace(true);
    express.stop();
    pointsman_lane::wake_idle();
    proxy.http_cleanup().await;
    drop(welcome);
    tokio::select! {
        _ = all_ended.recv() => {}
        () = tokio::time::sleep(grace) => log::warn!("worker {index}: time is over, cutting what still runs"),
        never = deadline::keep() => match never {},
    }
}

fn proxy(
    index: usize,
    shared: &Shared,
    manners: watch::Receiver<Arc<Manners>>,
    copier: Copier,
) -> Arc<HttpProxy<Gateway>> {
    let conf =
        ServerConf { threads: 1, max_retries: ATTEMPTS, upstream_keepalive_pool_size: POOL, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(Gateway::new(index, shared.clone(), manners, copier), Arc::new(conf));
    proxy.handle_init_modules();
    Arc::new(proxy)
}

fn open(share: Share, welcome: &Welcome) {
    match TcpListener::from_std(share.socket) {
        Ok(socket) => {
            tokio::spawn(accept(socket, share.address, share.open, share.closed, welcome.clone()));
        }
        Err(error) => log::error!("a socket cannot be accepted on: {error}"),
    }
}

async fn accept(
    socket: TcpListener,
    address: SocketAddr,
    mut open: watch::Receiver<()>,
    closed: std_mpsc::Sender<()>,
    welcome: Welcome,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            // Nothing is ever sent: an answer means that the door was closed.
            _ = open.changed() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => carry(stream, client, address, &welcome),
            Err(error) => {
                log::warn!("accept: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    // Whom the kernel has let in already would be reset when the socket closes.
    while let Some(Ok((stream, client))) = socket.accept().now_or_never() {
        carry(stream, client, address, &welcome);
    }
    drop(socket);
    drop(closed);
}
