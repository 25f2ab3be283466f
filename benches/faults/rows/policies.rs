//! Rows 27 to 33: what policies do.

use std::path::PathBuf;

use crate::rows::{Row, Run, row};

#[path = "../../../plugins/host/tests/suite/assembly.rs"]
mod assembly;
mod hostile;
mod loading;

const COSTS: &str = "that pick only: a fallback within budget + 1 tick; RSS ≤ cap × instances; quarantined after 5";

pub(super) const ROWS: &[Row] = &[
    row(
        27,
        "policy-loops",
        "policy loops",
        COSTS,
        "a guest whose pick never ends",
        &[],
        Run::Now(|t| Box::pin(hostile::each(t, &["spin"]))),
    ),
    row(
        28,
        "policy-grows",
        "policy grows memory or tables",
        COSTS,
        "guests that grow without end",
        &[],
        Run::Now(|t| Box::pin(hostile::each(t, &["grow", "tables"]))),
    ),
    row(
        29,
        "policy-traps",
        "policy traps or overflows its stack",
        COSTS,
        "guests that trap and recurse",
        &[],
        Run::Now(|t| Box::pin(hostile::each(t, &["trap", "recurse"]))),
    ),
    row(
        30,
        "policy-lies",
        "policy answers a node that is not there, an absurd list",
        COSTS,
        "guests that lie",
        &[],
        Run::Now(|t| Box::pin(hostile::each(t, &["stranger", "long-list", "lying-list"]))),
    ),
    row(
        31,
        "module",
        "module garbage, wrong world, 100 MB, compile bomb",
        "refused at load, off the request path, under a cap; the old one serves",
        "uploads",
        &[],
        Run::Now(|t| Box::pin(loading::refused(t))),
    ),
    row(
        32,
        "policy-state",
        "policy state leaking between services",
        "an instance belongs to one service",
        "a guest that counts, in two services",
        &[],
        Run::Now(|t| Box::pin(loading::apart(t))),
    ),
    row(
        33,
        "policy-swaps",
        "policy swapped under load ×100",
        "0 errors; each request wholly old or wholly new",
        "100 uploads in turn",
        &[],
        Run::Now(|t| Box::pin(loading::swapped(t))),
    ),
];

/// The guests of the host's own tests.
fn guest(name: &str) -> Vec<u8> {
    assembly::guest(&folder(), name)
}

/// A guest of our own, by the parts that differ from a round robin.
fn own(text: &str) -> Vec<u8> {
    assembly::assemble(&folder(), "own", text, assembly::WIT)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/host/tests/guests"))
}
