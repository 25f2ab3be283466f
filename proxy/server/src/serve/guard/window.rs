//! Looking at a body before pingora reads it: the guard shows what it holds, and hands out nothing meanwhile.
//!
//! Guard and gateway meet in one poll of one task: the gateway polls pingora for the end of the connection, pingora reads
//! from the guard's stream, and the guard puts into the window what has come. So nobody has to be woken.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use pointsman_lane::body::{Decoder, Step};

use super::{Guard, Ledger, State};

/// What the gateway sees of a body.
#[derive(Debug, Default)]
pub(super) struct Window {
    open: AtomicBool,
    shown: Mutex<Shown>,
}

/// Payload that was not seen before.
#[derive(Debug, Default)]
pub(in crate::serve) struct Shown {
    pub(in crate::serve) bytes: Vec<u8>,
    /// Whether the body is over behind it.
    pub(in crate::serve) end: bool,
}

impl Window {
    fn take(&self) -> Option<Shown> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        (shown.end || !shown.bytes.is_empty()).then(|| std::mem::take(&mut *shown))
    }
}

/// The window stands open as long as this lives.
struct Open(Arc<Ledger>);

impl Open {
    fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.window.open.store(true, Ordering::Relaxed);
        Self(Arc::clone(ledger))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.window.open.store(false, Ordering::Relaxed);
    }
}

/// The next piece of a body of HTTP/1, which stays unread. An error: no more of it comes.
pub(in crate::serve) async fn look(session: &mut Session) -> Result<Shown> {
    let Some(ledger) = Ledger::of(session).cloned() else { return Ok(Shown { bytes: Vec::new(), end: true }) };
    let open = Open::new(&ledger);
    let mut ended = pin!(session.as_mut().read_body_or_idle(true));
    poll_fn(|task| {
        let polled = ended.as_mut().poll(task);
        match (open.0.window.take(), polled) {
            (Some(shown), _) => Poll::Ready(Ok(shown)),
            (None, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into_down())),
            (None, Poll::Ready(Ok(_))) => Poll::Ready(Err(Error::new_down(ErrorType::ConnectionClosed))),
            (None, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// How far the gateway has seen.
#[derive(Debug)]
pub(super) struct Look {
    decoder: Decoder,
    /// Bytes behind the head.
    at: usize,
}

impl Guard {
    /// Whether the gateway looks at the body.
    pub(in crate::serve) fn is_watched(&self) -> bool {
        self.ledger.window.open.load(Ordering::Relaxed)
    }

    /// Shows what has come of the body; `None`: more has to be read first. Only while the head is handed out, and nothing
    /// behind it.
    pub(in crate::serve) fn show(&mut self) -> Option<Poll<io::Result<()>>> {
        let look = self.look.get_or_insert_with(|| Look { decoder: Decoder::new(self.framing), at: 0 });
        let held = self.held.make_contiguous();
        let mut shown = self.ledger.window.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let flaw = loop {
            match look.decoder.step(&held[look.at..], &self.limits) {
                Ok(Step::Data { skip, take }) => {
                    look.at += skip + take;
                    shown.bytes.extend_from_slice(&held[look.at - take..look.at]);
                }
                Ok(Step::Trailer { skip, take, .. }) => look.at += skip + take,
                Ok(Step::More { skip }) => {
                    look.at += skip;
                    break None;
                }
                Ok(Step::End { skip }) => {
                    look.at += skip;
                    shown.end = true;
                    break None;
                }
                Err(flaw) => break Some(flaw),
            }
        };
        let anything = shown.end || !shown.bytes.is_empty();
        drop(shown);
        // What is sound before it is seen first, as it would be if it had come alone.
        match flaw {
            _ if anything => Some(Poll::Pending),
            Some(flaw) => {
                self.refuse(flaw);
                Some(Poll::Ready(Err(io::ErrorKind::InvalidData.into())))
            }
            None if matches!(self.state, State::Refused) => Some(Poll::Ready(Err(io::ErrorKind::InvalidData.into()))),
            None => None,
        }
    }
}
