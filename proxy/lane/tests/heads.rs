//! Heads however they arrive, and however they are damaged.

use pointsman_lane::Limits;
use pointsman_lane::flaw::Flaw;
use pointsman_lane::head::{Framing, Parsed, RequestHead, ResponseHead};
use proptest::prelude::*;

/// What a head says, or what is wrong with it, when it arrives in pieces that end at `cuts`.
fn request(bytes: &[u8], cuts: &[usize]) -> Result<(Parsed, Option<(usize, Framing, usize)>), Flaw> {
    let mut head = RequestHead::default();
    let limits = Limits { head_bytes: 600, line_bytes: 120, fields: 12, ..Limits::default() };
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    for end in ends {
        match head.parse(&bytes[..end], &limits)? {
            Parsed::Partial => {}
            Parsed::Whole => return Ok((Parsed::Whole, Some((head.end(), head.framing(), head.lines().len())))),
            foreign @ Parsed::Foreign(_) => return Ok((foreign, None)),
        }
    }
    Ok((Parsed::Partial, None))
}

fn response(bytes: &[u8], cuts: &[usize]) -> Result<Option<(usize, u16, Framing)>, Flaw> {
    let mut head = ResponseHead::default();
    head.reset(0);
    let limits = Limits { head_bytes: 600, fields: 12, ..Limits::default() };
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    for end in ends {
        if head.parse(&bytes[..end], &limits)? {
            return Ok(Some((head.end(), head.status(), head.framing(false))));
        }
    }
    Ok(None)
}

const REQUESTS: [&str; 6] = [
    "GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nX-Empty:\r\n\r\n",
    "\r\nPOST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "PUT / HTTP/1.1\r\nhost: [::1]:80\r\ntransfer-encoding: chunked\r\nconnection: close, x\r\n\r\n0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 010\r\n\r\n",
    "GET / HTTP/1.0\r\nUser-Agent: ab\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
];

const RESPONSES: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.0 404 \r\nServer: x\r\n\r\n",
    "HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
];

#[test]
fn the_samples_are_sound() {
    for sample in REQUESTS {
        assert!(!matches!(request(sample.as_bytes(), &[]), Err(_) | Ok((Parsed::Partial, _))), "{sample}");
    }
    for sample in RESPONSES {
        assert!(matches!(response(sample.as_bytes(), &[]), Ok(Some(_))), "{sample}");
    }
}

#[test]
fn the_framing_of_a_response_follows_the_rules_in_their_order() {
    let framing = |text: &str, to_head: bool| {
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(text.as_bytes(), &Limits::default()), Ok(true), "{text}");
        head.framing(to_head)
    };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(framing(length, false), Framing::Length(5));
    assert_eq!(framing(length, true), Framing::None);
    assert_eq!(framing("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", false), Framing::None);
    assert_eq!(framing("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", false), Framing::None);
    assert_eq!(framing("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", false), Framing::Chunked);
    assert_eq!(framing("HTTP/1.1 200 x\r\n\r\n", false), Framing::UntilClose);
    assert_eq!(framing("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", false), Framing::None);
}

fn damaged(sample: &str, damage: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = sample.as_bytes().to_vec();
    for (place, byte, how) in damage {
        let place = place % bytes.len().max(1);
        match how % 4 {
            0 if !bytes.is_empty() => drop(bytes.remove(place)),
            1 => bytes.insert(place, *byte),
            2 => bytes.insert(place, b"\r\n \t:;,\0"[usize::from(byte % 8)]),
            _ if !bytes.is_empty() => bytes[place] = *byte,
            _ => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_head_says_the_same_however_it_arrives(
        sample in 0usize..REQUESTS.len(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let bytes = damaged(REQUESTS[sample], &damage);
        prop_assert_eq!(request(&bytes, &cuts), request(&bytes, &[]));
    }

    #[test]
    fn a_response_head_says_the_same_however_it_arrives(
        sample in 0usize..RESPONSES.len(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let bytes = damaged(RESPONSES[sample], &damage);
        prop_assert_eq!(response(&bytes, &cuts), response(&bytes, &[]));
    }

    #[test]
    fn no_bytes_make_a_parser_panic_or_read_past_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok((Parsed::Whole, Some((end, ..)))) = request(&bytes, &[]) {
            prop_assert!(end <= bytes.len());
        }
        if let Ok(Some((end, ..))) = response(&bytes, &[]) {
            prop_assert!(end <= bytes.len());
        }
    }

    #[test]
    fn a_head_that_passes_has_lines_that_no_other_recipient_breaks_differently(
        sample in 0usize..REQUESTS.len(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..8),
    ) {
        let bytes = damaged(REQUESTS[sample], &damage);
        if let Ok((Parsed::Whole, Some((end, framing, lines)))) = request(&bytes, &[]) {
            let head = &bytes[..end];
            // Every line feed follows a carriage return, every carriage return comes before one, no NUL, no fold.
            for (at, byte) in head.iter().enumerate() {
                match byte {
                    b'\n' => prop_assert_eq!(head[at - 1], b'\r'),
                    b'\r' => prop_assert_eq!(head[at + 1], b'\n'),
                    0 => prop_assert!(false, "NUL"),
                    _ => {}
                }
            }
            let text = String::from_utf8_lossy(head).to_ascii_lowercase();
            let fields: Vec<&str> = text.trim_start().split("\r\n").skip(1).filter(|l| !l.is_empty()).collect();
            prop_assert_eq!(fields.len(), lines);
            let lengths = fields.iter().filter(|f| f.starts_with("content-length:")).count();
            let codings = fields.iter().filter(|f| f.starts_with("transfer-encoding:")).count();
            prop_assert!(lengths + codings <= 1);
            prop_assert_eq!(codings == 1, framing == Framing::Chunked);
            prop_assert_eq!(fields.iter().filter(|f| f.starts_with("host:")).count(), 1);
        }
    }
}
