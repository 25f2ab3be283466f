//! Requests: read the same however they arrive, and written so that a strict reader, no part of the proxy, reads what we
//! have read.

use super::{WIDE, is_within, reader};
use crate::body::{Decoder, Step, chunk_head, last_chunk};
use crate::edit;
use crate::head::{Framing, Parsed, RequestHead, Span};
use crate::options::Limits;

/// How reading a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The bytes ended.
    Bytes,
    /// They are refused.
    Refused,
    /// They go another way.
    Foreign,
}

/// What became of a connection's bytes.
#[derive(Debug)]
struct Carried {
    /// What nodes get.
    out: Vec<u8>,
    /// Requests that are whole.
    requests: Vec<reader::Request>,
    end: End,
}

/// A connection whose bytes arrive piece by piece.
struct Arriving<'a> {
    bytes: &'a [u8],
    piece: usize,
    /// Where what is not read yet begins.
    at: usize,
    /// Where what has arrived ends.
    end: usize,
}

impl<'a> Arriving<'a> {
    fn here(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    /// Whether more came.
    fn wait(&mut self) -> bool {
        let before = self.end;
        self.end = self.end.saturating_add(self.piece).min(self.bytes.len());
        self.end > before
    }
}

pub(super) fn judge(bytes: &[u8], piece: usize, limits: &Limits) {
    let whole = carry(bytes, usize::MAX, limits);
    let pieces = carry(bytes, piece, limits);
    assert_eq!((&whole.requests, whole.end), (&pieces.requests, pieces.end), "it depends on how the bytes arrive");
    for carried in [&whole, &pieces] {
        let (read, end) = reader::read_all(&carried.out);
        assert!(!matches!(end, reader::End::Wrong(_)), "a node gets what is wrong ({end:?}): {}", show(carried));
        assert_eq!(read, carried.requests, "a node reads something else: {}", show(carried));
        let again = carry(&carried.out, usize::MAX, &WIDE);
        assert_eq!(again.requests, carried.requests, "we read something else ourselves: {}", show(carried));
        assert!(again.end != End::Refused, "we refuse what we write: {}", show(carried));
    }
}

fn show(carried: &Carried) -> String {
    carried.out.escape_ascii().to_string()
}

fn carry(bytes: &[u8], piece: usize, limits: &Limits) -> Carried {
    let mut input = Arriving { bytes, piece, at: 0, end: 0 };
    let mut carried = Carried { out: Vec::new(), requests: Vec::new(), end: End::Bytes };
    loop {
        if let Err(end) = exchange(&mut input, limits, &mut carried) {
            return Carried { end, ..carried };
        }
    }
}

/// Carries one request, as the lane does.
fn exchange(input: &mut Arriving<'_>, limits: &Limits, carried: &mut Carried) -> Result<(), End> {
    let mut head = RequestHead::default();
    loop {
        match head.parse(input.here(), limits) {
            Ok(Parsed::Partial) if input.wait() => {}
            Ok(Parsed::Partial) => return Err(End::Bytes),
            Ok(Parsed::Whole) => break,
            Ok(Parsed::Foreign(_)) => return Err(End::Foreign),
            Err(_) => return Err(End::Refused),
        }
    }
    let bytes = input.here();
    sound(&head, bytes, limits);
    edit::request(&mut carried.out, &head, bytes, None::<fn(&mut Vec<u8>)>, true, |_| false, |_| {});
    input.at += head.end();
    let body = body(input, limits, head.framing(), &mut carried.out)?;
    carried.requests.push(request(&head, bytes, body));
    if head.upgrade().is_some() { Err(End::Foreign) } else { Ok(()) }
}

fn sound(head: &RequestHead, bytes: &[u8], limits: &Limits) {
    assert!(head.end() <= bytes.len() && head.end() <= limits.head_bytes && head.lines().len() <= limits.fields);
    for line in head.lines() {
        assert!(is_within(line.name, head.end()) && is_within(line.value, line.end as usize));
    }
    for span in [head.method(), head.target(), head.path(), head.authority()] {
        assert!(is_within(span, head.end()));
        assert!(std::str::from_utf8(span.of(bytes)).is_ok(), "what is routed on is text");
    }
}

/// The body, also as a node gets it.
fn body(input: &mut Arriving<'_>, limits: &Limits, framing: Framing, out: &mut Vec<u8>) -> Result<Vec<u8>, End> {
    let mut decoder = Decoder::new(framing);
    let mut body = Vec::new();
    let chunked = framing == Framing::Chunked;
    let mut trails = false;
    while !decoder.is_done() {
        let here = input.here();
        match decoder.step(here, limits) {
            Ok(Step::Data { skip, take }) => {
                assert!(take > 0);
                let data = &here[skip..skip + take];
                input.at += skip + take;
                body.extend_from_slice(data);
                if body.len() as u64 > limits.body_bytes {
                    return Err(End::Refused);
                }
                if chunked {
                    chunk_head(out, take);
                }
                out.extend_from_slice(data);
                out.extend_from_slice(if chunked { b"\r\n" } else { b"" });
            }
            Ok(Step::Trailer { skip, take, forward }) => {
                if !trails {
                    last_chunk(out);
                }
                trails = true;
                if forward {
                    out.extend_from_slice(&here[skip..skip + take]);
                }
                input.at += skip + take;
            }
            Ok(Step::More { skip }) => {
                input.at += skip;
                if !input.wait() {
                    return Err(End::Bytes);
                }
            }
            Ok(Step::End { skip }) => input.at += skip,
            Err(_) => return Err(End::Refused),
        }
    }
    if chunked {
        if !trails {
            last_chunk(out);
        }
        out.extend_from_slice(b"\r\n");
    }
    Ok(body)
}

/// A request in the words of the strict reader.
fn request(head: &RequestHead, bytes: &[u8], body: Vec<u8>) -> reader::Request {
    let text = |span: Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
    let mut target = text(head.path());
    if target.is_empty() {
        let asterisk = head.method().of(bytes) == b"OPTIONS" && head.query().is_none();
        target = if asterisk { "*".into() } else { "/".into() };
    }
    if let Some(query) = head.query() {
        target.push('?');
        target.push_str(&text(query));
    }
    let chunked = head.framing() == Framing::Chunked;
    reader::Request { method: text(head.method()), host: text(head.authority()), target, chunked, body }
}
