//! The head of a request (RFC 9112 §3, §5).

use super::framing::{Declared, Framing};
use super::target::{self, Form};
use super::{Known, Line, Progress, Span, field_line};
use crate::flaw::Flaw;
use crate::hand_over::HandOver;
use crate::options::Limits;
use crate::syntax;

/// The first byte of a TLS connection: a record that holds a handshake (RFC 8446 §5.1). No method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// How far reading a head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// The head is whole and sound.
    Whole,
    /// It is sound but nothing that the lane carries.
    Foreign(HandOver),
}

/// An index over the bytes of a request head. Reused from request to request, so that reading one allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    progress: Progress,
    lines: Vec<Line>,
    line_read: bool,
    start: usize,
    method: Span,
    target: Span,
    path: Span,
    query: Option<Span>,
    authority: Span,
    form: Form,
    old: bool,
    host: Option<Span>,
    declared: Declared,
    connection: bool,
    close: bool,
    upgrade: Option<Span>,
    /// Whether more than one field asks for an upgrade.
    upgrades: bool,
    /// Whether the Connection field names the upgrade.
    switches: bool,
    expect: bool,
    max_forwards: bool,
}

impl RequestHead {
    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Self { lines, ..Self::default() };
    }

    /// Reads on. `bytes` begins with the head and holds at least what it held at the last call; lines that were read are
    /// not read again.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Parsed, Flaw> {
        loop {
            let line = match self.progress.line(bytes, limits) {
                Err(_) if !self.line_read => return Err(Flaw::LineTooLong),
                other => other?,
            };
            let Some((start, feed)) = line else {
                // Nobody who speaks TLS would ever end a line.
                if !self.line_read && bytes.first() == Some(&TLS_HANDSHAKE) {
                    return Err(Flaw::TlsHello);
                }
                let waiting = bytes.len() - self.progress.next;
                let too_long = !self.line_read && waiting > limits.line_bytes;
                return if too_long { Err(Flaw::LineTooLong) } else { Ok(Parsed::Partial) };
            };
            if !self.line_read {
                if feed + 1 - start > limits.line_bytes {
                    return Err(Flaw::LineTooLong);
                }
                if let Some(foreign) = self.first_line(bytes, start, feed)? {
                    return Ok(Parsed::Foreign(foreign));
                }
                continue;
            }
            match field_line(bytes, start, feed)? {
                Some(line) => self.add(line, bytes, limits)?,
                None => return self.finish(bytes),
            }
        }
    }

    fn first_line(&mut self, bytes: &[u8], start: usize, feed: usize) -> Result<Option<HandOver>, Flaw> {
        if feed == start || bytes[feed - 1] != b'\r' {
            return Err(Flaw::BareLineFeed);
        }
        let line = &bytes[start..feed - 1];
        if line.is_empty() {
            // RFC 9112 §2.2: an empty line before the request line is skipped; more than one is nobody's mistake.
            return if start == 0 { Ok(None) } else { Err(Flaw::RequestLine) };
        }
        if line == b"PRI * HTTP/2.0" {
            return Ok(Some(HandOver::Http2));
        }
        let method = syntax::token_length(line);
        if method == 0 || line.get(method) != Some(&b' ') {
            return Err(Flaw::RequestLine);
        }
        let rest = &line[method + 1..];
        let space = rest.iter().position(|b| *b == b' ').ok_or(Flaw::RequestLine)?;
        let version = &rest[space + 1..];
        self.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Flaw::Version);
            }
            _ => return Err(Flaw::RequestLine),
        };
        let parts = target::read(&line[..method], &rest[..space])?;
        let base = start + method + 1;
        let span = |(from, to): (usize, usize)| Span::new(base + from, base + to);
        self.start = start;
        self.method = Span::new(start, start + method);
        self.target = span((0, space));
        self.path = span(parts.path);
        self.query = parts.query.map(span);
        self.authority = span(parts.authority);
        self.form = parts.form;
        self.line_read = true;
        Ok(None)
    }

    fn add(&mut self, line: Line, bytes: &[u8], limits: &Limits) -> Result<(), Flaw> {
        if self.lines.len() >= limits.fields {
            return Err(Flaw::TooManyFields);
        }
        let value = line.value.of(bytes);
        match line.known {
            Known::Host => {
                if self.host.is_some() {
                    return Err(Flaw::HostRepeated);
                }
                target::split_host(value)?;
                self.host = Some(line.value);
            }
            Known::ContentLength | Known::TransferEncoding => self.declared.add(&line, bytes)?,
            Known::Connection => {
                self.connection = true;
                for member in syntax::members(value) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.switches |= member.eq_ignore_ascii_case(b"upgrade");
                }
            }
            Known::Upgrade => self.upgrades |= self.upgrade.replace(line.value).is_some(),
            Known::Expect => self.expect |= value.eq_ignore_ascii_case(b"100-continue"),
            Known::MaxForwards => self.max_forwards = true,
            Known::Hop | Known::Trailer | Known::Other => {}
        }
        self.lines.push(line);
        Ok(())
    }

    fn finish(&mut self, bytes: &[u8]) -> Result<Parsed, Flaw> {
        self.declared.check()?;
        let method = self.method.of(bytes);
        if self.old {
            // RFC 9112 §6.1: transfer codings in HTTP/1.0 are faulty framing, whoever carries the request.
            return if self.declared.chunked { Err(Flaw::Encoding) } else { Ok(Parsed::Foreign(HandOver::Http10)) };
        }
        if self.host.is_none() {
            return Err(Flaw::HostMissing);
        }
        if method == b"CONNECT" {
            return Ok(Parsed::Foreign(HandOver::Connect));
        }
        if self.drops_upgrade(bytes) {
            self.upgrade = None;
        }
        if let Some(protocol) = self.upgrade
            && (self.upgrades || self.framing() != Framing::None || !is_protocol(protocol.of(bytes)))
        {
            return Ok(Parsed::Foreign(HandOver::Upgrade));
        }
        if self.max_forwards && matches!(method, b"TRACE" | b"OPTIONS") {
            return Ok(Parsed::Foreign(HandOver::Unsure));
        }
        Ok(Parsed::Whole)
    }

    /// Whether an upgrade is asked for that is not passed on, which a server may always do (RFC 9110 §7.8): one that
    /// Connection does not name, so that it was meant for another hop; and h2c, since requests in that would pass unseen.
    fn drops_upgrade(&self, bytes: &[u8]) -> bool {
        let h2c = |protocol: Span| syntax::members(protocol.of(bytes)).any(|m| m.eq_ignore_ascii_case(b"h2c"));
        !self.switches || self.upgrade.is_some_and(h2c)
    }

    /// The one protocol that the client wants to switch to.
    pub fn upgrade(&self) -> Option<Span> {
        self.upgrade
    }

    /// The field lines in the order sent.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Where the request line begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// One past the empty line, once the head is whole.
    pub fn end(&self) -> usize {
        self.progress.next
    }

    /// The method.
    pub fn method(&self) -> Span {
        self.method
    }

    /// The target as sent.
    pub fn target(&self) -> Span {
        self.target
    }

    /// The path; empty only in absolute form.
    pub fn path(&self) -> Span {
        self.path
    }

    /// The query without `?`.
    pub fn query(&self) -> Option<Span> {
        self.query
    }

    /// Host and port that count: those of an absolute target replace the Host field (RFC 9112 §3.2.2).
    pub fn authority(&self) -> Span {
        if self.form == Form::Absolute { self.authority } else { self.host.unwrap_or_default() }
    }

    /// Whether the target names the host itself.
    pub fn is_absolute(&self) -> bool {
        self.form == Form::Absolute
    }

    /// How long the body is.
    pub fn framing(&self) -> Framing {
        self.declared.of_request()
    }

    /// Whether a Content-Length has leading zeros and has to be written anew.
    pub(crate) fn padded_length(&self) -> Option<u64> {
        self.declared.length.filter(|_| self.declared.padded)
    }

    /// Whether the connection ends after this request.
    pub fn close(&self) -> bool {
        self.close
    }

    /// Whether a Connection field stands there.
    pub(crate) fn has_connection(&self) -> bool {
        self.connection
    }

    /// Whether the client waits for 100 (Continue) before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expect
    }
}

/// `protocol` of RFC 9110 §7.8: a name with an optional version.
fn is_protocol(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |b| *b == b'/');
    parts.all(|part| !part.is_empty() && syntax::token_length(part) == part.len())
}
