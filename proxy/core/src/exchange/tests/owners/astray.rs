//! Whatever policy, nodes, operators and other workers do meanwhile: where a key has an owner that is there, its requests go
//! to it.

use std::thread;

use super::*;
use crate::owners::decide::Rules;

/// Anything that others do to the keys, and to the nodes.
#[derive(Debug, Clone)]
enum Other {
    Claim(u64),
    Move(u64),
    MoveAll(u64, u64),
    Release,
    Members(Vec<(u64, Standing)>),
}

fn other() -> impl Strategy<Value = Other> {
    let standing = prop::sample::select(vec![Up, Up, Degraded, Draining, Down]);
    let members = prop::collection::btree_map(1_u64..5, standing, 0..5);
    prop_oneof![
        2 => (1_u64..5).prop_map(Other::Claim),
        1 => (1_u64..5).prop_map(Other::Move),
        1 => (1_u64..5, 1_u64..5).prop_map(|(from, to)| Other::MoveAll(from, to)),
        1 => Just(Other::Release),
        4 => members.prop_map(|nodes| Other::Members(nodes.into_iter().collect())),
    ]
}

fn happens(stage: &Stage, other: &Other, version: u64, nodes: &[Arc<Node>]) {
    let table = &stage.owners.as_ref().expect("owners").0;
    let id = |number: &u64| (format!("n{number}"), Incarnation(*number));
    match other {
        Other::Claim(to) => {
            table.claim("a", &id(to).0, id(to).1, Duration::ZERO);
        }
        Other::Move(to) => {
            table.reassign("a", &id(to).0, id(to).1, Duration::ZERO);
        }
        Other::MoveAll(from, to) => {
            table.reassign_all(&id(from).0, &id(to).0, id(to).1);
        }
        Other::Release => {
            table.release("a", Duration::ZERO);
        }
        Other::Members(members) => {
            let members: Vec<_> = members.iter().map(|(i, s)| (Arc::clone(&nodes[*i as usize]), *s)).collect();
            stage.publish(version, &members);
        }
    }
}

proptest! {
    /// Whatever policy, nodes and others do: where the key has an owner that is there, the request goes to it.
    #[test]
    fn a_request_whose_owner_is_there_goes_nowhere_else(
        others in prop::collection::vec(other(), 1..30),
        failures in prop::collection::vec((any::<bool>(), any::<bool>()), 10),
        on_unknown in prop::sample::select(vec![OnUnknown::Hash, OnUnknown::Park, OnUnknown::Refuse]),
        on_gone in prop::sample::select(vec![OnGone::Policy, OnGone::Park, OnGone::Refuse]),
        verdicts in prop::collection::vec(0_u32..5, 1..10),
        needs_owner: bool,
        method in prop::sample::select(vec!["GET", "POST"]),
    ) {
        let mut verdicts = verdicts.into_iter().cycle();
        let needs = Needs { owner: needs_owner, ..Needs::default() };
        let policy = Scripted::new(false, needs, move |_, _| Ok(Verdict::Node(verdicts.next().expect("a cycle"))));
        let mut stage = Stage::new(&policy, method, 4);
        let plan = rules(on_unknown, on_gone);
        stage.owners = Some((table(), plan.clone()));
        stage.facts.headers = vec![("x-id".into(), "a".into())];
        let nodes: Vec<_> = (0..5).map(node).collect();
        stage.publish(1, &[(Arc::clone(&nodes[1]), Up), (Arc::clone(&nodes[2]), Up)]);
        let (mut event, mut ended) = (Event::Start, false);
        let mut failures = failures.into_iter().cycle();
        for round in 0..100_u64 {
            if let Some(other) = others.get(round as usize) {
                happens(&stage, other, round + 2, &nodes);
            }
            event = match stage.step(event, round * 20) {
                Action::Connect(attempt) => {
                    let chosen = attempt.node.incarnation;
                    let table = &stage.owners.as_ref().expect("owners").0;
                    let members = stage.members.load();
                    let live = table.peek("a", Duration::ZERO)
                        .and_then(|owner| Rules::from(&plan).index_in(table, owner, &members))
                        .and_then(|index| members.get(index))
                        .filter(|member| member.eligible());
                    prop_assert_eq!(live.map(|member| member.node.incarnation), Some(chosen), "sent astray");
                    let (sent, connect) = failures.next().expect("a cycle");
                    let class = if connect { FailureClass::Connect } else { FailureClass::Reset };
                    Event::Failed(Failure { class, sent: sent && !connect, replayable: true })
                }
                Action::Wait { .. } => Event::Wake,
                Action::PassOn | Action::Answer(_) => {
                    ended = true;
                    break;
                }
            };
        }
        prop_assert!(ended, "it goes on for ever");
    }
}

/// Workers that see the same new keys at once, while nodes come: each key is sent to one node by all.
#[test]
fn workers_agree_on_who_owns_a_new_key() {
    let (owners, plan) = (table(), Owners { capacity: 4_000, ..rules(OnUnknown::Hash, OnGone::Policy) });
    owners.configure(4_000, Duration::from_secs(600));
    let members = MembershipCell::default();
    members.publish(membership(1, &[(node(1), Up)]));
    let went: Vec<Vec<u64>> = thread::scope(|scope| {
        let work = |worker: u64| {
            let (owners, plan, members) = (&owners, &plan, &members);
            move || {
                let policy = Scripted::new(false, Needs::default(), move |members, ask| {
                    let eligible = members.eligible();
                    Ok(Verdict::Node(eligible[(ask.random ^ worker) as usize % eligible.len()]))
                });
                let mut stage = Stage::new(&policy, "POST", 1);
                let each = |key: u64| {
                    if worker == 0 && key % 200 == 0 {
                        let nodes: Vec<_> = (1..=1 + key / 200).map(|number| (node(number), Up)).collect();
                        members.publish(membership(2 + key, &nodes));
                    }
                    stage.facts.headers = vec![("x-id".into(), format!("k{key}"))];
                    let scene = Scene {
                        picker: &stage.picker,
                        owners: Some(Owning { table: owners, plan }),
                        key: None,
                        places: &[],
                        retry: &stage.retry,
                        budget: &stage.budget,
                        rate: None,
                        limits: &stage.limits,
                        all_down: stage.all_down,
                        members,
                        turn: &stage.turn,
                        stuck: None,
                        facts: &stage.facts,
                        worker: 0,
                    };
                    match Exchange::new(key * 31 + worker).step(&scene, Event::Start, Duration::ZERO) {
                        Action::Connect(attempt) => attempt.node.incarnation.0,
                        other => panic!("{other:?}"),
                    }
                };
                (0..3_000).map(each).collect()
            }
        };
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(work(worker))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(went.windows(2).all(|pair| pair[0] == pair[1]), "sent astray");
    assert!(went[0].iter().any(|node| *node > 1));
}
