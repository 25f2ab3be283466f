use proptest::prelude::*;

use super::*;

/// Reads a body that arrives in pieces: payload, trailer lines that travel on, and bytes used, or the flaw.
fn read(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, usize, bool), Flaw> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(framing);
    let (mut payload, mut trailers, mut buffer, mut used) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut pieces = pieces.iter();
    loop {
        match decoder.step(&buffer[used..], &limits)? {
            Step::Data { skip, take } => {
                assert!(take > 0, "an empty step would loop for ever");
                payload.extend_from_slice(&buffer[used + skip..used + skip + take]);
                used += skip + take;
            }
            Step::Trailer { skip, take, forward } => {
                if forward {
                    trailers.extend_from_slice(&buffer[used + skip..used + skip + take]);
                }
                used += skip + take;
            }
            Step::End { skip } => return Ok((payload, trailers, used + skip, true)),
            Step::More { skip } => {
                used += skip;
                let Some(piece) = pieces.next() else { return Ok((payload, trailers, used, false)) };
                buffer.extend_from_slice(piece);
            }
        }
    }
}

fn flaw(body: &str) -> Flaw {
    read(Framing::Chunked, &[body.as_bytes()]).expect_err(body)
}

#[test]
fn a_length_ends_where_it_says() {
    assert_eq!(read(Framing::Length(3), &[b"ab", b"cGET"]), Ok((b"abc".to_vec(), vec![], 3, true)));
    assert_eq!(read(Framing::Length(3), &[b"ab"]), Ok((b"ab".to_vec(), vec![], 2, false)));
    assert_eq!(read(Framing::None, &[b"GET"]), Ok((vec![], vec![], 0, true)));
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let body = b"3\r\nabc\r\n00A;x=\"y;z\"\r\n0123456789\r\n0\r\n\r\nGET /";
    assert_eq!(read(Framing::Chunked, &[body]), Ok((b"abc0123456789".to_vec(), vec![], body.len() - 5, true)));
}

#[test]
fn white_space_before_an_extension_is_read_over_and_nowhere_else() {
    assert_eq!(read(Framing::Chunked, &[b"1 \t;a\r\nx\r\n0\r\n\r\n"]).map(|r| r.0), Ok(b"x".to_vec()));
    assert_eq!(flaw("1 \r\nx\r\n"), Flaw::ChunkExtension);
    assert_eq!(flaw(" 1\r\nx\r\n"), Flaw::ChunkSize);
    assert_eq!(flaw("1 1\r\nx\r\n"), Flaw::ChunkExtension);
}

#[test]
fn a_chunk_size_is_plain_hexadecimal() {
    for body in [
        "\r\n",
        "+1\r\nx",
        "-1\r\nx",
        "0x1\r\nx",
        "g\r\n",
        ";a\r\n",
        "8000000000000000\r\n",
        "10000000000000000\r\n",
        "1_0\r\n",
    ] {
        assert_eq!(flaw(body), Flaw::ChunkSize, "{body:?}");
    }
    assert_eq!(flaw("00000000000000001\r\nx"), Flaw::ChunkSize, "zeros are bounded too");
    assert!(read(Framing::Chunked, &[b"7fffffffffffffff\r\nx"]).is_ok());
}

#[test]
fn a_line_of_the_coding_ends_with_both_bytes() {
    assert_eq!(flaw("1\nx\r\n0\r\n\r\n"), Flaw::BareLineFeed);
    assert_eq!(flaw("1\rx"), Flaw::BareLineFeed);
    assert_eq!(flaw("1;a\nx\r\n"), Flaw::ChunkExtension);
    assert_eq!(flaw("1;a\0\r\nx"), Flaw::ChunkExtension);
    assert_eq!(flaw("1\r\nx\n0\r\n\r\n"), Flaw::ChunkEnd);
    assert_eq!(flaw("1\r\nxy\r\n"), Flaw::ChunkEnd);
    assert_eq!(flaw("1\r\nx\r\r\n"), Flaw::ChunkEnd);
    assert_eq!(flaw("0\r\n\n"), Flaw::BareLineFeed);
}

#[test]
fn extensions_are_bounded_each_and_in_sum() {
    assert_eq!(flaw(&format!("1;{}\r\nx\r\n", "a".repeat(256))), Flaw::ChunkExtension);
    let one = format!("1;{}\r\nx\r\n", "a".repeat(200));
    assert!(read(Framing::Chunked, &[one.repeat(80).as_bytes()]).is_ok());
    assert_eq!(flaw(&one.repeat(82)), Flaw::ChunkExtension);
}

#[test]
fn trailers_travel_on_unless_they_could_change_the_message() {
    let body = b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nConnection: x\r\n\
        Authorization: x\r\nX-Forwarded-For: x\r\nTrailer: x\r\nX-More: 2\r\n\r\n";
    let (_, trailers, used, done) = read(Framing::Chunked, &[body]).unwrap();
    assert_eq!(trailers, b"X-Sum: 1\r\nX-More: 2\r\n");
    assert!(done);
    assert_eq!(used, body.len());
}

#[test]
fn a_trailer_section_is_bounded_and_checked() {
    assert_eq!(flaw(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(9000))), Flaw::TrailerTooLarge);
    assert_eq!(flaw(&format!("0\r\nX: {}", "a".repeat(9000))), Flaw::TrailerTooLarge);
    assert_eq!(flaw(&format!("0\r\n{}\r\n", "X: a\r\n".repeat(101))), Flaw::TrailerTooLarge);
    assert_eq!(flaw("0\r\nX : a\r\n\r\n"), Flaw::BlankBeforeColon);
    assert_eq!(flaw("0\r\n folded\r\n\r\n"), Flaw::Folded);
}

#[test]
fn nothing_comes_after_a_flaw() {
    let mut decoder = Decoder::new(Framing::Chunked);
    assert_eq!(decoder.step(b"5\n", &Limits::default()), Err(Flaw::BareLineFeed));
    assert_eq!(decoder.step(b"5\r\nhello\r\n0\r\n\r\n", &Limits::default()), Err(Flaw::BareLineFeed));
    assert!(!decoder.is_done());
}

/// Chunks as some client may write them.
fn coding(chunks: &[(Vec<u8>, bool)], trailer: bool) -> (Vec<u8>, Vec<u8>) {
    let (mut wire, mut payload) = (Vec::new(), Vec::new());
    for (data, extended) in chunks.iter().filter(|(data, _)| !data.is_empty()) {
        wire.extend_from_slice(format!("{:X}{}\r\n", data.len(), if *extended { ";a=b" } else { "" }).as_bytes());
        wire.extend_from_slice(data);
        wire.extend_from_slice(b"\r\n");
        payload.extend_from_slice(data);
    }
    wire.extend_from_slice(if trailer { b"0\r\nX: y\r\n\r\n" } else { b"0\r\n\r\n" });
    (wire, payload)
}

/// `bytes` cut at the given places.
fn cut<'a>(bytes: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = at.iter().map(|p| p % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        if place > from {
            pieces.push(&bytes[from..place]);
            from = place;
        }
    }
    pieces
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_not_a_byte_more(
        chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..8),
        trailer in any::<bool>(),
        after in proptest::collection::vec(any::<u8>(), 0..40),
        at in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let (mut wire, payload) = coding(&chunks, trailer);
        let length = wire.len();
        wire.extend_from_slice(&after);
        let (got, trailers, used, done) = read(Framing::Chunked, &cut(&wire, &at)).unwrap();
        prop_assert!(done);
        prop_assert_eq!(used, length);
        prop_assert_eq!(got, payload);
        prop_assert_eq!(trailers.is_empty(), !trailer);
    }

    #[test]
    fn damage_is_read_alike_however_it_arrives(
        chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..5),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        at in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let (mut wire, _) = coding(&chunks, true);
        for (place, byte) in damage {
            let place = place % wire.len();
            wire[place] = byte;
        }
        prop_assert_eq!(read(Framing::Chunked, &[&wire]), read(Framing::Chunked, &cut(&wire, &at)));
    }
}
