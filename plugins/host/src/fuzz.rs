//! What the fuzzer throws modules at (docs/hardening.md), and what must hold whatever they are. Compiled for tests and for
//! the fuzzer only.

use std::sync::{Arc, LazyLock};

use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::pick::policy::{Ask, Policy};

use crate::{Host, HostOptions, Limits, builtin, builtins};

/// One host for all inputs, as one serves all policies.
static HOST: LazyLock<Host> =
    LazyLock::new(|| Host::new(HostOptions { workers: 1, ..HostOptions::default() }).expect("WebAssembly runs here"));

static NODES: LazyLock<Arc<Membership>> = LazyLock::new(|| {
    let member = |number: u8| Member {
        node: Arc::new(Node {
            spec: NodeSpec {
                id: format!("n-{number}"),
                ordinal: Some(u64::from(number)),
                address: ([127, 0, 0, number], 80).into(),
                weight: u32::from(number),
                zone: String::new(),
                labels: [("rack".into(), number.to_string())].into(),
            },
            incarnation: Incarnation(u64::from(number)),
            source: Source::Static,
            load: Arc::default(),
        }),
        standing: Standing::Up,
        share: 1000,
    };
    Arc::new(Membership::new(1, 1, (1..=3).map(member).collect(), None))
});

/// The longest text about a module that an operator is shown.
const TEXT: usize = 4 * 1024;

/// A module: it is refused with a reason that can be shown, or it is taken, set up and asked.
pub fn wasm(data: &[u8]) {
    match HOST.compile("fuzzed", &component(data), Limits::default()) {
        Err(refused) => shown(&refused.to_string()),
        Ok(module) => match HOST.policy(&module, "{}", &NODES, None, None) {
            Err(refused) => shown(&refused.to_string()),
            Ok(policy) => {
                let ask = Ask { turn: 7, attempt: 1, key: Some("7"), key_hash: Some(7), ..Ask::default() };
                // Whatever it answers, or no answer: that is proven elsewhere.
                let _ = policy.pick(0, &NODES, &ask);
                let _ = policy.explain(&NODES, &ask);
            }
        },
    }
}

fn shown(text: &str) {
    assert!(text.len() < TEXT, "{} bytes for the reader", text.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "the module reaches the terminal: {text:?}");
    assert!(!text.contains("panicked"), "{text}");
}

/// The component that an input stands for. Its first byte is 0: the rest as it is; 255: the rest behind a component's first
/// bytes; else one of the policies of this house, with the changes that the rest describes. So an input of some bytes is a
/// component that is nearly sound.
fn component(data: &[u8]) -> Vec<u8> {
    match data.split_first() {
        None => Vec::new(),
        Some((0, rest)) => rest.to_vec(),
        Some((255, rest)) => [b"\0asm\x0d\0\x01\0", rest].concat(),
        Some((number, changes)) => {
            let name = builtins()[usize::from(*number) % builtins().len()];
            let mut bytes = builtin(name).expect("it is listed").to_vec();
            changes.as_chunks::<6>().0.iter().for_each(|change| apply(&mut bytes, *change));
            bytes
        }
    }
}

/// One change: three bytes say where, one what, two with what.
fn apply(bytes: &mut Vec<u8>, [far, near, nearer, what, x, y]: [u8; 6]) {
    let at = u32::from_be_bytes([0, far, near, nearer]) as usize % bytes.len().max(1);
    let end = (at + usize::from(y) + 1).min(bytes.len());
    match what % 5 {
        _ if bytes.is_empty() => {}
        0 => bytes[at] = x,
        1 => bytes.insert(at, x),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        _ => {
            let copied = bytes[at..end].to_vec();
            let to = usize::from(x) * 257 % bytes.len();
            drop(bytes.splice(to..to, copied));
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn what_was_found_in_modules_stays_found() {
    replay::replay("wasm", wasm);
}
