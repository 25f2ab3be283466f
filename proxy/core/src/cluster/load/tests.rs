use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use proptest::prelude::*;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bound(permits: u32) -> Arc<NodeLoad> {
    Arc::new(NodeLoad::with_permits(Some(permits)))
}

fn enter(load: &Arc<NodeLoad>) -> InFlight {
    load.enter(u32::MAX).expect("the line has no end")
}

#[test]
fn without_a_bound_nobody_waits() {
    let load = Arc::new(NodeLoad::default());
    let guards: Vec<_> = (0..1000).map(|_| load.enter(0).expect("no bound")).collect();
    assert_eq!((load.in_flight(), load.queued(), load.started()), (1000, 0, 1000));
    drop(guards);
    assert_eq!((load.in_flight(), load.started()), (0, 1000));
}

#[test]
fn a_permit_passes_to_whoever_came_first_and_only_that_one_is_woken() {
    let load = bound(1);
    let first = enter(&load);
    let (second, third) = (enter(&load), enter(&load));
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
    assert!(second.poll(&Waker::from(Arc::clone(&bells[0]))).is_pending());
    assert!(third.poll(&Waker::from(Arc::clone(&bells[1]))).is_pending());
    assert_eq!((load.in_flight(), load.queued(), load.started()), (3, 2, 1));
    drop(first);
    assert_eq!((second.permit(), third.permit()), (Permit::Held, Permit::Waits));
    assert_eq!(bells.map(|bell| bell.0.load(Ordering::Relaxed)), [1, 0]);
    assert_eq!((load.in_flight(), load.queued(), load.started()), (2, 1, 2));
}

#[test]
fn a_line_that_is_full_takes_nobody() {
    let load = bound(1);
    let _held = enter(&load);
    let waits = load.enter(1).expect("one may wait");
    assert!(load.enter(1).is_none());
    assert_eq!((load.in_flight(), load.queued()), (2, 1));
    drop(waits);
    assert!(load.enter(1).is_some(), "whoever gives up frees the place");
}

#[test]
fn nobody_overtakes_the_line() {
    let load = bound(2);
    let (first, _second) = (enter(&load), enter(&load));
    let third = enter(&load);
    drop(first);
    assert_eq!(third.permit(), Permit::Held);
    assert_eq!(enter(&load).permit(), Permit::Waits);
}

#[test]
fn a_permit_that_comes_to_someone_who_has_left_goes_on() {
    let load = bound(1);
    let first = enter(&load);
    let (second, third) = (enter(&load), enter(&load));
    drop(first);
    assert_eq!(second.permit(), Permit::Held);
    drop(second);
    assert_eq!(third.permit(), Permit::Held);
}

#[test]
fn those_sent_away_hold_nothing() {
    let load = bound(1);
    let first = enter(&load);
    let (second, third) = (enter(&load), enter(&load));
    let bell = Arc::new(Bell::default());
    assert!(third.poll(&Waker::from(Arc::clone(&bell))).is_pending());
    load.send_away();
    assert_eq!((second.permit(), third.permit()), (Permit::Away, Permit::Away));
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    assert_eq!((load.in_flight(), load.queued(), load.started()), (1, 0, 1));
    drop((second, third));
    assert_eq!(load.in_flight(), 1);
    drop(first);
    assert_eq!(enter(&load).permit(), Permit::Held);
}

#[test]
fn more_permits_go_to_those_who_wait_and_none_lets_all_in() {
    let load = bound(1);
    let guards: Vec<_> = (0..5).map(|_| enter(&load)).collect();
    load.set_permits(Some(3));
    let held = |guards: &[InFlight]| guards.iter().map(|guard| guard.permit() == Permit::Held).collect::<Vec<_>>();
    assert_eq!(held(&guards), [true, true, true, false, false]);
    load.set_permits(None);
    assert_eq!(held(&guards), [true; 5]);
    load.set_permits(Some(2));
    assert_eq!(enter(&load).permit(), Permit::Waits, "what is under way counts, also if it came without a bound");
}

#[derive(Debug, Clone)]
enum Step {
    Enter,
    /// Ends the request at this place among those there are.
    End(usize),
    Permits(Option<u32>),
    SendAway,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Enter),
        5 => any::<usize>().prop_map(Step::End),
        1 => proptest::option::of(1_u32..5).prop_map(Step::Permits),
        1 => Just(Step::SendAway),
    ]
}

/// The rule read literally: requests in the order in which they came, each with its permit.
#[derive(Default)]
struct Plain {
    permits: Option<u32>,
    there: Vec<(u32, Permit)>,
}

impl Plain {
    fn count(&self, permit: Permit) -> usize {
        self.there.iter().filter(|(_, has)| *has == permit).count()
    }

    fn hand_on(&mut self) {
        while self.permits.is_none_or(|permits| self.count(Permit::Held) < permits as usize) {
            let Some(first) = self.there.iter_mut().find(|(_, has)| *has == Permit::Waits) else { break };
            first.1 = Permit::Held;
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_rule_read_literally(steps in prop::collection::vec(any_step(), 1..120), line in 0_u32..6) {
        let load = Arc::new(NodeLoad::default());
        let mut plain = Plain::default();
        let mut guards: Vec<(u32, InFlight)> = Vec::new();
        for (number, step) in (0_u32..).zip(steps) {
            match step {
                Step::Enter => {
                    let free = plain.permits.is_none_or(|permits| plain.count(Permit::Held) < permits as usize);
                    let has = if free && plain.count(Permit::Waits) == 0 { Permit::Held } else { Permit::Waits };
                    let taken = has == Permit::Held || plain.count(Permit::Waits) < line as usize;
                    if taken {
                        plain.there.push((number, has));
                    }
                    let guard = load.enter(line);
                    prop_assert_eq!(guard.is_some(), taken);
                    guards.extend(guard.map(|guard| (number, guard)));
                }
                Step::End(at) if !guards.is_empty() => {
                    let (number, guard) = guards.remove(at % guards.len());
                    drop(guard);
                    plain.there.retain(|(other, _)| *other != number);
                    plain.hand_on();
                }
                Step::End(_) => {}
                Step::Permits(permits) => {
                    plain.permits = permits;
                    load.set_permits(permits);
                    plain.hand_on();
                }
                Step::SendAway => {
                    load.send_away();
                    plain.there.iter_mut().filter(|(_, has)| *has == Permit::Waits).for_each(|p| p.1 = Permit::Away);
                }
            }
            let seen: Vec<_> = guards.iter().map(|(number, guard)| (*number, guard.permit())).collect();
            prop_assert_eq!(&seen, &plain.there);
            let (held, waits) = (plain.count(Permit::Held), plain.count(Permit::Waits));
            prop_assert_eq!((load.in_flight() as usize, load.queued() as usize), (held + waits, waits));
        }
    }
}

/// Blocks its thread until it is woken.
struct Thread(std::thread::Thread);

impl Wake for Thread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn workers_never_hold_more_than_there_are_and_nobody_is_forgotten() {
    const PERMITS: u32 = 3;
    let load = bound(PERMITS);
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for worker in 0..8_u32 {
            let (load, inside, most) = (&load, &inside, &most);
            scope.spawn(move || {
                let waker = Waker::from(Arc::new(Thread(std::thread::current())));
                for round in 0..2_000_u32 {
                    let guard = enter(load);
                    if (worker + round) % 7 == 0 && guard.permit() == Permit::Waits {
                        continue; // Gives up.
                    }
                    // A wake that is lost would hang the test.
                    while guard.poll(&waker).is_pending() {
                        std::thread::park();
                    }
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if round % 3 == 0 {
                        std::thread::yield_now();
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!((1..=PERMITS).contains(&most.into_inner()));
    assert_eq!((load.in_flight(), load.queued()), (0, 0));
}
