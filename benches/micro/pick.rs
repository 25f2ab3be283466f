//! What a pick costs: each built-in policy through Wasm, beside the same crate called as plain Rust.
//!
//! `pick/POLICY/wasm/N` against `pick/POLICY/native/N`, with N nodes; `told/POLICY/members/N` is a whole new list of
//! nodes with one pick, `told/POLICY/standing/N` a changed standing with one pick.
#![expect(missing_docs, reason = "criterion_group! writes a function without any")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pointsman_core::cluster::membership::Membership;
use pointsman_core::pick::policy::Policy as _;
use pointsman_host::{Host, HostOptions, Limits, WasmPolicy, builtin};
use pointsman_policy::Policy;

mod cluster;
mod native;

use cluster::{REQUESTS, membership, questions};
use native::Native;

/// Sizes of the service at which a pick is measured.
const PICK: [usize; 2] = [16, 1_000];
/// Sizes of the service at which telling the members is measured.
const TOLD: [usize; 3] = [16, 1_000, 10_000];

/// A built-in policy, set up over some members. None: it is not built yet.
fn wasm(host: &Host, name: &str, settings: &str, members: &Arc<Membership>) -> Option<Arc<WasmPolicy>> {
    let Some(bytes) = builtin(name) else {
        eprintln!("policies/dist/{name}.wasm is not there: build the policies first (make policies)");
        return None;
    };
    let module = host.compile(name, bytes, Limits::default()).unwrap_or_else(|e| panic!("{e}"));
    Some(host.policy(&module, settings, members, None, None).unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn rule<P: Policy>(c: &mut Criterion, host: &Host, name: &str, settings: &str) {
    let questions = questions();
    let mut group = c.benchmark_group(format!("pick/{name}"));
    for count in PICK {
        let members = membership(1, 1, count);
        let mut native = Native::<P>::new(settings, &members);
        group.bench_function(BenchmarkId::new("native", count), |b| {
            let mut turn = 0;
            b.iter(|| {
                turn += 1;
                black_box(native.pick(&members, &questions[turn as usize % REQUESTS].at(turn)))
            });
        });
        let Some(policy) = wasm(host, name, settings, &members) else { continue };
        group.bench_function(BenchmarkId::new("wasm", count), |b| {
            let mut turn = 0;
            b.iter(|| {
                turn += 1;
                let verdict = policy.pick(0, &members, &questions[turn as usize % REQUESTS].at(turn));
                black_box(verdict.expect("a built-in policy has no faults"))
            });
        });
    }
    group.finish();
}

fn told(c: &mut Criterion, host: &Host, name: &str, settings: &str) {
    let questions = questions();
    let mut group = c.benchmark_group(format!("told/{name}"));
    group.sample_size(20);
    for count in TOLD {
        let first = membership(1, 1, count);
        let Some(policy) = wasm(host, name, settings, &first) else { continue };
        for (what, second) in [("members", membership(2, 2, count)), ("standing", membership(2, 1, count))] {
            group.bench_function(BenchmarkId::new(what, count), |b| {
                let mut turn = 0;
                b.iter(|| {
                    turn += 1;
                    let members = if turn % 2 == 0 { &first } else { &second };
                    let verdict = policy.pick(0, members, &questions[turn as usize % REQUESTS].at(turn));
                    black_box(verdict.expect("a built-in policy has no faults"))
                });
            });
        }
    }
    group.finish();
}

fn picks(c: &mut Criterion) {
    let host = Host::new(HostOptions { workers: 1, ..HostOptions::default() }).expect("this machine runs WebAssembly");
    rule::<round_robin::RoundRobin>(c, &host, "round-robin", "{}");
    rule::<weighted_round_robin::WeightedRoundRobin>(c, &host, "weighted-round-robin", "{}");
    rule::<least_connections::LeastConnections>(c, &host, "least-connections", "{}");
    rule::<two_choices::TwoChoices>(c, &host, "two-choices", "{}");
    rule::<customer_modulo::CustomerModulo>(c, &host, "customer-modulo", r#"{"failover":"next"}"#);
    rule::<weighted_health::WeightedHealth>(c, &host, "weighted-health", "{}");
    rule::<consistent_hash::ConsistentHash>(c, &host, "consistent-hash", "{}");
}

fn tellings(c: &mut Criterion) {
    let host = Host::new(HostOptions { workers: 1, ..HostOptions::default() }).expect("this machine runs WebAssembly");
    for name in ["round-robin", "weighted-round-robin", "consistent-hash"] {
        told(c, &host, name, "{}");
    }
}

/// What a swap costs a policy with one worker: an instance, its settings and its members, and the old one's end.
fn swaps(c: &mut Criterion) {
    let host = Host::new(HostOptions { workers: 1, ..HostOptions::default() }).expect("this machine runs WebAssembly");
    let members = membership(1, 1, 16);
    let Some(policy) = wasm(&host, "round-robin", "{}", &members) else { return };
    let module = Arc::clone(policy.module());
    c.bench_function("swap/round-robin/16", |b| {
        b.iter(|| host.policy(&module, "{}", &members, None, None).expect("it was set up before"));
    });
}

criterion_group!(benches, picks, tellings, swaps);
criterion_main!(benches);
