//! The thread that writes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use pointsman_config::plan;
use tokio::sync::oneshot;

use super::journal::{Journal, LONGEST};
use super::{Record, Unwritable};
use crate::metrics::Metrics;
use crate::world::bus::Bus;

/// Bytes of lines that could not be written and wait in memory; of more, the newest are dropped and counted.
const OWED: usize = 1 << 20;

pub(super) type Reply = oneshot::Sender<Result<(), Unwritable>>;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Order {
    Room { reply: Reply },
    Line { record: Box<Record>, had_room: bool, reply: Reply },
    Nothing,
    Open { reply: Reply },
    Hold,
    Close { until: Instant, reply: Reply },
    Leave,
}

/// Whose the file is: two processes never write it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Ours.
    Open,
    /// Ours, for lines of changes that have room; further changes wait.
    Held,
    /// Another process's, or nobody's; changes wait.
    Closed,
    /// Another process's from now on.
    Left,
}

/// Owns the file.
pub(super) struct Writer {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    journal: Option<Journal>,
    stand: Stand,
    metrics: Arc<Metrics>,
    bus: Bus,
    /// Changes under way whose lines have room.
    under_way: u64,
    /// Changes that wait until the file is ours.
    waiting: Vec<Reply>,
    /// Who waits until the file is closed, and until when lines of changes under way may come.
    closing: Option<(Instant, Reply)>,
    /// Lines that could not be written.
    owed: Vec<u8>,
    failing: bool,
}

impl Writer {
    /// One that has not opened its file.
    pub(super) fn new(plan: &plan::Audit, metrics: Arc<Metrics>, bus: Bus) -> Self {
        Self {
            path: plan.file.clone(),
            max_bytes: plan.max_bytes,
            keep: plan.keep,
            journal: None,
            stand: Stand::Closed,
            metrics,
            bus,
            under_way: 0,
            waiting: Vec::new(),
            closing: None,
            owed: Vec::new(),
            failing: false,
        }
    }

    /// Until nobody can ask any more.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let first = match &self.closing {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((until, _)) => inbox.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(first) => self.obey(std::iter::once(first).chain(inbox.try_iter())),
                Err(RecvTimeoutError::Timeout) => self.close(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.closing.is_some() && self.under_way == 0 {
                self.close();
            }
        }
    }

    fn obey(&mut self, orders: impl Iterator<Item = Order>) {
        let (mut lines, mut written) = (Vec::new(), Vec::new());
        for order in orders {
            match order {
                Order::Room { reply } => self.waiting.push(reply),
                Order::Line { record, had_room, reply } => {
                    self.under_way -= u64::from(had_room && self.under_way > 0);
                    lines.extend(line(&record));
                    written.push(reply);
                }
                Order::Nothing => self.under_way = self.under_way.saturating_sub(1),
                Order::Open { reply } => {
                    self.stand = Stand::Open;
                    // Whoever asked may have gone; it is open all the same.
                    let _ = reply.send(self.journal().map(drop).map_err(|error| Unwritable::Failed(error.to_string())));
                }
                Order::Hold => self.stand = Stand::Held,
                Order::Close { until, reply } => self.closing = Some((until, reply)),
                Order::Leave => {
                    self.stand = Stand::Left;
                    let owed = std::mem::take(&mut self.owed);
                    self.lose(&owed);
                }
            }
        }
        if !written.is_empty() {
            let outcome = self.write(lines, written.len());
            written.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
        }
        if matches!(self.stand, Stand::Open | Stand::Left) {
            for reply in std::mem::take(&mut self.waiting) {
                let outcome = self.make_room();
                // Whoever asked may have gone: then nothing is under way.
                if reply.send(outcome.clone()).is_ok() && outcome.is_ok() {
                    self.under_way += 1;
                }
            }
        }
    }

    /// Nothing is written from here on, until the file is opened again.
    fn close(&mut self) {
        self.journal = None;
        self.stand = Stand::Closed;
        if let Some((_, reply)) = self.closing.take() {
            // Whoever asked may have gone; it is closed all the same.
            let _ = reply.send(Ok(()));
        }
    }

    /// The file, opened where that has not succeeded yet.
    fn journal(&mut self) -> io::Result<&mut Journal> {
        if matches!(self.stand, Stand::Closed | Stand::Left) {
            return Err(io::Error::other("another process writes it"));
        }
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => Journal::open(&self.path, self.max_bytes, self.keep).map_err(|error| {
                let text = format!("the audit {} cannot be opened: {error}", self.path.display());
                io::Error::new(error.kind(), text)
            })?,
        };
        Ok(self.journal.insert(journal))
    }

    fn write(&mut self, lines: Vec<u8>, count: usize) -> Result<(), Unwritable> {
        let mut all = std::mem::take(&mut self.owed);
        all.extend_from_slice(&lines);
        let outcome = self.journal().and_then(|journal| journal.append(&all));
        let label = if outcome.is_ok() { "written" } else { "failed" };
        self.metrics.admin().audited(label, count as u64);
        if outcome.is_err() {
            if self.stand == Stand::Left || all.len() > OWED {
                self.lose(&lines);
                all.truncate(all.len() - lines.len());
            }
            self.owed = all;
        }
        self.tell(outcome)
    }

    fn lose(&self, lines: &[u8]) {
        let lost = lines.split(|byte| *byte == b'\n').count() - 1;
        if lost > 0 {
            self.metrics.admin().audited("lost", lost as u64);
            log::error!("{lost} line(s) of the audit are lost");
        }
    }

    fn make_room(&mut self) -> Result<(), Unwritable> {
        if !self.owed.is_empty() {
            self.write(Vec::new(), 0)?;
        }
        let room = (self.under_way + 1) * LONGEST as u64;
        let outcome = self.journal().and_then(|journal| journal.reserve(room));
        self.tell(outcome)
    }

    /// Tells operators when it begins to fail and when it works again. That another process has the file is no failure.
    fn tell(&mut self, outcome: io::Result<()>) -> Result<(), Unwritable> {
        if matches!(self.stand, Stand::Closed | Stand::Left) {
            return outcome.map_err(|_| Unwritable::Elsewhere);
        }
        let failing = outcome.is_err();
        if failing != std::mem::replace(&mut self.failing, failing) {
            match &outcome {
                Err(error) => {
                    log::error!("the audit cannot be written: {error}");
                    self.bus.tell("audit-unwritable", "", "", format!("the audit cannot be written: {error}"));
                }
                Ok(()) => self.bus.tell("audit-writable", "", "", "the audit can be written again"),
            }
        }
        outcome.map_err(|error| Unwritable::Failed(error.to_string()))
    }
}

/// A record as a line, never longer than the room that is set aside for one.
fn line(record: &Record) -> Vec<u8> {
    let render = |record: &Record| serde_json::to_vec(record).unwrap_or_default();
    let mut line = render(record);
    if line.len() >= LONGEST {
        let note = serde_json::Value::from("too long to be written down");
        line = render(&Record { before: note.clone(), after: note, ..record.clone() });
        line.truncate(LONGEST - 1);
    }
    line.push(b'\n');
    line
}
