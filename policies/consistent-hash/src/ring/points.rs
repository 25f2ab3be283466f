//! Placing points: where each lies depends on the id of its node and its number alone.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use hashring::HashRing;
use pointsman_policy::Node;
use pointsman_policy::hash::{avalanche, xxh64};

/// The most points of a ring. A point takes 20 bytes, and three times that while it is placed: so many fit into the
/// memory that a policy is granted by default (16 MiB).
pub(super) const MOST: u64 = 1 << 17;

/// The node is not there any more.
const GONE: u32 = u32::MAX;

/// What a node has of the circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Hash of its id.
    id: u64,
    /// How many points.
    points: u32,
}

impl Share {
    /// Where one of the node's points lies. Not by the node's index, which depends on who else is there.
    fn place(self, replica: u32) -> u64 {
        avalanche(self.id.wrapping_add((u64::from(replica) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }
}

/// What each node has: points by weight, halved for all until they are not too many.
pub(super) fn shares(nodes: &[Node], replicas: u32) -> Vec<Share> {
    let wanted = |node: &Node| u64::from(replicas) * u64::from(node.weight.max(1));
    let total = |halved: u32| nodes.iter().map(|node| (wanted(node) >> halved).max(1)).sum::<u64>();
    let halved = (0..48).find(|&halved| total(halved) <= MOST.max(nodes.len() as u64)).unwrap_or(48);
    let share =
        |node: &Node| Share { id: xxh64(node.id.as_bytes(), 0), points: (wanted(node) >> halved).max(1) as u32 };
    nodes.iter().map(share).collect()
}

/// Where each old node stands in the new list ([`GONE`]: nowhere, or with another number of points), and who is new.
pub(super) fn compare(old: &[Share], new: &[Share]) -> (Vec<u32>, Vec<u32>) {
    let known: BinaryHeap<(u64, u32)> = (0..).zip(old).map(|(index, share)| (share.id, index)).collect();
    let known = known.into_sorted_vec();
    let mut moved = vec![GONE; old.len()];
    let mut fresh = Vec::new();
    for (index, share) in (0..).zip(new) {
        let before = known.binary_search_by_key(&share.id, |&(id, _)| id).ok().map(|at| known[at].1 as usize);
        match before.filter(|&before| old[before] == *share && moved[before] == GONE) {
            Some(before) => moved[before] = index,
            None => fresh.push(index),
        }
    }
    (moved, fresh)
}

/// Points in ring order: parallel lists of where each lies and whose it is.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) at: Vec<u64>,
    pub(super) owner: Vec<u32>,
}

impl Points {
    /// The points of some of the nodes.
    pub(super) fn place(shares: &[Share], nodes: Vec<u32>) -> Self {
        if nodes.is_empty() {
            return Self::default();
        }
        // In order of the ids' hashes, so that even two points at one place lie in an order that is the same everywhere.
        let by_id: BinaryHeap<(u64, u32)> = nodes.into_iter().map(|node| (shares[node as usize].id, node)).collect();
        let by_id = by_id.into_sorted_vec();
        let total = by_id.iter().map(|&(_, node)| shares[node as usize].points as usize).sum();
        let mut all = Vec::with_capacity(total);
        for (_, node) in by_id {
            all.extend((0..shares[node as usize].points).map(|replica| Point { node, replica }));
        }
        let places = Places(shares.into());
        let mut ring = HashRing::with_hasher(places.clone());
        ring.batch_add(all);
        // Nothing is hashed of `()`, so its place is 0: all points, from the start of the circle on.
        let points = ring.get_with_replicas(&(), ring.len() + 1).unwrap_or_default();
        drop(ring);
        points.into_iter().map(|point| (places.of(point), point.node)).collect()
    }

    /// The points of the nodes that are still there, under their new numbers.
    pub(super) fn renumbered(mut self, moved: &[u32]) -> Self {
        let mut kept = 0;
        for point in 0..self.at.len() {
            let node = moved[self.owner[point] as usize];
            if node != GONE {
                (self.at[kept], self.owner[kept]) = (self.at[point], node);
                kept += 1;
            }
        }
        self.at.truncate(kept);
        self.owner.truncate(kept);
        self
    }

    /// These points and those, in ring order.
    pub(super) fn merged(self, other: Self, shares: &[Share]) -> Self {
        if self.at.is_empty() || other.at.is_empty() {
            return if self.at.is_empty() { other } else { self };
        }
        let key = |(at, node): &(u64, u32)| (*at, shares[*node as usize].id);
        let mut ours = self.at.into_iter().zip(self.owner).peekable();
        let mut theirs = other.at.into_iter().zip(other.owner).peekable();
        let next = || match (ours.peek(), theirs.peek()) {
            (Some(one), Some(two)) if key(two) < key(one) => theirs.next(),
            (Some(_), _) => ours.next(),
            (None, _) => theirs.next(),
        };
        std::iter::from_fn(next).collect()
    }
}

impl FromIterator<(u64, u32)> for Points {
    fn from_iter<T: IntoIterator<Item = (u64, u32)>>(points: T) -> Self {
        let (at, owner) = points.into_iter().unzip();
        Self { at, owner }
    }
}

/// One point of a node, as the ring of `hashring` holds it.
#[derive(Debug, Clone, Copy)]
struct Point {
    node: u32,
    replica: u32,
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(u64::from(self.node) << 32 | u64::from(self.replica));
    }
}

/// Gives `hashring` the place of a point for its hash.
#[derive(Clone)]
struct Places(Rc<[Share]>);

impl Places {
    fn of(&self, point: Point) -> u64 {
        self.0[point.node as usize].place(point.replica)
    }
}

impl BuildHasher for Places {
    type Hasher = Place;

    fn build_hasher(&self) -> Place {
        Place { places: self.clone(), at: 0 }
    }
}

struct Place {
    places: Places,
    at: u64,
}

impl Hasher for Place {
    fn write_u64(&mut self, packed: u64) {
        self.at = self.places.of(Point { node: (packed >> 32) as u32, replica: packed as u32 });
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a point is hashed as one number");
    }

    fn finish(&self) -> u64 {
        self.at
    }
}
