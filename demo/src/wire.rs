//! HTTP/1.1 responses as bytes (RFC 9112): heads parsed in place, bodies counted or decoded as they arrive. No sockets
//! and no allocation, so the load generator and the test client share it.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

mod body;

pub use body::Body;

/// A response head longer than this is malformed.
pub const MAX_HEAD: usize = 64 * 1024;

/// How a response body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What a reader needs of a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection carries another exchange afterwards.
    pub keep_alive: bool,
    /// Bytes of the head, the empty line included.
    pub bytes: usize,
}

/// Why bytes are not an HTTP/1.1 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Parses the response head at the front of `buffer`; `None` while it is incomplete. `each` sees every header as it
/// stands. `to_head`: the request was HEAD, so no body follows.
///
/// # Errors
/// The head is not HTTP/1.x, is over [`MAX_HEAD`], or says two things about its length.
pub fn parse_head(buffer: &[u8], to_head: bool, mut each: impl FnMut(&str, &[u8])) -> Result<Option<Head>, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; 64];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut headers);
    let bytes = match parsed {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) if buffer.len() > MAX_HEAD => return Err(Malformed("response head over 64 KiB")),
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed("not an HTTP/1.1 response head")),
    };
    let status = response.code.unwrap_or_default();
    let (mut length, mut chunked, mut coded) = (None, false, false);
    let mut keep_alive = response.version == Some(1);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = decimal(header.value).ok_or(Malformed("content-length is not a number"))?;
            if length.is_some_and(|known| known != value) {
                return Err(Malformed("two different content-lengths"));
            }
            length = Some(value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            coded = true;
            chunked = ends_with_token(header.value, b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            if ends_with_token(header.value, b"close") {
                keep_alive = false;
            } else if ends_with_token(header.value, b"keep-alive") {
                keep_alive = true;
            }
        }
        each(header.name, header.value);
    }
    if coded && length.is_some() {
        return Err(Malformed("both transfer-encoding and content-length"));
    }
    let framing = if to_head || status < 200 || status == 204 || status == 304 {
        Framing::Empty
    } else if chunked {
        Framing::Chunked
    } else if let (Some(length), false) = (length, coded) {
        Framing::Length(length)
    } else {
        Framing::UntilClose
    };
    keep_alive &= framing != Framing::UntilClose;
    Ok(Some(Head { status, framing, keep_alive, bytes }))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn ends_with_token(value: &[u8], token: &[u8]) -> bool {
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        parse_head(text.as_bytes(), false, |_, _| {})
    }

    #[test]
    fn a_length_frames_the_body_and_keeps_the_connection() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Node: a\r\n\r\nhello";
        let mut node = Vec::new();
        let head = parse_head(text.as_bytes(), false, |name, value| {
            if name.eq_ignore_ascii_case("x-node") {
                node.extend_from_slice(value);
            }
        });
        let bytes = text.len() - 5;
        assert_eq!(head, Ok(Some(Head { status: 200, framing: Framing::Length(5), keep_alive: true, bytes })));
        assert_eq!(node, b"a");
    }

    #[test]
    fn every_proper_prefix_of_a_head_is_incomplete() {
        let text = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(head(&text[..end]), Ok(None), "prefix of {end} bytes");
        }
        let whole = head(text).expect("well-formed").expect("complete");
        assert_eq!((whole.framing, whole.keep_alive), (Framing::Chunked, false));
    }

    #[test]
    fn a_body_without_a_length_lasts_as_long_as_the_connection() {
        let whole = head("HTTP/1.1 200 OK\r\n\r\n").expect("well-formed").expect("complete");
        assert_eq!((whole.framing, whole.keep_alive), (Framing::UntilClose, false));
        let old = head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").expect("well-formed").expect("complete");
        assert!(!old.keep_alive, "HTTP/1.0 closes unless told otherwise");
    }

    #[test]
    fn statuses_without_a_body_have_none() {
        for status in ["101 Switching Protocols", "204 No Content", "304 Not Modified"] {
            let whole = head(&format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n"));
            assert_eq!(whole.expect("well-formed").expect("complete").framing, Framing::Empty, "{status}");
        }
        let to_head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, |_, _| {});
        assert_eq!(to_head.expect("well-formed").expect("complete").framing, Framing::Empty);
    }

    #[test]
    fn contradictions_are_malformed() {
        for wrong in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            assert!(head(wrong).is_err(), "{wrong:?}");
        }
    }
}
