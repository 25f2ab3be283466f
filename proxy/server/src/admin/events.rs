//! `/v1/events`: what happens, as server-sent events, resumable.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::AppState;
use super::problem::Problem;
use super::ring::{Entry, Ring};
use crate::world::bus::Notice;

/// The ring, and a way to wait for more.
#[derive(Debug)]
pub(super) struct EventLog {
    /// Tells the numbers of this process from those of another.
    process: u32,
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { process: rand::random(), ring: Mutex::default(), next: watch::Sender::default() }
    }
}

impl EventLog {
    /// Keeps what the bus tells until the bus is gone.
    pub(super) async fn follow(self: Arc<Self>, mut bus: Receiver<Notice>) {
        loop {
            match bus.recv().await {
                Ok(notice) => self.keep(|ring| ring.push(notice)),
                Err(RecvError::Lagged(lost)) => self.keep(|ring| ring.lost(lost)),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn keep(&self, keep: impl FnOnce(&mut Ring)) {
        let next = {
            let mut ring = self.ring.lock();
            keep(&mut ring);
            ring.next()
        };
        self.next.send_replace(next);
    }

    /// Where a reader goes on that has seen this last, and why it has missed something that cannot be counted.
    fn resume(&self, seen: Option<Seen>) -> (u64, Option<&'static str>) {
        let ring = self.ring.lock();
        let place = match seen {
            None => return (ring.next(), None),
            Some(Seen { process: Some(process), .. }) if process != self.process => None,
            Some(Seen { seq, .. }) => ring.after(seq),
        };
        place.map_or((ring.oldest(), Some("process")), |place| (place, None))
    }

    /// The last notice of a reload.
    pub(super) fn last_reload(&self) -> Option<Arc<Notice>> {
        self.ring.lock().last_reload()
    }
}

/// What may stand in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The id of the last event seen; 0 asks for all that is kept.
    since: Option<String>,
}

/// The id of an event: a number, and whose it is. A bare number is taken for one of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    process: Option<u32>,
    seq: u64,
}

impl Seen {
    fn read(id: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match id.split_once('-') {
            None => Some(Self { process: None, seq: digits(id)? }),
            Some((process, seq)) => {
                Some(Self { process: Some(u32::from_str_radix(process, 16).ok()?), seq: digits(seq)? })
            }
        }
    }
}

/// `GET /v1/events`
pub(super) async fn stream(
    state: AppState,
    headers: HeaderMap,
    query: Result<Query<From>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let bad = |detail: String| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-event-id",
            detail,
            "send the `id` of the last event you saw, in `Last-Event-ID` or as ?since=; 0 asks for all that is kept",
        )
    };
    let Query(from) = query.map_err(|error| bad(error.body_text()))?;
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").trim());
    let seen = match last.filter(|id| !id.is_empty()).or(from.since.as_deref()) {
        None => None,
        Some(id) => Some(Seen::read(id).ok_or_else(|| bad(format!("`{id}` is not the id of an event")))?),
    };
    let (place, why) = state.events.resume(seen);
    let more = state.events.next.subscribe();
    let ready = why.map(|why| gap(None, why)).into_iter().collect();
    let reader = Reader { log: Arc::clone(&state.events), more, place, ready };
    // Comments keep middleboxes from closing a quiet connection, and tell the server that a reader is gone.
    Ok(Sse::new(reader.events()).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// One reader: a place in the log. A slow one misses the oldest notices and is told how many; it never holds others up.
struct Reader {
    log: Arc<EventLog>,
    more: watch::Receiver<u64>,
    place: u64,
    ready: VecDeque<Event>,
}

impl Reader {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut reader| async move {
            loop {
                if let Some(event) = reader.ready.pop_front() {
                    return Some((Ok(event), reader));
                }
                let place = reader.place;
                reader.more.wait_for(|next| *next > place).await.ok()?;
                reader.refill();
            }
        })
    }

    fn refill(&mut self) {
        let (missed, notices) = {
            let ring = self.log.ring.lock();
            let found = ring.since(self.place);
            self.place = ring.next();
            found
        };
        if missed > 0 {
            self.ready.push_back(gap(Some(missed), "old"));
        }
        let process = self.log.process;
        self.ready.extend(notices.iter().map(|entry| match entry {
            Entry::Notice(notice) => event(process, notice),
            Entry::Lost(lost) => gap(Some(*lost), "burst"),
        }));
    }
}

fn event(process: u32, notice: &Notice) -> Event {
    // Texts and numbers always have a JSON form, on one line.
    let data = serde_json::to_string(notice).unwrap_or_default();
    Event::default().id(format!("{process:08x}-{}", notice.seq)).event(notice.kind).data(data)
}

/// Something is missing here: so many, where that can be counted. It has no id, so whoever breaks off goes on from before.
fn gap(missed: Option<u64>, why: &str) -> Event {
    Event::default().event("gap").data(serde_json::json!({ "missed": missed, "why": why }).to_string())
}
