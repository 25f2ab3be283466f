//! A lane between a scripted client and scripted nodes, on real sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pointsman_config::plan::Timeouts;
use pointsman_core::cluster::load::NodeLoad;
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::exchange::{Action, Attempt, Event, FailureClass, Reason};
use pointsman_core::facts::{RequestFacts, is_idempotent};
use pointsman_core::pick::picker::By;
use pointsman_lane::traffic::{Ending, Facts, Flaw, Leave, Page, Peer, Receipt, Room, Traffic, Trip};
use pointsman_lane::{Ended, Lane, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};

/// However slow the machine: nothing in these tests waits for longer than this, or it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// What became of a request, as the trip was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) path: String,
    pub(crate) ending: Ending,
    pub(crate) status: u16,
    pub(crate) reused: bool,
    pub(crate) bytes: (u64, u64),
    pub(crate) attempt: Option<u32>,
}

/// Round robin over given nodes; what fails is tried at the next one where that is safe.
pub(crate) struct Robin {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) turn: AtomicU64,
    pub(crate) attempts: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) parks: AtomicBool,
    pub(crate) version: watch::Sender<u64>,
    /// Told when a request parks.
    pub(crate) parked: Notify,
    pub(crate) draining: AtomicBool,
    pub(crate) room: Mutex<Room>,
    /// The code with which tunnels have to end; 0: they may stay.
    pub(crate) leave: AtomicU16,
    /// The milliseconds after which they are cut then.
    pub(crate) within: AtomicU64,
    pub(crate) told: Option<mpsc::UnboundedSender<Told>>,
}

pub(crate) struct Ride {
    robin: Arc<Robin>,
    turn: u64,
    made: u32,
    parked: bool,
    /// The version that was there when it was parked.
    seen: u64,
}

pub(crate) struct Shared(pub(crate) Arc<Robin>);

impl Traffic for Shared {
    type Trip = Ride;

    fn begin(&self, _: &Facts<'_>, _: Duration) -> Ride {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        Ride { robin: Arc::clone(&self.0), turn, made: 0, parked: self.0.parks.load(Ordering::Relaxed), seen: 0 }
    }

    fn reject(&self, flaw: Flaw, _: &Peer, page: &mut Page) {
        page.status = flaw.status();
        page.body.extend_from_slice(flaw.label().as_bytes());
    }

    fn room(&self, _: usize) -> Room {
        *self.0.room.lock().unwrap()
    }

    fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}

impl Ride {
    fn connect(&mut self) -> Action {
        let node = &self.robin.nodes[(self.turn + u64::from(self.made)) as usize % self.robin.nodes.len()];
        self.made += 1;
        Action::Connect(Attempt {
            node: Arc::clone(node),
            in_flight: node.load.enter(0).expect("no bound"),
            number: self.made,
            version: 1,
            epoch: 0,
            by: By::Policy,
            waited: None,
        })
    }
}

impl Trip for Ride {
    fn step(&mut self, event: Event, facts: &Facts<'_>, now: Duration) -> Action {
        match event {
            Event::Start if self.parked => {
                self.robin.parked.notify_one();
                self.seen = *self.robin.version.borrow();
                Action::Wait { until: now + PATIENCE }
            }
            Event::Start | Event::Wake => self.connect(),
            Event::Failed(failure) => {
                let safe = !failure.sent || failure.replayable && is_idempotent(facts.method());
                let wanted = !matches!(failure.class, FailureClass::Status(status) if status != 503);
                if safe && wanted && self.made < self.robin.attempts {
                    return self.connect();
                }
                match failure.class {
                    FailureClass::Status(_) => Action::PassOn,
                    FailureClass::Connect => Action::Answer(Reason::Connect),
                    FailureClass::Reset => Action::Answer(Reason::Reset),
                    FailureClass::Timeout => Action::Answer(Reason::Timeout),
                    FailureClass::Malformed => Action::Answer(Reason::Malformed),
                }
            }
        }
    }

    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let version = self.seen;
        let mut changed = self.robin.version.subscribe();
        let wait = async move { changed.wait_for(|now| *now > version).await.is_ok() };
        // Only a parked request pays for this.
        let mut wait = Box::pin(wait);
        match wait.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => {
                let waker = context.waker().clone();
                tokio::spawn(async move {
                    wait.await;
                    waker.wake();
                });
                Poll::Pending
            }
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.robin.timeouts
    }

    fn drops(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"x-forwarded-for")
    }

    fn request_lines(&self, _: &Facts<'_>, _: &Attempt, _: &mut Vec<u8>) {}

    fn page(&mut self, reason: &Reason, _: &Facts<'_>, page: &mut Page) {
        page.status = if *reason == Reason::Timeout { 504 } else { 502 };
        page.body.extend_from_slice(format!("{reason:?}").as_bytes());
    }

    fn flaw_page(&mut self, flaw: Flaw, _: &Facts<'_>, page: &mut Page) {
        page.status = flaw.status();
        page.body.extend_from_slice(flaw.label().as_bytes());
    }

    fn poll_leave(&mut self, _: &mut Context<'_>, _: &Node) -> Poll<Leave> {
        // Who sets it wakes the lane.
        match self.robin.leave.load(Ordering::Relaxed) {
            0 => Poll::Pending,
            code => {
                Poll::Ready(Leave { code, within: Duration::from_millis(self.robin.within.load(Ordering::Relaxed)) })
            }
        }
    }

    fn finish(self, facts: &Facts<'_>, receipt: Receipt) {
        let Some(told) = &self.robin.told else { return };
        let _ = told.send(Told {
            path: facts.path().to_owned(),
            ending: receipt.ending,
            status: receipt.status,
            reused: receipt.reused,
            bytes: (receipt.request_bytes, receipt.response_bytes),
            attempt: receipt.attempt.map(|attempt| attempt.number),
        });
    }
}

pub(crate) fn node(number: u64, address: SocketAddr) -> Arc<Node> {
    Arc::new(Node {
        spec: NodeSpec {
            id: format!("n{number}"),
            ordinal: Some(number),
            address: address.into(),
            weight: 1,
            zone: String::new(),
            labels: BTreeMap::new(),
        },
        incarnation: Incarnation(number),
        source: Source::Static,
        load: Arc::new(NodeLoad::default()),
    })
}

/// What a test changes before it starts.
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) attempts: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) options: Options,
    pub(crate) parks: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let timeouts = Timeouts { connect: PATIENCE, response: PATIENCE, idle: PATIENCE };
        Self { nodes: 1, attempts: 2, timeouts, options: Options::default(), parks: false }
    }
}

/// A lane that listens, and the nodes behind it.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) nodes: Vec<TcpListener>,
    pub(crate) robin: Arc<Robin>,
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    pub(crate) ended: mpsc::UnboundedReceiver<Ended>,
}

impl Rig {
    pub(crate) async fn new(setup: Setup) -> Self {
        let mut listeners = Vec::new();
        let mut nodes = Vec::new();
        for number in 0..setup.nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            nodes.push(node(number as u64 + 1, listener.local_addr().unwrap()));
            listeners.push(listener);
        }
        let (tell, told) = mpsc::unbounded_channel();
        let robin = Arc::new(Robin {
            nodes,
            turn: AtomicU64::new(0),
            attempts: setup.attempts,
            timeouts: setup.timeouts,
            parks: AtomicBool::new(setup.parks),
            version: watch::Sender::new(1),
            parked: Notify::new(),
            draining: AtomicBool::new(false),
            room: Mutex::default(),
            leave: AtomicU16::new(0),
            within: AtomicU64::new(10_000),
            told: Some(tell),
        });
        let (end, ended) = mpsc::unbounded_channel();
        let address = listen(Shared(Arc::clone(&robin)), setup.options, end).await;
        Self { address, nodes: listeners, robin, told, ended }
    }

    /// A client.
    pub(crate) async fn client(&self) -> Wire {
        Wire::new("client", TcpStream::connect(self.address).await.unwrap())
    }

    /// The next connection that the lane makes to a node.
    pub(crate) async fn node(&self, index: usize) -> Wire {
        let (stream, _) = within("a connection to the node", self.nodes[index].accept()).await.unwrap();
        Wire::new("node", stream)
    }

    /// The next receipt.
    pub(crate) async fn told(&mut self) -> Told {
        within("a receipt", self.told.recv()).await.unwrap()
    }
}

/// Accepts connections into a lane.
pub(crate) async fn listen(traffic: Shared, options: Options, end: mpsc::UnboundedSender<Ended>) -> SocketAddr {
    let lane = Arc::new(Lane::new(traffic, options, clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (lane, end) = (Arc::clone(&lane), end.clone());
            tokio::spawn(async move {
                let _ = end.send(lane.serve(stream, peer).await);
            });
        }
    });
    address
}

/// One end of a connection, in bytes.
pub(crate) struct Wire {
    who: &'static str,
    pub(crate) stream: TcpStream,
}

impl Wire {
    fn new(who: &'static str, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { who, stream }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("a write", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads exactly these bytes.
    pub(crate) async fn expect(&mut self, text: &str) {
        let mut got = Vec::new();
        let reading = async {
            while got.len() < text.len() {
                let mut chunk = vec![0; text.len() - got.len()];
                match self.stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => got.extend_from_slice(&chunk[..read]),
                }
                if !text.as_bytes().starts_with(&got) {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, reading).await;
        assert_eq!(String::from_utf8_lossy(&got), text, "at the {}", self.who);
    }

    /// Reads exactly these bytes, which are no text.
    pub(crate) async fn expect_bytes(&mut self, bytes: &[u8]) {
        assert_eq!(self.take(bytes.len()).await, bytes, "at the {}", self.who);
    }

    /// Reads this many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        within("bytes", self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads to the end of the stream; a reset is an end too.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = within("the end of a stream", self.stream.read_to_end(&mut bytes)).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Nothing more comes.
    pub(crate) async fn ends(&mut self) {
        assert_eq!(self.rest().await, "", "at the {}", self.who);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        socket_linger(&self.stream);
    }
}

fn socket_linger(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}
