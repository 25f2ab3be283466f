//! The less loaded of two nodes chosen at random.
//!
//! No settings. Two choices keep the highest load close to the average, where one at random does not (Mitzenmacher,
//! "The Power of Two Choices in Randomized Load Balancing", 2001), and unlike a true minimum they do not send every
//! worker to the same idle node. The policy draws, the host compares the two counts: a pick takes as long among 1,000
//! nodes as among three.

use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict, export_policy};

/// The better of two.
#[derive(Debug)]
pub struct TwoChoices;

impl Policy for TwoChoices {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        better(request, members.eligible())
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        let left: Vec<u32> = members.eligible().iter().copied().filter(|node| !tried.contains(node)).collect();
        better(request, &left)
    }
}

/// Two distinct nodes, of which the host takes the less loaded.
#[inline]
fn better(request: &Request<'_>, from: &[u32]) -> Verdict {
    match from {
        [] => None.into(),
        [only] => Verdict::Node(*only),
        _ => {
            let count = from.len() as u64;
            let first = draw(request.random >> 32, count);
            let second = draw(request.random & 0xFFFF_FFFF, count - 1);
            Verdict::Lightest(vec![from[first], from[second + usize::from(second >= first)]])
        }
    }
}

/// A number below `count` from 32 random bits (Lemire, "Fast Random Integer Generation in an Interval", 2019, without
/// the correction: the bias is below `count` in 2^32).
#[inline]
fn draw(bits: u64, count: u64) -> usize {
    ((bits * count) >> 32) as usize
}

export_policy!(TwoChoices);

#[cfg(test)]
mod tests;
