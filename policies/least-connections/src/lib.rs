//! The node with the fewest requests under way; ties rotate.
//!
//! No settings. Counts are those of the whole proxy, not of one worker. A pick reads every node's count: its time
//! grows with the number of nodes, which is the price of a true minimum; `two-choices` reads two. The passes over the
//! counts have no branches, so that they run on vectors of four.

use pointsman_policy::{Members, Needs, NoSettings, Policy, Request, Verdict, export_policy};

/// The fewest requests under way.
#[derive(Debug)]
pub struct LeastConnections {
    /// For each node 0 where it may be picked and [`OUT`] where it may not: with that set, a load is never the least.
    out: Vec<u32>,
}

/// More requests than can be under way at one node.
const OUT: u32 = 1 << 31;

/// Loads are counted through in blocks of so many, so that the node whose turn it is is found without a look at each.
const BLOCK: usize = 64;

impl Policy for LeastConnections {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self { out: Vec::new() })
    }

    fn needs(&self) -> Needs {
        Needs { loads: true, ..Needs::default() }
    }

    fn members(&mut self, members: &Members) {
        self.out.clear();
        self.out.resize(members.len(), OUT);
        for &node in members.eligible() {
            self.out[node as usize] = 0;
        }
    }

    fn pick(&self, request: &Request<'_>, _members: &Members) -> Verdict {
        least(request, &self.out)
    }

    fn pick_again(&self, request: &Request<'_>, _members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        let mut out = self.out.clone();
        for &node in tried {
            if let Some(bits) = out.get_mut(node as usize) {
                *bits = OUT;
            }
        }
        least(request, &out)
    }
}

/// The least loaded of the nodes that are not out; of several, the one whose turn it is.
fn least(request: &Request<'_>, out: &[u32]) -> Verdict {
    // A node whose load the host did not tell counts as idle.
    let filled: Vec<u32>;
    let loads = if request.loads.len() < out.len() {
        filled = (0..out.len() as u32).map(|node| request.load(node)).collect();
        &filled
    } else {
        &request.loads[..out.len()]
    };
    let lowest = loads.iter().zip(out).fold(OUT, |lowest, (load, out)| lowest.min(load | out));
    if lowest == OUT {
        return None.into();
    }
    // All are looked through again at the minimum: no candidate of an earlier, higher one is left.
    let mut ahead = (request.turn % u64::from(ties(loads, out, lowest))) as u32;
    let mut block = 0;
    while loads.len() - block > BLOCK {
        let here = ties(&loads[block..block + BLOCK], &out[block..block + BLOCK], lowest);
        if ahead < here {
            break;
        }
        ahead -= here;
        block += BLOCK;
    }
    for (at, (load, out)) in loads[block..].iter().zip(&out[block..]).enumerate() {
        let tied = load | out == lowest;
        if tied && ahead == 0 {
            return Verdict::Node((block + at) as u32);
        }
        ahead -= u32::from(tied);
    }
    None.into()
}

/// How many loads are the lowest.
fn ties(loads: &[u32], out: &[u32], lowest: u32) -> u32 {
    loads.iter().zip(out).map(|(load, out)| u32::from(load | out == lowest)).sum()
}

export_policy!(LeastConnections);

#[cfg(test)]
mod tests;
