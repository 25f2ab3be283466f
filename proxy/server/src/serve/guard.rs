//! Judges what a client sends before pingora reads it.
//!
//! pingora forgives more than we want to: a chunk without a size ends a body, a line feed hides in a chunk extension,
//! anything may stand in a trailer, a space in a target becomes `%20`, a length may stand beside a coding. Whoever stands
//! before or behind us may read the same bytes otherwise (RFC 9112 §11.2). So the lane's readers judge every HTTP/1
//! message first, whoever carries it: pingora gets whole heads that are sound, and of a body only what is.
//!
//! The guard hands out one message at a time, so that pingora, which ends a connection on which it finds the next request
//! too early, carries pipelined requests too.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pointsman_config::plan::ClientLimits;
use pointsman_lane::Limits;
use pointsman_lane::body::{Decoder, Step};
use pointsman_lane::flaw::Flaw;
use pointsman_lane::hand_over::HandOver;
use pointsman_lane::head::{Framing, Parsed, RequestHead};
use tokio::io::ReadBuf;

use super::manner::judged_by;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod ledger;
mod window;

pub(super) use ledger::{Ledger, finished, flaw, granted, has_room, is_headless, over_http2, subject};
use window::Look;
pub(super) use window::look;

/// What pingora reads in place of a head that is refused, so that the refusal takes the way of all refusals: counted,
/// logged and explained. It never leaves the gateway.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Stands between a client's socket and pingora.
#[derive(Debug, Default)]
pub(super) struct Guard {
    ledger: Arc<Ledger>,
    state: State,
    limits: Limits,
    /// Bytes that the body may still hold.
    room: u64,
    /// What was read and not yet handed out.
    held: VecDeque<u8>,
    /// How much of it is judged sound.
    sound: usize,
    /// How much of that is a head. It is handed out alone, so that its body is all here for whoever looks at it.
    head: usize,
    /// How that body is framed.
    framing: Framing,
    look: Option<Look>,
    /// Messages of which something was handed out.
    begun: u64,
}

#[derive(Debug)]
enum State {
    Head(Box<RequestHead>),
    Body(Decoder),
    /// Not HTTP/1 messages any more, or what may turn into something else.
    Open,
    /// Nothing that follows is worth reading.
    Refused,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Box::default())
    }
}

impl Guard {
    /// A guard that has read this already.
    pub(super) fn holding(before: Vec<u8>, subject: Option<Arc<str>>, limits: &ClientLimits) -> Self {
        let ledger = Arc::new(Ledger { subject, limits: *limits, ..Ledger::default() });
        let mut guard = Self { ledger, limits: judged_by(limits), held: before.into(), ..Self::default() };
        guard.judge();
        guard
    }

    /// One that lets everything pass, since both sides know that it is not HTTP/1.
    pub(super) fn open(before: Vec<u8>, subject: Option<Arc<str>>, limits: &ClientLimits) -> Self {
        let ledger = Arc::new(Ledger { subject, limits: *limits, open: true, ..Ledger::default() });
        let mut guard = Self { ledger, state: State::Open, ..Self::default() };
        guard.take(&before);
        guard
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Whether bytes pass as they are.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open) && self.held.is_empty()
    }

    /// Bytes came.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.held.extend(bytes);
        self.judge();
    }

    /// Hands out what is sound. `None`: nothing is, more has to come. `Some(Ok)` without a byte: the end.
    pub(super) fn give(&mut self, into: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        if self.sound == 0 {
            self.judge();
        }
        if self.sound == 0 {
            return match self.state {
                State::Refused => Some(Err(io::ErrorKind::InvalidData.into())),
                _ => None,
            };
        }
        let whole = if self.head > 0 { self.head } else { self.sound };
        let count = whole.min(into.remaining());
        self.head = self.head.saturating_sub(count);
        let (front, back) = self.held.as_slices();
        let first = count.min(front.len());
        into.put_slice(&front[..first]);
        into.put_slice(&back[..count - first]);
        self.held.drain(..count);
        self.sound -= count;
        Some(Ok(()))
    }

    /// Whether the next message is held back until the gateway is done with this one, and enough of it is here.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= self.limits.head_bytes
    }

    fn judge(&mut self) {
        while self.sound < self.held.len() {
            let bytes = &self.held.make_contiguous()[self.sound..];
            let more = match &mut self.state {
                State::Refused => return,
                State::Open => {
                    self.sound = self.held.len();
                    return;
                }
                State::Body(decoder) => match decoder.step(bytes, &self.limits) {
                    Ok(Step::Data { take, .. }) if take as u64 > self.room => {
                        self.refuse(Flaw::BodyTooLarge);
                        false
                    }
                    Ok(Step::Data { skip, take }) => {
                        self.room -= take as u64;
                        self.sound += skip + take;
                        true
                    }
                    Ok(Step::Trailer { skip, take, .. }) => {
                        self.sound += skip + take;
                        true
                    }
                    Ok(Step::More { skip }) => {
                        self.sound += skip;
                        false
                    }
                    Ok(Step::End { skip }) => {
                        self.sound += skip;
                        self.state = State::default();
                        true
                    }
                    Err(flaw) => {
                        self.refuse(flaw);
                        false
                    }
                },
                State::Head(_) => self.judge_head(),
            };
            if !more {
                return;
            }
        }
    }

    /// Whether a head was let pass.
    fn judge_head(&mut self) -> bool {
        let State::Head(head) = &mut self.state else { return false };
        if self.sound > 0 || self.begun != self.ledger.finished.load(Ordering::Relaxed) {
            return false;
        }
        let parsed = head.parse(self.held.make_contiguous(), &self.limits);
        let (end, framing) = (head.end(), head.framing());
        match parsed {
            Ok(Parsed::Partial) => return false,
            // Where HTTP/2 is agreed on, nothing is judged here.
            Ok(Parsed::Foreign(HandOver::Http2)) => self.replace(Flaw::Http2),
            Ok(Parsed::Foreign(HandOver::Connect)) => self.replace(Flaw::Connect),
            Ok(Parsed::Foreign(HandOver::Upgrade)) => self.let_pass(end, framing),
            Ok(Parsed::Whole) if head.upgrade().is_some() => self.let_pass(end, framing),
            Ok(
                Parsed::Whole | Parsed::Foreign(HandOver::Http10 | HandOver::Unsure | HandOver::Off | HandOver::Node),
            ) => {
                (self.sound, self.head, self.framing, self.look) = (end, end, framing, None);
                self.room = self.limits.body_bytes;
                self.state = match Decoder::new(framing) {
                    decoder if decoder.is_done() => State::default(),
                    decoder => State::Body(decoder),
                };
            }
            Err(flaw) => self.replace(flaw),
        }
        self.begun += 1;
        true
    }

    fn let_pass(&mut self, end: usize, framing: Framing) {
        // Where no body follows, what does goes with the head: pingora looks for the client's end then, and ends a
        // connection on which it finds anything else.
        let head = if Decoder::new(framing).is_done() { 0 } else { end };
        (self.sound, self.head, self.framing, self.look) = (self.held.len(), head, framing, None);
        self.state = State::Open;
    }

    /// Refuses a head.
    fn replace(&mut self, flaw: Flaw) {
        self.refuse(flaw);
        self.ledger.headless.store(true, Ordering::Relaxed);
        self.held.extend(REFUSED);
        self.sound = REFUSED.len();
    }

    fn refuse(&mut self, flaw: Flaw) {
        // An error would mean that there is a flaw already.
        let _ = self.ledger.flaw.set(flaw);
        self.held.truncate(self.sound);
        self.state = State::Refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What pingora gets, and whether it is cut off there.
    fn given(guard: &mut Guard) -> (String, bool) {
        let mut all = Vec::new();
        loop {
            let mut room = [0; 7];
            let mut into = ReadBuf::new(&mut room);
            match guard.give(&mut into) {
                Some(Ok(())) => all.extend_from_slice(into.filled()),
                Some(Err(_)) => return (String::from_utf8(all).expect("text"), true),
                None => return (String::from_utf8(all).expect("text"), false),
            }
        }
    }

    fn done(guard: &Guard) {
        guard.ledger.finished.fetch_add(1, Ordering::Relaxed);
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn a_head_is_held_back_until_it_is_whole() {
        let mut guard = Guard::default();
        guard.take(&GET.as_bytes()[..20]);
        assert_eq!(given(&mut guard), (String::new(), false));
        guard.take(&GET.as_bytes()[20..]);
        assert_eq!(given(&mut guard), (GET.into(), false));
    }

    #[test]
    fn the_next_request_waits_until_this_one_is_done() {
        let mut guard =
            Guard::holding([GET, POST, "1\r\na\r\n0\r\n\r\n", GET].concat().into(), None, &ClientLimits::default());
        assert_eq!(given(&mut guard), (GET.into(), false));
        done(&guard);
        assert_eq!(given(&mut guard), ([POST, "1\r\na\r\n0\r\n\r\n"].concat(), false));
        assert_eq!(given(&mut guard), (String::new(), false));
        done(&guard);
        assert_eq!(given(&mut guard), (GET.into(), false));
    }

    #[test]
    fn a_head_that_is_refused_is_replaced() {
        let mut guard = Guard::holding(
            [GET, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", GET].concat().into(),
            None,
            &ClientLimits::default(),
        );
        assert_eq!(given(&mut guard), (GET.into(), false));
        assert_eq!(guard.ledger.flaw.get(), None, "the first one is not to blame");
        done(&guard);
        let (text, cut) = given(&mut guard);
        assert!(cut && text.as_bytes() == REFUSED, "{text}");
        assert_eq!(guard.ledger.flaw.get(), Some(&Flaw::RequestLine));
    }

    #[test]
    fn a_body_passes_as_far_as_it_is_sound() {
        let mut guard =
            Guard::holding([POST, "3\r\nabc\r\n;\r\n\r\n", GET].concat().into(), None, &ClientLimits::default());
        assert_eq!(given(&mut guard), ([POST, "3\r\nabc"].concat(), true));
        assert_eq!(guard.ledger.flaw.get(), Some(&Flaw::ChunkSize));
    }

    #[test]
    fn it_judges_the_same_however_bytes_arrive() {
        for body in ["3;x\r\nabc\r\n0\r\nX: y\r\n\r\n", "3\r\nabc\r\n0\r\nX\r\n\r\n", "3\r\nabcd\r\n", "g"] {
            let bytes = [POST, body].concat();
            let (whole, refused) = given(&mut Guard::holding(bytes.clone().into(), None, &ClientLimits::default()));
            let mut guard = Guard::default();
            let mut all = String::new();
            let mut cut = false;
            for byte in bytes.as_bytes() {
                guard.take(&[*byte]);
                let (more, ended) = given(&mut guard);
                all.push_str(&more);
                cut |= ended;
            }
            // How much of the framing before a flaw passes does not matter.
            assert!(cut == refused && if cut { all.starts_with(&whole) } else { all == whole }, "{body:?}: {all}");
        }
    }

    #[test]
    fn what_may_turn_into_something_else_passes() {
        let first = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        let mut guard = Guard::holding(format!("{first}any\0thing\n").into(), None, &ClientLimits::default());
        let (mut room, all) = ([0; 256], format!("{first}any\0thing\n"));
        let mut into = ReadBuf::new(&mut room);
        assert!(guard.give(&mut into).is_some_and(|given| given.is_ok()));
        assert_eq!(into.filled(), all.as_bytes(), "it is all given at once");
        assert!(guard.is_open());
    }

    #[test]
    fn what_pingora_would_answer_without_a_word_is_refused() {
        for (bytes, flaw) in [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Flaw::Http2),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Flaw::Connect),
            ("\u{16}\u{3}\u{1}", Flaw::TlsHello),
        ] {
            let mut guard = Guard::holding(bytes.into(), None, &ClientLimits::default());
            let (text, cut) = given(&mut guard);
            assert!(cut && text.as_bytes() == REFUSED, "{text}");
            assert_eq!(guard.ledger.flaw.get(), Some(&flaw));
        }
    }
}
