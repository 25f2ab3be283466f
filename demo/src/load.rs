//! A load generator that hides nothing: every failure is counted under its kind, and with a constant rate latency counts
//! from the moment a request was due, not from when a stalled server let it be sent ("coordinated omission", G. Tene,
//! "How NOT to Measure Latency", 2015). It runs on one thread of its own and allocates nothing per request, because it
//! shares its cores with what it measures.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

mod gauge;
mod link;
mod report;
mod secure;
mod shot;
mod template;
mod tickets;
mod worker;

pub use gauge::Counts;
pub use report::{Failures, Latency, Report, Sample};
pub use secure::Trust;
pub use template::Template;

use gauge::Gauge;

/// Is this the right node for request number `n`? Takes `n` and the value of `x-node`.
pub type Check = Arc<dyn Fn(u64, &[u8]) -> bool + Send + Sync>;

/// What is sent where, how fast and for how long.
#[derive(Clone)]
pub struct LoadOptions {
    /// Where to.
    pub to: SocketAddr,
    /// The Host header; the address when absent.
    pub host: Option<String>,
    /// What is asked, each with its share. Shares are spread evenly, not in blocks.
    pub mix: Vec<Ask>,
    /// Headers of every request.
    pub headers: Vec<(String, Template)>,
    /// Body of requests whose method carries one (POST, PUT, PATCH).
    pub body: Template,
    /// Connections, each with one request under way at a time.
    pub connections: usize,
    /// How fast.
    pub pace: Pace,
    /// When no further request is made.
    pub end: End,
    /// A request that takes longer from its sending has failed.
    pub timeout: Duration,
    /// Whether connections are kept for the next request.
    pub keep_alive: bool,
    /// Statuses that are no failure.
    pub accept: Vec<RangeInclusive<u16>>,
    /// Which node may answer which request.
    pub check: Option<Check>,
    /// What `{run}` stands for.
    pub run: String,
    /// Speak TLS, to a server with a certificate that these vouch for.
    pub tls: Option<Trust>,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its share, as against those of the others.
    pub share: u32,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: Template,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends its next request when the last was answered.
    Closed,
    /// So many requests a second are due, whatever becomes of them.
    Rate(f64),
}

/// When no further request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After so many.
    Requests(u64),
    /// After so long.
    After(Duration),
    /// When told to stop.
    Stopped,
}

impl LoadOptions {
    /// `GET /` over 8 connections, closed loop, until stopped; 200 to 399 is success.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            host: None,
            mix: vec![Ask { share: 1, method: "GET".into(), target: Template::text("/") }],
            headers: Vec::new(),
            body: Template::default(),
            connections: 8,
            pace: Pace::Closed,
            end: End::Stopped,
            timeout: Duration::from_secs(10),
            keep_alive: true,
            accept: vec![200..=399],
            check: None,
            run: format!("{:x}", std::process::id()),
            tls: None,
        }
    }

    /// Asks for that alone. Bad templates are a bug of the caller's.
    ///
    /// # Panics
    /// `target` is not a template.
    #[must_use]
    pub fn ask(mut self, method: &str, target: &str) -> Self {
        let target = Template::parse(target).unwrap_or_else(|problem| panic!("{problem}"));
        self.mix = vec![Ask { share: 1, method: method.into(), target }];
        self
    }

    /// Adds a header.
    ///
    /// # Panics
    /// `value` is not a template.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = Template::parse(value).unwrap_or_else(|problem| panic!("{problem}"));
        self.headers.push((name.into(), value));
        self
    }

    /// Sets the number of connections.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Ends after so many requests.
    #[must_use]
    pub fn requests(mut self, requests: u64) -> Self {
        self.end = End::Requests(requests);
        self
    }

    /// Makes so many requests due each second.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.pace = Pace::Rate(per_second);
        self
    }

    /// Says which node may answer which request.
    #[must_use]
    pub fn check(mut self, check: impl Fn(u64, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    fn prove(&self) -> io::Result<()> {
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if self.connections == 0 {
            return refuse("at least one connection is needed");
        }
        if self.mix.iter().all(|ask| ask.share == 0) {
            return refuse("at least one request with a share above 0 is needed");
        }
        match self.pace {
            Pace::Rate(rate) if !(rate.is_finite() && rate > 0.0) => refuse("the rate must be above 0 a second"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, mix, connections, pace, end, .. } = self;
        write!(
            out,
            "LoadOptions {{ to: {to}, mix: {mix:?}, connections: {connections}, pace: {pace:?}, end: {end:?} }}"
        )
    }
}

/// Load under way. Dropping it lets it end by itself; [`Running::finish`] gives the report.
#[derive(Debug)]
pub struct Running {
    gauge: Arc<Gauge>,
    report: oneshot::Receiver<Report>,
}

/// Starts the load on a thread of its own.
///
/// # Errors
/// The options make no sense, or no thread can be started.
pub fn start(options: LoadOptions) -> io::Result<Running> {
    options.prove()?;
    let gauge = Arc::new(Gauge::default());
    let (tell, report) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = gauge.clone();
    std::thread::Builder::new().name("load".into()).spawn(move || {
        let all = worker::run_all(options, shown.clone());
        let report = tokio::task::LocalSet::new().block_on(&runtime, all);
        shown.end();
        let _ = tell.send(report);
    })?;
    Ok(Running { gauge, report })
}

impl Running {
    /// Requests that ended so far.
    pub fn counts(&self) -> Counts {
        self.gauge.counts()
    }

    /// Waits until so many requests have ended since the start, well or badly, or the load is over.
    pub async fn reached(&self, requests: u64) {
        self.gauge.reached(requests).await;
    }

    /// Waits until so many more have ended than by now.
    pub async fn further(&self, requests: u64) {
        self.reached(self.counts().done + requests).await;
    }

    /// Makes no further request; those under way end as they do.
    pub fn stop(&self) {
        self.gauge.stop();
    }

    /// Waits for the end and answers what was counted.
    ///
    /// # Panics
    /// The load thread has panicked: a bug of the generator.
    pub async fn finish(self) -> Report {
        self.report.await.expect("the load thread reports before it ends")
    }

    /// As [`Running::stop`], then [`Running::finish`].
    pub async fn stop_and_finish(self) -> Report {
        self.stop();
        self.finish().await
    }
}
