//! FIX tag=value (FIX Protocol, "tagvalue encoding"): the value of one tag.
//!
//! Length and checksum are the node's to judge. Which tags stand in a repeating group only a dictionary knows, so a tag
//! that repeats at all is ambiguous; whoever wants the one before the groups takes the first. Fields of data carry SOH
//! inside: their length stands before them, and is believed.

use super::value::{Seen, Step, Value};

const SOH: u8 = 1;
/// The last field of a message.
const CHECKSUM: u32 = 10;
/// (length, data) of the standard's fields of data, 4.0 to 5.0 SP2.
const DATA: [(u32, u32); 16] = [
    (90, 91),
    (93, 89),
    (95, 96),
    (212, 213),
    (348, 349),
    (350, 351),
    (352, 353),
    (354, 355),
    (356, 357),
    (358, 359),
    (360, 361),
    (362, 363),
    (364, 365),
    (445, 446),
    (618, 619),
    (621, 622),
];

/// Where in a message one is.
#[derive(Debug, Default)]
pub(super) struct Fix {
    place: Place,
    tag: u32,
    /// The field of data that must come next, and its length.
    data: Option<(u32, u64)>,
    /// Whether the tag that is looked for was there.
    met: bool,
    value: Value,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a tag.
    #[default]
    Field,
    Tag,
    Value,
    /// Digits of a length, read so far.
    Length(u64),
    /// Bytes of data that are still to come.
    Data(u64),
}

impl Fix {
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn feed(&mut self, tag: u32, first: bool, bytes: &[u8]) -> Seen {
        for &byte in bytes {
            if let Err(seen) = self.byte(tag, first, byte) {
                return seen;
            }
        }
        Seen::More
    }

    /// The last SOH may be missing: some cut it off on the way into a body.
    pub(super) fn end(&mut self, tag: u32, first: bool) -> Seen {
        match self.place {
            Place::Tag | Place::Data(1..) => Seen::Malformed,
            Place::Field if self.data.is_some() => Seen::Malformed,
            Place::Field => self.done(),
            _ => match self.field_ends(tag, first) {
                Err(seen) => seen,
                Ok(()) if self.data.is_some() => Seen::Malformed,
                Ok(()) => self.done(),
            },
        }
    }

    fn done(&self) -> Seen {
        self.value.seen()
    }

    fn byte(&mut self, wanted: u32, first: bool, byte: u8) -> Step {
        match (self.place, byte) {
            (Place::Field, b'1'..=b'9') => {
                self.tag = u32::from(byte - b'0');
                self.place = Place::Tag;
                Ok(())
            }
            (Place::Tag, b'0'..=b'9') if self.tag < 100_000_000 => {
                self.tag = self.tag * 10 + u32::from(byte - b'0');
                Ok(())
            }
            (Place::Tag, b'=') => self.tag_ends(wanted),
            (Place::Data(left @ 1..), _) => {
                self.place = Place::Data(left - 1);
                self.keep(wanted, byte)
            }
            (Place::Value | Place::Length(_) | Place::Data(0), SOH) => self.field_ends(wanted, first),
            (Place::Value, _) => self.keep(wanted, byte),
            (Place::Length(length), b'0'..=b'9') if length < 1_000_000_000_000 => {
                self.place = Place::Length(length * 10 + u64::from(byte - b'0'));
                self.keep(wanted, byte)
            }
            _ => Err(Seen::Malformed),
        }
    }

    fn keep(&mut self, wanted: u32, byte: u8) -> Step {
        if self.tag == wanted { self.value.push(byte) } else { Ok(()) }
    }

    fn tag_ends(&mut self, wanted: u32) -> Step {
        if self.tag == wanted && std::mem::replace(&mut self.met, true) {
            return Err(Seen::Ambiguous);
        }
        self.place = match self.data.take() {
            Some((tag, length)) if tag == self.tag => Place::Data(length),
            Some(_) => return Err(Seen::Malformed),
            None if DATA.iter().any(|(length, _)| *length == self.tag) => Place::Length(0),
            None => Place::Value,
        };
        Ok(())
    }

    fn field_ends(&mut self, wanted: u32, first: bool) -> Step {
        if let Place::Length(length) = self.place {
            self.data = DATA.iter().find(|(tag, _)| *tag == self.tag).map(|(_, data)| (*data, length));
        }
        self.place = Place::Field;
        if self.tag == CHECKSUM || self.tag == wanted && first { Err(self.done()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` stands for SOH.
    fn scan(message: &str, tag: u32, first: bool) -> (Seen, String) {
        let mut scanner = Fix::default();
        let seen = match scanner.feed(tag, first, message.replace('|', "\u{1}").as_bytes()) {
            Seen::More => scanner.end(tag, first),
            seen => seen,
        };
        (seen, scanner.value().text().unwrap_or_default().into())
    }

    #[test]
    fn a_tag_is_found_and_its_neighbours_are_not() {
        let order = "8=FIX.4.4|9=65|35=D|49=CLIENT12|111=no|11=13346|1=A=B|54=1|10=231|";
        for (tag, value) in [(11, "13346"), (1, "A=B"), (49, "CLIENT12"), (8, "FIX.4.4"), (10, "231")] {
            assert_eq!(scan(order, tag, false), (Seen::Found, value.into()), "{tag}");
        }
        assert_eq!(scan(order, 41, false).0, Seen::Missing);
        assert_eq!(scan("11=7", 11, false), (Seen::Found, "7".into()), "the last SOH may be cut off");
        assert_eq!(scan("10=1|11=2|", 11, false).0, Seen::Missing, "the checksum is the end");
    }

    #[test]
    fn a_tag_that_repeats_is_ambiguous_unless_the_first_is_taken() {
        let groups = "35=D|453=2|448=A|448=B|10=0|";
        assert_eq!(scan(groups, 448, false).0, Seen::Ambiguous);
        assert_eq!(scan(groups, 448, true), (Seen::Found, "A".into()));
        assert_eq!(scan("11=|11=2|", 11, true).0, Seen::Missing);
    }

    #[test]
    fn data_hides_no_field() {
        assert_eq!(scan("95=8|96=x|11=bad|11=good|10=0|", 11, false), (Seen::Found, "good".into()));
        assert_eq!(scan("95=3|96=a|b|10=0|", 96, false), (Seen::Found, "a\u{1}b".into()));
        assert_eq!(scan("95=3|11=7|", 11, false).0, Seen::Malformed, "the data must follow its length");
        assert_eq!(scan("95=3|96=abcd|11=7|", 11, false).0, Seen::Malformed);
        assert_eq!(scan("95=99|96=abc|11=7|", 11, false).0, Seen::Malformed);
        assert_eq!(scan("95=9999999999999999999999|", 11, false).0, Seen::Malformed);
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for message in
            ["x", "=1|", "011=7|", "11", "11|", "11=7||", "1a=7|", "9999999999=1|", "{\"a\":1}", "95=x|", "95=3|"]
        {
            assert_eq!(scan(message, 11, false).0, Seen::Malformed, "{message}");
        }
        assert_eq!(scan("", 11, false).0, Seen::Missing);
        let long = |length: usize| scan(&format!("58={}|11={}|", "y".repeat(9999), "1".repeat(length)), 11, false).0;
        assert_eq!((long(256), long(257)), (Seen::Found, Seen::Malformed));
    }
}
