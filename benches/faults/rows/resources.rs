//! Rows 47 to 52, without 50: what the machine has no more of.

use crate::rows::{Need, Row, Run, row};

mod machine;
mod pipes;

const CGROUPS: &[&str] = &["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cgroup.controllers"];

pub(super) const ROWS: &[Row] = &[
    row(
        47,
        "descriptors",
        "descriptors exhausted",
        "no spin, no crash; sheds; reserve for admin and health; recovers",
        "prlimit --nofile",
        &[Need::Tool("prlimit")],
        Run::Now(|t| Box::pin(machine::descriptors(t))),
    ),
    row(
        48,
        "port-taken",
        "port taken, at start and at reload",
        "exits before serving; reload refused, old kept",
        "a listener of another process",
        &[],
        Run::Now(|t| Box::pin(machine::ports(t))),
    ),
    row(
        49,
        "memory",
        "memory limit near",
        "sheds at 95–98% before the kernel kills",
        "a cgroup's memory limit",
        &[Need::Root, Need::File(CGROUPS)],
        Run::Now(|t| Box::pin(machine::memory(t))),
    ),
    row(
        51,
        "log-pipe",
        "log pipe full",
        "lines dropped and counted; requests never wait",
        "a FIFO that nobody reads",
        &[Need::Tool("mkfifo")],
        Run::Now(|t| Box::pin(pipes::full(t))),
    ),
    row(
        52,
        "cardinality",
        "100,000 distinct paths, hosts, methods",
        "metric series bounded",
        "as many requests",
        &[],
        Run::Now(|t| Box::pin(pipes::distinct(t))),
    ),
];
