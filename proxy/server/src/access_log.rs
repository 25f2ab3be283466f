//! The access log: one JSON object a line, one line a request.
//!
//! Workers format a line and hand it to one writer thread through a bounded channel; when the disk does not keep up,
//! lines are dropped and counted, never waited for.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use pointsman_config::plan;
use serde::Serialize;

use crate::metrics::Metrics;

mod sink;
mod stamp;

use sink::Sink;

/// Lines that may wait for the writer: a third of a second at 50,000 requests a second.
const WAITING: usize = 16_384;

/// How long the writer lets lines gather. Without it each request would wake a thread.
const GATHER: Duration = Duration::from_millis(5);

/// What a line says. Times are microseconds.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When the request's head was read, in UTC (RFC 3339).
    #[serde(serialize_with = "stamp::serialize")]
    pub time: SystemTime,
    /// The request's id, as sent to the node.
    pub request_id: &'a str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The subject of the certificate that the client proved to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// The policy of the service.
    pub policy: &'a str,
    /// Who decided: `policy` or `fallback`; absent when nobody picked a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// The policy's fault, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// Nodes tried.
    pub attempts: u32,
    /// From the head being read to the last byte.
    pub duration_us: u64,
    /// From the last attempt's start to its response head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
    /// Body bytes sent to the client.
    pub bytes: u64,
    /// Why the proxy answered by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'static str>,
    /// What went wrong on the wire, at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

enum Message {
    Line(Vec<u8>),
    Switch(Sink),
}

/// Takes lines from the workers.
pub struct AccessLog {
    on: AtomicBool,
    /// Gone once the log stops.
    messages: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    plan: Mutex<plan::AccessLog>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Opens the log and starts its writer. Fails when the file cannot be opened.
    pub fn start(plan: &plan::AccessLog, metrics: &Arc<Metrics>) -> io::Result<Arc<Self>> {
        let sink = Sink::open(plan)?;
        let (messages, inbox) = mpsc::sync_channel(WAITING);
        let counted = Arc::clone(metrics);
        let writer =
            std::thread::Builder::new().name("access-log".into()).spawn(move || write(&inbox, sink, &counted))?;
        Ok(Arc::new(Self {
            on: AtomicBool::new(*plan != plan::AccessLog::Off),
            messages: Some(messages),
            writer: Some(writer),
            plan: Mutex::new(plan.clone()),
            metrics: Arc::clone(metrics),
        }))
    }

    /// Whether lines are wanted at all, so that a worker need not put one together.
    pub fn on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands in a line. Never waits.
    pub fn write(&self, line: &Line<'_>) {
        let Some(messages) = self.messages.as_ref().filter(|_| self.on()) else { return };
        let mut text = Vec::with_capacity(400);
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            if messages.try_send(Message::Line(text)).is_err() {
                self.metrics.access_log_dropped().inc();
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
                if let Some(messages) = &self.messages {
                    // An error means that the writer has stopped, which only happens when the log is dropped.
                    let _ = messages.send(Message::Switch(sink));
                }
                *current = plan.clone();
            }
            Err(error) => log::error!("the access log stays where it is: {error}"),
        }
    }
}

impl Drop for AccessLog {
    /// Waits until what was handed in is written.
    fn drop(&mut self) {
        self.messages = None;
        if let Some(writer) = self.writer.take() {
            // An error means that the writer panicked, which it said itself.
            let _ = writer.join();
        }
    }
}

/// Most lines that one write takes.
const BATCH: usize = 4096;

fn write(inbox: &Receiver<Message>, mut sink: Sink, metrics: &Metrics) {
    let mut batch = Vec::new();
    let mut complained = false;
    while let Ok(first) = inbox.recv() {
        let mut lines = 0_u64;
        for message in std::iter::once(first).chain(inbox.try_iter()).take(BATCH) {
            match message {
                Message::Line(line) => {
                    lines += 1;
                    batch.extend_from_slice(&line);
                }
                Message::Switch(next) => {
                    // What came before the switch belongs to the old place.
                    count(sink.write(&batch), &mut lines, metrics, &mut complained);
                    batch.clear();
                    sink = next;
                }
            }
        }
        count(sink.write(&batch), &mut lines, metrics, &mut complained);
        batch.clear();
        std::thread::sleep(GATHER);
    }
}

fn count(written: io::Result<()>, lines: &mut u64, metrics: &Metrics, complained: &mut bool) {
    match written {
        Ok(()) => *complained = false,
        Err(error) => {
            metrics.access_log_dropped().inc_by(*lines);
            // Once a row of failures, or a full disk fills the other log too.
            if !std::mem::replace(complained, true) {
                log::error!("the access log cannot be written: {error}");
            }
        }
    }
    *lines = 0;
}

#[cfg(test)]
mod tests;
