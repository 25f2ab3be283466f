//! Heads on their way out: fields of one hop are left out, the rest is copied in as few runs as there are gaps
//! (RFC 9110 §7.6.1).

use crate::head::{Framing, Known, Line, RequestHead, ResponseHead};
use crate::syntax;

/// Copies the lines for which `keep` holds; neighbours in one go. `from` is where the first run begins (a first line may
/// stand before the fields).
fn copy_kept(out: &mut Vec<u8>, bytes: &[u8], from: usize, lines: &[Line], mut keep: impl FnMut(&Line) -> bool) {
    let mut run = from;
    let mut end = lines.first().map_or(from, |line| line.name.start as usize);
    for line in lines {
        if !keep(line) {
            out.extend_from_slice(&bytes[run..line.name.start as usize]);
            run = line.end as usize;
        }
        end = line.end as usize;
    }
    out.extend_from_slice(&bytes[run..end]);
}

/// Whether a Connection field names this one. Framing and Host cannot be taken away by naming them: they are decided
/// before, and written as decided.
fn is_named(lines: &[Line], bytes: &[u8], name: &[u8]) -> bool {
    lines
        .iter()
        .filter(|line| line.known == Known::Connection)
        .flat_map(|line| syntax::members(line.value.of(bytes)))
        .any(|member| member.eq_ignore_ascii_case(name))
}

/// Writes the first line, and the Host where the target names it (`host`). `path`: in place of the one that came.
fn first_line(
    out: &mut Vec<u8>,
    head: &RequestHead,
    bytes: &[u8],
    path: Option<impl FnOnce(&mut Vec<u8>)>,
    host: bool,
) {
    out.extend_from_slice(head.method().of(bytes));
    out.push(b' ');
    match (path, head.path().of(bytes)) {
        (Some(write), _) => write(out),
        (None, b"") if head.method().of(bytes) == b"OPTIONS" && head.query().is_none() => out.push(b'*'),
        (None, b"") => out.push(b'/'),
        (None, path) => out.extend_from_slice(path),
    }
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query.of(bytes));
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if host && head.is_absolute() {
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(head.authority().of(bytes));
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the request's head as the node gets it. `path`, `drops` and `lines` are the trip's; without `host` the Host is
/// among the lines.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    bytes: &[u8],
    path: Option<impl FnOnce(&mut Vec<u8>)>,
    host: bool,
    drops: impl Fn(&[u8]) -> bool,
    lines: impl FnOnce(&mut Vec<u8>),
) {
    let fields = head.lines();
    // RFC 9112 §3.2.1: a server gets the origin form, whatever form came in.
    let from = if head.is_absolute() || path.is_some() {
        first_line(out, head, bytes, path, host);
        fields.first().map_or(head.end() - 2, |line| line.name.start as usize)
    } else {
        head.start()
    };
    copy_kept(out, bytes, from, fields, |line| match line.known {
        Known::Host => host && !head.is_absolute(),
        Known::ContentLength => head.padded_length().is_none(),
        Known::TransferEncoding | Known::Connection | Known::Hop | Known::Upgrade => false,
        Known::Expect | Known::MaxForwards | Known::Trailer | Known::Other => {
            let name = line.name.of(bytes);
            !(drops(name) || head.has_connection() && is_named(fields, bytes, name))
        }
    });
    if let Some(length) = head.padded_length() {
        content_length(out, length);
    }
    if head.framing() == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(protocol) = head.upgrade() {
        upgrade(out, protocol.of(bytes));
    }
    lines(out);
    out.extend_from_slice(b"\r\n");
}

/// How the body of a response is written to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Coding {
    /// As it comes: none, or as long as Content-Length says.
    #[default]
    Plain,
    /// In chunks.
    Chunked,
}

/// Writes a response's head as the client gets it. `close`: the connection ends after it; `drops` and `lines` are the
/// trip's.
pub(crate) fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    bytes: &[u8],
    coding: Coding,
    close: bool,
    drops: impl Fn(&[u8]) -> bool,
    lines: impl FnOnce(&mut Vec<u8>),
) {
    let fields = head.lines();
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(head.status()));
    out.push(b' ');
    out.extend_from_slice(head.reason().of(bytes));
    out.extend_from_slice(b"\r\n");
    let bodiless = matches!(head.status(), 100..=199 | 204);
    copy_kept(out, bytes, head.fields_start(), fields, |line| match line.known {
        // RFC 9110 §8.6: none in 1xx and 204.
        Known::ContentLength => !bodiless && head.padded_length().is_none(),
        Known::TransferEncoding | Known::Connection | Known::Hop | Known::Upgrade => false,
        Known::Trailer => coding == Coding::Chunked,
        _ => {
            let name = line.name.of(bytes);
            !(drops(name) || head.has_connection() && is_named(fields, bytes, name))
        }
    });
    if let Some(length) = head.padded_length().filter(|_| !bodiless) {
        content_length(out, length);
    }
    if coding == Coding::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    lines(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the lines of this hop that switch to a protocol (RFC 9110 §7.8).
pub(crate) fn upgrade(out: &mut Vec<u8>, protocol: &[u8]) {
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    out.extend_from_slice(protocol);
    out.extend_from_slice(b"\r\n");
}

/// Writes a Content-Length line.
pub(crate) fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in decimal.
pub(crate) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The reason phrase of a status that a proxy answers itself; empty for others.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
