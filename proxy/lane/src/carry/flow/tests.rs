//! No smuggling: whatever a client sends, the node reads exactly the requests that the lane read.

use proptest::prelude::*;

use super::*;
use crate::edit;
use crate::head::{Parsed, RequestHead};

/// A request as somebody read it: method, target, payload.
type Read = (String, String, Vec<u8>);

/// What the lane reads of `wire`, and the bytes it sends on. Stops at the first request that is not carried; a body that
/// is malformed or not whole is sent as far as it goes, and never counts as read.
fn carry(wire: &[u8]) -> (Vec<Read>, Vec<u8>) {
    let limits = Limits::default();
    let (mut read, mut sent) = (Vec::new(), Vec::new());
    let mut rest = wire;
    loop {
        let mut head = RequestHead::default();
        if !matches!(head.parse(rest, &limits), Ok(Parsed::Whole)) {
            return (read, sent);
        }
        edit::request(&mut sent, &head, rest, None::<fn(&mut Vec<u8>)>, true, |_| false, |_| {});
        let buffer = Buffer::holding(rest);
        let coding = if head.framing() == Framing::Chunked { Coding::Chunked } else { Coding::Plain };
        let mut flow = Flow::new(head.framing(), coding, head.end());
        while !flow.ended {
            let mut out = Outbox::default();
            let before = flow.cursor;
            let staged = flow.stage(&buffer, &mut out, &limits);
            sent.extend_from_slice(&out.bytes);
            sent.extend_from_slice(&buffer.filled()[out.direct.clone()]);
            if staged.is_err() || flow.cursor == before && !flow.ended {
                return (read, sent);
            }
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut payload = Vec::new();
        let mut decoder = Decoder::new(head.framing());
        let mut at = head.end();
        while let Ok(step) = decoder.step(&rest[at..], &limits) {
            match step {
                Step::Data { skip, take } => {
                    payload.extend_from_slice(&rest[at + skip..at + skip + take]);
                    at += skip + take;
                }
                Step::Trailer { skip, take, .. } => at += skip + take,
                Step::More { .. } => unreachable!("the body was whole"),
                Step::End { skip } => {
                    at += skip;
                    break;
                }
            }
        }
        assert_eq!(at, flow.cursor, "both walks end at the same byte");
        let target = if head.is_absolute() { String::new() } else { text(head.target().of(rest)) };
        read.push((text(head.method().of(rest)), target, payload));
        rest = &rest[at..];
    }
}

/// What a node reads that is as lenient as parsers in the field are: httparse accepts bare line feeds, the last of
/// several lengths wins, and a coding that ends in `chunked` is enough.
fn node(mut wire: &[u8]) -> Vec<Read> {
    let mut read = Vec::new();
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 200];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(end)) = request.parse(wire) else { return read };
        let (mut length, mut chunked) = (0usize, false);
        for field in request.headers.iter() {
            let value = String::from_utf8_lossy(field.value).trim().to_ascii_lowercase();
            let name = field.name.to_ascii_lowercase().replace('_', "-");
            if name == "content-length" {
                length = value.trim_start_matches('+').parse().unwrap_or(0);
            }
            chunked |= name == "transfer-encoding" && value.ends_with("chunked");
        }
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let (method, target) = (method.to_owned(), target.to_owned());
        wire = &wire[end..];
        let body = if chunked { chunks(wire) } else { wire.get(..length).map(|body| (body.to_vec(), length)) };
        let Some((payload, used)) = body else { return read };
        read.push((method, target, payload));
        wire = &wire[used..];
    }
}

fn chunks(wire: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(&wire[at..]) else {
            return None;
        };
        at += start;
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            break;
        }
        payload.extend_from_slice(wire.get(at..at.checked_add(size)?)?);
        at += size + 2;
        wire.get(..at)?;
    }
    let mut fields = [httparse::EMPTY_HEADER; 200];
    match httparse::parse_headers(&wire[at..], &mut fields) {
        Ok(httparse::Status::Complete((used, _))) => Some((payload, at + used)),
        _ => None,
    }
}

const REQUESTS: [&str; 6] = [
    "GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nGET / HTTP/",
    "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\nConnection: content-length\r\n\r\nhello",
    "POST /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nConnection: transfer-encoding\r\n\r\n0\r\n\r\n",
    "DELETE /f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encodin: chunked\r\n\r\n",
];

/// Pieces that smugglers are fond of.
const SPICE: [&str; 20] = [
    "\n",
    "\r",
    "\0",
    "\t",
    " ",
    "\r\n",
    "\r\n\r\n",
    ";",
    ":",
    ",",
    "0",
    "+",
    "chunked",
    "identity, chunked",
    "Content-Length: 4\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "0\r\n\r\n",
    "\x0b",
    "\u{a0}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_node_reads_what_the_lane_read_and_nothing_else(
        picks in proptest::collection::vec(0usize..REQUESTS.len(), 1..4),
        damage in proptest::collection::vec((any::<usize>(), 0usize..40, any::<u8>()), 0..5),
    ) {
        let mut wire: Vec<u8> = picks.iter().flat_map(|pick| REQUESTS[*pick].bytes()).collect();
        for (place, what, byte) in damage {
            let place = place % wire.len();
            match SPICE.get(what) {
                Some(spice) => drop(wire.splice(place..place, spice.bytes())),
                None if what % 2 == 0 => wire[place] = byte,
                None => drop(wire.remove(place)),
            }
        }
        let (read, sent) = carry(&wire);
        prop_assert_eq!(node(&sent), read, "sent {:?}", String::from_utf8_lossy(&sent));
    }
}

#[test]
fn sound_requests_are_all_read() {
    let wire = REQUESTS.concat();
    let (read, sent) = carry(wire.as_bytes());
    assert_eq!(read.len(), REQUESTS.len());
    assert_eq!(node(&sent), read);
}

#[test]
fn the_samples_without_the_checks_would_be_read_twice() {
    // The comparison above can fail: a lenient node does see a second request in what the lane refuses to send.
    let smuggled = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(node(smuggled.as_bytes()).len(), 2);
    assert_eq!(carry(smuggled.as_bytes()), (vec![], vec![]));
}
