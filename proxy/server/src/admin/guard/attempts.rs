//! Bounds how often an address may offer a token that is not one.
//!
//! Tokens have 256 bits, so guessing is hopeless; this keeps what it costs small, and bounds it where somebody hashed a
//! word of their own. Whoever was let in from an address before keeps being let in: one caller with a stale token must
//! not cost the nodes beside it their leases.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

/// Addresses that are remembered; of more, those that were quiet the longest are forgotten.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(in crate::admin) struct Attempts {
    by_address: Mutex<HashMap<Option<IpAddr>, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Failed attempts that have not been forgiven yet.
    failed: f64,
    /// When that was worked out.
    at: Duration,
    /// Tokens, by name, that were right from here.
    right: BTreeSet<String>,
}

/// One judgement at a moment: `per_minute` failures are forgiven a minute, and so many are granted at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try {
    /// `None`: over a Unix socket; all who come so are one.
    pub(super) from: Option<IpAddr>,
    pub(super) per_minute: u32,
    /// Since any fixed moment.
    pub(super) now: Duration,
}

impl Attempts {
    /// Whether it is heard. `right`: the name of the token, if what is offered is one. What is not heard gets the same
    /// answer whether it was right or not. `counts`: whether it is a failure where it is not right.
    pub(super) fn hears(&self, attempt: Try, right: Option<&str>, counts: bool) -> bool {
        let mut all = self.by_address.lock();
        let from = attempt.from.map(network);
        if all.len() >= MOST && !all.contains_key(&from) {
            let quiet = all.iter().min_by_key(|(_, entry)| entry.at).map(|(address, _)| *address);
            quiet.map(|address| all.remove(&address));
        }
        let entry = all.entry(from).or_default();
        let limit = f64::from(attempt.per_minute);
        let since = attempt.now.saturating_sub(entry.at).as_secs_f64();
        entry.failed = (entry.failed - since * limit / 60.0).max(0.0);
        entry.at = attempt.now;
        let heard = entry.failed + 1.0 <= limit || right.is_some_and(|name| entry.right.contains(name));
        match right {
            Some(name) if heard => {
                entry.right.insert(name.to_owned());
            }
            _ if heard && counts => entry.failed += 1.0,
            _ => {}
        }
        heard
    }
}

/// Who has an IPv6 address has 64 bits of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(from: &str, seconds: u64) -> Try {
        Try { from: Some(from.parse().expect("an address")), per_minute: 3, now: Duration::from_secs(seconds) }
    }

    #[test]
    fn failures_are_bounded_by_the_minute_and_forgiven_one_by_one() {
        let attempts = Attempts::default();
        let fail = |seconds| attempts.hears(at("10.0.0.1", seconds), None, true);
        assert_eq!([fail(1), fail(1), fail(1), fail(1)], [true, true, true, false]);
        assert!(attempts.hears(at("10.0.0.2", 1), None, true), "another address");
        assert!(!attempts.hears(at("10.0.0.1", 1), Some("ops"), true), "the right one is not told apart");
        assert_eq!([fail(20), fail(22), fail(22)], [false, true, false], "one in 20 s");
        assert!(attempts.hears(at("10.0.0.1", 50), Some("ops"), true));
    }

    #[test]
    fn whoever_was_right_before_is_heard_whatever_others_do() {
        let attempts = Attempts::default();
        assert!(attempts.hears(at("::ffff:10.0.0.1", 1), Some("ops"), true));
        for _ in 0..9 {
            attempts.hears(at("10.0.0.1", 2), None, true);
        }
        assert!(attempts.hears(at("10.0.0.1", 2), Some("ops"), true));
        assert!(!attempts.hears(at("10.0.0.1", 2), Some("other"), true));
    }

    #[test]
    fn what_offers_nothing_is_no_failure_and_an_ipv6_network_is_one_client() {
        let attempts = Attempts::default();
        for _ in 0..9 {
            assert!(attempts.hears(at("2001:db8::1", 1), None, false));
        }
        for last in 1..=3 {
            assert!(attempts.hears(at(&format!("2001:db8::{last}"), 1), None, true));
        }
        assert!(!attempts.hears(at("2001:db8::9", 1), None, true));
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..2 * MOST {
            let from = IpAddr::from(u32::try_from(number).expect("small").to_be_bytes());
            attempts.hears(
                Try { from: Some(from), per_minute: 3, now: Duration::from_secs(number as u64) },
                None,
                true,
            );
        }
        assert_eq!(attempts.by_address.lock().len(), MOST);
    }
}
