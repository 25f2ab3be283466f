//! The ring: points in order, who owns each, and who leads there now.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use hashring::HashRing;
use pointsman_policy::Node;
use pointsman_policy::hash::{avalanche, xxh64};

/// The most points. A point takes 16 bytes, and three times that while the ring is built.
const MOST: u64 = 1 << 17;

/// Nobody leads: all that may are down.
const NOBODY: u32 = u32::MAX;

/// Points in ring order.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Where each point lies.
    at: Vec<u64>,
    /// The node of each point.
    owner: Vec<u32>,
    /// Who serves the keys that belong to each point: the first live node from there on.
    leader: Vec<u32>,
    /// The first point at or behind the start of each of equal slices of the circle, so that finding a point takes the
    /// same time on a ring of any size.
    slices: Vec<u32>,
    /// How far a position is shifted to give its slice.
    shift: u32,
    /// How many nodes there are.
    nodes: usize,
}

/// One point of a node.
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

/// Places points: by the id of the node, not by its index, which depends on who else is there.
#[derive(Clone)]
struct Places(Rc<[u64]>);

impl Places {
    fn of(&self, point: Point) -> u64 {
        let step = (u64::from(point.replica) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        avalanche(self.0[point.node as usize].wrapping_add(step))
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

impl Ring {
    /// A ring of nodes with so many points for each unit of weight. Nobody leads yet.
    pub(crate) fn new(nodes: &[Node], replicas: u32) -> Self {
        // In order of the ids, so that even two points at one place lie in an order that is the same everywhere.
        let named: BinaryHeap<(&str, u32)> = (0..).zip(nodes).map(|(index, node)| (node.id.as_str(), index)).collect();
        let order: Vec<u32> = named.into_sorted_vec().into_iter().map(|(_, index)| index).collect();
        let points = |node: u32, halved: u32| {
            (u64::from(replicas) * u64::from(nodes[node as usize].weight.max(1)) >> halved).max(1)
        };
        let total = |halved: u32| order.iter().map(|&node| points(node, halved)).sum::<u64>();
        let halved = (0..64).find(|&halved| total(halved) <= MOST.max(nodes.len() as u64)).unwrap_or(63);
        let list =
            order.iter().flat_map(|&node| (0..points(node, halved) as u32).map(move |replica| Point { node, replica }));
        let mut all = Vec::with_capacity(total(halved) as usize);
        all.extend(list);
        let places = Places(nodes.iter().map(|node| xxh64(node.id.as_bytes(), 0)).collect());
        let mut ring = HashRing::with_hasher(places.clone());
        ring.batch_add(all);
        // Nothing is hashed of `()`, so its place is 0: all points, from the start of the circle on.
        let points = ring.get_with_replicas(&(), ring.len() + 1).unwrap_or_default();
        let (at, owner) = points.into_iter().map(|point| (places.of(point), point.node)).unzip();
        let mut ring = Self { at, owner, nodes: nodes.len(), ..Self::default() };
        ring.slice();
        ring
    }

    /// Cuts the circle into about as many slices as there are points.
    fn slice(&mut self) {
        let bits = self.at.len().max(2).next_power_of_two().ilog2();
        self.shift = 64 - bits;
        self.slices = Vec::with_capacity((1 << bits) + 1);
        let mut first = 0;
        for slice in 0..1u64 << bits {
            while self.at.get(first as usize).is_some_and(|&at| at < slice << self.shift) {
                first += 1;
            }
            self.slices.push(first);
        }
        self.slices.push(self.at.len() as u32);
    }

    /// The point that a hash belongs to: the first at or behind it, around the end if need be.
    #[inline]
    fn point(&self, hash: u64) -> usize {
        if self.at.is_empty() {
            return 0;
        }
        let slice = (hash >> self.shift) as usize;
        let (from, to) = (self.slices[slice] as usize, self.slices[slice + 1] as usize);
        let found = from + self.at[from..to].partition_point(|&at| at < hash);
        if found == self.at.len() { 0 } else { found }
    }

    /// Works out who leads at each point: the first of the `reach` nodes from there on that is live.
    pub(crate) fn lead(&mut self, reach: usize, live: impl Fn(u32) -> bool) {
        self.leader.clear();
        self.leader.extend(self.owner.iter().map(|&owner| if live(owner) { owner } else { NOBODY }));
        if reach < self.nodes {
            // Few nodes may serve a key: look at them one by one.
            for point in 0..self.owner.len() {
                if self.leader[point] == NOBODY {
                    let heir = Walk::new(self, point, reach).find(|&node| live(node));
                    self.leader[point] = heir.unwrap_or(NOBODY);
                }
            }
            return;
        }
        // Everybody may serve: whoever leads at the next point. Twice around, for the points before the end.
        let mut heir = NOBODY;
        for point in (0..self.leader.len()).rev().chain((0..self.leader.len()).rev()) {
            if self.leader[point] == NOBODY {
                self.leader[point] = heir;
            }
            heir = self.leader[point];
        }
    }

    /// Who serves a hash; none when nobody who may is live.
    #[inline]
    pub(crate) fn leader(&self, hash: u64) -> Option<u32> {
        self.leader.get(self.point(hash)).copied().filter(|&node| node != NOBODY)
    }

    /// The nodes that may serve a hash, live or not, best first. Each comes once where `reach` is less than all; where
    /// it is not a node may come again, which costs less than to remember them.
    pub(crate) fn preference(&self, hash: u64, reach: usize) -> impl Iterator<Item = u32> + '_ {
        Walk::new(self, self.point(hash), reach)
    }
}

/// The owners of the points from one on, once around.
struct Walk<'a> {
    ring: &'a Ring,
    point: usize,
    left: usize,
    /// How many distinct nodes come, where not all may, and those that came.
    reach: Option<usize>,
    seen: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(ring: &'a Ring, point: usize, reach: usize) -> Self {
        Self { ring, point, left: ring.owner.len(), reach: (reach < ring.nodes).then_some(reach), seen: Vec::new() }
    }
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.left > 0 {
            let node = self.ring.owner[self.point];
            self.point = if self.point + 1 == self.ring.owner.len() { 0 } else { self.point + 1 };
            self.left -= 1;
            match self.reach {
                None => return Some(node),
                Some(reach) if self.seen.len() == reach => return None,
                Some(_) if self.seen.contains(&node) => {}
                Some(_) => {
                    self.seen.push(node);
                    return Some(node);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
