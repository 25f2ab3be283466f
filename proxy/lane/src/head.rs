//! Heads of messages, read in place: an index of spans over the caller's bytes, no copy and no map.

use crate::flaw::Flaw;
use crate::options::Limits;
use crate::syntax;

mod framing;
mod request;
mod response;
mod target;

pub use framing::Framing;
pub use request::{Parsed, RequestHead};
pub use response::ResponseHead;

/// A range of the bytes that a head was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Heads are bounded far below 4 GiB (`Limits::head_bytes`).
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes it stands for; empty when `bytes` is shorter than what the head was read from.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Fields that a proxy itself has to understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Host
    Host,
    /// Content-Length
    ContentLength,
    /// Transfer-Encoding
    TransferEncoding,
    /// Connection
    Connection,
    /// Concerns one hop only and never travels on (RFC 9110 §7.6.1): Keep-Alive, Proxy-Connection, TE, HTTP2-Settings; and
    /// names that some would take for one of these here.
    Hop,
    /// Upgrade
    Upgrade,
    /// Expect
    Expect,
    /// Max-Forwards
    MaxForwards,
    /// Trailer
    Trailer,
    /// Any other.
    Other,
}

impl Known {
    fn of(name: &[u8]) -> Self {
        let (known, text): (Self, &[u8]) = match (name.len(), name[0] | 0x20) {
            (4, b'h') => (Self::Host, b"host"),
            (14, b'c') => (Self::ContentLength, b"content-length"),
            (17, b't') => (Self::TransferEncoding, b"transfer-encoding"),
            (10, b'c') => (Self::Connection, b"connection"),
            (10, b'k') => (Self::Hop, b"keep-alive"),
            (16, b'p') => (Self::Hop, b"proxy-connection"),
            (2, b't') => (Self::Hop, b"te"),
            (14, b'h') => (Self::Hop, b"http2-settings"),
            (7, b'u') => (Self::Upgrade, b"upgrade"),
            (6, b'e') => (Self::Expect, b"expect"),
            (12, b'm') => (Self::MaxForwards, b"max-forwards"),
            (7, b't') => (Self::Trailer, b"trailer"),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(text) {
            known
        } else if is_spelt_alike(name, text) {
            Self::Hop
        } else {
            Self::Other
        }
    }
}

/// Whether two names are one to a node that turns hyphens into underscores, as CGI does (RFC 3875 §4.1.18). A
/// `Content_Length` would pass for the length there, so it does not travel.
fn is_spelt_alike(name: &[u8], text: &[u8]) -> bool {
    name.iter().zip(text).all(|(a, b)| a.eq_ignore_ascii_case(b) || *a == b'_' && *b == b'-')
}

/// Whether a name is written otherwise than a field that a proxy understands, but the same to such a node. It must not
/// travel.
pub fn is_disguised(name: &[u8]) -> bool {
    name.contains(&b'_') && Known::of(name) != Known::Other
}

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// One past the line feed.
    pub end: u32,
    /// Whether it is one that a proxy understands.
    pub known: Known,
}

/// Reads the field line that begins at `start` and whose line feed stands at `feed`. `None`: the empty line that ends
/// the section.
pub(crate) fn field_line(bytes: &[u8], start: usize, feed: usize) -> Result<Option<Line>, Flaw> {
    if feed == start || bytes[feed - 1] != b'\r' {
        return Err(Flaw::BareLineFeed);
    }
    let line = &bytes[start..feed - 1];
    if line.is_empty() {
        return Ok(None);
    }
    let name = syntax::token_length(line);
    match line.get(name) {
        Some(b':') if name > 0 => {}
        Some(b' ' | b'\t') if name == 0 => return Err(Flaw::Folded),
        Some(b' ' | b'\t') => {
            let colon = line[name..].iter().find(|b| !matches!(b, b' ' | b'\t')) == Some(&b':');
            return Err(if colon { Flaw::BlankBeforeColon } else { Flaw::FieldName });
        }
        Some(b) if b.is_ascii_control() => return Err(Flaw::ControlByte),
        _ => return Err(Flaw::FieldName),
    }
    let raw = &line[name + 1..];
    if !syntax::is_field_value(raw) {
        return Err(Flaw::ControlByte);
    }
    let lead = raw.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(raw.len());
    let value_start = start + name + 1 + lead;
    let value = Span::new(value_start, value_start + syntax::trim(&raw[lead..]).len());
    let known = Known::of(&line[..name]);
    Ok(Some(Line { name: Span::new(start, start + name), value, end: (feed + 1) as u32, known }))
}

/// How far a head has been read: it is walked line by line, each once, however it arrives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Where the next line begins.
    pub(crate) next: usize,
    /// Up to where no line feed was found.
    searched: usize,
}

impl Progress {
    /// Where the line feed of the next line stands, and its beginning. `None`: more bytes are needed.
    pub(crate) fn line(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, Flaw> {
        let from = self.searched.max(self.next);
        let found = syntax::line_feed(&bytes[from..]).map(|at| from + at);
        self.searched = found.unwrap_or(bytes.len());
        if self.searched.saturating_add(1) > limits.head_bytes {
            return Err(Flaw::HeadTooLarge);
        }
        let Some(feed) = found else { return Ok(None) };
        let start = self.next;
        self.next = feed + 1;
        Ok(Some((start, feed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Result<Option<(String, String, Known)>, Flaw> {
        let bytes = line.as_bytes();
        let text = |s: Span| String::from_utf8(s.of(bytes).to_vec()).unwrap();
        Ok(field_line(bytes, 0, bytes.len() - 1)?.map(|l| (text(l.name), text(l.value), l.known)))
    }

    #[test]
    fn a_value_loses_the_white_space_around_it() {
        for line in ["Host: a\r\n", "Host:a\r\n", "Host: \t a \t \r\n"] {
            assert_eq!(value(line), Ok(Some(("Host".into(), "a".into(), Known::Host))));
        }
        assert_eq!(value("X:\r\n"), Ok(Some(("X".into(), String::new(), Known::Other))));
        assert_eq!(value("X:   \r\n"), Ok(Some(("X".into(), String::new(), Known::Other))));
        assert_eq!(value("X: a  b\r\n"), Ok(Some(("X".into(), "a  b".into(), Known::Other))));
    }

    #[test]
    fn a_line_that_two_recipients_might_read_differently_is_a_flaw() {
        assert_eq!(value("X : a\r\n"), Err(Flaw::BlankBeforeColon));
        assert_eq!(value("X\t: a\r\n"), Err(Flaw::BlankBeforeColon));
        assert_eq!(value("X a: b\r\n"), Err(Flaw::FieldName));
        assert_eq!(value(": a\r\n"), Err(Flaw::FieldName));
        assert_eq!(value("X\r\n"), Err(Flaw::FieldName));
        assert_eq!(value("Content-Length\x00: 1\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value(" folded\r\n"), Err(Flaw::Folded));
        assert_eq!(value("\tfolded\r\n"), Err(Flaw::Folded));
        assert_eq!(value("X: a\n"), Err(Flaw::BareLineFeed));
        assert_eq!(value("\n"), Err(Flaw::BareLineFeed));
        assert_eq!(value("X: a\rb\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value("X: a\r\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value("X: a\x00b\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value("X: a\x7f\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value("X: a\x0bb\r\n"), Err(Flaw::ControlByte));
        assert_eq!(value("X\u{e9}: a\r\n"), Err(Flaw::FieldName));
    }

    #[test]
    fn known_fields_are_known_in_any_case() {
        assert_eq!(Known::of(b"CONTENT-length"), Known::ContentLength);
        assert_eq!(Known::of(b"Transfer-Encoding"), Known::TransferEncoding);
        assert_eq!(Known::of(b"tE"), Known::Hop);
        assert_eq!(Known::of(b"Transfer_Encoding"), Known::Hop);
        assert_eq!(Known::of(b"content_length"), Known::Hop);
        assert_eq!(Known::of(b"content.length"), Known::Other);
        assert_eq!(Known::of(b"x"), Known::Other);
    }
}
