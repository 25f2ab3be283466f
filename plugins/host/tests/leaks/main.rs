//! Nothing stays behind: swaps by the thousand leave memory and mappings where they were.
//!
//! A binary of its own, whose tests take turns: what is measured is the whole process.

use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_core::pick::policy::{Policy, Verdict};
use pointsman_host::Limits;

#[path = "../suite/assembly.rs"]
mod assembly;
#[path = "../suite/guest.rs"]
mod guest;

use guest::{guest, host, nodes, round_robin, turn};

/// Held by the one test that runs.
static TURN: Mutex<()> = Mutex::new(());

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages: u64 = statm.split(' ').nth(1).expect("two fields").parse().expect("a number");
    pages * 4
}

/// Mappings of this process: every linear memory and every piece of compiled code is one or more.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("procfs").lines().count()
}

/// 10,000 swaps of a policy for another, two instances each, between two modules that stay compiled.
#[test]
fn ten_thousand_swaps_leave_nothing_behind() {
    let _turn = TURN.lock();
    let host = host();
    let members = nodes(1, 1, 4);
    let modules = ["a", "b"].map(|mark| host.compile("swapped", &round_robin(mark), Limits::default()).unwrap());
    let mut serving = host.policy(&modules[0], "{}", &members, None, None).unwrap();
    let mut swap = |n: u64| {
        let next = &modules[n as usize % 2];
        serving = host.policy(next, &n.to_string(), &members, Some(&serving), None).unwrap();
        assert_eq!(serving.pick(n as usize, &members, &turn(n)), Ok(Verdict::Node((n % 4) as u32)));
    };
    (0..1_000).for_each(&mut swap);
    let (memory, maps) = (resident(), mappings());
    (1_000..10_000).for_each(&mut swap);
    println!("10,000 swaps: {memory} KiB resident after 1,000, {} KiB at the end", resident());
    // One page of linear memory kept by each of 9,000 swaps would be 36 MiB.
    assert!(resident() < memory + 8 * 1024, "{memory} KiB before, {} KiB after", resident());
    assert!(mappings() < maps + 100, "{maps} mappings before, {} after", mappings());
}

/// New modules, each compiled, used, and let go.
#[test]
fn hundreds_of_modules_leave_nothing_behind() {
    let _turn = TURN.lock();
    let host = host();
    let members = nodes(1, 1, 4);
    let mut serving = None;
    let mut load = |n: u64| {
        let module = host.compile("swapped", &round_robin(&format!("module {n}")), Limits::default()).unwrap();
        let next = host.policy(&module, "{}", &members, serving.as_ref(), None).unwrap();
        assert!(next.pick(0, &members, &turn(n)).is_ok());
        serving = Some(next);
    };
    (0..50).for_each(&mut load);
    let (memory, maps) = (resident(), mappings());
    (50..350).for_each(&mut load);
    assert!(host.compiled() <= 3, "{} modules are remembered", host.compiled());
    println!("350 modules: {memory} KiB resident after 50, {} KiB at the end", resident());
    // The code of one module is about 100 KiB.
    assert!(resident() < memory + 16 * 1024, "{memory} KiB before, {} KiB after", resident());
    assert!(mappings() < maps + 100, "{maps} mappings before, {} after", mappings());
}

/// A fault replaces an instance; a thousand of them leave no more behind than one.
#[test]
fn faults_leave_nothing_behind() {
    let _turn = TURN.lock();
    let options = pointsman_host::HostOptions {
        workers: 1,
        tolerance: pointsman_host::Tolerance { faults: 1_000_000, window_ms: 1 },
        ..pointsman_host::HostOptions::default()
    };
    let host = pointsman_host::Host::new(options).unwrap();
    let members = nodes(1, 1, 4);
    let module = host.compile("hoard", &guest("hoard"), Limits::default()).unwrap();
    let hoard = host.policy(&module, "{}", &members, None, None).unwrap();
    let fail = |n: u64| assert!(hoard.pick(0, &members, &turn(n)).is_err());
    (0..50).for_each(fail);
    let (memory, maps) = (resident(), mappings());
    (50..1_050).for_each(fail);
    assert!(resident() < memory + 8 * 1024, "{memory} KiB before, {} KiB after", resident());
    assert!(mappings() < maps + 100, "{maps} mappings before, {} after", mappings());
}

/// What a policy was told does not outlive it.
#[test]
fn a_membership_is_let_go() {
    let _turn = TURN.lock();
    let host = host();
    let (first, second) = (nodes(1, 1, 4), nodes(2, 2, 4));
    let policy = guest::policy(&host, "base", &first);
    assert!(Arc::strong_count(&first) > 1, "every worker knows it");
    for worker in 0..2 {
        policy.pick(worker, &second, &turn(0)).unwrap();
    }
    assert_eq!(Arc::strong_count(&first), 1, "the newer one took its place");
    drop(policy);
    assert_eq!(Arc::strong_count(&second), 1);
}
