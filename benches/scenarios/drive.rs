//! The load: stories of one or several requests, told at a rate or one after the other, and a record of every request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_demo::client::{Answer, Connection, Request};
use tokio::sync::{Semaphore, oneshot};

use crate::shot::{Outcome, Shot};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pacing thread wakes up 4,000 times a second at most; requests due in between are let go together, and their latency
/// counts from when each was due.
const SHORTEST_PAUSE: Duration = Duration::from_micros(250);
/// The longest, so that a stop is noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// After a connection that could not be made: without it a loop would count thousands of them a second.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// What a client does, once for each number.
pub(crate) trait Story: Send + Sync + 'static {
    /// Plays it over one connection, one request after the other.
    fn play(&self, number: u64, client: &mut Client) -> impl Future<Output = ()>;
}

/// How fast stories follow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each connection begins one when it has ended the last.
    Closed,
    /// So many are due each second, whatever becomes of them.
    Rate(f64),
}

/// How a load is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) to: SocketAddr,
    pub(crate) pace: Pace,
    pub(crate) connections: usize,
    /// Stories in all; `u64::MAX` to go on until told to stop.
    pub(crate) stories: u64,
}

/// A load under way.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    shots: oneshot::Receiver<Vec<Shot>>,
}

#[derive(Debug)]
struct Shared {
    done: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    ended: AtomicBool,
    next: AtomicU64,
    /// No story from this number on.
    limit: AtomicU64,
    due: Semaphore,
}

impl Load {
    /// Begins on a thread of its own; times are counted from `clock`.
    pub(crate) fn start(clock: Instant, shape: Shape, story: impl Story) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            next: AtomicU64::new(0),
            limit: AtomicU64::new(shape.stories),
            due: Semaphore::new(0),
        });
        let (tell, shots) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|problem| problem.to_string())?;
        let inner = shared.clone();
        let all = move || {
            let local = tokio::task::LocalSet::new();
            let _ = tell.send(local.block_on(&runtime, run(clock, shape, story, inner.clone())));
            inner.ended.store(true, Ordering::SeqCst);
        };
        std::thread::Builder::new().name("load".into()).spawn(all).map_err(|problem| problem.to_string())?;
        Ok(Self { shared, shots })
    }

    /// Requests that have ended, and those of them that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.shared.done.load(Ordering::SeqCst), self.shared.failed.load(Ordering::SeqCst))
    }

    /// Waits until so many more requests have ended than by now, or the load is over. The load is another thread's, so asking
    /// again is the only event there is.
    pub(crate) async fn further(&self, requests: u64) {
        let wanted = self.counts().0 + requests;
        while self.counts().0 < wanted && !self.shared.ended.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether every story was told.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Begins no further story.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }

    /// Waits for the end.
    pub(crate) async fn shots(self) -> Result<Vec<Shot>, String> {
        self.shots.await.map_err(|_| "the load has panicked".to_owned())
    }
}

async fn run(clock: Instant, shape: Shape, story: impl Story, shared: Arc<Shared>) -> Vec<Shot> {
    let start = Instant::now();
    if let Pace::Rate(rate) = shape.pace {
        let (shared, interval) = (shared.clone(), 1.0 / rate);
        std::thread::spawn(move || pace(start, interval, shape, &shared));
    }
    let log = Rc::new(RefCell::new(Log { shots: Vec::new(), names: HashMap::new() }));
    let story = Rc::new(story);
    let workers: Vec<_> = (0..shape.connections)
        .map(|_| {
            let mut client = Client {
                to: shape.to,
                clock,
                due: start,
                link: None,
                log: log.clone(),
                shared: shared.clone(),
                last: None,
            };
            let story = story.clone();
            tokio::task::spawn_local(async move {
                while let Some(number) = client.next(shape, start).await {
                    story.play(number, &mut client).await;
                }
            })
        })
        .collect();
    for worker in workers {
        // A story that panicked must not pass for one that had nothing to tell.
        worker.await.expect("a story does not panic");
    }
    log.take().shots
}

/// Lets stories become due.
fn pace(start: Instant, interval: f64, shape: Shape, shared: &Shared) {
    let mut let_go = 0;
    while let_go < shape.stories && !shared.stop.load(Ordering::SeqCst) {
        let due = ((start.elapsed().as_secs_f64() / interval) as u64 + 1).min(shape.stories);
        shared.due.add_permits(usize::try_from(due - let_go).unwrap_or(0));
        let_go = due;
        let next = Duration::from_secs_f64(interval * let_go as f64);
        std::thread::sleep(next.saturating_sub(start.elapsed()).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    }
    shared.limit.store(let_go, Ordering::SeqCst);
    // One more for each connection, which then finds that all is told.
    shared.due.add_permits(shape.connections);
}

#[derive(Debug, Default)]
struct Log {
    shots: Vec<Shot>,
    names: HashMap<String, Arc<str>>,
}

impl Log {
    fn name(&mut self, node: &str) -> Arc<str> {
        if let Some(known) = self.names.get(node) {
            return known.clone();
        }
        let name: Arc<str> = node.into();
        self.names.insert(node.to_owned(), name.clone());
        name
    }
}

/// One connection, kept alive, and what is written down of it.
pub(crate) struct Client {
    to: SocketAddr,
    clock: Instant,
    due: Instant,
    link: Option<Connection>,
    log: Rc<RefCell<Log>>,
    shared: Arc<Shared>,
    last: Option<usize>,
}

impl Client {
    async fn next(&mut self, shape: Shape, start: Instant) -> Option<u64> {
        match shape.pace {
            // What is due is sent, also after a stop.
            Pace::Rate(_) => self.shared.due.acquire().await.ok()?.forget(),
            Pace::Closed if self.shared.stop.load(Ordering::SeqCst) => return None,
            Pace::Closed => {}
        }
        let number = self.shared.next.fetch_add(1, Ordering::SeqCst);
        if number >= self.shared.limit.load(Ordering::SeqCst) {
            return None;
        }
        self.due = match shape.pace {
            Pace::Closed => Instant::now(),
            Pace::Rate(rate) => start + Duration::from_secs_f64(number as f64 / rate),
        };
        Some(number)
    }

    /// Sends a request about `key`, and writes down what came of it. The first of a story counts from when the story was due.
    pub(crate) async fn ask(&mut self, kind: &'static str, key: u64, request: &Request) -> Option<Answer> {
        let sent = Instant::now();
        let result = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let (outcome, answer) = match result {
            Err(_) => (Outcome::Broken("no answer in time"), None),
            Ok(Err(Broken::Connect)) => {
                tokio::time::sleep(AFTER_REFUSAL).await;
                (Outcome::Broken("no connection"), None)
            }
            Ok(Err(Broken::Cut)) => (Outcome::Broken("cut off"), None),
            // What the proxy says itself is an error; whatever else is good has a node that said it.
            Ok(Ok(answer)) if answer.status < 400 && answer.header("x-node").is_none() => {
                (Outcome::Broken("an answer of no node"), Some(answer))
            }
            Ok(Ok(answer)) => (Outcome::of(answer.status), Some(answer)),
        };
        let ended = Instant::now();
        let mut log = self.log.borrow_mut();
        let node = answer.as_ref().and_then(|answer| answer.header("x-node")).map(|node| log.name(node));
        let since = |moment: Instant| moment.saturating_duration_since(self.clock);
        let safe = !matches!(request.method(), "POST" | "PATCH");
        let (due, sent, ended) = (since(self.due.min(sent)), since(sent), since(ended));
        self.last = Some(log.shots.len());
        log.shots.push(Shot { kind, key, due, sent, ended, node, outcome, safe });
        drop(log);
        self.due = Instant::now();
        self.shared.done.fetch_add(1, Ordering::SeqCst);
        self.shared.failed.fetch_add(u64::from(outcome != Outcome::Good), Ordering::SeqCst);
        answer
    }

    /// Time since the start of the play.
    pub(crate) fn since(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The last request was answered by a node that should not have.
    pub(crate) fn wrong_node(&mut self) {
        let mut log = self.log.borrow_mut();
        if let Some(shot) = self.last.and_then(|last| log.shots.get_mut(last)) {
            shot.outcome = Outcome::Misrouted;
        }
    }

    /// When the last request was sent and when it ended.
    pub(crate) fn last(&self) -> Option<Shot> {
        self.log.borrow().shots.get(self.last?).cloned()
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, Broken> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Connection::open(self.to).await.map_err(|_| Broken::Connect)?,
        };
        let answer = link.exchange(request).await.map_err(|_| Broken::Cut)?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.link = (!closes).then_some(link);
        Ok(answer)
    }
}

enum Broken {
    Connect,
    Cut,
}
