//! XXH64, seed 0 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>). Sixty lines of our own: keys are
//! short, the hash must never change, and the specification's vectors pin it.

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

fn merge(hash: u64, lane: u64) -> u64 {
    (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4)
}

fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

pub(super) fn hash(input: &[u8]) -> u64 {
    let (words, tail) = input.as_chunks::<8>();
    let (stripes, rest) = words.as_chunks::<4>();
    let mut hash = if stripes.is_empty() { P5 } else { stripe_hash(stripes) };
    hash = hash.wrapping_add(input.len() as u64);
    for input in rest {
        hash = (hash ^ round(0, word(*input))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let (halves, bytes) = tail.as_chunks::<4>();
    for half in halves {
        let input = u64::from(u32::from_le_bytes(*half));
        hash = (hash ^ input.wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for &byte in bytes {
        hash = (hash ^ u64::from(byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

fn stripe_hash(stripes: &[[[u8; 8]; 4]]) -> u64 {
    let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u64.wrapping_sub(P1)];
    for stripe in stripes {
        for (lane, input) in lanes.iter_mut().zip(stripe) {
            *lane = round(*lane, word(*input));
        }
    }
    let turned = lanes.iter().zip([1, 7, 12, 18]).fold(0_u64, |sum, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
    lanes.iter().fold(turned, |hash, &lane| merge(hash, lane))
}
