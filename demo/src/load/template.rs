//! Text with numbers in it: `order-{n}`, `{n%100}`, `{c}`, `{run}`.

use std::fmt;

/// Text that is the same for every request but for the numbers that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Number { modulo: Option<u64> },
    Connection,
    Run,
}

/// The numbers of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a> {
    pub(super) request: u64,
    pub(super) connection: usize,
    pub(super) run: &'a str,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotATemplate(String);

impl Template {
    /// That text, braces and all.
    pub fn text(text: &str) -> Self {
        Self { pieces: vec![Piece::Text(text.into())] }
    }

    /// So many bytes of filling.
    pub fn filling(bytes: usize) -> Self {
        Self { pieces: vec![Piece::Text(vec![b'x'; bytes])] }
    }

    /// Reads `{n}` (the request's number from 0), `{n%K}` (the same modulo K), `{c}` (the connection's number), `{run}`
    /// (what names the run). Other braces stand for themselves, so JSON needs no escapes.
    ///
    /// # Errors
    /// `{n%0}`, or a modulus that is not a number.
    pub fn parse(text: &str) -> Result<Self, NotATemplate> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let piece = match found {
                Some((name, _)) => piece(name, text)?,
                None => None,
            };
            if let (Some(piece), Some((_, after))) = (piece, found) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                rest = after;
            } else {
                let (one, after) = rest.split_at(first.len_utf8());
                plain.extend_from_slice(one.as_bytes());
                rest = after;
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn render(&self, numbers: Numbers<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Number { modulo } => push_number(out, modulo.map_or(numbers.request, |m| numbers.request % m)),
                Piece::Connection => push_number(out, numbers.connection as u64),
                Piece::Run => out.extend_from_slice(numbers.run.as_bytes()),
            }
        }
    }
}

fn piece(name: &str, whole: &str) -> Result<Option<Piece>, NotATemplate> {
    Ok(match name {
        "n" => Some(Piece::Number { modulo: None }),
        "c" => Some(Piece::Connection),
        "run" => Some(Piece::Run),
        _ => match name.strip_prefix("n%") {
            None => None,
            Some(modulus) => match modulus.parse() {
                Ok(modulus) if modulus > 0 => Some(Piece::Number { modulo: Some(modulus) }),
                _ => return Err(NotATemplate(format!("`{{{name}}}` in `{whole}`: write {{n%K}} with K from 1 up"))),
            },
        },
    })
}

/// Decimal digits without allocation.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    // 20 digits hold 2^64 - 1.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

impl fmt::Display for NotATemplate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for NotATemplate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(template: &str, request: u64) -> String {
        let mut out = Vec::new();
        let numbers = Numbers { request, connection: 3, run: "r" };
        Template::parse(template).expect("a template").render(numbers, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers_stand_where_they_are_named() {
        assert_eq!(rendered("a-{n}-{n%10}-{c}-{run}", 123), "a-123-3-3-r");
    }

    #[test]
    fn json_needs_no_escapes() {
        assert_eq!(rendered(r#"{"clOrdID":"{run}-{n}","deep":{}}"#, 7), r#"{"clOrdID":"r-7","deep":{}}"#);
    }

    #[test]
    fn a_modulus_of_nothing_is_refused() {
        for wrong in ["{n%0}", "{n%x}", "{n%}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_number(number: u64) {
            let mut out = Vec::new();
            push_number(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).expect("digits"), number.to_string());
        }

        #[test]
        fn text_without_placeholders_stands_as_it_is(text in "[^{]*") {
            prop_assert_eq!(rendered(&text, 1), text);
        }
    }
}
