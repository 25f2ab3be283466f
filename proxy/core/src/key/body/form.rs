//! `application/x-www-form-urlencoded`: the value of one field.
//!
//! A second field of the name can stand anywhere, so the whole form is read unless the first is taken. An escape that is
//! broken spoils the value in which it stands; in a name it makes another name.

use super::super::percent::digit;
use super::value::{Seen, Step, Value};

/// Where in a form one is.
#[derive(Debug, Default)]
pub(super) struct Form {
    place: Place,
    escape: Escape,
    /// Bytes of the name that are the same so far; `None`: it is another name.
    same: Option<usize>,
    started: bool,
    /// Fields of the name that have begun.
    count: u8,
    value: Value,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Name,
    /// Of the field that is looked for, kept.
    Value,
    /// Of another.
    Skipped,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Begun,
    High(u8),
}

impl Form {
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn feed(&mut self, name: &str, first: bool, bytes: &[u8]) -> Seen {
        for &byte in bytes {
            if let Err(seen) = self.byte(name.as_bytes(), first, byte) {
                return seen;
            }
        }
        Seen::More
    }

    pub(super) fn end(&mut self, name: &str, first: bool) -> Seen {
        match self.pair_ends(name.as_bytes(), first) {
            Err(seen) => seen,
            Ok(()) => self.value.seen(),
        }
    }

    fn byte(&mut self, name: &[u8], first: bool, byte: u8) -> Step {
        if !self.started {
            self.same = Some(0);
            self.started = true;
        }
        match byte {
            b'&' => {
                self.pair_ends(name, first)?;
                self.place = Place::Name;
                self.same = Some(0);
                Ok(())
            }
            b'=' if self.place == Place::Name => self.name_ends(name),
            _ if self.place == Place::Skipped => Ok(()),
            _ => match self.decoded(byte) {
                Ok(None) => Ok(()),
                Ok(Some(byte)) => self.put(name, byte),
                Err(()) => self.broken(),
            },
        }
    }

    /// The byte that is meant, once it is whole.
    fn decoded(&mut self, byte: u8) -> Result<Option<u8>, ()> {
        match (std::mem::take(&mut self.escape), byte) {
            (Escape::None, b'%') => {
                self.escape = Escape::Begun;
                Ok(None)
            }
            (Escape::None, b'+') => Ok(Some(b' ')),
            (Escape::None, other) => Ok(Some(other)),
            (Escape::Begun, byte) => {
                self.escape = Escape::High(digit(byte).ok_or(())?);
                Ok(None)
            }
            (Escape::High(high), byte) => Ok(Some(high << 4 | digit(byte).ok_or(())?)),
        }
    }

    fn put(&mut self, name: &[u8], byte: u8) -> Step {
        if self.place == Place::Value {
            return self.value.push(byte);
        }
        self.same = self.same.filter(|at| name.get(*at) == Some(&byte)).map(|at| at + 1);
        Ok(())
    }

    fn broken(&mut self) -> Step {
        self.same = None;
        if self.place == Place::Value { Err(Seen::Malformed) } else { Ok(()) }
    }

    fn name_ends(&mut self, name: &[u8]) -> Step {
        if std::mem::take(&mut self.escape) != Escape::None {
            self.same = None;
        }
        self.place = Place::Skipped;
        if self.same == Some(name.len()) {
            self.place = Place::Value;
            self.count += 1;
        }
        if self.count > 1 { Err(Seen::Ambiguous) } else { Ok(()) }
    }

    fn pair_ends(&mut self, name: &[u8], first: bool) -> Step {
        if self.place == Place::Name {
            self.name_ends(name)?;
        }
        if std::mem::take(&mut self.escape) != Escape::None {
            self.broken()?;
        }
        if self.place == Place::Value && first { Err(self.value.seen()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &[u8], first: bool) -> (Seen, String) {
        let mut scanner = Form::default();
        let seen = match scanner.feed("a é", first, body) {
            Seen::More => scanner.end("a é", first),
            seen => seen,
        };
        (seen, scanner.value().text().unwrap_or_default().into())
    }

    #[test]
    fn a_field_is_decoded() {
        let found = |text: &str| (Seen::Found, text.to_owned());
        assert_eq!(scan("x=1&a+%C3%A9=J%c3%bCrg+K&y".as_bytes(), false), found("Jürg K"));
        assert_eq!(scan("a é==".as_bytes(), false), found("="));
        assert_eq!(scan("&&%zz=1&a%20é=%26".as_bytes(), false), found("&"));
        assert_eq!(scan("a+é=1&a+é".as_bytes(), true), found("1"));
    }

    #[test]
    fn what_gives_no_key_is_told_apart() {
        for (body, seen) in [
            ("", Seen::Missing),
            ("a", Seen::Missing),
            ("a+é", Seen::Missing),
            ("a+é=&x=1", Seen::Missing),
            ("a+é%=1", Seen::Missing),
            ("a+éx=1&A+é=1", Seen::Missing),
            ("a+é=1&a+é=1", Seen::Ambiguous),
            ("a+é=1&a%20%c3%a9", Seen::Ambiguous),
            ("a+é=%", Seen::Malformed),
            ("a+é=%4&x=1", Seen::Malformed),
            ("a+é=%zz", Seen::Malformed),
            ("a+é=%ff", Seen::Malformed),
        ] {
            assert_eq!(scan(body.as_bytes(), false).0, seen, "{body}");
        }
        let long = |length: usize| scan(format!("x={}&a+é={}", "y".repeat(9999), "1".repeat(length)).as_bytes(), false);
        assert_eq!((long(256).0, long(257).0), (Seen::Found, Seen::Malformed));
    }
}
