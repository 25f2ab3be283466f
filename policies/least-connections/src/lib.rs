//! The node with the fewest requests under way; ties rotate.
//!
//! No settings. Counts are those of the whole proxy, not of one worker. A pick reads every node's count once: its time
//! grows with the number of nodes (about 1 ns each), which is the price of a true minimum; `two-choices` reads two.

use pointsman_policy::{Members, Needs, NoSettings, Policy, Request, Verdict, export_policy};

/// The fewest requests under way.
#[derive(Debug)]
pub struct LeastConnections;

impl Policy for LeastConnections {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn needs(&self) -> Needs {
        Needs { loads: true, ..Needs::default() }
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        least(request, members, &[])
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        least(request, members, tried)
    }
}

/// The least loaded of the eligible nodes that were not tried; of several, the one whose turn it is.
fn least(request: &Request<'_>, members: &Members, tried: &[u32]) -> Verdict {
    let candidates = || members.eligible().iter().copied().filter(|node| !tried.contains(node));
    let mut lowest = u32::MAX;
    let mut ties = 0u64;
    for node in candidates() {
        let load = request.load(node);
        if load < lowest {
            // A lower count makes everything found before worthless: the ties start anew.
            (lowest, ties) = (load, 1);
        } else if load == lowest {
            ties += 1;
        }
    }
    let Some(turn) = request.turn.checked_rem(ties) else { return None.into() };
    candidates().filter(|&node| request.load(node) == lowest).nth(turn as usize).into()
}

export_policy!(LeastConnections);

#[cfg(test)]
mod tests;
