//! Rows 1 to 11: what nodes do.

use crate::rows::{Row, Run, row};

mod answers;
mod deaths;
mod wires;

pub(super) const ROWS: &[Row] = &[
    row(
        1,
        "node-killed",
        "node killed, nothing answered yet",
        "GETs retried elsewhere, 0 failed; a sent POST gets one 502, never replayed",
        "kill -9 under 80 concurrent requests",
        &[],
        Run::Now(|terms| Box::pin(deaths::killed(terms))),
    ),
    row(
        2,
        "node-killed-mid-body",
        "node killed mid-body",
        "the truncation is visible: short length, no last chunk, RST_STREAM",
        "kill -9; FIN before the last chunk",
        &[],
        Run::Now(|terms| Box::pin(deaths::mid_body(terms))),
    ),
    row(
        3,
        "node-frozen",
        "node frozen",
        "affected ≤ in flight + picks before it is down, then 0",
        "SIGSTOP",
        &[],
        Run::Now(|terms| Box::pin(deaths::frozen(terms))),
    ),
    row(
        4,
        "refused",
        "connection refused",
        "any method retried, < 5 ms added, down within `fall` checks",
        "the listener is closed",
        &[],
        Run::Now(|terms| Box::pin(deaths::refused(terms))),
    ),
    row(
        5,
        "blackhole",
        "SYN black hole",
        "connect timeout, then another node, inside the deadline",
        "a listener whose backlog is full drops SYNs",
        &[],
        Run::Now(|terms| Box::pin(wires::blackhole(terms))),
    ),
    row(
        6,
        "reset",
        "RST before and after the response head",
        "before: GET retried, POST 502 once; after: a visible cut",
        "SO_LINGER 0",
        &[],
        Run::Now(|terms| Box::pin(wires::reset(terms))),
    ),
    row(
        7,
        "half-open",
        "pooled connections half-open",
        "found dead; GETs retried, POSTs not",
        "the fault proxy swallows, then resets",
        &[],
        Run::Now(|terms| Box::pin(wires::half_open(terms))),
    ),
    row(
        8,
        "idle-closed",
        "node closes an idle pooled connection as it is used",
        "0 GET errors; no POST twice",
        "FIN right behind each answer",
        &[],
        Run::Now(|terms| Box::pin(wires::idle_closed(terms))),
    ),
    row(
        9,
        "late",
        "node answers late, or one byte a second",
        "504 at the head timeout, a cut at the idle timeout, memory flat",
        "a node that is silent, then one that drips",
        &[],
        Run::Now(|terms| Box::pin(answers::late(terms))),
    ),
    row(
        10,
        "malformed",
        "node's answer malformed",
        "502, and the connection is not used again",
        "raw bytes for an answer",
        &[],
        Run::Now(|terms| Box::pin(answers::malformed(terms))),
    ),
    row(
        11,
        "flapping",
        "node flapping every second; all nodes down",
        "damped by rise and fall, 0 failed; 503 in < 10 ms, or `try-any`",
        "health answers and listeners that come and go",
        &[],
        Run::Now(|terms| Box::pin(answers::flapping(terms))),
    ),
];
