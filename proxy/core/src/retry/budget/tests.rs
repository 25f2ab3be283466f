use super::*;

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn taken(budget: &RetryBudget, ratio: f64, now: Duration) -> usize {
    (0..1000).filter(|_| budget.take(ratio, now)).count()
}

#[test]
fn a_share_of_the_requests_and_ten_a_second() {
    let budget = RetryBudget::new();
    (0..500).for_each(|_| budget.request(at(50)));
    assert_eq!(taken(&budget, 0.2, at(50)), 200);
    assert_eq!(taken(&budget, 0.2, at(50)), 0);
}

#[test]
fn what_is_older_than_ten_seconds_no_longer_counts() {
    let budget = RetryBudget::new();
    (0..500).for_each(|_| budget.request(at(50)));
    assert_eq!(taken(&budget, 0.2, at(59)), 200);
    assert_eq!(taken(&budget, 0.2, at(60)), 0, "the requests are forgotten, the retries are not");
    assert_eq!(taken(&budget, 0.2, at(69)), 100);
}

#[test]
fn workers_lose_nothing_within_a_second() {
    let budget = RetryBudget::new();
    budget.request(at(7));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| budget.request(at(7))));
        }
    });
    assert_eq!(budget.requests.sum(7), 40_001);
}
