use proptest::prelude::*;

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Ticks every 50 ms up to and including `to`.
fn run(leases: &mut Leases<String>, from: u64, to: u64) -> Vec<String> {
    (from / 50 + 1..=to / 50).flat_map(|t| leases.tick(ms(t * 50)).lapsed).collect()
}

#[test]
fn lapses_at_its_ttl_and_not_before() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    assert!(run(&mut leases, 0, 250).is_empty());
    assert_eq!(run(&mut leases, 250, 300), ["a"]);
    assert!(leases.is_empty());
}

#[test]
fn a_late_renewal_is_refused_even_before_the_tick_that_buries_it() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    run(&mut leases, 0, 250);
    assert!(!leases.renew("a", ms(300)));
    assert_eq!(run(&mut leases, 250, 300), ["a"]);
}

#[test]
fn renewed_in_time_it_lives() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    for t in 1..100 {
        assert!(run(&mut leases, (t - 1) * 100, t * 100).is_empty());
        assert!(leases.renew("a", ms(t * 100)));
    }
}

#[test]
fn our_own_absence_gives_every_lease_a_full_ttl() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    leases.grant("b".to_owned(), ms(10_000), ms(0));
    run(&mut leases, 0, 100);
    // Stopped for 5 s; the first thing read afterwards is a renewal that had been waiting.
    assert!(leases.renew("a", ms(5_100)));
    let tick = leases.tick(ms(5_100));
    assert_eq!(tick, Tick { lapsed: vec![], away: Some(ms(5_000)) });
    assert_eq!(leases.get("b").map(|l| l.until), Some(ms(15_100)));
    assert_eq!(run(&mut leases, 5_100, 5_400), ["a"]);
}

#[test]
fn a_held_lease_does_not_lapse_and_has_its_whole_ttl_once_it_runs() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    leases.hold();
    assert!(run(&mut leases, 0, 10_000).is_empty(), "ten seconds of a start");
    // Our absence before the leases run is no news; whoever gets through is not turned away.
    assert_eq!(leases.tick(ms(12_000)), Tick { lapsed: vec![], away: None });
    assert!(leases.alive("a", ms(12_500)) && leases.renew("a", ms(12_500)));
    leases.run(ms(12_520));
    assert_eq!(leases.get("a").map(|lease| lease.until), Some(ms(12_820)));
    assert!(run(&mut leases, 12_520, 12_800).is_empty());
    assert_eq!(run(&mut leases, 12_800, 12_850), ["a"]);
    assert!(!leases.renew("a", ms(12_850)), "a lapse is as final as any");
}

#[test]
fn leases_that_run_are_not_extended_by_saying_so_again() {
    let mut leases = Leases::new(ms(0));
    leases.grant("a".to_owned(), ms(300), ms(0));
    for t in 1..6 {
        assert!(leases.tick(ms(t * 50)).lapsed.is_empty());
        leases.run(ms(t * 50));
    }
    assert_eq!(leases.tick(ms(300)).lapsed, ["a"]);
}

#[test]
fn a_mass_lapse_alone_arms_nothing() {
    let mut leases = Leases::new(ms(0));
    for i in 0..1_000 {
        leases.grant(format!("n{i}"), ms(300), ms(0));
    }
    assert_eq!(run(&mut leases, 0, 300).len(), 1_000);
}

#[derive(Debug, Clone)]
enum Step {
    Grant(u8, u64),
    Renew(u8),
    End(u8),
    Wait(u64),
    Away(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..5, 300u64..2_000).prop_map(|(k, ttl)| Step::Grant(k, ttl)),
        (0u8..5).prop_map(Step::Renew),
        (0u8..5).prop_map(Step::End),
        (1u64..40).prop_map(Step::Wait),
        (201u64..10_000).prop_map(Step::Away),
    ]
}

proptest! {
    /// Against a plain model: a lease is there exactly while its holder was granted or renewed within its TTL, counted
    /// anew from our return after an absence; and once gone only a grant brings it back.
    #[test]
    fn agrees_with_a_plain_model(steps in proptest::collection::vec(step(), 1..120)) {
        let mut leases: Leases<String> = Leases::new(ms(0));
        let mut model: HashMap<String, (u64, u64)> = HashMap::new();
        let mut now = 0u64;
        for step in steps {
            match step {
                Step::Grant(k, ttl) => {
                    leases.grant(k.to_string(), ms(ttl), ms(now));
                    model.insert(k.to_string(), (ttl, now + ttl));
                }
                Step::Renew(k) => {
                    let alive = model.get_mut(&k.to_string()).filter(|(_, until)| *until > now);
                    let expect = alive.map(|(ttl, until)| *until = now + *ttl).is_some();
                    prop_assert_eq!(leases.renew(k.to_string().as_str(), ms(now)), expect);
                }
                Step::End(k) => {
                    let there = model.remove(&k.to_string()).is_some();
                    prop_assert_eq!(leases.end(k.to_string().as_str()), there);
                }
                Step::Wait(ticks) => {
                    for _ in 0..ticks {
                        now += 50;
                        let mut lapsed = leases.tick(ms(now)).lapsed;
                        lapsed.sort();
                        let mut expect: Vec<String> =
                            model.iter().filter(|(_, (_, until))| *until <= now).map(|(k, _)| k.clone()).collect();
                        expect.sort();
                        model.retain(|_, (_, until)| *until > now);
                        prop_assert_eq!(lapsed, expect);
                    }
                }
                Step::Away(gap) => {
                    now += gap;
                    let tick = leases.tick(ms(now));
                    prop_assert_eq!(tick, Tick { lapsed: vec![], away: Some(ms(gap)) });
                    for (ttl, until) in model.values_mut() {
                        *until = (*until).max(now + *ttl);
                    }
                }
            }
            prop_assert_eq!(leases.len(), model.len());
        }
    }
}
