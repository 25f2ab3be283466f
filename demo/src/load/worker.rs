//! One connection's work: take a ticket, send, read, count; and all of them together.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::gauge::Gauge;
use super::link::{Fault, Link};
use super::report::{Answered, Report, Tally};
use super::shot::Shots;
use super::tickets::{Ticket, Tickets};
use super::{LoadOptions, Pace};

/// After a refused connection: without it a closed loop would count thousands of refusals a second and take a core.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

struct Run {
    options: LoadOptions,
    shots: Shots,
    tickets: Tickets,
    tally: RefCell<Tally>,
    gauge: Arc<Gauge>,
}

/// Runs the whole load on this thread.
pub(super) async fn run_all(options: LoadOptions, gauge: Arc<Gauge>) -> Report {
    let connections = options.connections;
    let run = Rc::new(Run {
        shots: Shots::new(&options),
        tickets: Tickets::new(&options, gauge.clone()),
        tally: RefCell::new(Tally::new()),
        gauge,
        options,
    });
    let workers: Vec<_> = (0..connections)
        .map(|index| {
            let run = run.clone();
            tokio::task::spawn_local(async move { Worker::new(&run, index).work().await })
        })
        .collect();
    for worker in workers {
        // A worker that panicked must not pass for one that had nothing to do.
        worker.await.expect("a worker does not panic");
    }
    let took = run.tickets.start().elapsed();
    let mut tally = run.tally.replace(Tally::new());
    tally.unsent(run.tickets.unsent());
    tally.report(took)
}

struct Worker<'a> {
    run: &'a Run,
    index: usize,
    link: Option<Link>,
    request: Vec<u8>,
    scratch: Vec<u8>,
    /// One timer for all requests of this connection: it is moved when it fires, not with each request.
    watchdog: Pin<Box<Sleep>>,
    free_since: Instant,
}

impl<'a> Worker<'a> {
    fn new(run: &'a Run, index: usize) -> Self {
        let watchdog = Box::pin(tokio::time::sleep(run.options.timeout));
        let (request, scratch) = (Vec::new(), Vec::new());
        Self { run, index, link: None, request, scratch, watchdog, free_since: Instant::now() }
    }

    async fn work(&mut self) {
        let run = self.run;
        while let Some(ticket) = run.tickets.take().await {
            run.shots.render(ticket.number, self.index, &mut self.request, &mut self.scratch);
            if run.options.pace != Pace::Closed {
                let late = Instant::now().saturating_duration_since(ticket.due.max(self.free_since));
                run.tally.borrow_mut().late(late);
            }
            let deadline = Instant::now() + run.options.timeout;
            let outcome = self.within(deadline, ticket.number).await;
            self.free_since = Instant::now();
            let refused = matches!(outcome, Err(Fault::Connect(_)));
            self.count(ticket, outcome);
            if refused {
                tokio::time::sleep(AFTER_REFUSAL).await;
                self.free_since = Instant::now();
            }
        }
    }

    async fn within(&mut self, deadline: Instant, number: u64) -> Result<Answered, Fault> {
        if self.watchdog.is_elapsed() {
            self.watchdog.as_mut().reset(deadline.into());
        }
        let (run, link, request) = (self.run, &mut self.link, &self.request);
        let attempt = async {
            let mut open = match link.take() {
                Some(open) => open,
                None => {
                    let open = Link::open(run.options.to, run.options.tls.as_ref()).await?;
                    run.tally.borrow_mut().connections += 1;
                    open
                }
            };
            let (answered, keep) = open.exchange(request, run.shots.is_head(number), &run.tally).await?;
            *link = (keep && run.options.keep_alive).then_some(open);
            Ok(answered)
        };
        let watchdog = &mut self.watchdog;
        tokio::select! {
            biased;
            outcome = attempt => outcome,
            () = expire(watchdog, deadline) => Err(Fault::Timeout),
        }
    }

    fn count(&self, ticket: Ticket, outcome: Result<Answered, Fault>) {
        let mut tally = self.run.tally.borrow_mut();
        let (verdict, node) = match outcome {
            Ok(answered) => {
                tally.answered(answered, self.free_since.saturating_duration_since(ticket.due));
                (self.judge(ticket.number, answered, &tally), answered.node)
            }
            Err(fault) => (Err(fault), None),
        };
        match &verdict {
            Ok(()) => tally.succeeded(),
            Err(fault) => tally.failed(fault, ticket.number, self.run.tickets.start().elapsed(), node),
        }
        self.run.gauge.count(verdict.is_err());
    }

    fn judge(&self, number: u64, answered: Answered, tally: &Tally) -> Result<(), Fault> {
        let options = &self.run.options;
        if !options.accept.iter().any(|range| range.contains(&answered.status)) {
            return Err(Fault::Status(answered.status));
        }
        let right = options
            .check
            .as_ref()
            .is_none_or(|check| answered.node.is_some_and(|node| check(number, tally.node_name(node))));
        if right { Ok(()) } else { Err(Fault::Misrouted) }
    }
}

/// Ends at the deadline. The timer may still be set for an earlier request; then it is moved.
async fn expire(watchdog: &mut Pin<Box<Sleep>>, deadline: Instant) {
    loop {
        watchdog.as_mut().await;
        if Instant::now() >= deadline {
            return;
        }
        watchdog.as_mut().reset(deadline.into());
    }
}
