//! The ring: points in order, who owns each, and who leads there now.

mod points;

use pointsman_policy::Node;

use self::points::{Points, Share};

/// Nobody leads: all that may are down.
const NOBODY: u32 = u32::MAX;

/// Points in ring order.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    points: Points,
    /// What each node has of the circle.
    shares: Vec<Share>,
    /// Who serves the keys that belong to each point: the first live node from there on.
    leader: Vec<u32>,
    /// The first point at or behind the start of each of equal slices of the circle, so that finding a point takes the
    /// same time on a ring of any size.
    slices: Vec<u32>,
    /// How far a position is shifted to give its slice.
    shift: u32,
}

impl Ring {
    /// Takes a list of nodes with so many points for each unit of weight. Nobody leads yet.
    ///
    /// Points of nodes that were there before stay where they are, and only those of new ones are placed: a change of
    /// one node among thousands costs a walk around the ring and not a sort of it.
    pub(crate) fn take(&mut self, nodes: &[Node], replicas: u32) {
        let shares = points::shares(nodes, replicas);
        let (moved, fresh) = points::compare(&self.shares, &shares);
        let kept = std::mem::take(&mut self.points).renumbered(&moved);
        self.points = kept.merged(Points::place(&shares, fresh), &shares);
        self.shares = shares;
        self.leader.clear();
        self.slice();
    }

    /// Cuts the circle into about as many slices as there are points.
    fn slice(&mut self) {
        let bits = self.points.at.len().max(2).next_power_of_two().ilog2();
        self.shift = 64 - bits;
        self.slices = Vec::with_capacity((1 << bits) + 1);
        let mut first = 0;
        for slice in 0..1u64 << bits {
            while self.points.at.get(first as usize).is_some_and(|&at| at < slice << self.shift) {
                first += 1;
            }
            self.slices.push(first);
        }
        self.slices.push(self.points.at.len() as u32);
    }

    /// The point that a hash belongs to: the first at or behind it, around the end if need be.
    #[inline]
    fn point(&self, hash: u64) -> usize {
        if self.points.at.is_empty() {
            return 0;
        }
        let slice = (hash >> self.shift) as usize;
        let (from, to) = (self.slices[slice] as usize, self.slices[slice + 1] as usize);
        let found = from + self.points.at[from..to].partition_point(|&at| at < hash);
        if found == self.points.at.len() { 0 } else { found }
    }

    /// Works out who leads at each point: the first of the `reach` nodes from there on that is live.
    pub(crate) fn lead(&mut self, reach: usize, live: impl Fn(u32) -> bool) {
        self.leader.clear();
        self.leader.extend(self.points.owner.iter().map(|&owner| if live(owner) { owner } else { NOBODY }));
        if reach < self.shares.len() {
            // Few nodes may serve a key: look at them one by one.
            for point in 0..self.points.owner.len() {
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
        Self {
            ring,
            point,
            left: ring.points.owner.len(),
            reach: (reach < ring.shares.len()).then_some(reach),
            seen: Vec::new(),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.left > 0 {
            let node = self.ring.points.owner[self.point];
            self.point = if self.point + 1 == self.ring.points.owner.len() { 0 } else { self.point + 1 };
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
