//! A response body, byte by byte: where it ends, and what is in it.

use super::{Framing, Malformed};

/// Follows one body. Feed it what arrives until [`Body::is_done`].
#[derive(Debug, Clone, Copy)]
pub struct Body {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Counted(u64),
    UntilClose,
    /// In the hexadecimal size of a chunk; `digits` seen so far.
    Size {
        value: u64,
        digits: u8,
    },
    /// In a chunk extension, which is skipped (RFC 9112, section 7.1.1).
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    LastLf,
    Done,
}

impl Body {
    /// A body that ends as `framing` says.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Counted(length),
            Framing::Chunked => State::Size { value: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the last byte was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection may end here without cutting the body short.
    pub fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Takes what belongs to the body from the front of `bytes`, hands its content to `sink`, answers how many bytes it took.
    ///
    /// # Errors
    /// The chunked coding is broken.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Counted(left) | State::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    sink(&rest[..take]);
                    *left -= take as u64;
                    at += take;
                    match self.state {
                        State::Counted(0) => self.state = State::Done,
                        State::Data(0) => self.state = State::DataCr,
                        _ => {}
                    }
                }
                State::UntilClose => {
                    sink(rest);
                    at = bytes.len();
                }
                coding => {
                    *coding = coding.after(rest[0])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }
}

impl State {
    /// The state after one byte of chunked coding that is not content.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        Ok(match (self, byte) {
            (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Malformed("chunk size over 64 bits"));
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Self::Size { value: (value << 4) | digit, digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed("chunk without a size")),
            (Self::Size { value, .. } | Self::Extension { value }, b'\r') => Self::SizeEnd { value },
            (Self::Size { value, .. }, b';' | b' ' | b'\t') => Self::Extension { value },
            (Self::Extension { value }, _) if byte != b'\n' => Self::Extension { value },
            (Self::SizeEnd { value: 0 } | Self::Trailer, b'\n') => Self::TrailerStart,
            (Self::SizeEnd { value }, b'\n') => Self::Data(value),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::TrailerStart, b'\r') => Self::LastLf,
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            (Self::LastLf, b'\n') => Self::Done,
            _ => return Err(Malformed("broken chunked coding")),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Body), Malformed> {
        let (mut body, mut content) = (Body::new(framing), Vec::new());
        for piece in pieces {
            body.feed(piece, |part| content.extend_from_slice(part))?;
        }
        Ok((content, body))
    }

    #[test]
    fn a_counted_body_stops_at_its_length() {
        let mut body = Body::new(Framing::Length(3));
        assert_eq!(body.feed(b"abcHTTP/1.1", |_| {}), Ok(3));
        assert!(body.is_done());
    }

    #[test]
    fn a_chunked_body_gives_its_content_without_the_coding() {
        let coded = b"4;x=y\r\nwiki\r\n05\r\npedia\r\n0\r\nEtag: z\r\n\r\n";
        let (content, body) = read(Framing::Chunked, &[coded]).expect("well-formed");
        assert_eq!(content, b"wikipedia");
        assert!(body.is_done());
    }

    #[test]
    fn a_body_that_is_cut_is_seen_as_short() {
        for (framing, bytes) in [(Framing::Length(3), &b"ab"[..]), (Framing::Chunked, b"4\r\nwiki\r\n")] {
            let (_, body) = read(framing, &[bytes]).expect("well-formed so far");
            assert!(!body.may_end(), "{framing:?}");
        }
        let (_, body) = read(Framing::UntilClose, &[b"ab"]).expect("well-formed");
        assert!(body.may_end());
    }

    #[test]
    fn broken_coding_is_malformed() {
        for wrong in ["\r\n", "-1\r\n", "4\nwiki", "4\r\nwikix", "11111111111111111\r\n", "4;a\nwiki"] {
            assert!(read(Framing::Chunked, &[wrong.as_bytes()]).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn where_reads_are_cut_changes_nothing(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1usize..9,
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = coded.chunks(cut).collect();
            let (content, body) = read(Framing::Chunked, &pieces).expect("well-formed");
            prop_assert_eq!(content, chunks.concat());
            prop_assert!(body.is_done());
        }
    }
}
