//! Rows 39 to 46: nodes that join, and what the registry keeps.

use crate::rows::{Need, Row, Run, row};

mod disk;
mod leases;

const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

const LATER: Run = Run::Later("the etcd store is not built yet");

pub(super) const ROWS: &[Row] = &[
    row(
        39,
        "churn",
        "1,000 joins and leaves a second",
        "ordered; bounded CPU; no pick of a node 100 ms after its leave is acknowledged",
        "16 connections to the admin API",
        &[],
        Run::Now(|t| Box::pin(leases::churn(t))),
    ),
    row(
        40,
        "lease",
        "heartbeat client frozen past its TTL",
        "gone at TTL + one tick; its late renewal gets 404 and it joins again",
        "SIGSTOP of a node that joined",
        &[],
        Run::Now(|t| Box::pin(leases::frozen_node(t))),
    ),
    row(
        41,
        "clock",
        "wall clock ±1 h",
        "leases are monotonic: 0 expiries",
        "libfaketime",
        &[Need::File(FAKETIME)],
        Run::Now(|t| Box::pin(leases::clock(t))),
    ),
    row(
        42,
        "registry-frozen",
        "the registry's own process frozen, all leases stale on waking",
        "grace; no mass eviction",
        "SIGSTOP of the proxy for three TTLs",
        &[],
        Run::Now(|t| Box::pin(leases::frozen_proxy(t))),
    ),
    row(
        43,
        "etcd",
        "etcd down, leader lost, partitioned, compacted, restored old",
        "last known set serves; resync",
        "–",
        &[],
        LATER,
    ),
    row(
        44,
        "two-proxies",
        "two proxies with different views",
        "stated staleness bound; writes fenced by epoch",
        "–",
        &[],
        LATER,
    ),
    row(
        45,
        "disk-full",
        "disk full or read-only",
        "writes fail loudly, reads and traffic go on; no torn file",
        "a tmpfs of 64 KiB, filled, then remounted",
        &[Need::Root, Need::Tool("mount")],
        Run::Now(|t| Box::pin(disk::full(t))),
    ),
    row(
        46,
        "killed-mid-write",
        "`kill -9` mid-write ×1,000",
        "last acknowledged state, 1,000 of 1,000",
        "kill -9 of the proxy while nodes join",
        &[],
        Run::Now(|t| Box::pin(disk::killed(t))),
    ),
];

/// The first of these files that is there.
fn faketime() -> Option<&'static str> {
    FAKETIME.iter().copied().find(|path| std::path::Path::new(path).exists())
}
