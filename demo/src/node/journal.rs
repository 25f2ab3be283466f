//! Which requests a node executed, so that a test can ask whether any ran twice.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What a node has served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The node.
    pub node: String,
    /// Requests answered, health checks and questions about the node left out.
    pub requests: u64,
    /// Different request ids seen (`x-request-unique`, else `clOrdID`).
    pub unique: u64,
    /// Requests whose id had been seen before.
    pub duplicates: u64,
    /// The first hundred of those ids.
    pub duplicate_ids: Vec<String>,
    /// Requests about what this node should know and does not: they should have gone to another.
    pub misrouted: u64,
    /// The most requests that it worked on at once.
    pub most_at_once: u64,
    /// Requests that it refused because there were more at once than it bears.
    pub over: u64,
    /// The highest epoch that it was asked in.
    pub epoch: u64,
    /// Requests for the primary that it refused because they came in a lower one.
    pub stale: u64,
}

/// The record of one node.
#[derive(Debug)]
pub(super) struct Journal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: u64,
    seen: HashSet<String>,
    executed: Vec<String>,
    duplicates: u64,
    duplicate_ids: Vec<String>,
    file: Option<File>,
}

impl Journal {
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose()?;
        Ok(Self { inner: Mutex::new(Inner { file, ..Inner::default() }) })
    }

    pub(super) fn count_request(&self) {
        self.lock().requests += 1;
    }

    /// Notes that the request of that id ran; answers whether it had run before.
    pub(super) fn note(&self, id: &str) -> bool {
        let mut inner = self.lock();
        inner.executed.push(id.into());
        let again = !inner.seen.insert(id.into());
        if again {
            inner.duplicates += 1;
            if inner.duplicate_ids.len() < 100 {
                inner.duplicate_ids.push(id.into());
            }
        }
        again
    }

    /// Appends an executed order to the file, if there is one. One write a line: what was acknowledged survives a kill
    /// of this process, though not of the machine.
    pub(super) fn append(&self, cl_ord_id: &str, id: &str) -> io::Result<()> {
        match &mut self.lock().file {
            Some(file) => file.write_all(format!("{cl_ord_id}\t{id}\n").as_bytes()),
            None => Ok(()),
        }
    }

    pub(super) fn executed(&self) -> Vec<String> {
        self.lock().executed.clone()
    }

    pub(super) fn stats(&self, node: &str) -> Stats {
        let inner = self.lock();
        Stats {
            node: node.into(),
            requests: inner.requests,
            unique: inner.seen.len() as u64,
            duplicates: inner.duplicates,
            duplicate_ids: inner.duplicate_ids.clone(),
            ..Stats::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
