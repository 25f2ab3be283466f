//! The seam between the brain and whatever decides: Wasm in production, plain Rust in benches and tests.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::cluster::membership::Membership;

/// Who a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// As in the configuration, e.g. `customer-modulo`.
    pub name: String,
    /// Semantic version of the policy itself.
    pub version: String,
    /// Whether a key belongs to one node.
    pub pins: bool,
}

/// How much of the routing key a pick needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum KeyNeed {
    /// Nothing.
    #[default]
    None,
    /// Only its stable hash.
    Hash,
    /// The text too.
    Text,
    /// The value alone of a key that is a decimal number ([`crate::key::number`]), text and hash of any other.
    Number,
}

/// What a pick needs under the given settings. Nothing else is computed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The routing key.
    pub key: KeyNeed,
    /// Requests under way at each node.
    pub loads: bool,
    /// The node that owns the key.
    pub owner: bool,
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// Whether it learns from outcomes.
    pub observations: bool,
}

/// One question to a policy. Only what its [`Needs`] ask for is filled in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Advances once a request, over all workers.
    pub turn: u64,
    /// Uniformly random bits.
    pub random: u64,
    /// Milliseconds of a monotonic clock.
    pub now_ms: u64,
    /// Stable hash of the key ([`crate::key::stable_hash`]).
    pub key_hash: Option<u64>,
    /// The key.
    pub key: Option<&'a str>,
    /// Index of the key's owner.
    pub owner: Option<u32>,
    /// Values of the headers that were asked for, in that order.
    pub headers: Option<&'a [Option<&'a str>]>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Indices of the nodes already tried, in the membership that is asked. Empty on the first attempt.
    pub tried: &'a [u32],
}

/// What a policy answers. Indices are those of the membership it was asked about; they are not yet proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This one; the host may ask again.
    Node(u32),
    /// Best first.
    Ranked(SmallVec<[u32; 8]>),
    /// The one of these with the fewest requests under way; the first of several.
    Lightest(SmallVec<[u32; 8]>),
    /// This one or nobody.
    Only(u32),
    /// Wait so many milliseconds for the membership to change, then ask again.
    Park(u32),
    /// Not served.
    Refuse {
        /// HTTP status, 400 to 599 (others are treated as a fault).
        status: u16,
        /// One sentence for the client.
        reason: String,
    },
}

/// Why a policy gave no usable verdict. The names are metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It trapped.
    Trap,
    /// It used up its fuel, or the watchdog stopped it.
    Late,
    /// It wanted more memory or tables than it may have.
    Memory,
    /// It answered a node that is not there.
    Stranger,
    /// It answered a node that may not be picked, or was tried already.
    Ineligible,
    /// It answered another node than the owner of the key, which is there.
    Strays,
    /// It answered something malformed (an absurd list, a status out of range).
    Malformed,
    /// It is quarantined and has no good version to go back to.
    Quarantined,
}

impl Fault {
    /// Every fault, for registering metrics.
    pub const ALL: [Self; 8] = [
        Self::Trap,
        Self::Late,
        Self::Memory,
        Self::Stranger,
        Self::Ineligible,
        Self::Strays,
        Self::Malformed,
        Self::Quarantined,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Late => "late",
            Self::Memory => "memory",
            Self::Stranger => "stranger",
            Self::Ineligible => "ineligible",
            Self::Strays => "strays",
            Self::Malformed => "malformed",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A policy set up for one service. One instance a worker; `worker` says which one is asked.
pub trait Policy: Send + Sync {
    /// Who it is.
    fn about(&self) -> About;
    /// What a pick needs. Constant for the life of the value.
    fn needs(&self) -> &Needs;
    /// Picks. Brings the worker's instance up to `membership` first when it has seen another.
    fn pick(&self, worker: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<Verdict, Fault>;
    /// Gets every worker ready for a membership with another list of nodes, before it is published: telling thousands of
    /// nodes takes milliseconds, which no request should wait for. Never on the request path. By default nothing: each
    /// worker's first pick tells the list.
    fn prepare(&self, _membership: &Arc<Membership>) {}
    /// The decision that `pick` would take, in words. Never on the request path.
    fn explain(&self, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<String, Fault>;
    /// Tells the policy that an answer of its was no good although it did not trap (stranger, ineligible, malformed),
    /// so that it counts towards quarantine.
    fn blame(&self, fault: Fault);
}
