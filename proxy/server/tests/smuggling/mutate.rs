//! Damage to sound requests, the same for the same seed.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Pieces that parsers are known to disagree about.
const PIECES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\xa0",
    b":",
    b";",
    b",",
    b"+",
    b"-",
    b"0x",
    b"_",
    b"\"",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"1\r\nZ\r\n",
    b"\r\nContent-Length: 5",
    b"\r\nContent-Length: 0",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: identity",
    b"\r\nHost: b",
    b"\r\nExpect: 100-continue",
    b"\r\nConnection: Content-Length, Transfer-Encoding, Host",
    b"\r\nUpgrade: websocket",
    b"\r\nX: y",
    b" HTTP/1.0",
    b"HTTP/0.9",
    b"http://b/",
    b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n",
    b"chunked",
];

/// Seed and number of cases: from `POINTSMAN_SMUGGLING_SEED` and `POINTSMAN_SMUGGLING_CASES`, or the same each time.
pub(crate) fn plan() -> (u64, u64) {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    (number("POINTSMAN_SMUGGLING_SEED", 9112), number("POINTSMAN_SMUGGLING_CASES", 400))
}

/// One damaged input.
pub(crate) fn damaged(sound: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
    let mut pick = || sound.choose(&mut random).expect("sound requests").clone();
    let (mut bytes, other) = (pick(), pick());
    if random.gen_bool(0.3) {
        bytes.extend_from_slice(&other);
    }
    for _ in 0..random.gen_range(1..=4) {
        hurt(&mut bytes, &mut random);
    }
    bytes
}

fn hurt(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.gen_range(0..bytes.len());
    match random.gen_range(0..8) {
        0 => drop(bytes.remove(at)),
        1 => bytes[at] = random.r#gen(),
        2 => bytes[at] ^= 0x20,
        3 => {
            // A number becomes another.
            let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
            if let Some(digit) = digits.choose(random) {
                bytes[*digit] = random.gen_range(b'0'..=b'9');
            }
        }
        4 => {
            // A line is said twice.
            let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
            let line = lines.choose(random).map(|line| line.to_vec()).unwrap_or_default();
            let place = bytes.iter().position(|b| *b == b'\n').map_or(at, |feed| feed + 1);
            bytes.splice(place..place, line);
        }
        5 => {
            // A piece where a line ends: there it does the most.
            let ends: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] == b'\r').collect();
            let place = ends.choose(random).copied().unwrap_or(at);
            insert(bytes, place, random);
        }
        _ => insert(bytes, at, random),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, random: &mut StdRng) {
    let piece = PIECES.choose(random).copied().unwrap_or_default();
    bytes.splice(at..at, piece.iter().copied());
}
