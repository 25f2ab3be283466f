//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::journal::{Journal, LONGEST};
use super::{Record, Unwritable};
use crate::metrics::Metrics;
use crate::world::bus::Bus;

/// Bytes of lines that could not be written and wait in memory; of more, the newest are dropped and counted.
const OWED: usize = 1 << 20;

type Reply = oneshot::Sender<Result<(), Unwritable>>;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Order {
    Room { reply: Reply },
    Line { record: Box<Record>, had_room: bool, reply: Reply },
    Nothing,
}

/// Owns the file.
pub(super) struct Writer {
    journal: Journal,
    metrics: Arc<Metrics>,
    bus: Bus,
    /// Changes under way whose lines have room.
    under_way: u64,
    /// Lines that could not be written.
    owed: Vec<u8>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(journal: Journal, metrics: Arc<Metrics>, bus: Bus) -> Self {
        Self { journal, metrics, bus, under_way: 0, owed: Vec::new(), failing: false }
    }

    /// Until nobody can ask any more.
    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let (mut lines, mut room) = (Vec::new(), Vec::new());
            let mut written = Vec::new();
            for order in std::iter::once(first).chain(inbox.try_iter()) {
                match order {
                    Order::Room { reply } => room.push(reply),
                    Order::Line { record, had_room, reply } => {
                        self.under_way -= u64::from(had_room && self.under_way > 0);
                        lines.extend(line(&record));
                        written.push(reply);
                    }
                    Order::Nothing => self.under_way = self.under_way.saturating_sub(1),
                }
            }
            if !written.is_empty() {
                let outcome = self.write(lines, written.len());
                written.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
            }
            for reply in room {
                let outcome = self.make_room();
                // Whoever asked may have gone: then nothing is under way.
                if reply.send(outcome.clone()).is_ok() && outcome.is_ok() {
                    self.under_way += 1;
                }
            }
        }
    }

    fn write(&mut self, lines: Vec<u8>, count: usize) -> Result<(), Unwritable> {
        let mut all = std::mem::take(&mut self.owed);
        all.extend_from_slice(&lines);
        let outcome = self.journal.append(&all);
        let label = if outcome.is_ok() { "written" } else { "failed" };
        self.metrics.admin().audited(label, count as u64);
        if outcome.is_err() {
            if all.len() > OWED {
                let lost = lines.iter().filter(|byte| **byte == b'\n').count();
                self.metrics.admin().audited("lost", lost as u64);
                all.truncate(all.len() - lines.len());
            }
            self.owed = all;
        }
        self.tell(outcome)
    }

    fn make_room(&mut self) -> Result<(), Unwritable> {
        if !self.owed.is_empty() {
            self.write(Vec::new(), 0)?;
        }
        let outcome = self.journal.reserve((self.under_way + 1) * LONGEST as u64);
        self.tell(outcome)
    }

    /// Tells operators when it begins to fail and when it works again.
    fn tell(&mut self, outcome: io::Result<()>) -> Result<(), Unwritable> {
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
        outcome.map_err(|error| Unwritable(error.to_string()))
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
