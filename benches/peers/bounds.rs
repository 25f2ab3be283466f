//! What is demanded of us, as the goals of the main job and of the express lane say it ("What it must show"). The figures stand here only.

use crate::scenario::Scenario;

/// Which figure of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// CPU time a request.
    Cpu,
    /// Requests a second.
    PerSecond,
    /// 99th percentile of latency.
    P99,
    /// 99th percentile of latency in an open loop.
    OpenLoopP99,
    /// KiB an idle connection holds: compared with the limit itself, at every number of connections.
    IdleKib,
}

/// Which side of the figure is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// One demand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// The line that demands it, word for word as far as it says this.
    pub(crate) line: &'static str,
    pub(crate) scenarios: &'static [Scenario],
    pub(crate) figure: Figure,
    /// Whose figure.
    pub(crate) of: &'static str,
    /// The ratio to each of these has to hold, so the better of them counts; none: the figure itself.
    pub(crate) against: &'static [&'static str],
    pub(crate) limit: Limit,
}

use Figure::{Cpu, IdleKib, OpenLoopP99, P99, PerSecond};
use Limit::{AtLeast, AtMost};
use Scenario::{Modulo, OneMib, Post, Small, TenKib, Thousand, Tls};

const PEERS: &[&str] = &["nginx", "haproxy"];
const ALL: &[Scenario] = &[Small, Modulo, TenKib, OneMib, Post, Thousand, Tls];
const PLAIN: &[Scenario] = &[Small, TenKib, OneMib, Post, Thousand, Tls];

/// Every demand that this program can judge.
#[rustfmt::skip]
pub(crate) const BOUNDS: &[Bound] = &[
    Bound {
        line: "CPU µs per request, small reply: ≤ 0.95 × the better of nginx and HAProxy with static round robin",
        scenarios: &[Small], figure: Cpu, of: "ours", against: PEERS, limit: AtMost(0.95),
    },
    Bound {
        line: "≤ 0.82 × nginx with a LuaJIT balancer doing the same modulo pin",
        scenarios: &[Modulo], figure: Cpu, of: "ours", against: &["nginx"], limit: AtMost(0.82),
    },
    Bound {
        line: "≤ 0.72 × HAProxy with Lua",
        scenarios: &[Modulo], figure: Cpu, of: "ours", against: &["haproxy-lua"], limit: AtMost(0.72),
    },
    Bound {
        line: "≤ 0.35 × Envoy 1.40",
        scenarios: &[Small], figure: Cpu, of: "ours", against: &["envoy"], limit: AtMost(0.35),
    },
    Bound {
        line: "the Wasm policy against the same rule native, whole proxy: CPU per request ratio ≤ 1.03",
        scenarios: &[Small, Modulo], figure: Cpu, of: "ours", against: &["native"], limit: AtMost(1.03),
    },
    Bound {
        line: "10 KiB and 1 MiB replies, POST with 1 KiB body, 1,000 connections, TLS: each ≤ 1.0 × the better peer",
        scenarios: &[TenKib, OneMib, Post, Thousand, Tls], figure: Cpu, of: "ours", against: PEERS, limit: AtMost(1.0),
    },
    Bound {
        line: "no winning by delay: requests per second ≥ the better peer's",
        scenarios: PLAIN, figure: PerSecond, of: "ours", against: PEERS, limit: AtLeast(1.0),
    },
    Bound {
        line: "no winning by delay: requests per second ≥ the better peer's",
        scenarios: &[Modulo], figure: PerSecond, of: "ours", against: &["nginx", "haproxy-lua"], limit: AtLeast(1.0),
    },
    Bound {
        line: "no winning by delay: p99 ≤ the better peer's",
        scenarios: PLAIN, figure: P99, of: "ours", against: PEERS, limit: AtMost(1.0),
    },
    Bound {
        line: "no winning by delay: p99 ≤ the better peer's",
        scenarios: &[Modulo], figure: P99, of: "ours", against: &["nginx", "haproxy-lua"], limit: AtMost(1.0),
    },
    Bound {
        line: "p99 at 70% of the slower peer's peak rate (open loop), ten paired runs: median ratio to nginx ≤ 1.1",
        scenarios: ALL, figure: OpenLoopP99, of: "ours", against: &["nginx"], limit: AtMost(1.1),
    },
    Bound {
        line: "idle keep-alive connection: ≤ 2 KiB, flat from 1,000 to as many as the descriptor limit allows",
        scenarios: ALL, figure: IdleKib, of: "ours", against: &[], limit: AtMost(2.0),
    },
    Bound {
        line: "two worker threads against one: CPU per request ≤ 1.05 ×",
        scenarios: ALL, figure: Cpu, of: "ours-2", against: &["ours"], limit: AtMost(1.05),
    },
];
