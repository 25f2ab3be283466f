use proptest::prelude::*;

use super::*;

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn limiter(per_second: u32, burst: u32) -> RateLimiter {
    RateLimiter::new(&Rate { key: KeyRule::of(KeySource::Header("x-user".into())), per_second, burst })
}

fn granted(limiter: &RateLimiter, hash: u64, now: Duration) -> usize {
    (0..1000).filter(|_| limiter.take(hash, now).is_ok()).count()
}

#[test]
fn a_burst_at_once_and_then_the_rate() {
    let limiter = limiter(10, 5);
    assert_eq!(granted(&limiter, 7, at(1_000)), 5);
    assert_eq!(limiter.take(7, at(1_000)), Err(at(100)));
    assert_eq!(granted(&limiter, 7, at(1_100)), 1);
    assert_eq!(granted(&limiter, 7, at(1_350)), 2);
    assert_eq!(granted(&limiter, 7, at(10_000)), 5);
}

#[test]
fn other_keys_have_their_own() {
    let limiter = limiter(1, 3);
    for key in 0..2_000_u64 {
        let hash = crate::key::stable_hash(&key.to_string());
        assert_eq!(granted(&limiter, hash, at(50)), 3, "key {key}");
    }
}

#[test]
fn a_request_without_the_key_counts_as_its_clients() {
    let limiter = limiter(1, 1);
    let facts = |user: Option<&str>, client: u8| crate::facts::Plain {
        headers: user.map(|user| ("x-user".into(), user.into())).into_iter().collect(),
        client: Some([127, 0, 0, client].into()),
        ..crate::facts::Plain::default()
    };
    let taken = |user, client| limiter.admit(&facts(user, client), at(10)).is_ok();
    assert!(taken(Some("a"), 1) && !taken(Some("a"), 2) && taken(Some("b"), 1));
    assert!(taken(None, 1) && !taken(None, 1) && taken(None, 2));
}

#[test]
fn workers_together_get_no_more_than_one_would() {
    // A burst of one, many times over: what a race grants too much shows in the first requests of a key.
    let limiter = limiter(1, 1);
    let (rounds, workers) = (2_000_u64, 4);
    let gate = std::sync::Barrier::new(workers);
    let taken = || {
        let granted = (0..rounds).filter(|round| {
            gate.wait();
            limiter.take(crate::key::stable_hash(&round.to_string()), at(9)).is_ok()
        });
        granted.count() as u64
    };
    let total: u64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(taken)).collect();
        all.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    assert_eq!(total, rounds);
}

#[test]
fn of_two_that_counted_on_the_last_place_one_looks_again() {
    let cells: [AtomicU64; ROWS] = std::array::from_fn(|_| AtomicU64::new(0));
    let of = |rows: std::ops::Range<usize>| rows.map(|row| &cells[row]).collect::<Vec<_>>();
    // One has raised the first cell and no more; another looks, finds the lowest elsewhere, and takes the place.
    assert!(raise(&of(0..1), &[0], 10));
    assert!(raise(&of(0..ROWS), &[10, 0, 0, 0], 10));
    // The first goes on with what it had seen.
    assert!(!raise(&of(1..ROWS), &[0; ROWS - 1], 10));
}

proptest! {
    /// In any stretch of time a key gets at most its burst and what the rate adds, and whoever is refused is granted
    /// once the time that was told is over.
    #[test]
    fn never_more_than_the_rate(
        per_second in 1_u32..1_000,
        burst in 1_u32..20,
        pauses in prop::collection::vec(0_u64..50, 1..200),
        hash: u64,
    ) {
        let limiter = limiter(per_second, burst);
        let mut now = Duration::from_secs(5);
        let began = now;
        let mut granted = 0_u64;
        for pause in pauses {
            now += at(pause);
            match limiter.take(hash, now) {
                Ok(()) => granted += 1,
                Err(wait) => {
                    now += wait;
                    prop_assert!(limiter.take(hash, now).is_ok());
                    granted += 1;
                }
            }
            let most = f64::from(burst) + now.saturating_sub(began).as_secs_f64() * f64::from(per_second) * 1.000_001;
            prop_assert!(granted as f64 <= most + 1e-6, "{granted} of {most}");
        }
    }
}
