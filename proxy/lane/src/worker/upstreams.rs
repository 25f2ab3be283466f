//! Idle connections to nodes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem::MaybeUninit;

use pointsman_core::cluster::node::Address;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{Keep, millis};

/// Idle connections by node incarnation, the last used first: it is the likeliest to be alive, and its memory is warm.
#[derive(Default)]
pub(super) struct Upstreams {
    nodes: HashMap<u64, Idle, BuildHasherDefault<Spread>>,
    count: usize,
}

struct Idle {
    address: Address,
    /// With the time at which each is closed; the oldest first.
    streams: Vec<(TcpStream, u64)>,
    /// Whether one was kept since the last sweep: a node whose connections are all in use keeps its place.
    used: bool,
}

/// Spreads consecutive numbers. Incarnations are given out by the proxy itself, so nobody can aim at a bucket.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing (Knuth, TAOCP 3, §6.4).
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Whether a connection is open and silent as far as the reactor knows; no system call unless it has news.
fn is_silent(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
}

/// The same as far as the kernel knows: one system call. A node that died a moment ago has closed the connection, and
/// the reactor may not have been told yet.
fn is_silent_now(stream: &TcpStream) -> bool {
    let asked =
        SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit()], libc::MSG_PEEK | libc::MSG_DONTWAIT);
    matches!(asked, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
}

impl Upstreams {
    /// `surely`: for a request that may not be sent twice, so the kernel is asked too.
    pub(super) fn take(&mut self, incarnation: u64, address: &Address, surely: bool) -> Option<TcpStream> {
        let idle = self.nodes.get_mut(&incarnation)?;
        while let Some((stream, _)) = idle.streams.pop() {
            self.count -= 1;
            if idle.address == *address && is_silent(&stream) && (!surely || is_silent_now(&stream)) {
                return Some(stream);
            }
        }
        None
    }

    /// Gives back a connection that there is no room for.
    pub(super) fn put(&mut self, stream: TcpStream, keep: &Keep) -> Option<TcpStream> {
        if self.count >= keep.per_worker {
            return Some(stream);
        }
        let idle = self.nodes.entry(keep.incarnation).or_insert_with(|| Idle {
            address: keep.address.clone(),
            streams: Vec::new(),
            used: true,
        });
        if idle.address != keep.address {
            self.count -= idle.streams.len();
            idle.streams.clear();
            idle.address = keep.address.clone();
        }
        if idle.streams.len() >= keep.per_node {
            return Some(stream);
        }
        idle.streams.push((stream, millis(keep.now.saturating_add(keep.idle))));
        idle.used = true;
        self.count += 1;
        None
    }

    /// Closes what has been idle for too long or was closed by the node. Whether to come again.
    pub(super) fn sweep(&mut self, now: u64) -> bool {
        for idle in self.nodes.values_mut() {
            idle.streams.retain(|(stream, until)| *until > now && is_silent(stream));
        }
        self.nodes.retain(|_, idle| std::mem::take(&mut idle.used) || !idle.streams.is_empty());
        self.count = self.nodes.values().map(|idle| idle.streams.len()).sum();
        !self.nodes.is_empty()
    }
}
