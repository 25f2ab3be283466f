//! The head of a response (RFC 9112 §4, §5).

use super::framing::{Declared, Framing};
use super::{Known, Line, Progress, Span, field_line};
use crate::flaw::Flaw;
use crate::options::Limits;
use crate::syntax;

/// An index over the bytes of a response head. Reused, so that reading one allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    progress: Progress,
    lines: Vec<Line>,
    status: u16,
    line_end: usize,
    reason: Span,
    old: bool,
    declared: Declared,
    connection: bool,
    close: bool,
    keep_alive: bool,
    upgrade: Option<Span>,
}

impl ResponseHead {
    /// Forgets everything, keeps the memory; the next head begins at `at`.
    pub fn reset(&mut self, at: usize) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Self { lines, progress: Progress { next: at, ..Progress::default() }, ..Self::default() };
    }

    /// Reads on; true once the head is whole. `bytes` holds at least what it held at the last call.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Flaw> {
        loop {
            let Some((start, feed)) = self.progress.line(bytes, limits)? else { return Ok(false) };
            if self.status == 0 {
                self.first_line(bytes, start, feed)?;
                continue;
            }
            let Some(line) = field_line(bytes, start, feed)? else {
                return self.finish().map(|()| true);
            };
            if self.lines.len() >= limits.fields {
                return Err(Flaw::TooManyFields);
            }
            self.declared.add(&line, bytes)?;
            if line.known == Known::Upgrade {
                self.upgrade = Some(line.value);
            }
            if line.known == Known::Connection {
                self.connection = true;
                for member in syntax::members(line.value.of(bytes)) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            self.lines.push(line);
        }
    }

    fn first_line(&mut self, bytes: &[u8], start: usize, feed: usize) -> Result<(), Flaw> {
        if feed == start || bytes[feed - 1] != b'\r' {
            return Err(Flaw::BareLineFeed);
        }
        let line = &bytes[start..feed - 1];
        self.old = match line.get(..9) {
            Some(b"HTTP/1.1 ") => false,
            Some(b"HTTP/1.0 ") => true,
            _ => return Err(Flaw::StatusLine),
        };
        let digits = line.get(9..12).ok_or(Flaw::StatusLine)?;
        let status = syntax::decimal(digits).ok_or(Flaw::StatusLine)? as u16;
        // RFC 9112 §4 wants the space even where the reason is empty; many leave it out, and nothing hangs on it.
        if !(100..=999).contains(&status) || !matches!(line.get(12), None | Some(b' ')) {
            return Err(Flaw::StatusLine);
        }
        let reason = line.get(13..).unwrap_or_default();
        if !syntax::is_field_value(reason) {
            return Err(Flaw::ControlByte);
        }
        self.reason = Span::new(feed - 1 - reason.len(), feed - 1);
        self.status = status;
        self.line_end = feed + 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Flaw> {
        self.declared.check()?;
        // RFC 9112 §6.1: a transfer coding in HTTP/1.0 is faulty framing.
        if self.old && self.declared.chunked { Err(Flaw::Encoding) } else { Ok(()) }
    }

    /// The status; 0 until the first line was read.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, often empty.
    pub fn reason(&self) -> Span {
        self.reason
    }

    /// The field lines in the order sent.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Where the first field line begins.
    pub(crate) fn fields_start(&self) -> usize {
        self.line_end
    }

    /// One past the empty line, once the head is whole.
    pub fn end(&self) -> usize {
        self.progress.next
    }

    /// How long the body is. `head`: it answers a HEAD request.
    pub fn framing(&self, head: bool) -> Framing {
        self.declared.of_response(self.status, head)
    }

    /// Whether the connection may carry another exchange as far as the head says.
    pub fn keeps_alive(&self) -> bool {
        !self.close && (!self.old || self.keep_alive)
    }

    /// The protocol that the node switches to.
    pub(crate) fn upgrade(&self) -> Option<Span> {
        self.upgrade
    }

    /// Whether a Connection field stands there.
    pub(crate) fn has_connection(&self) -> bool {
        self.connection
    }

    /// Whether a Content-Length has leading zeros and has to be written anew.
    pub(crate) fn padded_length(&self) -> Option<u64> {
        self.declared.length.filter(|_| self.declared.padded)
    }
}
