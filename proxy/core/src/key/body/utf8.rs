//! UTF-8 a byte at a time (Unicode 15, table 3-7).

/// Where in a character one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Utf8 {
    /// Bytes that are still to come.
    need: u8,
    low: u8,
    high: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self { need: 0, low: 0x80, high: 0xBF }
    }
}

impl Utf8 {
    /// Whether no character is open.
    pub(super) fn is_whole(self) -> bool {
        self.need == 0
    }

    /// Takes the next byte; `false`: it cannot stand here.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        if self.need > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            *self = Self { need: self.need - 1, ..Self::default() };
            return fits;
        }
        let (need, low, high) = match byte {
            0..=0x7F => (0, 0x80, 0xBF),
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return false,
        };
        *self = Self { need, low, high };
        true
    }
}
