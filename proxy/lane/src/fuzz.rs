//! What the fuzzer throws bytes at (docs/hardening.md), and what must hold whatever they are. Compiled for tests and for
//! the fuzzer only.

mod keys;
/// The reader of the tests against smuggling: written apart, so that both are not wrong in the same way.
#[path = "../../server/tests/smuggling/reader.rs"]
mod reader;
mod requests;
mod responses;

pub use keys::keys;

use crate::options::Limits;

/// So small that inputs of some hundred bytes meet every bound.
const TIGHT: Limits = Limits {
    head_bytes: 256,
    line_bytes: 64,
    fields: 4,
    trailer_bytes: 32,
    extension_bytes: 8,
    extensions_bytes: 16,
    body_bytes: 64,
    interim: 1,
};

/// No bound is met by what stands well within those of an input.
const WIDE: Limits = Limits {
    head_bytes: 1 << 24,
    line_bytes: 1 << 24,
    fields: 1 << 16,
    trailer_bytes: 1 << 24,
    extension_bytes: 1 << 24,
    extensions_bytes: 1 << 24,
    body_bytes: u64::MAX,
    interim: 16,
};

/// What a client or a node sends on one connection. The first byte says which of them, under which bounds, and in pieces
/// of how many bytes it arrives.
pub fn heads(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let limits = if how & 1 == 0 { Limits::default() } else { TIGHT };
    let piece = usize::from(how >> 2) + 1;
    if how & 2 == 0 {
        requests::judge(bytes, piece, &limits);
    } else {
        responses::judge(bytes, piece, &limits);
    }
}

/// Whether a span lies within so many bytes, and the right way round.
fn is_within(span: crate::head::Span, bytes: usize) -> bool {
    span.start <= span.end && span.end as usize <= bytes
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn what_was_found_in_heads_stays_found() {
        replay("heads", super::heads);
    }

    #[test]
    fn what_was_found_in_keys_stays_found() {
        replay("keys", super::keys);
    }
}
