//! WebSocket sessions that stay open: many, over several proxies, some of them trading.
//!
//! A process has its descriptors bounded, and a session takes one in the client, two in the proxy and one in the node: so
//! sessions are spread over several proxies, and each proxy's are held by a process of their own, this program started
//! with `hold`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// One session in so many trades.
const TRADES: u64 = 5;
/// A session that trades sends so often.
const BETWEEN: Duration = Duration::from_secs(1);
/// A handshake that takes longer is refused.
const PATIENCE: Duration = Duration::from_secs(20);
/// Handshakes under way at once.
const OPENING: u64 = 32;
/// Small, or 8,000 sessions of a client would take a gigabyte.
const BUFFER: usize = 1024;

/// What became of the sessions of one process.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) opened: u64,
    pub(crate) refused: u64,
    /// Ended before they were told to.
    pub(crate) broken: u64,
    pub(crate) sent: u64,
    pub(crate) echoed: u64,
    /// Logins that came a second time.
    pub(crate) again: u64,
    /// Those of them that met another node than the first time, or none.
    pub(crate) strayed: u64,
    /// Milliseconds from a message to its echo, the slowest of all.
    pub(crate) slowest_ms: f64,
}

/// A process that holds sessions.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    tell: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts one that opens so many sessions at a proxy, with logins numbered from `first`.
    pub(crate) fn start(to: SocketAddr, first: u64, count: u64) -> Result<Self, String> {
        let problem = |problem: std::io::Error| format!("sessions: {problem}");
        let program = std::env::current_exe().map_err(problem)?;
        let mut child = Command::new(program)
            .args(["hold", &to.to_string(), &first.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(problem)?;
        let (tell, said) = (child.stdin.take().ok_or("no stdin")?, child.stdout.take().ok_or("no stdout")?);
        Ok(Self { child, tell, said: BufReader::new(said) })
    }

    /// Waits until it has tried to open all.
    pub(crate) async fn open(&mut self) -> Result<Held, String> {
        self.line().await
    }

    /// Tells it to end, and answers what became of its sessions.
    pub(crate) async fn end(mut self) -> Result<Held, String> {
        self.tell.write_all(b"end\n").await.map_err(|problem| problem.to_string())?;
        let held = self.line().await?;
        self.child.wait().await.map_err(|problem| problem.to_string())?;
        Ok(held)
    }

    async fn line(&mut self) -> Result<Held, String> {
        let mut line = String::new();
        self.said.read_line(&mut line).await.map_err(|problem| problem.to_string())?;
        serde_json::from_str(&line)
            .map_err(|problem| format!("the process that holds sessions said `{line}`: {problem}"))
    }
}

/// What all sessions of this process share.
#[derive(Debug, Default)]
struct Counts {
    opened: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    sent: AtomicU64,
    echoed: AtomicU64,
    again: AtomicU64,
    strayed: AtomicU64,
    slowest_us: AtomicU64,
    /// Where each login went first.
    nodes: Mutex<HashMap<u64, String>>,
}

impl Counts {
    fn held(&self) -> Held {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Held {
            opened: of(&self.opened),
            refused: of(&self.refused),
            broken: of(&self.broken),
            sent: of(&self.sent),
            echoed: of(&self.echoed),
            again: of(&self.again),
            strayed: of(&self.strayed),
            slowest_ms: of(&self.slowest_us) as f64 / 1e3,
        }
    }
}

/// `scenario hold ADDRESS FIRST COUNT`: opens the sessions, says so, holds them until its standard input says to end, and
/// says what became of them.
pub(crate) async fn hold(arguments: &[String]) -> Result<(), String> {
    let [to, first, count] = arguments else { return Err("hold ADDRESS FIRST COUNT".into()) };
    let wrong = |_| "hold ADDRESS FIRST COUNT: no numbers".to_owned();
    let to: SocketAddr = to.parse().map_err(|problem: std::net::AddrParseError| problem.to_string())?;
    let (first, count): (u64, u64) = (first.parse().map_err(wrong)?, count.parse().map_err(wrong)?);
    let counts = Arc::new(Counts::default());
    let (end, ended) = watch::channel(false);
    let gate = Arc::new(tokio::sync::Semaphore::new(usize::try_from(OPENING).unwrap_or(1)));
    let opened = Arc::new(tokio::sync::Barrier::new(usize::try_from(count).unwrap_or(0) + 1));
    let sessions: Vec<_> = (0..count)
        .map(|number| {
            let (counts, ended, gate, opened) = (counts.clone(), ended.clone(), gate.clone(), opened.clone());
            tokio::spawn(async move { session(to, first + number, &counts, ended, &gate, &opened).await })
        })
        .collect();
    opened.wait().await;
    again(to, first, count, &counts).await;
    say(counts.held())?;
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
    let _ = end.send(true);
    for session in sessions {
        let _ = session.await;
    }
    say(counts.held())
}

fn say(held: Held) -> Result<(), String> {
    println!("{}", serde_json::to_string(&held).map_err(|problem| problem.to_string())?);
    Ok(())
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// The socket, and the node that it leads to.
async fn connect(to: SocketAddr, login: u64) -> Option<(Socket, String)> {
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
    let url = format!("ws://{to}/ws?login=trader-{login}");
    let opening = connect_async_with_config(url, Some(config), true);
    let (socket, response) = tokio::time::timeout(PATIENCE, opening).await.ok()?.ok()?;
    let node = response.headers().get("x-node")?.to_str().ok()?.to_owned();
    Some((socket, node))
}

async fn session(
    to: SocketAddr,
    login: u64,
    counts: &Counts,
    mut ended: watch::Receiver<bool>,
    gate: &tokio::sync::Semaphore,
    opened: &tokio::sync::Barrier,
) {
    let permit = gate.acquire().await;
    let socket = connect(to, login).await;
    drop(permit);
    let counter = if socket.is_some() { &counts.opened } else { &counts.refused };
    counter.fetch_add(1, Ordering::Relaxed);
    let Some((mut socket, node)) = socket else {
        opened.wait().await;
        return;
    };
    counts.nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(login, node);
    opened.wait().await;
    let trades = login % TRADES == 0;
    loop {
        let goes_on = tokio::select! {
            _ = ended.changed() => break,
            () = tokio::time::sleep(BETWEEN), if trades => trade(&mut socket, login, counts).await,
            // Nothing is expected but silence; whatever comes is an end or a ping.
            message = socket.next() => matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))),
        };
        if !goes_on {
            counts.broken.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    let _ = socket.close(None).await;
}

/// A message there and back.
async fn trade(socket: &mut Socket, login: u64, counts: &Counts) -> bool {
    let began = Instant::now();
    let text = format!("buy 100 for {login}");
    counts.sent.fetch_add(1, Ordering::Relaxed);
    if socket.send(Message::text(text.clone())).await.is_err() {
        return false;
    }
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            let right = message.to_text().is_ok_and(|echo| echo == text);
            counts.echoed.fetch_add(u64::from(right), Ordering::Relaxed);
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            counts.slowest_us.fetch_max(took, Ordering::Relaxed);
            return right;
        }
    }
    false
}

/// Some log in a second time beside their first session, and meet the same node.
async fn again(to: SocketAddr, first: u64, count: u64, counts: &Counts) {
    for login in (first..first + count).step_by(usize::try_from((count / 50).max(1)).unwrap_or(1)) {
        let second = connect(to, login).await.map(|(_, node)| node);
        let known = counts.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(&login).cloned();
        counts.again.fetch_add(1, Ordering::Relaxed);
        counts.strayed.fetch_add(u64::from(second.is_none() || second != known), Ordering::Relaxed);
    }
}
