//! What a guest answered, bounded and proven before anybody acts on it.

use pointsman_core::pick::policy::{Fault, KeyNeed, Needs, Verdict};
use smallvec::SmallVec;

use super::Failure;
use crate::bindings::exports::pointsman::policy::routing as wire;

/// Longest list of nodes in a verdict. More attempts than that are never made.
const RANKED: usize = 1024;
/// Longest reason, in bytes: one sentence for a client.
const REASON_BYTES: usize = 1024;

pub(super) fn needs(needs: wire::Needs) -> Needs {
    Needs {
        key: match needs.key {
            wire::KeyNeed::None => KeyNeed::None,
            wire::KeyNeed::Hash => KeyNeed::Hash,
            wire::KeyNeed::Text => KeyNeed::Text,
            wire::KeyNeed::Number => KeyNeed::Number,
        },
        loads: needs.loads,
        owner: needs.owner,
        headers: needs.headers,
        observations: needs.observations,
    }
}

/// A verdict about a membership of `nodes` nodes. Whether a node may be picked is left to the picker, which knows what was
/// tried; that it exists is proven here.
pub(super) fn verdict(verdict: wire::Verdict, nodes: usize) -> Result<Verdict, Failure> {
    match verdict {
        wire::Verdict::Node(node) => known(node, nodes).map(Verdict::Node),
        wire::Verdict::Only(node) => known(node, nodes).map(Verdict::Only),
        wire::Verdict::Ranked(list) => several(list, nodes).map(Verdict::Ranked),
        wire::Verdict::Lightest(list) if list.is_empty() => Ok(Verdict::Lightest(SmallVec::new())),
        wire::Verdict::Lightest(list) => several(list, nodes).map(Verdict::Lightest),
        wire::Verdict::Park(ms) => Ok(Verdict::Park(ms)),
        wire::Verdict::Refuse(refusal) if (400..=599).contains(&refusal.status) => {
            Ok(Verdict::Refuse { status: refusal.status, reason: sentence(refusal.reason) })
        }
        wire::Verdict::Refuse(refusal) => {
            Err(malformed(format!("it refused with status {}, not one from 400 to 599", refusal.status)))
        }
    }
}

fn known(node: u32, nodes: usize) -> Result<u32, Failure> {
    if (node as usize) < nodes {
        return Ok(node);
    }
    Err(Failure { fault: Fault::Stranger, message: format!("it answered node {node}, and there are {nodes}") })
}

fn several(list: Vec<u32>, nodes: usize) -> Result<SmallVec<[u32; 8]>, Failure> {
    let most = nodes.min(RANKED);
    if list.is_empty() || list.len() > most {
        return Err(malformed(format!("it named {} nodes, and 1 to {most} can be", list.len())));
    }
    for node in &list {
        known(*node, nodes)?;
    }
    Ok(SmallVec::from_vec(list))
}

#[cold]
fn malformed(message: String) -> Failure {
    Failure { fault: Fault::Malformed, message }
}

/// One bounded line: a reason may end up in a header, a log line, a terminal.
fn sentence(mut reason: String) -> String {
    if reason.len() > REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
    }
    if reason.chars().any(char::is_control) { reason.replace(char::is_control, " ") } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(verdict: wire::Verdict, nodes: usize) -> Fault {
        super::verdict(verdict, nodes).expect_err("refused").fault
    }

    fn refuse(status: u16, reason: &str) -> wire::Verdict {
        wire::Verdict::Refuse(wire::Refusal { status, reason: reason.into() })
    }

    #[test]
    fn lists_have_bounds() {
        assert_eq!(fault(wire::Verdict::Ranked(vec![]), 3), Fault::Malformed);
        assert_eq!(fault(wire::Verdict::Ranked(vec![0; 4]), 3), Fault::Malformed);
        assert_eq!(fault(wire::Verdict::Ranked(vec![0; 1025]), 5000), Fault::Malformed);
        assert_eq!(fault(wire::Verdict::Ranked(vec![2, 3]), 3), Fault::Stranger);
    }

    #[test]
    fn statuses_have_bounds() {
        for status in [0, 200, 399, 600, u16::MAX] {
            assert_eq!(fault(refuse(status, ""), 1), Fault::Malformed);
        }
    }

    proptest! {
        /// Whatever the guest answers, every node of an accepted verdict is there.
        #[test]
        fn an_accepted_node_exists(node in 0u32..20, list in prop::collection::vec(0u32..20, 0..20), nodes in 0usize..20) {
            let inside = |n: u32| (n as usize) < nodes;
            prop_assert_eq!(super::verdict(wire::Verdict::Node(node), nodes).is_ok(), inside(node));
            prop_assert_eq!(super::verdict(wire::Verdict::Only(node), nodes).is_ok(), inside(node));
            let good = !list.is_empty() && list.len() <= nodes && list.iter().all(|n| inside(*n));
            let got = super::verdict(wire::Verdict::Ranked(list.clone()), nodes);
            prop_assert_eq!(got.is_ok(), good);
            if let Ok(Verdict::Ranked(kept)) = got {
                prop_assert_eq!(kept.to_vec(), list);
            }
        }

        /// A reason is one line of bounded length, whatever it was.
        #[test]
        fn a_reason_is_one_line(reason in "(\\PC|\r|\n|\u{7f}|\u{1b}){0,2000}") {
            match super::verdict(refuse(503, &reason), 1) {
                Ok(Verdict::Refuse { status, reason }) => {
                    prop_assert_eq!(status, 503);
                    prop_assert!(reason.len() <= REASON_BYTES && !reason.chars().any(char::is_control));
                }
                other => prop_assert!(false, "{:?}", other.is_ok()),
            }
        }
    }
}
