//! The access log: one JSON object a line, one line a request.
//!
//! Each worker gathers its lines in memory of its own, which one writer thread fetches every few milliseconds; when the disk
//! does not keep up, lines are dropped and counted, never waited for.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use pointsman_config::plan;

use crate::metrics::Metrics;

mod dropping;
mod gather;
mod json;
mod sink;
pub(crate) mod stamp;

use dropping::Dropping;
use gather::{Gathering, Stretch};
use sink::Sink;

/// How long the writer lets lines gather. Without it each request would wake a thread.
const GATHER: Duration = Duration::from_millis(5);

/// Memory for lines that is kept for the next ones: of one place, and of how many.
const KEPT: usize = 1 << 20;
const SPARES: usize = 64;

/// What a line says. Times are microseconds.
#[derive(Debug)]
pub struct Line<'a> {
    /// When the request's head was read, in UTC (RFC 3339).
    pub time: SystemTime,
    /// The request's id, as sent to the node.
    pub request_id: &'a str,
    /// The client's address; `None`: whoever came over a Unix socket.
    pub client: Option<IpAddr>,
    /// The subject of the certificate that the client proved to hold.
    pub subject: Option<&'a str>,
    /// Method.
    pub method: &'a str,
    /// Path without query, which may hold what must not be logged.
    pub path: &'a str,
    /// Status sent to the client; 0 when nothing was.
    pub status: u16,
    /// The service, or `-` where no route matches.
    pub service: &'a str,
    /// The node that was tried last.
    pub node: Option<&'a str>,
    /// The policy of the service.
    pub policy: &'a str,
    /// Who decided: `policy` or `fallback`; absent when nobody picked a node.
    pub by: Option<&'static str>,
    /// The policy's fault, where there was one.
    pub fault: Option<&'static str>,
    /// Nodes tried.
    pub attempts: u32,
    /// From the head being read to the last byte.
    pub duration_us: u64,
    /// From the last attempt's start to its response head.
    pub upstream_us: Option<u64>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// Why the proxy answered by itself.
    pub refused: Option<&'static str>,
    /// What went wrong on the wire, at last.
    pub error: Option<&'a str>,
}

/// What workers and the writer share.
struct Shared {
    gathering: Gathering,
    /// Where the lines of a stretch and those after it go.
    switches: Mutex<Vec<(u64, Sink)>>,
    dropping: Dropping,
    ending: AtomicBool,
}

/// Takes lines from the workers.
pub struct AccessLog {
    on: AtomicBool,
    shared: Arc<Shared>,
    /// Gone once the log stops.
    writer: Option<JoinHandle<()>>,
    plan: Mutex<plan::AccessLog>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Opens the log and starts its writer. Fails when the file cannot be opened.
    pub fn start(plan: &plan::AccessLog, metrics: &Arc<Metrics>) -> io::Result<Arc<Self>> {
        let sink = Sink::open(plan)?;
        let shared = Arc::new(Shared {
            gathering: Gathering::new(),
            switches: Mutex::default(),
            dropping: Dropping::default(),
            ending: AtomicBool::new(false),
        });
        let mut writer = Writer::new(Arc::clone(&shared), sink, Arc::clone(metrics));
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        Ok(Arc::new(Self {
            on: AtomicBool::new(*plan != plan::AccessLog::Off),
            shared,
            writer: Some(thread),
            plan: Mutex::new(plan.clone()),
            metrics: Arc::clone(metrics),
        }))
    }

    /// Whether lines are wanted at all, so that a worker need not put one together.
    pub fn on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands in a line. Never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.on()) else { return };
        if !self.shared.gathering.add(writer.thread(), |out| json::write(line, out)) {
            self.metrics.access_log_dropped().inc();
            if self.shared.dropping.add(1) {
                dropping::say_it_begins();
            }
        }
    }

    /// Changes where the log goes, if it changed. When the new file cannot be opened the old one is written on, and
    /// the operator is told.
    pub fn switch(&self, plan: &plan::AccessLog) {
        let mut current = self.plan.lock();
        if *current == *plan {
            return;
        }
        match Sink::open(plan) {
            Ok(sink) => {
                self.on.store(*plan != plan::AccessLog::Off, Ordering::Relaxed);
                // Nobody may meet a line of the new stretch before its place is known.
                let mut switches = self.shared.switches.lock();
                switches.push((self.shared.gathering.next(), sink));
                drop(switches);
                self.wake();
                *current = plan.clone();
            }
            Err(error) => log::error!("the access log stays where it is: {error}"),
        }
    }
}

impl AccessLog {
    fn wake(&self) {
        if let Some(writer) = &self.writer {
            self.shared.gathering.wake(writer.thread());
        }
    }
}

impl Drop for AccessLog {
    /// Waits until what was handed in is written.
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.wake();
        if let Some(writer) = self.writer.take() {
            // An error means that the writer panicked, which it said itself.
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    metrics: Arc<Metrics>,
    /// The stretch whose place `sink` is.
    stretch: u64,
    /// What of later stretches has been taken already.
    held: Vec<Stretch>,
    spare: Vec<Vec<u8>>,
    /// Whether the last write failed.
    failing: bool,
    /// Lines dropped by the end of the round before.
    dropped: u64,
}

impl Writer {
    fn new(shared: Arc<Shared>, sink: Sink, metrics: Arc<Metrics>) -> Self {
        Self { shared, sink, metrics, stretch: 0, held: Vec::new(), spare: Vec::new(), failing: false, dropped: 0 }
    }

    fn run(&mut self) {
        loop {
            self.shared.gathering.sleep();
            std::thread::sleep(GATHER);
            let ending = self.shared.ending.load(Ordering::Acquire);
            self.round();
            self.dropped = self.shared.dropping.look(self.dropped, self.failing, ending);
            if ending {
                return;
            }
        }
    }

    fn round(&mut self) {
        // Before the lines are taken: then all that belongs before one of these switches is among them.
        let switches = std::mem::take(&mut *self.shared.switches.lock());
        self.held.extend(self.shared.gathering.take(&mut self.spare));
        self.write_up_to(self.stretch);
        for (stretch, sink) in switches {
            (self.stretch, self.sink) = (stretch, sink);
            self.write_up_to(stretch);
        }
    }

    fn write_up_to(&mut self, last: u64) {
        let due = self.held.extract_if(.., |stretch| stretch.number <= last);
        for Stretch { mut bytes, lines, .. } in due.collect::<Vec<_>>() {
            match self.sink.write(&bytes) {
                Ok(()) => self.failing = false,
                Err(error) => {
                    self.metrics.access_log_dropped().inc_by(lines);
                    self.shared.dropping.add(lines);
                    // Once a row of failures, or a full disk fills the other log too.
                    if !std::mem::replace(&mut self.failing, true) {
                        log::error!(
                            "the access log cannot be written, and its lines are dropped from here on: {error}"
                        );
                    }
                }
            }
            bytes.clear();
            if bytes.capacity() <= KEPT && self.spare.len() < SPARES {
                self.spare.push(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
