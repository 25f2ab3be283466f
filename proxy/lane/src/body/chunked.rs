//! The chunked transfer coding up to its last chunk (RFC 9112 §7.1), byte by byte where it frames and run by run where
//! it carries.

use crate::flaw::Flaw;
use crate::options::Limits;

/// Where in the coding the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// The first digit of a size.
    #[default]
    Size,
    /// Further digits, white space, an extension, or the line end.
    Digits,
    /// White space that must lead to an extension (`BWS`, RFC 9112 §7.1.1).
    Blank,
    /// In an extension.
    Extension,
    /// The line feed of a size line.
    SizeFeed,
    /// Payload.
    Data,
    /// The carriage return after payload.
    DataReturn,
    /// The line feed after payload.
    DataFeed,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// More bytes are needed after `skip`.
    More { skip: usize },
    /// `take` bytes of payload after `skip` bytes of framing.
    Data { skip: usize, take: usize },
    /// The last chunk's line ended after `skip` bytes; the trailer section follows.
    Last { skip: usize },
}

/// State of the coding.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunks {
    at: At,
    left: u64,
    extension: usize,
    extensions: usize,
}

/// Chunk sizes beyond 63 bits are refused, so that no sum of two overflows.
const MAX_SIZE: u64 = i64::MAX as u64;

impl Chunks {
    /// Payload bytes of the present chunk that are missing yet.
    pub(crate) fn left(&self) -> u64 {
        if self.at == At::Data { self.left } else { 0 }
    }

    pub(crate) fn step(&mut self, source: &[u8], limits: &Limits) -> Result<Found, Flaw> {
        for (skip, byte) in source.iter().copied().enumerate() {
            if self.at == At::Data {
                let have = source.len() - skip;
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(have);
                self.left -= take as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                return Ok(Found::Data { skip, take });
            }
            if self.frame(byte, limits)? {
                return Ok(Found::Last { skip: skip + 1 });
            }
        }
        Ok(Found::More { skip: source.len() })
    }

    /// Takes one byte of framing; true when it ended the last chunk's line.
    fn frame(&mut self, byte: u8, limits: &Limits) -> Result<bool, Flaw> {
        self.at = match (self.at, byte) {
            (At::Size | At::Digits, b) if b.is_ascii_hexdigit() => self.digit(b)?,
            (At::Digits | At::Blank, b';') => self.byte_of_extension(limits)?,
            (At::Digits | At::Blank, b' ' | b'\t') => {
                self.byte_of_extension(limits)?;
                At::Blank
            }
            (At::Digits | At::Extension, b'\r') => At::SizeFeed,
            (At::Extension, b) if b >= 0x20 && b != 0x7f || b == b'\t' => self.byte_of_extension(limits)?,
            (At::SizeFeed, b'\n') => {
                self.extension = 0;
                if self.left == 0 {
                    return Ok(true);
                }
                At::Data
            }
            (At::DataReturn, b'\r') => At::DataFeed,
            (At::DataFeed, b'\n') => At::Size,
            (At::DataReturn | At::DataFeed, _) => return Err(Flaw::ChunkEnd),
            (At::Extension | At::Blank, _) => return Err(Flaw::ChunkExtension),
            (At::Digits, b'\n') | (At::SizeFeed, _) => return Err(Flaw::BareLineFeed),
            _ => return Err(Flaw::ChunkSize),
        };
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<At, Flaw> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        // Leading zeros count too, or a size line never ends.
        self.extension += usize::from(self.left == 0);
        let size = self.left.checked_mul(16).and_then(|s| s.checked_add(u64::from(digit))).ok_or(Flaw::ChunkSize)?;
        if size > MAX_SIZE || self.extension > 16 {
            return Err(Flaw::ChunkSize);
        }
        self.left = size;
        Ok(At::Digits)
    }

    fn byte_of_extension(&mut self, limits: &Limits) -> Result<At, Flaw> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > limits.extension_bytes || self.extensions > limits.extensions_bytes {
            return Err(Flaw::ChunkExtension);
        }
        Ok(At::Extension)
    }
}
