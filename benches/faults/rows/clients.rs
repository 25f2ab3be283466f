//! Rows 12 to 20: what HTTP/1.1 clients do.

use std::path::PathBuf;

use crate::rows::{Row, Run, row};

#[path = "../../../proxy/server/tests/smuggling/corpus.rs"]
mod corpus;
mod heads;
mod slow;

const SLOW: &str = "timed out at the bound; ≤ 64 KiB a connection; the service stays available";
const REFUSED: &str = "400 and close; the node sees nothing";

pub(super) const ROWS: &[Row] = &[
    row(
        12,
        "slow-head",
        "slow head",
        SLOW,
        "1,000 connections of our own; slowhttptest -H",
        &[],
        Run::Now(|t| Box::pin(slow::head(t))),
    ),
    row(
        13,
        "slow-body",
        "slow body",
        SLOW,
        "1,000 connections of our own; slowhttptest -B",
        &[],
        Run::Now(|t| Box::pin(slow::body(t))),
    ),
    row(
        14,
        "slow-reader",
        "slow reader",
        SLOW,
        "1,000 connections of our own; slowhttptest -X",
        &[],
        Run::Now(|t| Box::pin(slow::reader(t))),
    ),
    row(
        15,
        "too-large",
        "head, URI, header count too large",
        "431, 414, memory bounded",
        "large heads",
        &[],
        Run::Now(|t| Box::pin(heads::too_large(t))),
    ),
    row(
        16,
        "length-and-coding",
        "Content-Length with Transfer-Encoding",
        REFUSED,
        "the corpus of smuggling, length_and_coding",
        &[],
        Run::Now(|t| Box::pin(heads::corpus(t, &["length_and_coding", "codings"]))),
    ),
    row(
        17,
        "lengths",
        "duplicate, signed, hex, overflowing Content-Length",
        REFUSED,
        "the corpus of smuggling, lengths",
        &[],
        Run::Now(|t| Box::pin(heads::corpus(t, &["lengths"]))),
    ),
    row(
        18,
        "lines",
        "bare LF, CR, NUL, space before colon, obs-fold",
        REFUSED,
        "the corpus of smuggling, lines",
        &[],
        Run::Now(|t| Box::pin(heads::corpus(t, &["lines", "request_line", "hosts"]))),
    ),
    row(
        19,
        "chunks",
        "chunk extension, overflow, spill, trailers",
        REFUSED,
        "the corpus of smuggling, chunks",
        &[],
        Run::Now(|t| Box::pin(heads::corpus(t, &["chunks"]))),
    ),
    row(
        20,
        "upgrade",
        "Upgrade with bytes behind it, 101 refused; HTTP/1.0 with TE",
        "a tunnel only after 101; refused",
        "raw bytes",
        &[],
        Run::Now(|t| Box::pin(heads::upgrade(t))),
    ),
];

/// Where the corpus lies.
fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy/server/tests/smuggling/corpus"))
}
