//! Finds the frames in a stream of bytes (RFC 9113 §4.1), wherever it is cut.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;

const HEADER: usize = 9;

/// A frame that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    flags: u8,
    /// Bytes of its payload.
    pub(super) length: u32,
    /// Of `RST_STREAM` and `GOAWAY`: the error that it names.
    pub(super) code: u32,
}

impl Frame {
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Where in a frame the bytes stand.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The header, and of the payload what is looked at.
    head: [u8; HEADER + 8],
    have: usize,
    /// Bytes of the payload that are not looked at.
    skip: usize,
}

impl Scanner {
    /// The next frame whose header is there; takes what it has read off `bytes`. `None`: more has to come.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        if self.skip > 0 || self.have < HEADER && !self.fill(bytes, HEADER) {
            return None;
        }
        let length = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]);
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        let looked_at = whole.min(match self.head[3] {
            RST_STREAM => 4,
            GOAWAY => 8,
            _ => 0,
        });
        if !self.fill(bytes, HEADER + looked_at) {
            return None;
        }
        let code = |at: usize| self.head[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
        let code = match (self.head[3], looked_at) {
            (RST_STREAM, 4) => code(HEADER),
            (GOAWAY, 8) => code(HEADER + 4),
            _ => 0,
        };
        (self.have, self.skip) = (0, whole - looked_at);
        Some(Frame { kind: self.head[3], flags: self.head[4], length, code })
    }

    /// Whether so many bytes of the frame are there now.
    fn fill(&mut self, bytes: &mut &[u8], wanted: usize) -> bool {
        let count = (wanted - self.have).min(bytes.len());
        self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
        self.have += count;
        *bytes = &bytes[count..];
        self.have == wanted
    }
}
