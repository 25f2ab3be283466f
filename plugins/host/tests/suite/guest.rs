//! Builds the guests, and what they are asked about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::pick::policy::Ask;
use pointsman_host::{Host, HostOptions, Limits, Module, WasmPolicy};

pub(crate) use crate::assembly::WIT;

/// Where the guests stand.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests")
}

/// The component of a guest in `tests/guests`.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    crate::assembly::guest(&folder(), name)
}

/// The plain round robin from which the guests are made, with a mark that makes its digest its own.
pub(crate) fn round_robin(mark: &str) -> Vec<u8> {
    assemble("base", &format!(";;; module\n(data (i32.const 2048) \"{mark}\")\n"), WIT)
}

/// A component of a guest's text against some version of the contract.
pub(crate) fn assemble(name: &str, text: &str, wit: &str) -> Vec<u8> {
    crate::assembly::assemble(&folder(), name, text, wit)
}

/// A host for two workers.
pub(crate) fn host() -> Host {
    Host::new(HostOptions { workers: 2, ..HostOptions::default() }).expect("this machine runs WebAssembly")
}

/// A guest, compiled under default limits.
pub(crate) fn compiled(host: &Host, name: &str) -> Arc<Module> {
    host.compile(name, &guest(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// A guest, set up over some nodes without settings.
pub(crate) fn policy(host: &Host, name: &str, membership: &Arc<Membership>) -> Arc<WasmPolicy> {
    host.policy(&compiled(host, name), "{}", membership, None, None).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A membership of `count` nodes, all up.
pub(crate) fn nodes(version: u64, roster: u64, count: usize) -> Arc<Membership> {
    standing(version, roster, &vec![Standing::Up; count])
}

/// A membership of nodes that stand like this.
pub(crate) fn standing(version: u64, roster: u64, standing: &[Standing]) -> Arc<Membership> {
    let member = |(i, standing): (usize, &Standing)| Member {
        node: Arc::new(Node {
            spec: NodeSpec {
                id: format!("node-{i}"),
                ordinal: Some(i as u64 + 1),
                address: ([127, 0, 0, 1], 9000).into(),
                weight: 1,
                zone: "a".into(),
                labels: [("rack".into(), i.to_string()), ("tier".into(), "hot".into())].into(),
            },
            incarnation: Incarnation(i as u64),
            source: Source::Static,
            load: Arc::default(),
        }),
        standing: *standing,
        share: 1000,
    };
    Arc::new(Membership::new(version, roster, standing.iter().enumerate().map(member).collect(), None))
}

/// The first attempt of the request with this turn.
pub(crate) fn turn(turn: u64) -> Ask<'static> {
    Ask { turn, attempt: 1, ..Ask::default() }
}
