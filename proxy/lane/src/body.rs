//! Bodies: where they end (RFC 9112 §6, §7), and how they are written anew.

use crate::flaw::Flaw;
use crate::head::{Framing, Known, field_line};
use crate::options::Limits;
use crate::syntax;

mod chunked;
mod encode;

pub(crate) use encode::{chunk_head, last_chunk};

/// One step through a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Skip `skip` bytes of framing; the next `take` bytes are payload.
    Data {
        /// Bytes of framing before it.
        skip: usize,
        /// Bytes of payload, at least one.
        take: usize,
    },
    /// Skip `skip` bytes of framing; the next `take` bytes are one trailer field line with its line end.
    Trailer {
        /// Bytes of framing before it.
        skip: usize,
        /// Bytes of the line.
        take: usize,
        /// Whether it may travel on: no field that frames, routes or concerns one hop (RFC 9110 §6.5.1).
        forward: bool,
    },
    /// Skip `skip` bytes of framing; more bytes are needed.
    More {
        /// Bytes of framing.
        skip: usize,
    },
    /// Skip `skip` bytes of framing; the message ends there, and what follows belongs to the next.
    End {
        /// Bytes of framing.
        skip: usize,
    },
}

/// Finds the end of a body. Never looks past it.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Length(u64),
    Chunked(chunked::Chunks),
    Trailers { lines: usize, bytes: usize },
    UntilClose,
    Done,
    Failed(Flaw),
}

impl Decoder {
    /// A decoder for a body with this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(chunked::Chunks::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the end was found.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the end of the connection is the end of this body.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Payload bytes that are known to be missing yet.
    pub(crate) fn expects(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(chunks) => chunks.left(),
            State::UntilClose => u64::MAX,
            State::Trailers { .. } | State::Done | State::Failed(_) => 0,
        }
    }

    /// The next step through `source`, which begins where the last step ended. A trailer line is asked for whole: after
    /// `More`, come again with the same bytes and more behind them. After a flaw there is nothing but that flaw.
    pub fn step(&mut self, source: &[u8], limits: &Limits) -> Result<Step, Flaw> {
        let step = self.advance(source, limits);
        if let Err(flaw) = step {
            self.state = State::Failed(flaw);
        }
        step
    }

    fn advance(&mut self, source: &[u8], limits: &Limits) -> Result<Step, Flaw> {
        match &mut self.state {
            State::Done => Ok(Step::End { skip: 0 }),
            State::Failed(flaw) => Err(*flaw),
            _ if source.is_empty() => Ok(Step::More { skip: 0 }),
            State::UntilClose => Ok(Step::Data { skip: 0, take: source.len() }),
            State::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(source.len());
                *left -= take as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(Step::Data { skip: 0, take })
            }
            State::Chunked(chunks) => match chunks.step(source, limits)? {
                chunked::Found::More { skip } => Ok(Step::More { skip }),
                chunked::Found::Data { skip, take } => Ok(Step::Data { skip, take }),
                chunked::Found::Last { skip } => {
                    self.state = State::Trailers { lines: 0, bytes: 0 };
                    self.trailer(source, skip, limits)
                }
            },
            State::Trailers { .. } => self.trailer(source, 0, limits),
        }
    }

    fn trailer(&mut self, source: &[u8], skip: usize, limits: &Limits) -> Result<Step, Flaw> {
        let State::Trailers { lines, bytes } = &mut self.state else { return Ok(Step::End { skip }) };
        let rest = &source[skip..];
        let room = limits.trailer_bytes - *bytes;
        let Some(feed) = syntax::line_feed(rest) else {
            return if rest.len() >= room { Err(Flaw::TrailerTooLarge) } else { Ok(Step::More { skip }) };
        };
        if feed >= room {
            return Err(Flaw::TrailerTooLarge);
        }
        let Some(line) = field_line(rest, 0, feed)? else {
            self.state = State::Done;
            return Ok(Step::End { skip: skip + feed + 1 });
        };
        *lines += 1;
        *bytes += feed + 1;
        if *lines > limits.fields {
            return Err(Flaw::TrailerTooLarge);
        }
        Ok(Step::Trailer { skip, take: feed + 1, forward: may_trail(line.known, line.name.of(rest)) })
    }
}

/// RFC 9110 §6.5.1: a trailer that frames, routes, authenticates or changes the request could be merged into the head
/// by the next recipient.
fn may_trail(known: Known, name: &[u8]) -> bool {
    const NEVER: [&[u8]; 10] = [
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"range",
        b"cache-control",
        b"forwarded",
    ];
    known == Known::Other
        && !NEVER.iter().any(|never| name.eq_ignore_ascii_case(never))
        && !name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
}

#[cfg(test)]
mod tests;
