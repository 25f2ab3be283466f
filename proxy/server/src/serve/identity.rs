//! A request's id.

use std::borrow::Cow;

use http::HeaderValue;
use pingora_http::RequestHeader;
use pointsman_core::facts::{HeaderValue as HeaderText, RequestFacts};

/// The header that carries the id.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// Longer ones are replaced: an id goes into every log line.
const LONGEST: usize = 128;

/// The id that came with the request if it is sane, a new one of 128 random bits otherwise.
pub(super) fn of(head: &RequestHeader) -> HeaderValue {
    let mut came = head.headers.get_all(REQUEST_ID).iter();
    match (came.next(), came.next()) {
        (Some(id), None) if sane(id.as_bytes()) => id.clone(),
        _ => new(),
    }
}

fn sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b))
}

fn new() -> HeaderValue {
    HeaderValue::try_from(Id::new().text()).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// A request's id in the lane: 128 bits of our own, or what the client sent, which is read where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    Made(u128),
    Kept,
}

impl Id {
    pub(super) fn new() -> Self {
        Self::Made(rand::random())
    }

    pub(super) fn of(facts: &impl RequestFacts) -> Self {
        match facts.header(REQUEST_ID) {
            HeaderText::One(id) if sane(id.as_bytes()) => Self::Kept,
            _ => Self::new(),
        }
    }

    /// As text, where there is no request to read it from.
    pub(super) fn text(self) -> String {
        match self {
            Self::Made(bits) => format!("{bits:032x}"),
            Self::Kept => String::new(),
        }
    }

    /// As text.
    pub(super) fn read(self, facts: &impl RequestFacts) -> Cow<'_, str> {
        match (self, facts.header(REQUEST_ID)) {
            (Self::Kept, HeaderText::One(id)) => Cow::Borrowed(id),
            _ => Cow::Owned(self.text()),
        }
    }

    /// Writes the header for the node.
    pub(super) fn write_line(self, facts: &impl RequestFacts, out: &mut Vec<u8>) {
        out.extend_from_slice(b"x-request-id: ");
        match (self, facts.header(REQUEST_ID)) {
            (Self::Kept, HeaderText::One(id)) => out.extend_from_slice(id.as_bytes()),
            (Self::Made(bits), _) => out.extend_from_slice(&hex(bits)),
            (Self::Kept, _) => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Thirty-two hexadecimal digits, most significant first, without the formatting machinery: once a request.
fn hex(bits: u128) -> [u8; 32] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut out = [0; 32];
    for (digits, byte) in out.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(ids: &[&str]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
        for id in ids {
            head.append_header(REQUEST_ID, *id).expect("a header");
        }
        head
    }

    #[test]
    fn a_sane_id_is_kept() {
        assert_eq!(of(&head(&["a-B_9.:/+="])), "a-B_9.:/+=");
    }

    #[test]
    fn an_id_that_is_long_odd_or_doubled_is_replaced() {
        let long = "a".repeat(129);
        for ids in [&[""][..], &[long.as_str()], &["a b"], &["a\"b"], &["a", "a"], &[]] {
            let id = of(&head(ids));
            assert_eq!(id.len(), 32, "{ids:?}");
            assert_ne!(id, of(&head(ids)));
        }
    }

    #[test]
    fn numbers_are_written_as_the_formatter_would() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(hex(bits).to_vec(), format!("{bits:032x}").into_bytes());
        }
    }
}
