//! Responses: read the same however they arrive, and written so that they are read again as what they were.

use super::{WIDE, is_within};
use crate::edit::{self, Coding};
use crate::flaw::Flaw;
use crate::head::{Framing, ResponseHead};
use crate::options::Limits;

pub(super) fn judge(bytes: &[u8], piece: usize, limits: &Limits) {
    let whole = read(bytes, usize::MAX, limits);
    let pieces = read(bytes, piece, limits);
    let told = |read: &Result<Option<ResponseHead>, Flaw>| {
        read.as_ref()
            .map(|head| head.as_ref().map(|head| (head.end(), head.status(), head.framing(false))))
            .map_err(drop)
    };
    assert_eq!(told(&whole), told(&pieces), "it depends on how the bytes arrive");
    let Ok(Some(head)) = whole else { return };
    assert!(head.end() <= bytes.len() && head.end() <= limits.head_bytes && head.lines().len() <= limits.fields);
    for line in head.lines() {
        assert!(is_within(line.name, head.end()) && is_within(line.value, line.end as usize));
    }
    assert!((100..=999).contains(&head.status()) && is_within(head.reason(), head.end()));
    for coding in codings(head.framing(false)) {
        let mut out = Vec::new();
        edit::response(&mut out, &head, bytes, *coding, true, |_| false, |_| {});
        let shown = out.escape_ascii();
        let again =
            read(&out, usize::MAX, &WIDE).unwrap_or_else(|flaw| panic!("we refuse what we write: {flaw:?} {shown}"));
        let again = again.unwrap_or_else(|| panic!("we do not end what we write: {shown}"));
        assert_eq!((again.status(), again.end()), (head.status(), out.len()), "{shown}");
        assert!(!again.keeps_alive(), "{shown}");
        assert_eq!(again.framing(false), framing(&head, *coding), "{shown}");
    }
}

/// How the lane may write such a body: in chunks where it read some, or no length. A client of HTTP/1.0 gets none.
fn codings(framing: Framing) -> &'static [Coding] {
    match framing {
        Framing::Chunked | Framing::UntilClose => &[Coding::Plain, Coding::Chunked],
        Framing::None | Framing::Length(_) => &[Coding::Plain],
    }
}

/// How what is written is framed.
fn framing(head: &ResponseHead, coding: Coding) -> Framing {
    match (head.framing(false), coding) {
        (_, Coding::Chunked) => Framing::Chunked,
        (Framing::Chunked, Coding::Plain) => Framing::UntilClose,
        (other, Coding::Plain) => other,
    }
}

fn read(bytes: &[u8], piece: usize, limits: &Limits) -> Result<Option<ResponseHead>, Flaw> {
    let mut head = ResponseHead::default();
    let mut end = 0_usize;
    loop {
        if head.parse(&bytes[..end], limits)? {
            return Ok(Some(head));
        }
        if end == bytes.len() {
            return Ok(None);
        }
        end = end.saturating_add(piece).min(bytes.len());
    }
}
