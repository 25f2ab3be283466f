//! What a pick is asked, and what became of one.

/// One request. Only what [`Needs`](crate::Needs) asked for is filled in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// Advances once a request, over all workers; never for a retry, a park, a refusal or a shadow.
    pub turn: u64,
    /// Uniformly random bits.
    pub random: u64,
    /// Milliseconds of a monotonic clock.
    pub now_ms: u64,
    /// Stable 64-bit hash of the key (XXH64, seed 0); none when the request has no key, or `number` stands for it.
    pub key_hash: Option<u64>,
    /// The key where it is a number and [`KeyNeed::Number`](crate::KeyNeed) was asked for: 1 to 18 digits without a sign.
    /// Neither `key` nor `key_hash` are there then.
    pub number: Option<u64>,
    /// The key; none when the request has none.
    pub key: Option<&'a str>,
    /// Index of the node that owns the key, by what the host has learnt or by the cookie that a client brings back. None
    /// where the owner is gone.
    pub owner: Option<u32>,
    /// Requests under way at each node, in member order.
    pub loads: &'a [u32],
    /// Values of the headers that were asked for, in that order.
    pub headers: &'a [Option<String>],
}

/// Whether a method asks for nothing to be changed (RFC 9110 §9.2.1).
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

impl Request<'_> {
    /// Requests under way at a node; 0 where the host said nothing of it.
    #[inline]
    pub fn load(&self, node: u32) -> u32 {
        self.loads.get(node as usize).copied().unwrap_or(0)
    }
}

/// What became of a pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the node.
    pub node: u32,
    /// HTTP status; 0 when no response came.
    pub status: u16,
    /// Microseconds from the request sent to the response head.
    pub latency_us: u32,
}
