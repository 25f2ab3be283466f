//! Which request is made next, and when it was due.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::gauge::Gauge;
use super::{End, LoadOptions, Pace};

/// The shortest pause of the pacing thread: 4,000 wake-ups a second at most, about 2% of a core. Requests due in between
/// are let go together; their latency still counts from when each was due.
const SHORTEST_PAUSE: Duration = Duration::from_micros(250);
/// The longest, so that a stop is noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// One request to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) due: Instant,
}

/// Hands out tickets to the connections of one run.
#[derive(Debug)]
pub(super) struct Tickets {
    start: Instant,
    next: Cell<u64>,
    source: Source,
    gauge: Arc<Gauge>,
}

#[derive(Debug)]
enum Source {
    Closed { requests: u64, until: Option<Instant> },
    Open { due: Arc<Due>, interval: f64, give_up: Duration },
}

/// What the pacing thread and the connections share.
#[derive(Debug)]
struct Due {
    permits: Semaphore,
    /// How many are due in all; `u64::MAX` until the pacing thread has ended.
    total: AtomicU64,
    /// Nanoseconds from the start to that end.
    ended_at: AtomicU64,
}

impl Tickets {
    pub(super) fn new(options: &LoadOptions, gauge: Arc<Gauge>) -> Self {
        let start = Instant::now();
        let (requests, span) = match options.end {
            End::Requests(requests) => (requests, None),
            End::After(span) => (u64::MAX, Some(span)),
            End::Stopped => (u64::MAX, None),
        };
        let source = match options.pace {
            Pace::Closed => Source::Closed { requests, until: span.map(|span| start + span) },
            Pace::Rate(rate) => {
                let due = Arc::new(Due {
                    permits: Semaphore::new(0),
                    total: AtomicU64::new(u64::MAX),
                    ended_at: AtomicU64::new(u64::MAX),
                });
                let requests = span.map_or(requests, |span| (span.as_secs_f64() * rate).ceil() as u64);
                let pacer = Pacer { due: due.clone(), gauge: gauge.clone(), start, interval: 1.0 / rate, requests };
                let connections = options.connections;
                std::thread::spawn(move || pacer.run(connections));
                Source::Open { due, interval: 1.0 / rate, give_up: options.timeout }
            }
        };
        Self { start, next: Cell::new(0), source, gauge }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// The next request; `None` when there is none any more.
    pub(super) async fn take(&self) -> Option<Ticket> {
        match &self.source {
            Source::Closed { requests, until } => {
                let (number, now) = (self.next.get(), Instant::now());
                if number >= *requests || until.is_some_and(|until| now >= until) || self.gauge.is_stopped() {
                    return None;
                }
                self.next.set(number + 1);
                Some(Ticket { number, due: now })
            }
            Source::Open { due, interval, give_up } => {
                due.permits.acquire().await.ok()?.forget();
                let number = self.next.get();
                let ended_at = Duration::from_nanos(due.ended_at.load(Ordering::SeqCst));
                let too_late = self.start.elapsed() > ended_at.saturating_add(*give_up);
                if number >= due.total.load(Ordering::SeqCst) || too_late {
                    return None;
                }
                self.next.set(number + 1);
                Some(Ticket { number, due: self.start + Duration::from_secs_f64(interval * number as f64) })
            }
        }
    }

    /// Requests that were due but never taken.
    pub(super) fn unsent(&self) -> u64 {
        match &self.source {
            Source::Closed { .. } => 0,
            Source::Open { due, .. } => due.total.load(Ordering::SeqCst).saturating_sub(self.next.get()),
        }
    }
}

/// Lets requests become due. On a thread of its own because the runtime's timers count in whole milliseconds.
struct Pacer {
    due: Arc<Due>,
    gauge: Arc<Gauge>,
    start: Instant,
    interval: f64,
    requests: u64,
}

impl Pacer {
    fn run(&self, connections: usize) {
        let mut let_go = 0;
        while let_go < self.requests && !self.gauge.is_stopped() {
            let due = ((self.start.elapsed().as_secs_f64() / self.interval) as u64 + 1).min(self.requests);
            self.due.permits.add_permits(usize::try_from(due - let_go).unwrap_or(0));
            let_go = due;
            let next = Duration::from_secs_f64(self.interval * let_go as f64);
            let pause = next.saturating_sub(self.start.elapsed());
            std::thread::sleep(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        }
        let ended_at = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.due.ended_at.store(ended_at, Ordering::SeqCst);
        self.due.total.store(let_go, Ordering::SeqCst);
        // One more for each connection, which then finds that all is done.
        self.due.permits.add_permits(connections);
    }
}
