//! One worker: a thread, its runtime, its sockets, its proxy.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt;
use pingora_core::apps::HttpServerApp;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use pointsman_config::plan::Address;
use tokio::sync::{mpsc, watch};

use super::Shared;
use super::arrival::{Welcome, carry};
use super::deadline;
use super::door::{Ask, Share};
use super::express::Express;
use super::gateway::Gateway;
use super::manner::Manners;
use super::mirror::Copier;
use super::stopping::{Ending, Stopping};
use crate::listening::Listening;

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
    /// Finish what runs; then end.
    Finish(Ending),
    /// End at once.
    Cut,
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
    let stopping = Arc::new(Stopping::default());
    let (goaway, going) = watch::channel(false);
    let (running, mut all_ended) = mpsc::channel(1);
    let copier = Copier::new(index, shared.clone(), manners.clone());
    let gateway = Gateway::new(index, shared.clone(), manners.clone(), copier.clone(), Arc::clone(&stopping));
    let proxy = proxy(gateway);
    let express = Express::new(index, shared.clone(), copier, Arc::clone(&stopping));
    let welcome = Welcome { proxy: Arc::clone(&proxy), express, shared, manners, stopping: going, running };
    let ending = tokio::select! {
        ending = serve(&mut orders, &welcome) => ending,
        never = deadline::keep() => match never {},
    };
    let Some(Ending { grace, idle }) = ending else { return };
    // From here on every answer says `Connection: close`, HTTP/2 clients are told to go, and tunnels when to.
    stopping.begin(grace);
    goaway.send_replace(true);
    pointsman_lane::wake_idle();
    drop(welcome);
    let close_idle = async {
        tokio::time::sleep(idle.min(grace)).await;
        stopping.close_idle();
        pointsman_lane::wake_idle();
        proxy.http_cleanup().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = all_ended.recv() => {}
        () = tokio::time::sleep(grace) => log::warn!("worker {index}: time is over, cutting what still runs"),
        () = cut(&mut orders) => log::warn!("worker {index}: told to stop at once, cutting what still runs"),
        () = close_idle => {}
        never = deadline::keep() => match never {},
    }
}

/// Until it is time to end; `None`: at once.
async fn serve(orders: &mut mpsc::UnboundedReceiver<Order>, welcome: &Welcome) -> Option<Ending> {
    loop {
        match orders.recv().await {
            Some(Order::Accept(share)) => open(share, welcome),
            Some(Order::Finish(ending)) => return Some(ending),
            // Nobody waits for us if `Workers` was dropped without a word.
            Some(Order::Cut) | None => return None,
        }
    }
}

async fn cut(orders: &mut mpsc::UnboundedReceiver<Order>) {
    while orders.recv().await.is_some_and(|order| !matches!(order, Order::Cut)) {}
}

fn proxy(gateway: Gateway) -> Arc<HttpProxy<Gateway>> {
    let conf =
        ServerConf { threads: 1, max_retries: ATTEMPTS, upstream_keepalive_pool_size: POOL, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
    proxy.handle_init_modules();
    Arc::new(proxy)
}

fn open(share: Share, welcome: &Welcome) {
    match Listening::new(share.socket, &share.address) {
        Ok(socket) => {
            tokio::spawn(accept(socket, share.address, share.asks, share.closed, welcome.clone()));
        }
        Err(error) => log::error!("a socket cannot be accepted on: {error}"),
    }
}

async fn accept(
    socket: Listening,
    address: Address,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    closed: std_mpsc::Sender<()>,
    welcome: Welcome,
) {
    let abandoned = loop {
        let accepted = tokio::select! {
            biased;
            ask = asks.recv() => match ask {
                None => break true,
                Some(Ask::Leave) => break false,
                Some(Ask::Lend(reply)) => {
                    // An error means that nobody waits any more.
                    let _ = reply.send(socket.as_fd().try_clone_to_owned());
                    continue;
                }
            },
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => carry(stream, client, &address, &welcome),
            Err(error) => {
                log::warn!("accept: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    };
    // Whom the kernel has let in already would be reset when the last descriptor of the socket closes.
    while abandoned && let Some(Ok((stream, client))) = socket.accept().now_or_never() {
        carry(stream, client, &address, &welcome);
    }
    drop(socket);
    drop(closed);
}
