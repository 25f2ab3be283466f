//! Records of the log: length (u32, little endian), CRC-32 of length and payload (IEEE 802.3; u32, little endian),
//! payload. One record holds one batch of changes, so a batch is there whole or not at all.

use std::io;

/// Bytes before the payload.
const HEAD: usize = 8;

/// The longest payload that is believed. A batch is at most a few hundred changes of a few hundred bytes; a length
/// beyond this comes from a torn or damaged file.
const LONGEST: usize = 64 << 20;

/// One record around a payload, which is not empty. Fails beyond [`LONGEST`], which would never be read back.
pub(crate) fn wrap(payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|length| *length as usize <= LONGEST);
    let length = length.ok_or(io::ErrorKind::FileTooLarge)?.to_le_bytes();
    let mut record = Vec::with_capacity(HEAD + payload.len());
    record.extend_from_slice(&length);
    record.extend_from_slice(&checksum(length, payload).to_le_bytes());
    record.extend_from_slice(payload);
    Ok(record)
}

/// The payload of the first record of `bytes`, and the bytes after it. `None`: there is no whole record.
pub(crate) fn unwrap(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*length) as usize;
    // Space that was allotted but never written reads as zeros: an empty record is none.
    if size == 0 || size > LONGEST {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(size)?;
    (checksum(*length, payload) == u32::from_le_bytes(*sum)).then_some((payload, rest))
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC, so that a file can be read with other tools.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(unwrap(&[0; 64]), None);
    }

    proptest! {
        #[test]
        fn comes_back_whole_or_not_at_all(payload in proptest::collection::vec(any::<u8>(), 1..200), cut in 0usize..300, flip in any::<proptest::sample::Index>()) {
            let record = wrap(&payload).expect("short enough");
            prop_assert_eq!(unwrap(&record), Some((payload.as_slice(), &[][..])));
            if cut < record.len() {
                prop_assert_eq!(unwrap(&record[..cut]), None);
            }
            let mut damaged = record.clone();
            damaged[flip.index(record.len())] ^= 0x10;
            prop_assert_eq!(unwrap(&damaged), None);
        }
    }
}
