//! What the fuzzer throws connections at (docs/hardening.md), and what must hold of what pingora gets of them. Compiled for
//! tests and for the fuzzer only.

use std::sync::atomic::Ordering;

use pointsman_lane::Limits;
use pointsman_lane::body::{Decoder, Step};
use pointsman_lane::hand_over::HandOver;
use pointsman_lane::head::{Parsed, RequestHead};
use tokio::io::ReadBuf;

use super::{Guard, REFUSED, State};

/// How much pingora reads at once, and the longest piece in which bytes arrive.
const PIECES: usize = 64;

/// What a client sends on one connection. The first byte says in pieces of how many bytes it arrives and is read.
pub fn guard(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let piece = usize::from(how) % PIECES + 1;
    let whole = given(bytes, bytes.len().max(1));
    let pieces = given(bytes, piece);
    assert_eq!(whole.refused, pieces.refused, "it depends on how the bytes arrive");
    // How much of the framing before a flaw passes does not matter.
    let (short, long) = if whole.passed.len() < pieces.passed.len() { (&whole, &pieces) } else { (&pieces, &whole) };
    assert!(long.passed.starts_with(&short.passed) && (long.refused || long.passed.len() == short.passed.len()));
    for given in [&whole, &pieces] {
        assert!(bytes.starts_with(&given.passed), "pingora gets what no client sent");
        agree(&given.passed, given.open);
    }
}

/// What pingora gets of a connection.
struct Given {
    /// What a client sent.
    passed: Vec<u8>,
    refused: bool,
    /// Whether it ended as something else than messages.
    open: bool,
}

fn given(bytes: &[u8], piece: usize) -> Given {
    let mut guard = Guard::default();
    let mut passed = Vec::new();
    let mut room = vec![0; piece];
    for piece in bytes.chunks(piece) {
        guard.take(piece);
        loop {
            let mut into = ReadBuf::new(&mut room);
            match guard.give(&mut into) {
                Some(Ok(())) => passed.extend_from_slice(into.filled()),
                Some(Err(_)) => {
                    if guard.ledger().headless.load(Ordering::Relaxed) {
                        assert!(passed.ends_with(REFUSED));
                        passed.truncate(passed.len() - REFUSED.len());
                    }
                    return Given { passed, refused: true, open: false };
                }
                // The gateway is done with a message once it was handed out whole.
                None if matches!(guard.state, State::Head(_)) && guard.begun > done(&guard) => {
                    guard.ledger().finished.fetch_add(1, Ordering::Relaxed);
                }
                None => break,
            }
        }
    }
    Given { passed, refused: false, open: matches!(guard.state, State::Open) }
}

fn done(guard: &Guard) -> u64 {
    guard.ledger().finished.load(Ordering::Relaxed)
}

/// Whether the reader of heads that pingora uses finds the same heads where we do.
fn agree(bytes: &[u8], open: bool) {
    let limits = Limits::default();
    let mut at = 0;
    while at < bytes.len() {
        let mut head = RequestHead::default();
        let foreign = match head.parse(&bytes[at..], &limits) {
            Ok(Parsed::Whole) => None,
            Ok(Parsed::Foreign(why)) => Some(why),
            other => panic!("a head passes that is none ({other:?}): {}", bytes[at..].escape_ascii()),
        };
        same(&head, &bytes[at..]);
        if open && (foreign == Some(HandOver::Upgrade) || head.upgrade().is_some()) {
            // Whatever follows may be another protocol's; no further request is read on this connection.
            return;
        }
        at += head.end();
        let mut decoder = Decoder::new(head.framing());
        while !decoder.is_done() {
            match decoder.step(&bytes[at..], &limits) {
                Ok(Step::Data { skip, take } | Step::Trailer { skip, take, .. }) => at += skip + take,
                Ok(Step::End { skip }) => at += skip,
                Ok(Step::More { .. }) => return,
                Err(flaw) => panic!("a body passes that is none: {flaw:?}"),
            }
        }
    }
}

fn same(head: &RequestHead, bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut fields);
    let read = theirs.parse(bytes);
    let shown = bytes[..head.end()].escape_ascii();
    assert_eq!(read, Ok(httparse::Status::Complete(head.end())), "{shown}");
    assert_eq!(theirs.method.map(str::as_bytes), Some(head.method().of(bytes)), "{shown}");
    assert_eq!(theirs.path.map(str::as_bytes), Some(head.target().of(bytes)), "{shown}");
    let ours = head.lines().iter().map(|line| (line.name.of(bytes), line.value.of(bytes)));
    let theirs = theirs.headers.iter().map(|field| (field.name.as_bytes(), field.value));
    assert!(ours.eq(theirs), "{shown}");
}

#[test]
fn what_was_found_in_connections_stays_found() {
    crate::replay::replay("guard", guard);
}
