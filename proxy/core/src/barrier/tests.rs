use std::sync::atomic::AtomicU64;
use std::task::Wake;
use std::thread;

use super::*;

#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), Waker::from(bell))
}

#[test]
fn a_barrier_waits_for_who_came_before_and_for_nobody_else() {
    let barrier = Arc::new(Barrier::default());
    let (bell, waker) = bell();
    let (first, second) = (barrier.enter(), barrier.enter());
    let mut wait = barrier.wait();
    assert!(wait.poll(&waker).is_pending());
    let _later = barrier.enter();
    drop(first);
    assert!(wait.poll(&waker).is_pending());
    drop(second);
    assert_eq!(bell.0.load(SeqCst), 1);
    assert!(wait.poll(&waker).is_ready());
}

#[test]
fn nobody_inside_is_nobody_to_wait_for() {
    let barrier = Arc::new(Barrier::default());
    for _ in 0..3 {
        assert!(barrier.wait().poll(Waker::noop()).is_ready());
    }
    assert!(!barrier.awaited.load(SeqCst));
}

#[test]
fn barriers_wait_for_each_other_and_one_that_gives_up_stops_nobody() {
    let barrier = Arc::new(Barrier::default());
    let (bell, waker) = bell();
    let before = barrier.enter();
    let (mut first, mut second) = (barrier.wait(), barrier.wait());
    assert!(first.poll(&waker).is_pending());
    let between = barrier.enter();
    assert!(second.poll(&waker).is_pending());
    drop(first);
    let mut third = barrier.wait();
    assert!(third.poll(&waker).is_pending());
    drop(before);
    assert!(bell.0.load(SeqCst) > 0);
    assert!(second.poll(&waker).is_pending(), "it came before, and is inside");
    assert!(third.poll(&waker).is_pending());
    drop(between);
    assert!(second.poll(&waker).is_ready());
    assert!(third.poll(&waker).is_ready());
}

#[test]
fn of_two_that_wait_one_has_left_before_the_other_is_ready() {
    let barrier = Arc::new(Barrier::default());
    let before = barrier.enter();
    let (mut first, mut second) = (barrier.wait(), barrier.wait());
    assert!(first.poll(Waker::noop()).is_pending() && second.poll(Waker::noop()).is_pending());
    drop(before);
    // Both are woken, and whoever came later may look first.
    assert!(second.poll(Waker::noop()).is_pending(), "the first is to enter");
    let Poll::Ready(pass) = first.poll(Waker::noop()) else { panic!("all have gone") };
    assert!(second.poll(Waker::noop()).is_pending(), "the first is inside");
    drop(pass);
    assert!(second.poll(Waker::noop()).is_ready());
}

#[test]
fn one_that_gives_up_when_it_could_enter_stops_nobody() {
    let barrier = Arc::new(Barrier::default());
    let (bell, waker) = bell();
    let before = barrier.enter();
    let (mut first, mut second) = (barrier.wait(), barrier.wait());
    assert!(first.poll(Waker::noop()).is_pending());
    drop(before);
    assert!(second.poll(&waker).is_pending());
    drop(first);
    assert_eq!(bell.0.load(SeqCst), 1);
    assert!(second.poll(&waker).is_ready());
    assert_eq!(barrier.inside.each_ref().map(|inside| inside.load(SeqCst)), [0, 0]);
}

/// Each thread enters with a number that rises. Once a barrier is over nobody is inside who entered before it began.
#[test]
fn nobody_who_came_before_is_inside_when_a_barrier_is_over() {
    const THREADS: usize = 3;
    let barrier = Arc::new(Barrier::default());
    let clock = Arc::new(AtomicU64::new(1));
    let inside: Arc<[AtomicU64; THREADS]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..THREADS)
        .map(|me| {
            let (barrier, clock, inside, stop) =
                (Arc::clone(&barrier), Arc::clone(&clock), Arc::clone(&inside), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let pass = barrier.enter();
                    inside[me].store(clock.fetch_add(1, SeqCst), SeqCst);
                    thread::yield_now();
                    inside[me].store(0, SeqCst);
                    drop(pass);
                }
            })
        })
        .collect();
    for _ in 0..2_000 {
        let began = clock.fetch_add(1, SeqCst);
        let mut wait = barrier.wait();
        while wait.poll(Waker::noop()).is_pending() {
            thread::yield_now();
        }
        for known in inside.iter() {
            let since = known.load(SeqCst);
            assert!(since == 0 || since > began, "{since} was inside before {began}");
        }
    }
    stop.store(true, SeqCst);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}
