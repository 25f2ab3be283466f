//! What a node lets in: no more requests at once than it bears, no more a second than it can serve; and in whose reign.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::answers::{header_text, problem};
use super::ledger::Ledger;
use super::state::Shared;

/// The epoch of the membership that the proxy sent the request by.
const EPOCH: &str = "pointsman-epoch";

/// One node's door.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Requests at once that the node bears; 0: any number.
    most: u64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
    over: AtomicU64,
    epoch: AtomicU64,
    stale: AtomicU64,
    clerk: Option<Clerk>,
}

/// Serves one request after the other, each for the same time, without taking the processor for it.
#[derive(Debug)]
struct Clerk {
    service: Duration,
    free_at: Mutex<Instant>,
}

/// The highest epoch so far, if the request came in a lower one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reign(Option<u64>);

/// What went through the door.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) most_at_once: u64,
    pub(super) over: u64,
    pub(super) epoch: u64,
    pub(super) stale: u64,
}

impl Door {
    pub(super) fn new(most: Option<u64>, capacity: Option<f64>, ledger: &Ledger) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the capacity must be above 0 requests a second");
        let clerk = match capacity {
            None => None,
            Some(rate) => {
                let service = Duration::try_from_secs_f64(1.0 / rate).ok().filter(|service| !service.is_zero());
                Some(Clerk { service: service.ok_or_else(wrong)?, free_at: Mutex::new(Instant::now()) })
            }
        };
        Ok(Self { most: most.unwrap_or(0), epoch: ledger.highest("epoch").into(), clerk, ..Self::default() })
    }

    pub(super) fn passed(&self) -> Passed {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (most_at_once, over) = (of(&self.most_at_once), of(&self.over));
        Passed { most_at_once, over, epoch: of(&self.epoch), stale: of(&self.stale) }
    }

    /// Whether this many more may come in.
    fn enter(&self) -> Result<Inside<'_>, u64> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let inside = Inside(&self.at_once);
        if self.most > 0 && now > self.most {
            self.over.fetch_add(1, Ordering::Relaxed);
            return Err(now);
        }
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        Ok(inside)
    }

    /// The highest epoch so far, if `epoch` is below it. A new highest is written down before anything is done in its name.
    fn outdated(&self, epoch: u64, ledger: &Ledger) -> io::Result<Option<u64>> {
        let before = self.epoch.fetch_max(epoch, Ordering::SeqCst);
        if epoch > before {
            ledger.add("epoch", &epoch.to_string(), "")?;
        }
        Ok((epoch < before).then_some(before))
    }

    /// The answer to a request that only the primary may serve and that was sent in an epoch that is over.
    pub(super) fn refuse(&self, reign: Reign, id: &str) -> Option<Response> {
        let highest = reign.0?;
        self.stale.fetch_add(1, Ordering::Relaxed);
        let why = format!("the request came in an epoch that is over: this node was asked in epoch {highest}");
        Some(problem(StatusCode::CONFLICT, id, &why))
    }
}

impl Clerk {
    /// When a request that comes now is served.
    fn turn(&self) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(Instant::now()) + self.service;
        *free_at
    }
}

struct Inside<'a>(&'a AtomicU64);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lets a request in, or says why not.
pub(super) async fn pass(State(node): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let _inside = match node.door.enter() {
        Ok(inside) => inside,
        Err(now) => {
            let why = format!("{now} requests at once, and this node bears {}", node.door.most);
            return problem(StatusCode::SERVICE_UNAVAILABLE, &node.id, &why);
        }
    };
    let epoch = header_text(request.headers(), EPOCH).and_then(|text| text.parse().ok());
    match epoch.map_or(Ok(None), |epoch| node.door.outdated(epoch, &node.ledger)) {
        Ok(outdated) => drop(request.extensions_mut().insert(Reign(outdated))),
        Err(why) => {
            let why = format!("the epoch cannot be written down: {why}");
            return problem(StatusCode::INTERNAL_SERVER_ERROR, &node.id, &why);
        }
    }
    if let Some(clerk) = &node.door.clerk {
        tokio::time::sleep_until(clerk.turn()).await;
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clerk_serves_one_after_the_other() {
        let service = Duration::from_secs(100);
        let clerk = Clerk { service, free_at: Mutex::new(Instant::now()) };
        let turns = [clerk.turn(), clerk.turn(), clerk.turn()];
        assert_eq!((turns[1] - turns[0], turns[2] - turns[1]), (service, service));
        let now = Instant::now();
        let idle = Clerk { service, free_at: Mutex::new(now - Duration::from_secs(1)) };
        assert!(idle.turn() >= now + service, "time that was not used is gone");
    }

    #[test]
    fn a_place_is_free_again_when_its_request_has_left() {
        let door = Door { most: 2, ..Door::default() };
        let (one, two) = (door.enter(), door.enter());
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(door.enter().err(), Some(3));
        drop(one);
        assert!(door.enter().is_ok());
        let passed = door.passed();
        assert_eq!((passed.most_at_once, passed.over), (2, 1));
    }
}
