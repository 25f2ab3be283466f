//! Writing the chunked coding (RFC 9112 §7.1).

/// Writes the line that comes before `size` bytes of payload; `size` is at least 1. CR LF follows the payload.
pub(crate) fn chunk_head(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk's line. Trailer lines may follow, an empty line must.
pub(crate) fn last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_hexadecimal() {
        for size in [1usize, 9, 10, 15, 16, 255, 256, 65535, 65536, usize::MAX] {
            let mut out = Vec::new();
            super::chunk_head(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
        }
    }
}
