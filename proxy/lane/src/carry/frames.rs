//! Where WebSocket frames begin and end (RFC 6455 §5.2), so that one of our own can be put between two. What they carry
//! is not looked at, and what is malformed passes as it is.

/// A frame that closes (RFC 6455 §5.5.1).
const CLOSE: u8 = 0x8;

/// Follows one direction of a WebSocket, byte by byte where it frames and run by run where it carries.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames {
    /// The head of the present frame as far as it came: two bytes, up to eight of length, four of mask.
    head: [u8; 14],
    have: usize,
    /// Payload of the present frame that is yet to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a Close frame passed, or has begun to.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// These bytes passed.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.step(bytes);
            bytes = &bytes[used..];
        }
    }

    /// How many of these bytes may pass before the next place between two frames; all, if there is none among them.
    pub(super) fn before_next(&self, bytes: &[u8]) -> usize {
        if self.is_between() { 0 } else { self.clone().step(bytes) }
    }

    /// Takes what belongs to the present frame; at least one byte.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.left == 0 && used < bytes.len() {
            self.head[self.have] = bytes[used];
            self.have += 1;
            used += 1;
            if self.have == self.head_length() {
                self.left = self.payload();
                self.closed |= self.head[0] & 0x0f == CLOSE;
                self.have = 0;
                if self.left == 0 {
                    return used;
                }
            }
        }
        let carried = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - used);
        self.left -= carried as u64;
        used + carried
    }

    /// Bytes of the head, as far as its first two tell.
    fn head_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.head[1] & 0x80 == 0 { 0 } else { 4 }
    }

    fn payload(&self) -> u64 {
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self.head[1] & 0x7f {
            126 => big_endian(&self.head[2..4]),
            127 => big_endian(&self.head[2..10]),
            small => u64::from(small),
        }
    }
}

/// A Close frame from a server: no mask, a code, no reason.
pub(super) fn close(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | CLOSE, 2, high, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with so much payload, in the shortest form of its length.
    fn frame(opcode: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match payload {
            0..=125 => bytes.push(mask | payload as u8),
            126..=0xffff => {
                bytes.push(mask | 0x7e);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0xff, if masked { 4 } else { 0 } + payload));
        bytes
    }

    #[test]
    fn a_close_frame_is_seen() {
        let mut frames = Frames::default();
        frames.pass(&frame(1, false, 5));
        assert!(frames.is_between() && !frames.is_closed());
        frames.pass(&close(1001)[..2]);
        assert!(!frames.is_between() && frames.is_closed());
        frames.pass(&close(1001)[2..]);
        assert!(frames.is_between());
        assert_eq!(close(1001), [0x88, 2, 0x03, 0xe9]);
    }

    #[test]
    fn a_length_beyond_all_bounds_passes() {
        let mut frames = Frames::default();
        frames.pass(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3]);
        assert!(!frames.is_between());
        assert_eq!(frames.before_next(&[0; 9]), 9);
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_they_arrive(
            shapes in proptest::collection::vec((0u8..16, any::<bool>(), prop_oneof![0usize..300, 65_530usize..65_545]), 1..6),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (opcode, masked, payload) in shapes {
                bytes.extend(frame(opcode, masked, payload));
                ends.push(bytes.len());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut frames = Frames::default();
            for pair in cuts.windows(2) {
                frames.pass(&bytes[pair[0]..pair[1]]);
                prop_assert_eq!(frames.is_between(), ends.contains(&pair[1]));
                let next = ends.iter().copied().find(|end| *end >= pair[1]).unwrap_or(bytes.len());
                prop_assert_eq!(frames.before_next(&bytes[pair[1]..]), next - pair[1]);
            }
        }
    }
}
