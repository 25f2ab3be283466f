//! How long a body is (RFC 9112 §6.3), decided from the field lines of a head.

use super::{Known, Line};
use crate::flaw::Flaw;
use crate::syntax;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All bytes until the connection ends; responses only.
    UntilClose,
}

/// What the field lines say of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Declared {
    /// Content-Length.
    pub(crate) length: Option<u64>,
    /// Whether its digits have leading zeros: valid, but some read a leading zero as octal, so it is written anew.
    pub(crate) padded: bool,
    /// Whether Transfer-Encoding says `chunked`.
    pub(crate) chunked: bool,
}

impl Declared {
    /// Takes one field line into account.
    pub(crate) fn add(&mut self, line: &Line, bytes: &[u8]) -> Result<(), Flaw> {
        let value = line.value.of(bytes);
        match line.known {
            Known::ContentLength => {
                if self.length.is_some() || value.contains(&b',') {
                    return Err(Flaw::LengthRepeated);
                }
                self.length = Some(syntax::decimal(value).ok_or(Flaw::Length)?);
                self.padded = value.len() > 1 && value[0] == b'0';
            }
            Known::TransferEncoding => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Flaw::Encoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Once all lines were added: what cannot be true together.
    pub(crate) fn check(&self) -> Result<(), Flaw> {
        if self.chunked && self.length.is_some() { Err(Flaw::LengthAndEncoding) } else { Ok(()) }
    }

    /// The framing of a request with these lines.
    pub(crate) fn of_request(&self) -> Framing {
        match self.length {
            _ if self.chunked => Framing::Chunked,
            Some(0) | None => Framing::None,
            Some(length) => Framing::Length(length),
        }
    }

    /// The framing of a final response with these lines. `head`: it answers a HEAD request.
    pub(crate) fn of_response(&self, status: u16, head: bool) -> Framing {
        if head || matches!(status, 100..=199 | 204 | 304) {
            return Framing::None;
        }
        match self.length {
            _ if self.chunked => Framing::Chunked,
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }
}
