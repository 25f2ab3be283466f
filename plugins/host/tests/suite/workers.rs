//! Many workers at once: each its own instance, all of one mind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use pointsman_core::cluster::membership::Membership;
use pointsman_core::pick::policy::{Fault, Policy, Verdict};
use pointsman_host::{Host, HostOptions, Tolerance};

use crate::guest::{compiled, nodes, turn};

const WORKERS: usize = 4;
const PICKS: u64 = 20_000;

fn host(tolerance: Tolerance) -> Host {
    Host::new(HostOptions { workers: WORKERS, tolerance, ..HostOptions::default() }).expect("a host")
}

/// Turns are shared, instances are not: over all workers, every node gets the same share, to one.
#[test]
fn a_round_robin_is_strict_over_all_workers() {
    let host = host(Tolerance::default());
    let members = nodes(1, 1, 7);
    let policy = host.policy(&compiled(&host, "base"), "{}", &members, None, None).expect("a policy");
    let (turns, counts) = (AtomicU64::new(0), [const { AtomicU64::new(0) }; 7]);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (policy, members, turns, counts) = (&policy, &members, &turns, &counts);
            scope.spawn(move || {
                for _ in 0..PICKS {
                    let ask = turn(turns.fetch_add(1, Ordering::Relaxed));
                    match policy.pick(worker, members, &ask) {
                        Ok(Verdict::Node(node)) => counts[node as usize].fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    let counts = counts.map(AtomicU64::into_inner);
    assert_eq!(counts.iter().sum::<u64>(), WORKERS as u64 * PICKS);
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
}

/// Memberships change, picks fail, the picker complains: no answer is about a membership that was not asked about.
#[test]
fn faults_and_changes_on_all_workers_at_once() {
    let host = host(Tolerance { faults: usize::MAX, ..Tolerance::default() });
    let sizes = [3usize, 5, 8];
    let memberships: Vec<_> = sizes.iter().map(|n| nodes(*n as u64, *n as u64, *n)).collect();
    let policy = host.policy(&compiled(&host, "ticking"), "{}", &memberships[0], None, None).expect("a policy");
    let failed = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (policy, memberships, failed) = (&policy, &memberships, &failed);
            scope.spawn(move || {
                for n in 0..1_500u64 {
                    let which = (n / 7) as usize % sizes.len();
                    match policy.pick(worker, &memberships[which], &turn(n)) {
                        Ok(Verdict::Node(node)) => assert_eq!(u64::from(node), n % sizes[which] as u64),
                        Err(Fault::Trap) => {
                            assert_eq!(n % 3, 0, "only those turns trap");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other:?}"),
                    }
                    if n % 100 == 0 {
                        policy.blame(Fault::Ineligible);
                    }
                }
            });
        }
    });
    let status = policy.status();
    assert_eq!(status.faults["trap"], failed.into_inner());
    assert_eq!(status.faults["trap"], WORKERS as u64 * 500);
    assert_eq!(status.faults["ineligible"], WORKERS as u64 * 15);
    assert!(!status.quarantined);
}

/// Every worker fails at once: the quarantine happens once, and afterwards all are served by the version before.
#[test]
fn a_quarantine_happens_once() {
    let host = host(Tolerance::default());
    let members = nodes(1, 1, 2);
    let good = host.policy(&compiled(&host, "base"), "{}", &members, None, None).expect("a policy");
    let told = std::sync::Arc::new(AtomicU64::new(0));
    let count = std::sync::Arc::clone(&told);
    let tell = std::sync::Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let bad = host.policy(&compiled(&host, "trap"), "{}", &members, Some(&good), Some(tell)).expect("a policy");
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (bad, members) = (&bad, &members);
            scope.spawn(move || while bad.pick(worker, members, &turn(1)) != Ok(Verdict::Node(1)) {});
        }
    });
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert_eq!(bad.status().serving, Some(good.module().digest()));
    let faults = bad.status().faults["trap"];
    assert!((5..5 + WORKERS as u64).contains(&faults), "{faults}: at most one more a worker");
}

fn asked(policy: &dyn Policy, members: &Arc<Membership>) -> u32 {
    match policy.pick(0, members, &turn(0)) {
        Ok(Verdict::Park(times)) => times,
        other => panic!("{other:?}"),
    }
}

/// The guest counts how often it was asked, so an instance that was made anew tells itself from the one before.
#[test]
fn a_list_that_was_prepared_is_not_told_to_the_instance_at_work() {
    let host = host(Tolerance::default());
    for (count, fresh) in [(100, true), (10, false)] {
        let (first, second) = (nodes(1, 1, count), nodes(2, 2, count + 1));
        let policy = host.policy(&compiled(&host, "counts"), "{}", &first, None, None).expect("a policy");
        assert_eq!((asked(&*policy, &first), asked(&*policy, &first)), (1, 2));
        policy.prepare(&second);
        assert_eq!(asked(&*policy, &first), 3, "the list of before is asked about as before");
        assert_eq!(asked(&*policy, &second), if fresh { 1 } else { 4 }, "{count} nodes");
        assert_eq!(asked(&*policy, &second), if fresh { 2 } else { 5 });
    }
}

#[test]
fn what_was_prepared_for_another_list_is_not_used() {
    let host = host(Tolerance::default());
    let policy = host.policy(&compiled(&host, "counts"), "{}", &nodes(1, 1, 100), None, None).expect("a policy");
    policy.prepare(&nodes(2, 2, 101));
    assert_eq!(asked(&*policy, &nodes(3, 3, 102)), 1);
    assert_eq!(asked(&*policy, &nodes(3, 3, 102)), 2);
}

#[test]
fn a_policy_that_fails_to_get_ready_costs_no_more_than_its_pick() {
    let host = host(Tolerance::default());
    let (first, second) = (nodes(1, 1, 3), nodes(2, 2, 100));
    let policy = host.policy(&compiled(&host, "crowd"), "{}", &first, None, None).expect("a policy");
    policy.prepare(&second);
    assert_eq!(policy.status().faults["trap"], 0);
    assert_eq!(policy.pick(0, &second, &turn(0)), Err(Fault::Trap));
    assert_eq!(policy.status().faults["trap"], 1);
}
