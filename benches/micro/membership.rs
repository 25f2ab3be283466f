//! What a change of membership costs its single writer: one node changes its standing, a new value is published.
#![expect(missing_docs, reason = "criterion_group! writes a function without any")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pointsman_config::plan::AllDown;
use pointsman_core::cluster::cell::MembershipCell;
use pointsman_core::cluster::membership::Membership;
use pointsman_core::cluster::roster::{Incarnations, Roster, Rules};

#[expect(dead_code, reason = "shared with the bench of picks, which asks questions")]
mod cluster;

/// A service of so many static nodes, all up, published once.
fn roster(count: usize) -> Roster {
    let mut roster = Roster::new(Incarnations::default(), Vec::new(), BTreeSet::new(), 0);
    let rules =
        Rules { checked: false, slow_start: None, all_down: AllDown::Fail, permits: None, eject: None, primary: None };
    roster.configure(rules, cluster::specs(count), Duration::ZERO).expect("nothing joined that it could clash with");
    roster.publish(Duration::ZERO).expect("there is something to publish");
    roster
}

fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("membership/publish");
    for count in [10, 1_000, 10_000] {
        let mut roster = roster(count);
        let cell = MembershipCell::new(Membership::new(0, 0, Vec::new(), None));
        let id = cluster::specs(count).swap_remove(count / 2).id;
        let mut drained = false;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                drained = !drained;
                roster.drain(&id, drained).expect("the node is there");
                cell.publish(roster.publish(Duration::ZERO).expect("its standing changed"));
            });
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("membership/read");
    for count in [10, 10_000] {
        let cell = MembershipCell::new(Membership::new(0, 0, Vec::new(), None));
        cell.publish(roster(count).published().clone());
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(|| black_box(cell.load().version())));
    }
    group.finish();
}

criterion_group!(benches, publish, read);
criterion_main!(benches);
