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
use super::ring::Ring;
use crate::world::bus::Notice;

/// The ring, and a way to wait for more.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
}

impl EventLog {
    /// Keeps what the bus tells until the bus is gone.
    pub(super) async fn follow(self: Arc<Self>, mut bus: Receiver<Notice>) {
        loop {
            match bus.recv().await {
                Ok(notice) => {
                    let next = {
                        let mut ring = self.ring.lock();
                        ring.push(notice);
                        ring.next()
                    };
                    self.next.send_replace(next);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
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
    /// The last number seen; 0 asks for all that is kept.
    since: Option<u64>,
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
    let resumed = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").trim()) {
        None | Some("") => from.since,
        Some(id) => Some(id.parse().map_err(|_| bad(format!("`Last-Event-ID: {id}` is not a number")))?),
    };
    let place = {
        let ring = state.events.ring.lock();
        resumed.map_or(ring.next(), |seq| ring.after(seq))
    };
    let more = state.events.next.subscribe();
    let reader = Reader { log: Arc::clone(&state.events), more, place, ready: VecDeque::new() };
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
            self.ready.push_back(Event::default().event("missed").data(format!("{{\"missed\":{missed}}}")));
        }
        self.ready.extend(notices.iter().map(|notice| event(notice)));
    }
}

fn event(notice: &Notice) -> Event {
    // Texts and numbers always have a JSON form, on one line.
    let data = serde_json::to_string(notice).unwrap_or_default();
    Event::default().id(notice.seq.to_string()).event(notice.kind).data(data)
}
