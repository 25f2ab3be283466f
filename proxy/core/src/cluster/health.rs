//! Active health of one node: failures in a row take it down, successes in a row bring it up.
//!
//! The rise and fall counts are those of HAProxy's `rise` and `fall`. The very first check decides at once, either
//! way: a node that was never checked is not up, so there is nothing to damp.

use std::sync::Arc;
use std::time::Duration;

/// A node changed sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It may be picked.
    Up,
    /// It may not.
    Down,
}

/// Why a check failed, and when one last failed for that reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One phrase, e.g. `connection refused`.
    pub reason: Arc<str>,
    /// Time of the check, on the clock of `now`.
    pub at: Duration,
}

/// What one check brought that was not known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The node changed sides (or was checked for the first time).
    pub transition: Option<Transition>,
    /// It failed, for another reason than the last time.
    pub failure: Option<Failure>,
}

/// The state machine of one node.
#[derive(Debug, Clone)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: Option<bool>,
    /// Results in a row that speak against the present side.
    against: u32,
    failure: Option<Failure>,
}

impl Health {
    /// A node that was never checked. `rise` and `fall` of 0 count as 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), up: None, against: 0, failure: None }
    }

    /// A node whose side is known already, e.g. because only the way it is checked has changed.
    pub fn known(rise: u32, fall: u32, up: bool) -> Self {
        Self { up: Some(up), ..Self::new(rise, fall) }
    }

    /// Whether it is up; `None` before the first check.
    pub fn up(&self) -> Option<bool> {
        self.up
    }

    /// Why the last failed check failed; kept when later ones pass.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// A check passed.
    pub fn passed(&mut self) -> Option<News> {
        let transition = self.count(true)?;
        Some(News { transition: Some(transition), failure: None })
    }

    /// A check failed.
    pub fn failed(&mut self, reason: &str, now: Duration) -> Option<News> {
        let failure = match &mut self.failure {
            Some(last) if &*last.reason == reason => {
                last.at = now;
                None
            }
            _ => {
                let failure = Failure { reason: reason.into(), at: now };
                self.failure = Some(failure.clone());
                Some(failure)
            }
        };
        let transition = self.count(false);
        // A node that goes down says why, also when it is the reason of last time.
        let failure = failure.or_else(|| transition.and(self.failure.clone()));
        failure.is_some().then_some(News { transition, failure })
    }

    fn count(&mut self, pass: bool) -> Option<Transition> {
        let side = if pass { Transition::Up } else { Transition::Down };
        match self.up {
            Some(up) if up == pass => {
                self.against = 0;
                return None;
            }
            Some(_) => {
                self.against += 1;
                if self.against < if pass { self.rise } else { self.fall } {
                    return None;
                }
            }
            None => {}
        }
        self.up = Some(pass);
        self.against = 0;
        Some(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: Duration = Duration::ZERO;

    fn check(health: &mut Health, pass: bool) -> Option<Transition> {
        let news = if pass { health.passed() } else { health.failed("refused", T0) };
        news.and_then(|n| n.transition)
    }

    #[test]
    fn the_first_check_decides() {
        assert_eq!(check(&mut Health::new(5, 5), true), Some(Transition::Up));
        assert_eq!(check(&mut Health::new(5, 5), false), Some(Transition::Down));
    }

    #[test]
    fn a_known_side_needs_a_full_run_to_change() {
        let mut health = Health::known(2, 3, true);
        assert_eq!(check(&mut health, false), None);
        assert_eq!(check(&mut health, false), None);
        assert_eq!(check(&mut health, false), Some(Transition::Down));
        assert_eq!(check(&mut health, true), None);
        assert_eq!(check(&mut health, true), Some(Transition::Up));
    }

    #[test]
    fn a_changed_reason_is_news_and_a_repeated_one_is_not() {
        let mut health = Health::known(1, 10, true);
        let news = health.failed("refused", T0).expect("first reason");
        assert_eq!((news.transition, &*news.failure.expect("reason").reason), (None, "refused"));
        assert_eq!(health.failed("refused", Duration::from_secs(1)), None);
        assert_eq!(health.failure().expect("kept").at, Duration::from_secs(1));
        assert!(health.failed("status 503", T0).is_some());
        assert_eq!(health.passed(), None);
        assert_eq!(&*health.failure().expect("kept after a pass").reason, "status 503");
    }

    #[test]
    fn going_down_always_says_why() {
        let mut health = Health::known(1, 2, true);
        health.failed("refused", T0);
        let news = health.failed("refused", T0).expect("down");
        assert_eq!(news.transition, Some(Transition::Down));
        assert_eq!(&*news.failure.expect("why").reason, "refused");
    }

    proptest! {
        /// The state after any history is that of the rule read literally: the side changes exactly when the last
        /// `rise` (or `fall`) results all say so.
        #[test]
        fn agrees_with_the_rule_read_literally(rise in 1u32..5, fall in 1u32..5, results in proptest::collection::vec(any::<bool>(), 1..60)) {
            let mut health = Health::new(rise, fall);
            let mut side = results[0];
            let mut since = 0;
            check(&mut health, results[0]);
            for i in 1..results.len() {
                let need = if side { fall } else { rise } as usize;
                // Only results after the last change count.
                let run = results[since + 1..=i].iter().rev().take_while(|r| **r != side).count();
                let change = run >= need;
                let told = check(&mut health, results[i]);
                prop_assert_eq!(told.is_some(), change);
                if change {
                    side = !side;
                    since = i;
                }
                prop_assert_eq!(health.up(), Some(side));
            }
        }
    }
}
