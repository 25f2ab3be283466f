use super::scan::{DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS};
use super::*;

const NOW: Duration = Duration::from_secs(100);
const LIMITS: Http2Limits = Http2Limits { streams: 100, resets: 20, errors: 10, control: 30 };

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// Frames that have read the preface.
fn frames() -> Frames {
    let mut frames = Frames::new(LIMITS, NOW);
    frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NOW);
    frames
}

#[test]
fn one_more_than_granted_is_one_too_many() {
    for (kind, payload, most, cause) in [
        (RST_STREAM, &[0, 0, 0, 8][..], 20, Cause::Resets),
        (PING, &[0; 8], 30, Cause::Ping),
        (SETTINGS, &[], 30, Cause::Settings),
        (scan::PRIORITY, &[0; 5], 30, Cause::Priority),
        (scan::WINDOW_UPDATE, &[0, 0, 0, 1], 30, Cause::WindowUpdate),
        (scan::CONTINUATION, &[], 30, Cause::Continuation),
        (DATA, &[], 30, Cause::EmptyData),
        (200, b"anything", 30, Cause::Unknown),
    ] {
        let mut frames = frames();
        for _ in 0..most {
            frames.read(&frame(kind, 0, payload), NOW);
        }
        assert_eq!(frames.cause(), None, "{cause:?}");
        frames.read(&frame(kind, 0, payload), NOW);
        assert_eq!(frames.cause(), Some(cause));
    }
}

#[test]
fn wherever_the_bytes_are_cut_the_same_is_counted() {
    let one = [frame(HEADERS, 5, b"head"), frame(RST_STREAM, 0, &[0, 0, 0, 8])].concat();
    let bytes = one.repeat(21);
    for piece in 1..40 {
        let mut frames = frames();
        bytes.chunks(piece).for_each(|piece| frames.read(piece, NOW));
        assert_eq!(frames.cause(), Some(Cause::Resets), "in pieces of {piece}");
        assert_eq!(frames.counts[Cause::Resets as usize], 21);
    }
}

#[test]
fn acknowledgements_and_ends_are_of_use() {
    let mut frames = frames();
    for _ in 0..1000 {
        frames.read(&frame(SETTINGS, 1, &[]), NOW);
        frames.read(&frame(PING, 1, &[0; 8]), NOW);
        frames.read(&frame(DATA, 1, &[]), NOW);
    }
    assert_eq!((frames.cause(), frames.counts), (None, [0; COUNTED.len()]));
}

#[test]
fn who_measures_what_it_is_sent_is_let_be() {
    let mut frames = frames();
    for _ in 0..1000 {
        frames.written(&frame(DATA, 0, b"a piece"), NOW);
        frames.read(&frame(scan::WINDOW_UPDATE, 0, &[0, 0, 0, 1]), NOW);
        frames.read(&frame(scan::WINDOW_UPDATE, 0, &[0, 0, 0, 1]), NOW);
        frames.read(&frame(PING, 0, &[0; 8]), NOW);
    }
    assert_eq!(frames.cause(), None);
}

#[test]
fn what_the_client_is_to_blame_for_counts_and_a_failing_node_does_not() {
    let mut frames = frames();
    for _ in 0..1000 {
        frames.written(&frame(RST_STREAM, 0, &[0, 0, 0, 2]), NOW);
        frames.written(&frame(RST_STREAM, 0, &[0, 0, 0, 0]), NOW);
    }
    assert_eq!(frames.cause(), None);
    for _ in 0..11 {
        frames.written(&frame(RST_STREAM, 0, &[0, 0, 0, 1]), NOW);
    }
    assert_eq!(frames.cause(), Some(Cause::Errors));
}

#[test]
fn what_the_library_ends_is_told_by_what_came_most() {
    let goaway = |code: u8| frame(GOAWAY, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    for (code, cause) in [(0, None), (1, Some(Cause::Protocol)), (9, Some(Cause::Compression)), (11, Some(Cause::Calm))]
    {
        let mut frames = frames();
        frames.written(&goaway(code), NOW);
        assert_eq!(frames.cause(), cause);
    }
    let mut frames = frames();
    frames.read(&frame(RST_STREAM, 0, &[0; 4]).repeat(3), NOW);
    frames.read(&frame(PING, 0, &[0; 8]).repeat(2), NOW);
    frames.written(&goaway(11), NOW);
    assert_eq!(frames.cause(), Some(Cause::Resets));
}

#[test]
fn counts_begin_anew_after_a_while() {
    let mut frames = frames();
    let resets = frame(RST_STREAM, 0, &[0; 4]).repeat(20);
    for turn in 0..10 {
        frames.read(&resets, NOW + turn * (WINDOW + Duration::from_secs(1)));
    }
    assert_eq!(frames.cause(), None);
    frames.read(&resets, NOW + 9 * (WINDOW + Duration::from_secs(1)) + WINDOW);
    assert_eq!(frames.cause(), Some(Cause::Resets));
}
